"""Durations and sizes as people write them: `90s`, `1.5h`, `10MiB`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Final

_DURATIONS: Final = {
    "ns": 1,
    "us": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3_600 * 10**9,
    "d": 86_400 * 10**9,
    "w": 7 * 86_400 * 10**9,
}
_SIZES: Final = {
    "": 1,
    "B": 1,
    **{f"{letter}iB": 1 << 10 * power for power, letter in enumerate("KMGT", 1)},
    **{f"{letter}B": 1000**power for power, letter in enumerate("kMGT", 1)},
}
_QUANTITY: Final = re.compile(r"(\d[\d_]{0,40}(?:\.\d{1,20})?) ?([A-Za-z]*)")


def nanoseconds(text: str) -> int | None:
    """Return a duration such as `500ms`, `90s`, `5m`, `1.5h`, `1d`, `2w`; None for any other text."""
    return _whole(text, _DURATIONS)


def bytes_of(text: str) -> int | None:
    """Return a size such as `10MiB`, `1.5 GiB`, `64kB`, or `1_000_000` bytes; None for any other text, and where it is
    no whole number of bytes."""
    return _whole(text, _SIZES)


def _whole(text: str, units: Mapping[str, int]) -> int | None:
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match[2] not in units:
        return None
    value = Fraction(match[1]) * units[match[2]]
    return int(value) if value.denominator == 1 else None
