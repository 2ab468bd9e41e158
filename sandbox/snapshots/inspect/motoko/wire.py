"""Read the head of a message in Motoko's extended Candid, and the bytes and numbers of its values.

Extended Candid is Candid with `alias t`, a mutable thing of type t, and `region`
(dfinity/motoko `src/codegen/compile_classical.ml`, Note [mutable stable values]; `rts/motoko-rts/src/idl.rs`).
The type table of a graph copy has three more types (`compile_enhanced.ml`, `type_desc`): a blob is read as a vector of
bytes and a tuple as a record, so that equal types have equal heads in both; a weak reference stays.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sandbox.candid.types import (
    FLOAT32,
    FLOAT64,
    FUNC,
    INT8,
    INT16,
    INT32,
    INT64,
    NAT8,
    NAT16,
    NAT32,
    NAT64,
    OPT,
    PRIMITIVE_BY_OPCODE,
    RECORD,
    SERVICE,
    VARIANT,
    VEC,
)
from sandbox.snapshots.inspect.source import PIECE, Bytes, InspectError

ALIAS, REGION = 1, -128
WEAK = -131
_BLOB, _TUPLE = -129, -130
FIXED = {
    kind.opcode: struct.Struct("<" + code)
    for kind, code in (
        (NAT8, "B"), (NAT16, "H"), (NAT32, "I"), (NAT64, "Q"), (INT8, "b"), (INT16, "h"), (INT32, "i"), (INT64, "q"),
        (FLOAT32, "f"), (FLOAT64, "d"),
    )
}  # fmt: skip
"""The formats of types of fixed size."""
_MAX_NUMBER = 1 << 20
"""The most bytes of a LEB128 number."""
_ENDS = bytes(range(0x80))
_CONTINUED = bytes(range(0x80, 0x100))


class Stream:
    """A reader of one value after the other; InspectError at the end of the bytes.

    LEB128 numbers are read here, not by `codec.leb128`: they have any length, and the bytes come in pieces.
    """

    def __init__(self, source: Bytes, begin: int = 0) -> None:
        self._source = source
        self._begin = begin
        self._data = b""
        self._at = 0

    @property
    def place(self) -> int:
        """The position of the next byte."""
        return self._begin + self._at

    @property
    def left(self) -> int:
        return self._source.size - self.place

    def _fill(self, length: int, what: str) -> None:
        if length > self.left:
            raise InspectError(f"{what} of {length:,} bytes at byte {self.place:#x} goes beyond the end of the data")
        self._begin, self._at = self.place, 0
        self._data = self._source.read(self._begin, min(max(length, PIECE), self._source.size - self._begin))

    def byte(self) -> int:
        if self._at >= len(self._data):
            self._fill(1, "a value")
        self._at += 1
        return self._data[self._at - 1]

    def take(self, length: int, what: str = "a value") -> bytes:
        if self._at + length > len(self._data):
            self._fill(length, what)
        self._at += length
        return self._data[self._at - length : self._at]

    def head(self, length: int, most: int, what: str) -> bytes:
        """Return the first `most` of the next `length` bytes and skip the others."""
        if length <= most or length > self.left:
            return self.take(length, what)
        data = self.take(most)
        self.skip(length - most, what)
        return data

    def skip(self, length: int, what: str) -> None:
        """Skip bytes without reading them."""
        if length > self.left:
            raise InspectError(f"{what} of {length:,} bytes at byte {self.place:#x} goes beyond the end of the data")
        if self._at + length <= len(self._data):
            self._at += length
        else:
            self._begin, self._at, self._data = self.place + length, 0, b""

    def jump(self, skip: Callable[[bytes, int], int], count: int) -> int:
        """Skip as many of the next `count` values as possible with a `skip.Skip`; return their number."""
        done = 0
        while done < count:
            data, at, size = self._data, self._at, len(self._data)
            try:
                while done < count and (end := skip(data, at)) <= size:
                    at = end
                    done += 1
            except IndexError:
                pass
            self._at = at
            if done < count and not self._more():
                break
        return done

    def cut(self, skip: Callable[[bytes, int], int]) -> bytes | None:
        """Return the bytes of the next value; None, without moving, if the skip fails."""
        begin = self.place
        if not self.jump(skip, 1):
            return None
        return self._data[begin - self._begin : self._at]

    def _more(self) -> bool:
        """Read more of the next bytes; False at the end of the data or if a whole piece is buffered."""
        if self._begin + len(self._data) >= self._source.size or (self._at == 0 and len(self._data) >= PIECE):
            return False
        self._fill(1, "a value")
        return True

    def skip_numbers(self, count: int) -> None:
        """Skip LEB128 numbers, each of which ends with a byte below 0x80."""
        while count > 0:
            if self._at >= len(self._data):
                self._fill(1, "a number")
            rest = self._data[self._at :]
            ends = len(rest) - len(rest.translate(None, _ENDS))
            if ends <= count:
                self._at += len(rest)
                count -= ends
                if count == 0:
                    self._at -= len(rest) - len(rest.rstrip(_CONTINUED))
                continue
            match = re.compile(rb"(?:[\x80-\xff]*[\x00-\x7f]){%d}" % count).match(rest)
            assert match is not None
            self._at += match.end()
            return

    def unsigned(self) -> int:
        """Read an unsigned LEB128 number of any length."""
        byte = self.byte()
        return byte if byte < 0x80 else self._long(byte)[0]

    def signed(self) -> int:
        """Read a signed LEB128 number of any length."""
        byte = self.byte()
        value, bits = (byte, 7) if byte < 0x80 else self._long(byte)
        return value - (1 << bits) if value >> (bits - 1) else value

    def _long(self, byte: int) -> tuple[int, int]:
        groups = bytearray([byte])
        start = self.place - 1
        while byte >= 0x80:
            byte = self.byte()
            groups.append(byte)
            if len(groups) > _MAX_NUMBER:
                raise InspectError(f"the number at byte {start:#x} takes more than {_MAX_NUMBER:,} bytes")
        if len(groups) <= 16:
            value = 0
            for group in reversed(groups):
                value = value << 7 | group & 0x7F
            return value, 7 * len(groups)
        return int("".join(f"{group & 0x7F:07b}" for group in reversed(groups)), 2), 7 * len(groups)


@dataclass(frozen=True, slots=True)
class Type:
    """An entry of the type table. `inner` of opt, vec and alias; `fields` of record and variant."""

    kind: int
    inner: int = 0
    fields: tuple[tuple[str | int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """The types of a message. A reference to a type is its index in `table`, or the negative code of a primitive."""

    table: tuple[Type, ...]
    arguments: tuple[int, ...]


def read_head(stream: Stream, names: Mapping[int, str], graph: bool = False) -> Head:
    """Read the head, up to the first value. `names`: the names of fields and tags by id; `graph`: whether it is that of
    a graph copy."""
    if stream.take(4, "a message") != b"DIDL":
        raise InspectError("the saved variables do not begin with DIDL")
    reader = _HeadReader(stream, names, graph)
    table = [reader.entry() for _ in range(reader.size)]
    if graph:
        table.append(Type(VEC, inner=NAT8.opcode))
    arguments = tuple(reader.reference() for _ in range(reader.count()))
    return Head(tuple(table), arguments)


class _HeadReader:
    def __init__(self, stream: Stream, names: Mapping[int, str], graph: bool) -> None:
        self._stream = stream
        self._names = names
        self._graph = graph
        self.size = self.count()

    def count(self) -> int:
        """Read the number of items of at least one byte each."""
        count = self._stream.unsigned()
        if count > self._stream.left:
            raise InspectError(f"a count before byte {self._stream.place:#x} goes beyond the end of the data")
        return count

    def reference(self) -> int:
        code = self._stream.signed()
        if self._graph and code == _BLOB:
            return self.size
        if not (0 <= code < self.size or code in PRIMITIVE_BY_OPCODE or code == REGION):
            raise InspectError(f"a reference before byte {self._stream.place:#x} names no type")
        return code

    def entry(self) -> Type:
        kind = self._stream.signed()
        if kind in (OPT, VEC, ALIAS) or (self._graph and kind == WEAK):
            return Type(kind, inner=self.reference())
        if kind in (RECORD, VARIANT):
            return Type(kind, fields=self._fields())
        if self._graph and kind == _TUPLE:
            return Type(RECORD, fields=self._fields())
        if kind == FUNC:
            for _ in range(2):
                for _ in range(self.count()):
                    self.reference()
            self._stream.take(self.count())
            return Type(kind)
        if kind == SERVICE:
            for _ in range(self.count()):
                self._stream.take(self.count())
                self.reference()
            return Type(kind)
        raise InspectError(f"a type before byte {self._stream.place:#x} has the unknown code {kind}")

    def _fields(self) -> tuple[tuple[str | int, int], ...]:
        fields: list[tuple[str | int, int]] = []
        for _ in range(self.count()):
            number = self._stream.unsigned()
            small = number == len(fields) and number < 1 << 16
            fields.append((number if small else self._names.get(number) or f"_{number}_", self.reference()))
        return tuple(fields)
