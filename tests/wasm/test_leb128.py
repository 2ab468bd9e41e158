"""LEB128: every number comes back, nothing is read beyond the end, over-long and oversized forms are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.codec.leb128 import Leb128Error, decode_signed, decode_unsigned, encode_signed, encode_unsigned


@given(st.integers(0, 2**64 - 1), st.binary(max_size=4))
def test_unsigned_numbers_come_back(value: int, rest: bytes) -> None:
    encoded = encode_unsigned(value)
    assert decode_unsigned(b"x" + encoded + rest, 1, 1 + len(encoded) + len(rest), 64) == (value, 1 + len(encoded))


@given(st.integers(-(2**63), 2**63 - 1), st.binary(max_size=4))
def test_signed_numbers_come_back(value: int, rest: bytes) -> None:
    encoded = encode_signed(value)
    assert decode_signed(encoded + rest, 0, len(encoded) + len(rest), 64) == (value, len(encoded))


@given(st.binary(max_size=12), st.sampled_from([32, 33, 64]))
def test_any_bytes_decode_or_are_refused(data: bytes, bits: int) -> None:
    for decode, low, high in ((decode_unsigned, 0, 2**bits), (decode_signed, -(2 ** (bits - 1)), 2 ** (bits - 1))):
        try:
            value, at = decode(data, 0, len(data), bits)
        except Leb128Error:
            continue
        assert low <= value < high
        assert at <= -(-bits // 7)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "unexpected end-of-file"),
        (b"\x80\x80", "unexpected end-of-file"),
        (b"\x80\x80\x80\x80\x80\x00", "invalid var_u32: integer representation too long"),
        (b"\xff\xff\xff\xff\x1f", "invalid var_u32: integer too large"),
    ],
)
def test_bad_unsigned_forms_are_named(data: bytes, text: str) -> None:
    with pytest.raises(Leb128Error, match=text):
        decode_unsigned(data, 0, len(data))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xff\xff\xff\xff\xff\x7f", "invalid var_i32: integer representation too long"),
        (b"\xff\xff\xff\xff\x4f", "invalid var_i32: integer too large"),
        (b"\xff\xff\xff\xff\x3f", "invalid var_i32: integer too large"),
    ],
)
def test_bad_signed_forms_are_named(data: bytes, text: str) -> None:
    with pytest.raises(Leb128Error, match=text):
        decode_signed(data, 0, len(data))


def test_longest_legal_forms_are_accepted() -> None:
    assert decode_unsigned(b"\x80\x80\x80\x80\x00", 0, 5) == (0, 5)
    assert decode_unsigned(b"\xff\xff\xff\xff\x0f", 0, 5) == (2**32 - 1, 5)
    assert decode_signed(b"\x80\x80\x80\x80\x78", 0, 5) == (-(2**31), 5)
    assert decode_signed(b"\xff\xff\xff\xff\x7f", 0, 5) == (-1, 5)


def test_negative_numbers_have_no_unsigned_form() -> None:
    with pytest.raises(ValueError, match="no negative value"):
        encode_unsigned(-1)
