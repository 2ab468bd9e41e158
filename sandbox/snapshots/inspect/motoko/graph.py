"""The objects of a graph copy, which enhanced orthogonal persistence makes of its heap in stable memory.

Sources: dfinity/motoko `design/GraphCopyStabilization.md`, `rts/motoko-rts/src/stabilization/layout.rs` and `layout/`
(objects), `src/codegen/compile_enhanced.ml`, module TaggingScheme (scalars). All is in words of 8 bytes. A *value* is a
word: a scalar with a tag in its low bits, or a pointer, which is the address of an object minus 1. An object is a word
that says its kind, and its parts:

| kind | parts |
|---|---|
| arrays, tuple, shared function | length, values |
| mutable box, option, weak reference | value |
| record | number of fields, pointer to a blob of the hashes of their labels, values |
| bytes, text, principal, actor | length, bytes, padding |
| numbers of 64 bits | the number |
| region | id, pages, pointer to a blob of blocks |
| variant | hash of the tag, value |
| concatenation | length, pointers to two texts |
| big number | whether negative, bits, bytes from the lowest, padding |

The bytes are not trusted. All work is counted, so that objects that are referred to very often cannot make it endless.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sandbox.candid import field_id
from sandbox.candid.types import FLOAT64, INT8, INT16, INT32, INT64, NAT8, NAT16, NAT32, NAT64
from sandbox.principal import MAX_LENGTH
from sandbox.snapshots.inspect.motoko.tree import FREE_VALUES
from sandbox.snapshots.inspect.source import Bytes, InspectError

ARRAY, MUTABLE_ARRAY, TUPLE, FUNCTION, BOX, RECORD, BYTES, TEXT, PRINCIPAL, ACTOR = range(1, 11)
_NAT64, _INT64, _FLOAT, REGION, VARIANT, _CONCAT, _BIG, SOME, WEAK = range(11, 20)
NULL, _FALSE, _TRUE = 0xFFFF_FFFF_FFFF_FFFB, 0, 1
ROOT = 0xFFFF_FFFF_FFFF_FFFF
"""The pointer to the first object."""
_HASH = (1 << 31) - 1
_CHUNK_BITS = 14
_CHUNK = 1 << _CHUNK_BITS
_CHUNKS = 256
"""The chunks of bytes that are kept."""
_MAX_NUMBER = 1 << 20
"""The most bytes of a big number."""


@dataclass(frozen=True, slots=True)
class _Small:
    """A scalar of `64 - shift` bits, above a tag."""

    tag: int
    shift: int
    signed: bool = False


_SMALL = {
    NAT8.opcode: (_Small(1 << 54, 56),),
    INT8.opcode: (_Small(3 << 54, 56, True),),
    NAT16.opcode: (_Small(1 << 46, 48),),
    INT16.opcode: (_Small(3 << 46, 48, True),),
    NAT32.opcode: (_Small(1 << 30, 32), _Small(1 << 41, 43)),  # the second is a character
    INT32.opcode: (_Small(3 << 30, 32, True),),
    NAT64.opcode: (_Small(4, 4),),
    INT64.opcode: (_Small(12, 4, True),),
    FLOAT64.opcode: (),
}
_BOXED = {
    NAT64.opcode: (_NAT64, struct.Struct("<Q")),
    INT64.opcode: (_INT64, struct.Struct("<q")),
    FLOAT64.opcode: (_FLOAT, struct.Struct("<d")),
}


def is_pointer(value: int) -> bool:
    return value & 1 == 1 and value not in (_TRUE, NULL)


def label_hashes(identifier: int) -> tuple[int, ...]:
    """Return the hashes that objects may have for a field or tag with this Candid id: 31 bits of the hash of the
    program's label (`src/mo_types/hash.ml`), which is the Candid name, or that and `_`, or the number between two `_`
    (`src/idllib/escape.ml`)."""
    return identifier & _HASH, (identifier * 223 + ord("_")) & _HASH, field_id(f"_{identifier}_") & _HASH


class Graph:
    """The objects by address; InspectError for one that is not where it should be or not of the right kind."""

    def __init__(self, data: Bytes) -> None:
        self._data = data
        self._chunks: dict[int, tuple[bytes, tuple[int, ...]]] = {}
        self._places: dict[tuple[int, int, tuple[int, ...]], tuple[int, ...]] = {}
        self._work = 0
        self.place = 0
        """The address of the object read last."""

    @property
    def where(self) -> str:
        return f"byte {self.place:#x} of the heap objects"

    def charge(self, work: int = 1) -> None:
        """Count some work; InspectError if there is more than the bytes can be good for."""
        self._work += work
        if self._work > FREE_VALUES + self._data.size:
            raise InspectError(f"there are more values than bytes, at {self.where}")

    # --- words and objects

    def _word(self, at: int) -> int:
        _, words = self._chunks.get(at >> _CHUNK_BITS) or self._chunk(at >> _CHUNK_BITS)
        try:
            return words[(at & (_CHUNK - 1)) >> 3]
        except IndexError:
            raise self._beyond(8) from None

    def _chunk(self, number: int) -> tuple[bytes, tuple[int, ...]]:
        """Read a chunk and keep it, as bytes and as words."""
        start = number << _CHUNK_BITS
        size = min(_CHUNK, max(self._data.size - start, 0)) & ~7
        while len(self._chunks) >= _CHUNKS:
            del self._chunks[next(iter(self._chunks))]
        raw = self._data.read(start, size) if size else b""
        self._chunks[number] = chunk = raw, struct.unpack(f"<{size // 8}Q", raw)
        return chunk

    def _bytes(self, at: int, size: int) -> bytes:
        start = at & (_CHUNK - 1)
        if start + size <= _CHUNK:
            raw, _ = self._chunks.get(at >> _CHUNK_BITS) or self._chunk(at >> _CHUNK_BITS)
            found = raw[start : start + size]
        else:
            found = self._data.read(at, size) if at + size <= self._data.size else b""
        if len(found) != size:
            raise self._beyond(size)
        return found

    def _beyond(self, size: int) -> InspectError:
        return InspectError(f"the object at {self.where} goes beyond the end ({size:,} bytes of it)")

    def look(self, value: int) -> tuple[int, int]:
        """Return the kind of the object that a value points at, and its address."""
        at = (value + 1) & ROOT
        if not is_pointer(value) or at & 7:
            raise InspectError(f"the value {value:#x} is no pointer, in the object at {self.where}")
        self.place = at
        return self._word(at), at

    def _expect(self, value: int, kind: int, what: str) -> int:
        found, at = self.look(value)
        if found != kind:
            raise InspectError(f"{what} is an object of kind {found}, at {self.where}")
        return at

    def field(self, at: int, index: int = 0) -> int:
        """Return a part of an object."""
        return self._word(at + 8 + 8 * index)

    def _length(self, at: int, unit: int, header: int = 16) -> int:
        """Read the length of an object, whose parts have `unit` bytes each."""
        length = self.field(at)
        if length * unit > self._data.size - at - header:
            raise self._beyond(length * unit)
        return length

    # --- scalars

    def fixed(self, code: int, value: int) -> int | float:
        """Read a value of a number type of fixed size, by its opcode."""
        if is_pointer(value) and code in _BOXED:
            kind, layout = _BOXED[code]
            at = self._expect(value, kind, "a number of 64 bits")
            [number] = layout.unpack(self._bytes(at + 8, 8))
            return number  # type: ignore[no-any-return]
        for small in _SMALL.get(code, ()):
            if value & ((1 << small.shift) - 1) == small.tag:
                number = value >> small.shift
                bits = 64 - small.shift
                return number - (1 << bits) if small.signed and number >> (bits - 1) else number
        raise InspectError(f"the value {value:#x} is no number of its type, in the object at {self.where}")

    def integer(self, value: int, signed: bool) -> int:
        """Read a value of the type `Int` or `Nat`."""
        if value & 3 == 2:
            number = (value - (1 << 64) if value >> 63 else value) >> 2
        else:
            number = self._big(self._expect(value, _BIG, "a big number"))
        if number < 0 and not signed:
            raise InspectError(f"a Nat is negative, in the object at {self.where}")
        return number

    def _big(self, at: int) -> int:
        size = -(-self.field(at, 1) // 8)
        if size > _MAX_NUMBER:
            raise InspectError(f"the number at {self.where} has more than {_MAX_NUMBER:,} bytes")
        self.charge(size // 8)
        number = int.from_bytes(self._bytes(at + 24, size), "little")
        return -number if self.field(at) & 0xFF else number

    def boolean(self, value: int) -> bool:
        if value not in (_FALSE, _TRUE):
            raise InspectError(f"a Bool is {value:#x}, in the object at {self.where}")
        return value == _TRUE

    # --- bytes

    def blob(self, value: int, kind: int, most: int) -> tuple[bytes, int]:
        """Return the first `most` bytes of a blob of this kind, and its size."""
        return self._cut(self._expect(value, kind, "a blob"), most)

    def _cut(self, at: int, most: int) -> tuple[bytes, int]:
        size = self._length(at, 1)
        kept = min(size, most)
        self.charge(kept // 8)
        return self._bytes(at + 16, kept), size

    def byte_vector(self, value: int, most: int) -> tuple[bytes, int]:
        """Return the first `most` bytes of a Blob or an array of Nat8, and its size."""
        if self.look(value)[0] == BYTES:
            return self.blob(value, BYTES, most)
        _, at, size = self.array(value)
        kept = min(size, most)
        self.charge(kept)
        return bytes(int(self.fixed(NAT8.opcode, item)) for item in self.items(at, kept)), size

    def principal(self, value: int, kind: int = PRINCIPAL) -> bytes:
        raw, size = self.blob(value, kind, MAX_LENGTH)
        if size > MAX_LENGTH:
            raise InspectError(f"a principal of {size:,} bytes, at {self.where}")
        return raw

    def text(self, value: int, most: int) -> tuple[bytes, int]:
        """Return the first `most` bytes of a text, and its size. A text may be a tree of concatenations."""
        kind, at = self.look(value)
        if kind == TEXT:
            return self._cut(at, most)
        size, left = self.field(at), most
        parts: list[bytes] = []
        waiting = [(value, size)]
        while waiting and left > 0:
            piece, expected = waiting.pop()
            kind, at = self.look(piece)
            if kind not in (TEXT, _CONCAT) or self.field(at) != expected:
                raise InspectError(f"a text of {expected:,} bytes is an object of kind {kind}, at {self.where}")
            if kind == TEXT:
                parts.append(self._cut(at, left)[0])
                left -= len(parts[-1])
                continue
            self.charge()
            first = self._text_size(self.field(at, 1))
            if not 0 < first < expected:
                raise InspectError(f"a part of a text has {first:,} bytes of {expected:,}, at {self.where}")
            waiting += [(self.field(at, 2), expected - first), (self.field(at, 1), first)]
        return b"".join(parts), size

    def _text_size(self, value: int) -> int:
        _, at = self.look(value)
        return self.field(at)

    # --- values with parts

    def array(self, value: int) -> tuple[int, int, int]:
        """Return kind, address and length of an array, for `items`."""
        kind, at = self.look(value)
        if kind not in (ARRAY, MUTABLE_ARRAY):
            raise InspectError(f"an array is an object of kind {kind}, at {self.where}")
        return kind, at, self._length(at, 8)

    def items(self, at: int, count: int) -> Iterator[int]:
        """Yield the first values of an array."""
        for begin in range(0, count, _CHUNK // 8):
            some = min(_CHUNK // 8, count - begin)
            yield from struct.unpack(f"<{some}Q", self._bytes(at + 16 + 8 * begin, 8 * some))

    def option(self, value: int) -> int | None:
        """Return the value in an option; None for null. Only null and options are wrapped."""
        if value == NULL:
            return None
        if is_pointer(value):
            kind, at = self.look(value)
            if kind == SOME:
                return self.field(at)
        return value

    def variant(self, value: int, tags: Mapping[int, int]) -> tuple[int, int]:
        """Return what `tags` has for the hash of the tag, and the value."""
        at = self._expect(value, VARIANT, "a variant")
        place = tags.get(self.field(at))
        if place is None:
            raise InspectError(f"the variant at {self.where} has the unknown tag _{self.field(at)}_")
        return place, self.field(at, 1)

    def record(self, value: int, ids: tuple[int, ...]) -> list[int]:
        """Return the values of these fields, ascending, of a record that has them, or of a tuple of that length."""
        kind, at = self.look(value)
        if kind not in (RECORD, TUPLE):
            raise InspectError(f"a record is an object of kind {kind}, at {self.where}")
        length = self._length(at, 8)
        if kind == TUPLE:
            if length != len(ids):
                raise InspectError(f"a tuple has {length:,} parts, not {len(ids):,}, at {self.where}")
            return list(self.items(at, length))
        places = self._places_of(self.field(at, 1), length, ids)
        return [self.field(at, 2 + place) for place in places]

    def _places_of(self, hashes: int, length: int, ids: tuple[int, ...]) -> tuple[int, ...]:
        """Return the places of these fields in a record, whose ids a blob lists; records of one shape share it."""
        known = self._places.get((hashes, length, ids))
        if known is not None:
            return known
        self.charge(length)
        place = self.place
        raw, size = self.blob(hashes, BYTES, 8 * length)
        self.place = place
        if size != 8 * length:
            raise InspectError(f"the hashes of {length:,} fields have {size:,} bytes, in the object at {self.where}")
        at = {found: index for index, found in enumerate(struct.unpack(f"<{length}Q", raw))}
        places = []
        for identifier in ids:
            name = next((name for name in label_hashes(identifier) if name in at), None)
            if name is None:
                raise InspectError(f"the record at {self.where} has no field _{identifier}_")
            places.append(at[name])
        self._places[hashes, length, ids] = found = tuple(places)
        return found

    def weak(self, value: int) -> int | None:
        """Return the target of a weak reference; None if it is gone."""
        target = self.field(self._expect(value, WEAK, "a weak reference"))
        return target if is_pointer(target) else None

    def function(self, value: int) -> tuple[int, int]:
        """Return the pointers to the actor and to the name of the method of a shared function."""
        at = self._expect(value, FUNCTION, "a shared function")
        if self._length(at, 8) != 2:
            raise InspectError(f"the shared function at {self.where} has not two parts")
        return self.field(at, 1), self.field(at, 2)

    def region(self, value: int) -> tuple[int, int, int, int]:
        """Return the address, the id, the pages, and the pointer to the blocks of a region."""
        at = self._expect(value, REGION, "a region")
        return at, self.field(at), self.field(at, 1), self.field(at, 2)
