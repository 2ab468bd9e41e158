"""What `snapshot inspect` is asked to show."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sandbox.cli.options import Misuse
from sandbox.snapshots.inspect.motoko.reader import DecodeLimits


@dataclass(frozen=True)
class InspectOptions:
    """What is to be shown: the options of `inspect`, by their names."""

    part: str | None
    region: str | None
    strings: bool
    least: int
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
        try:
            return None if self.pattern is None else re.compile(self.pattern)
        except re.error as error:
            raise Misuse(f"--pattern {self.pattern!r} is no regular expression: {error}") from None

    @property
    def keep(self) -> DecodeLimits:
        return DecodeLimits(items=self.limit)

    @property
    def about_bytes(self) -> bool:
        """Whether bytes are asked for, not what they mean."""
        return bool(self.strings or self.hexdump or self.picture or self.png)

    @property
    def overview(self) -> bool:
        """Nothing in particular was asked for."""
        particular = (self.strings, self.hexdump, self.picture, self.png, self.structures, self.values, self.candid)
        return not any(particular) and self.region is None
