"""The options of `snapshot inspect`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sandbox.cli.options import Misuse
from sandbox.snapshots.inspect.motoko.tree import DecodeLimits

_BLOB = 32
"""Bytes of a blob that are shown in any case: a hash is whole."""


@dataclass(frozen=True)
class InspectOptions:
    """The values of the options, by parameter name."""

    part: str | None
    region: str | None
    strings: bool
    min_length: int
    pattern: str | None
    hexdump: tuple[int, int] | None
    picture: bool
    png: Path | None
    page: int
    structures: bool
    values: bool
    candid: bool
    limit: int
    key_form: str | None
    value_form: str | None

    @property
    def regex(self) -> re.Pattern[str] | None:
        """The compiled --pattern. Misuse if it is not a regular expression."""
        try:
            return None if self.pattern is None else re.compile(self.pattern)
        except re.error as error:
            raise Misuse(f"--pattern {self.pattern!r} is not a regular expression: {error}") from None

    @property
    def keep(self) -> DecodeLimits:
        return DecodeLimits(items=self.limit, blob=max(self.limit, _BLOB))

    @property
    def about_bytes(self) -> bool:
        """Whether raw bytes are requested, rather than decoded values."""
        return bool(self.strings or self.hexdump or self.picture or self.png)

    @property
    def overview(self) -> bool:
        """Whether no option selects a part to show."""
        selections = (self.strings, self.hexdump, self.picture, self.png, self.structures, self.values, self.candid)
        return not any(selections) and self.region is None
