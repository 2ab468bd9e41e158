"""Decimals in `metadata.json` are the number, and serde_json without `float_roundtrip` reads them as the number."""

from __future__ import annotations

import math
import struct
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sandbox.snapshots.portable.decimals import as_read, shortest, spelled
from sandbox.snapshots.portable.metadata import unreadable_globals
from tests.snapshots.portable.test_metadata import FIELDS

READ_BY_SERDE_JSON = {
    "0.0": 0x0000000000000000,
    "-0.0": 0x8000000000000000,
    "1.0": 0x3FF0000000000000,
    "5e-324": 0x0000000000000001,
    "2.5e-324": 0x0000000000000001,
    "1.7976931348623157e308": 0x7FEFFFFFFFFFFFFF,
    "0.1": 0x3FB999999999999A,
    "-5.0181e-5": 0xBF0A4F2E07F28A18,
    "3.141592653589793": 0x400921FB54442D18,
    "17976931348623157e292": 0x7FEFFFFFFFFFFFFF,
    "123456789012345678901234567890.0": 0x45F8EE90FF6C373E,
    "18446744073709551615.0": 0x43F0000000000000,
    "18446744073709551616.0": 0x43F0000000000000,
    "1844674407370955161.5": 0x43B999999999999A,
    "1844674407370955161.63": 0x43B999999999999A,
    "18446744073709551616.9e-30": 0x3DB4484BFEEBC2A0,
    "0.00000000000000000000000000000000012345678901234567890123": 0x38E48345635960E1,
    "1.234567890123456789012345e-320": 0x00000000000009C3,
    "9.313225746154785e-10": 0x3E0FFFFFFFFFFFFE,
    "2.2250738585072014e-308": 0x0010000000000000,
    "4.9e-330": 0x0000000000000000,
    "12e-400": 0x0000000000000000,
    "7.6e22": 0x44B017F7DF96BE18,
    "1e23": 0x44B52D02C7E14AF6,
    "0.3e1": 0x4008000000000000,
    "8.41e21": 0x447C7E83209E90B2,
    "9007199254740993": 0x4340000000000000,
    "-9223372036854775809": 0xC3E0000000000000,
    "5.708990770823839e45": 0x496FFFFFFFFFFFFF,
}
"""Texts and the bits of `serde_json::from_str::<f64>` of serde_json 1.0.154 with its default features."""

BITS = {"f": ("<f", "<I", 32), "d": ("<d", "<Q", 64)}


def number(letter: str, bits: int) -> float:
    shown, raw, width = BITS[letter]
    [value] = struct.unpack(shown, struct.pack(raw, bits & (1 << width) - 1))
    return float(value)


def raw(letter: str, value: float) -> bytes:
    return struct.pack(BITS[letter][0], value)


@pytest.mark.parametrize("text", READ_BY_SERDE_JSON)
def test_the_model_reads_as_serde_json_does(text: str) -> None:
    assert struct.unpack("<Q", struct.pack("<d", as_read(text))) == (READ_BY_SERDE_JSON[text],)


@settings(max_examples=500)
@given(st.sampled_from("fd"), st.integers(0, (1 << 64) - 1))
@example("d", 1)
@example("d", 0x8000000000000000)
@example("d", 0x000FFFFFFFFFFFFF)
@example("d", 0x0010000000000000)
@example("d", 0x7FEFFFFFFFFFFFFF)
@example("d", 0x496FFFFFFFFFFFFF)
@example("f", 0x00000001)
@example("f", 0x7F7FFFFF)
def test_a_spelling_is_the_number_for_python_and_serde_json_or_a_warning_names_it(letter: str, bits: int) -> None:
    value = number(letter, bits)
    spelling = spelled(value, letter)
    warned = unreadable_globals(replace(FIELDS, globals=((letter, int.from_bytes(raw(letter, value), "little")),)))
    assert warned == (() if spelling.is_exact else (0,))
    if not math.isfinite(value):
        assert (spelling.text, spelling.is_exact) == ("null", False)
        return
    assert raw(letter, float(spelling.text)) == raw(letter, value)
    if spelling.is_exact:
        assert raw(letter, as_read(spelling.text)) == raw(letter, value)
    else:
        assert as_read(shortest(value, letter)) != value


@settings(max_examples=500)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_is_read_exactly_anyway_stays_short(value: float) -> None:
    text = shortest(value, "d")
    assert (spelled(value, "d").text == text) or as_read(text) != value


def test_nearly_every_number_has_such_a_spelling() -> None:
    values = [number("d", (n * 0x9E3779B97F4A7C15) % (1 << 64)) for n in range(1, 2_000)]
    finite = [value for value in values if math.isfinite(value)]
    misread = sum(as_read(shortest(value, "d")) != value for value in finite)
    left = sum(not spelled(value, "d").is_exact for value in finite)
    assert misread > len(finite) // 5
    assert left < len(finite) // 200
