"""Decimals of f32 and f64 that every reader of `metadata.json` reads exactly.

dfx and icp-cli read JSON by serde_json without its feature `float_roundtrip`: it keeps the digits that fit in 64 bits
as a float64 and multiplies or divides that by a power of ten, which rounds twice. About a third of all float64 arrive
one unit off from their shortest decimal. Other decimals of the same number, with more digits, do not: `spelled` looks
for one. Source: serde_json 1.0.154, `src/de.rs`, `parse_integer` to `f64_from_parts`.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Final, NamedTuple

_DIGITS_TRIED: Final = range(16, 21)
"""Digits of significands that fill 64 bits; fewer than 16 give the shortest decimal or another number."""
_TRIES: Final = 8
"""Significands tried for each count of digits: few differ as float64."""
_MOST: Final = (1 << 64) - 1
_NUMBER: Final = re.compile(r"(-?)(\d+)(?:\.(\d+))?(?:e(-?\d+))?")


class Spelling(NamedTuple):
    """The text of a number; `is_exact`: dfx and icp-cli read it as this number."""

    text: str
    is_exact: bool


def spelled(value: float, letter: str) -> Spelling:
    """Return a decimal that correct rounding reads as this f32 (`f`) or f64 (`d`): the shortest that serde_json reads
    exactly, else just the shortest; null for NaN and infinities, for which JSON has no number."""
    text = shortest(value, letter)
    if not math.isfinite(value):
        return Spelling(text, False)
    for candidate in (text, *_longer(value)):
        read = as_read(candidate), float(candidate)
        if all((_single(number) if letter == "f" else number) == value for number in read):
            return Spelling(candidate, True)
    return Spelling(text, False)


def as_read(text: str) -> float:
    """Return the float64 that serde_json reads from a JSON number."""
    parts = _NUMBER.fullmatch(text)
    assert parts is not None
    sign, whole, fraction, exponent = parts.groups()
    significand, kept = _as_many_as_fit(0, whole)
    shift = len(whole) - kept
    significand, kept = _as_many_as_fit(significand, fraction or "")
    number = _scaled(float(significand), shift - kept + int(exponent or 0))
    return -number if sign else number


def _as_many_as_fit(significand: int, digits: str) -> tuple[int, int]:
    """Append digits while the significand has at most 64 bits; return it and the number of digits appended."""
    for kept, digit in enumerate(digits):
        if significand * 10 + int(digit) > _MOST:
            return significand, kept
        significand = significand * 10 + int(digit)
    return significand, len(digits)


def _scaled(number: float, exponent: int) -> float:
    """Scale as serde_json's `f64_from_parts` does; infinite where that is an error."""
    while exponent < -308 and number:
        number /= 1e308
        exponent += 308
    if not number:
        return 0.0
    if exponent > 308:
        return math.inf
    return number * float(f"1e{exponent}") if exponent >= 0 else number / float(f"1e{-exponent}")


def _longer(value: float) -> Iterator[str]:
    """Yield longer decimals between the neighbours of a number."""
    sign, size = "-" if value < 0 else "", abs(value)
    if not size:
        return
    exact, half = Fraction(size), Fraction(math.ulp(size)) / 2
    magnitude = math.floor(math.log10(size)) + 1
    for digits in _DIGITS_TRIED:
        exponent = magnitude - digits
        scale = Fraction(10) ** exponent
        low, high = math.ceil((exact - half) / scale), min(math.floor((exact + half) / scale), _MOST)
        step = max(1 << max(high.bit_length() - 53, 0), -(-(high - low) // _TRIES))
        for significand in (*range(low, high, step), high):
            yield f"{sign}{significand}e{exponent}"


def shortest(value: float, letter: str) -> str:
    """Return the shortest decimal of this f32 (`f`) or f64 (`d`), in the style of the Rust libraries; or null."""
    if not math.isfinite(value):
        return "null"
    single = letter == "f"
    text = repr(value)
    for digits in range(1, 10) if single else ():
        candidate = f"{value:.{digits}g}"
        if _single(float(candidate)) == value:
            text = candidate
            break
    sign, mantissa, point = _decimal(text)
    low, high = (-6, 13) if single else (-5, 16)
    if mantissa == "0":
        return sign + "0.0"
    if len(mantissa) <= point <= high:
        return sign + mantissa.ljust(point, "0") + ".0"
    if 0 < point <= high:
        return f"{sign}{mantissa[:point]}.{mantissa[point:]}"
    if low < point <= 0:
        return f"{sign}0.{'0' * -point}{mantissa}"
    rest = f".{mantissa[1:]}" if len(mantissa) > 1 else ""
    return f"{sign}{mantissa[0]}{rest}e{point - 1}"


def _single(value: float) -> float:
    """Return the nearest f32; infinite if the value is too large."""
    try:
        [single] = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        return math.copysign(math.inf, value)
    return float(single)


def _decimal(text: str) -> tuple[str, str, int]:
    """Return sign, digits without zeros at either end, and the position of the point relative to the first one."""
    sign = "-" if text.startswith("-") else ""
    plain, _, exponent = text.lstrip("-").partition("e")
    before, _, after = plain.partition(".")
    digits = (before + after).lstrip("0")
    point = len(before) - (len(before + after) - len(digits)) + int(exponent or 0)
    return sign, digits.rstrip("0") or "0", point
