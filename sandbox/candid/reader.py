"""Readers of primitive values in the bytes of a message.

A `Reader` is a position in the bytes plus a bound that ends a hostile message early: `budget` (values left). Readers of
single bytes rely on IndexError at the end of the input; `reading` turns that and its kin into CandidDecodeError with
the offset.

Spec: dfinity/candid `spec/Candid.md`, "Memory".
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sandbox.candid.type_base import Type
from sandbox.candid.types import (
    BOOL,
    FLOAT32,
    FLOAT64,
    INT,
    INT8,
    INT16,
    INT32,
    INT64,
    NAT,
    NAT8,
    NAT16,
    NAT32,
    NAT64,
    NULL,
    PRINCIPAL,
    RESERVED,
    TEXT,
)
from sandbox.candid.values import Func
from sandbox.errors import CandidDecodeError
from sandbox.principal import MAX_LENGTH, Principal

FREE_VALUES = 500_000
VALUES_PER_BYTE = 8
"""Limit on the values of a message: a constant, plus a number per byte. Some values take no bytes."""

STRUCT_CODES: dict[Type, str] = {
    NAT8: "B", NAT16: "H", NAT32: "I", NAT64: "Q", INT8: "b", INT16: "h", INT32: "i", INT64: "q",
    FLOAT32: "f", FLOAT64: "d",
}  # fmt: skip


class Malformed(Exception):
    """Bytes that break the format, independent of the expected type."""


class Mismatch(Exception):
    """A well-formed value that does not coerce to the expected type; `path` begins with the innermost label."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.path: list[str] = []


class Reader:
    """A position in `data`; `budget` is the number of values that may still be read."""

    __slots__ = ("budget", "data", "pos")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.pos = 0
        self.budget = FREE_VALUES + VALUES_PER_BYTE * len(data)

    @property
    def remaining(self) -> int:
        return len(self.data) - self.pos

    def spend(self, values: int) -> None:
        self.budget -= values
        if self.budget < 0:
            raise Malformed("the message holds too many values for its size")


Read = Callable[[Reader], Any]


@contextmanager
def reading(reader: Reader) -> Iterator[None]:
    """Convert errors of the body into CandidDecodeError with the offset of the reader."""
    try:
        yield
    except (IndexError, struct.error):
        raise CandidDecodeError(f"the message ends too early, at byte {len(reader.data)}") from None
    except UnicodeDecodeError:
        raise CandidDecodeError(f"a text before byte {reader.pos} is not valid UTF-8") from None
    except Malformed as error:
        raise CandidDecodeError(f"{error}, at byte {reader.pos}") from None
    except RecursionError:
        raise CandidDecodeError(f"the value is nested too deeply, at byte {reader.pos}") from None


def read_bytes(reader: Reader, length: int) -> bytes:
    start = reader.pos
    chunk = reader.data[start : start + length]
    if len(chunk) != length:
        raise IndexError
    reader.pos = start + length
    return chunk


def read_nat(reader: Reader) -> int:
    """Read an unsigned LEB128 number."""
    pos = reader.pos
    byte = reader.data[pos]
    if byte < 0x80:
        reader.pos = pos + 1
        return byte
    value, _ = _long_number(reader)
    return value


def read_int(reader: Reader) -> int:
    """Read a signed LEB128 number."""
    pos = reader.pos
    byte = reader.data[pos]
    if byte < 0x80:
        reader.pos = pos + 1
        return byte - ((byte & 0x40) << 1)
    value, bits = _long_number(reader)
    return value - (1 << bits) if value >> (bits - 1) else value


def _long_number(reader: Reader) -> tuple[int, int]:
    """Read all groups of seven bits; return their number and the count of bits. Takes linear time."""
    data, start = reader.data, reader.pos
    end = start
    while data[end] >= 0x80:
        end += 1
    end += 1
    reader.pos = end
    if end - start > 16:
        return int("".join(f"{byte & 0x7F:07b}" for byte in reversed(data[start:end])), 2), 7 * (end - start)
    value = 0
    for byte in reversed(data[start:end]):
        value = value << 7 | byte & 0x7F
    return value, 7 * (end - start)


def read_text(reader: Reader) -> str:
    length = read_nat(reader)
    start = reader.pos
    chunk = reader.data[start : start + length]
    if len(chunk) != length:
        raise IndexError
    reader.pos = start + length
    return chunk.decode()


def read_bool(reader: Reader) -> bool:
    byte = reader.data[reader.pos]
    if byte > 1:
        raise Malformed(f"a bool is 0 or 1, not {byte}")
    reader.pos += 1
    return byte == 1


def read_null(reader: Reader) -> None:
    return None


def read_principal(reader: Reader) -> Principal:
    if reader.data[reader.pos] != 1:
        raise Malformed("an opaque reference")
    reader.pos += 1
    length = read_nat(reader)
    if length > MAX_LENGTH:
        raise Malformed(f"a principal of {length if length < 1 << 32 else 'too many'} bytes")
    return Principal(read_bytes(reader, length))


def read_func(reader: Reader) -> Func:
    if reader.data[reader.pos] != 1:
        raise Malformed("an opaque reference")
    reader.pos += 1
    return Func(read_principal(reader), read_text(reader))


def skip_future(reader: Reader) -> None:
    """Skip a value of a future type: its size, a count of references, its bytes."""
    size = read_nat(reader)
    read_nat(reader)
    read_bytes(reader, size)


def _fixed(code: str) -> Read:
    layout = struct.Struct("<" + code)
    size, unpack = layout.size, layout.unpack_from

    def read(reader: Reader) -> Any:
        pos = reader.pos
        value = unpack(reader.data, pos)[0]
        reader.pos = pos + size
        return value

    return read


PRIMITIVE_READERS: dict[Type, Read] = {
    NULL: read_null,
    RESERVED: read_null,
    BOOL: read_bool,
    NAT: read_nat,
    INT: read_int,
    TEXT: read_text,
    PRINCIPAL: read_principal,
    **{prim: _fixed(code) for prim, code in STRUCT_CODES.items()},
}
