"""LEB128 integers as WebAssembly writes them.

Decoding never reads past `end`, never accepts more bytes than the width allows, and refuses unused bits of the last
byte that are not zero (unsigned) or not the sign (signed): WebAssembly 2.0, binary format, 5.2.2. Encoding always gives
the shortest form.
"""

from __future__ import annotations


class Leb128Error(ValueError):
    """Bytes that are not a LEB128 integer of the required width; `position` is the offset of the byte at fault."""

    def __init__(self, text: str, position: int) -> None:
        super().__init__(text)
        self.position = position


def encode_unsigned(value: int) -> bytes:
    """Return the shortest unsigned LEB128 of `value`; ValueError if it is negative."""
    if value < 0:
        raise ValueError("an unsigned LEB128 has no negative value")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_signed(value: int) -> bytes:
    """Return the shortest signed LEB128 of `value`."""
    out = bytearray()
    while not -0x40 <= value < 0x40:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value & 0x7F)
    return bytes(out)


def decode_unsigned(data: bytes, position: int, end: int, bits: int = 32) -> tuple[int, int]:
    """Return (value, position after it) of the unsigned integer of at most `bits` bits at `position`."""
    value = shift = 0
    at = position
    while True:
        if at >= end:
            raise Leb128Error("unexpected end-of-file", at)
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
        if shift >= bits:
            raise Leb128Error(f"invalid var_u{bits}: integer representation too long", at - 1)
    if shift > bits and value >> bits:
        raise Leb128Error(f"invalid var_u{bits}: integer too large", at - 1)
    return value, at


def decode_signed(data: bytes, position: int, end: int, bits: int = 32) -> tuple[int, int]:
    """Return (value, position after it) of the signed integer of at most `bits` bits at `position`."""
    value = shift = 0
    at = position
    while True:
        if at >= end:
            raise Leb128Error("unexpected end-of-file", at)
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
        if shift >= bits:
            raise Leb128Error(f"invalid var_i{bits}: integer representation too long", at - 1)
    if byte & 0x40:
        value -= 1 << shift
    if not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise Leb128Error(f"invalid var_i{bits}: integer too large", at - 1)
    return value, at
