"""Writers of primitive values, which check that a Python value fits.

Spec: dfinity/candid `spec/Candid.md`, "Memory".
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from sandbox.candid.labels import clipped
from sandbox.candid.reader import STRUCT_CODES
from sandbox.candid.type_base import Type
from sandbox.candid.types import BOOL, EMPTY, FLOAT32, FLOAT64, INT, NAT, NULL, PRINCIPAL, RESERVED, TEXT, PrimType
from sandbox.candid.values import Func, Service
from sandbox.errors import PrincipalError
from sandbox.principal import Principal

Write = Callable[[bytearray, Any], None]


class Misfit(Exception):
    """A Python value that does not fit; `path` begins with the innermost label."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.path: list[str] = []


def write_nat(out: bytearray, value: int) -> None:
    """Write a natural number, which is not checked, as unsigned LEB128."""
    if value >> 64:
        out += _long(value, value.bit_length())
        return
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def write_int(out: bytearray, value: int) -> None:
    """Write an integer, which is not checked, as signed LEB128."""
    if not -(1 << 63) <= value < 1 << 63:
        out += _long(value, value.bit_length() + 1)
        return
    while not -0x40 <= value < 0x40:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value & 0x7F)


def _long(value: int, bits: int) -> bytes:
    """Write `bits` in groups of seven, in linear time."""
    count = -(-bits // 7)
    digits = f"{value & (1 << 7 * count) - 1:0{7 * count}b}"
    groups = [int(digits[at : at + 7], 2) | 0x80 for at in range(0, len(digits), 7)]
    groups[0] &= 0x7F
    return bytes(reversed(groups))


def leb(value: int) -> bytes:
    out = bytearray()
    write_nat(out, value)
    return bytes(out)


def sleb(value: int) -> bytes:
    out = bytearray()
    write_int(out, value)
    return bytes(out)


def length_first(raw: bytes) -> bytes:
    return leb(len(raw)) + raw


def misfit(expected: str, value: object) -> Misfit:
    """Return the error that `value` is not `expected`."""
    return Misfit(f"expected {expected}, got {'' if value is None else type(value).__name__ + ' '}{clipped(value)}")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _write_nat(out: bytearray, value: Any) -> None:
    if type(value) is not int and not _is_int(value):
        raise misfit("nat", value)
    if 0 <= value < 0x80:
        out.append(value)
    elif value < 0:
        raise misfit("nat", value)
    else:
        write_nat(out, value)


def _write_int(out: bytearray, value: Any) -> None:
    if type(value) is not int and not _is_int(value):
        raise misfit("int", value)
    write_int(out, value)


def _write_text(out: bytearray, value: Any) -> None:
    if not isinstance(value, str):
        raise misfit("text", value)
    append_text(out, value)


def append_text(out: bytearray, value: str) -> None:
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        raise Misfit("a text with a lone surrogate is not Unicode") from None
    write_nat(out, len(raw))
    out += raw


def _write_bool(out: bytearray, value: Any) -> None:
    if not isinstance(value, bool):
        raise misfit("bool", value)
    out.append(value)


def _write_null(out: bytearray, value: Any) -> None:
    if value is not None:
        raise misfit("null (None)", value)


def _write_reserved(out: bytearray, value: Any) -> None:
    """Write nothing, for any value."""


def _write_empty(out: bytearray, value: Any) -> None:
    raise Misfit("the type empty has no values")


def principal_of(value: Any) -> Principal:
    """Return the principal for a `Principal` or its text."""
    if isinstance(value, Principal):
        return value
    if not isinstance(value, str):
        raise misfit("principal", value)
    try:
        return Principal.from_text(value)
    except PrincipalError as error:
        raise Misfit(str(error)) from None


def write_principal(out: bytearray, value: Any) -> None:
    raw = bytes(principal_of(value))
    out.append(1)
    out.append(len(raw))
    out += raw


def write_service(out: bytearray, value: Any) -> None:
    write_principal(out, value.principal if isinstance(value, Service) else value)


def write_func(out: bytearray, value: Any) -> None:
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], str):
        value = Func(principal_of(value[0]), value[1])
    if not isinstance(value, Func):
        raise misfit("func (a Func, or a pair of principal and method name)", value)
    out.append(1)
    write_principal(out, value.principal)
    append_text(out, value.method)


def _number_writer(prim: PrimType) -> Write:
    """Return the writer of a number of fixed size."""
    pack = struct.Struct("<" + STRUCT_CODES[prim]).pack
    name = prim.name
    is_float = prim in (FLOAT32, FLOAT64)

    def write(out: bytearray, value: Any) -> None:
        if not (_is_int(value) or (is_float and isinstance(value, float))):
            raise misfit(name, value)
        try:
            out += pack(value)
        except (struct.error, OverflowError):
            raise Misfit(f"{clipped(value)} is out of the range of {name}") from None

    return write


PRIMITIVE_WRITERS: dict[Type, Write] = {
    NULL: _write_null,
    BOOL: _write_bool,
    NAT: _write_nat,
    INT: _write_int,
    TEXT: _write_text,
    RESERVED: _write_reserved,
    EMPTY: _write_empty,
    PRINCIPAL: write_principal,
    **{prim: _number_writer(prim) for prim in STRUCT_CODES if isinstance(prim, PrimType)},
}
