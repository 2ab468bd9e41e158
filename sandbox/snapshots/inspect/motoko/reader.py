"""Read the values of a message of Motoko's stable variables, one after the other (`tree`).

Only the values within the limits are kept; all are read, because a value carries no length.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator
from functools import partial

from sandbox.candid.types import (
    BOOL,
    EMPTY,
    FUNC,
    INT,
    NAT,
    NAT8,
    NULL,
    OPT,
    PRIMITIVE_BY_OPCODE,
    PRINCIPAL,
    RECORD,
    RESERVED,
    SERVICE,
    TEXT,
    VARIANT,
    VEC,
)
from sandbox.principal import MAX_LENGTH, Principal
from sandbox.snapshots.inspect.motoko.skip import FlatTypes
from sandbox.snapshots.inspect.motoko.tree import ELIDED, FREE_VALUES, DecodeLimits, TreeReader
from sandbox.snapshots.inspect.motoko.wire import ALIAS, FIXED, Head, Stream, Type
from sandbox.snapshots.inspect.source import InspectError, Plain
from sandbox.snapshots.inspect.value import (
    Node,
    Opt,
    Packed,
    Record,
    Region,
    Same,
    Scalar,
    Var,
    Variant,
    Vec,
)

_VALUES_PER_BYTE = 8
_Want = tuple[int, int]
"""A type, and the levels of it that are kept."""
_Reading = Generator[_Want, Node, Node]


class ValueReader(TreeReader[_Want]):
    """The reader of the values of one message."""

    def __init__(self, stream: Stream, head: Head, keep: DecodeLimits, flats: FlatTypes | None = None) -> None:
        """`flats`: the flat types of this message, if computed already."""
        super().__init__(keep)
        self._stream = stream
        self._head = head
        self._flats = flats or FlatTypes(head)
        self._start = stream.place
        self._values = 0

    def read(self, reference: int, depth: int | None = None) -> Node:
        """Read the next value, of this type."""
        return self._run((reference, self._keep.depth if depth is None else depth))

    def fields(self, record: Type) -> Iterator[tuple[str | int, Node]]:
        """Read the fields of the next record, one by one; options are unwrapped."""
        for label, reference in record.fields:
            kind = None if reference < 0 else self._head.table[reference]
            if kind is None or kind.kind != OPT:
                yield label, self.read(reference)
            else:
                yield label, self.read(kind.inner) if self._some() else Scalar(None, "null")

    @property
    def _where(self) -> str:
        return f"byte {self._stream.place:#x} of the saved variables"

    def _count(self) -> None:
        self._values += 1
        if self._values > FREE_VALUES + _VALUES_PER_BYTE * (self._stream.place - self._start):
            raise InspectError(f"there are more values than bytes, at {self._where}")

    def _packed(self, want: _Want) -> Node | None:
        """Read a value of a flat type as its bytes, or elide it; None if that is not wanted or not possible."""
        reference, depth = want
        if depth > 0 and not self._keep.whole:
            return None
        flat = self._flats.get(reference)
        raw = None if flat is None else self._stream.cut(flat.skip)
        if flat is None or raw is None:
            return None
        if not self._spend(depth):
            return ELIDED
        return Packed(raw, flat.kind, partial(unpacked, reference, raw, self._head, self._keep, self._flats))

    # --- values without parts

    def _plain(self, want: _Want) -> Node | None:
        """Read a value if its type has no parts (a vector of bytes counts as such); else None."""
        reference, depth = want
        if reference >= 0:
            kind = self._head.table[reference]
            if kind.kind in (FUNC, SERVICE):
                return self._function() if kind.kind == FUNC else self._principal("service")
            if kind.kind != VEC or kind.inner != NAT8.opcode:
                return self._packed(want)
            self._spend(depth)
            return self._blob("blob")
        kept = self._spend(depth)
        layout = FIXED.get(reference)
        if layout is not None:
            [value] = layout.unpack(self._stream.take(layout.size))
            return Scalar(value, PRIMITIVE_BY_OPCODE[reference].name) if kept else ELIDED
        return self._primitive(reference, depth)

    def _primitive(self, code: int, depth: int) -> Node:
        stream = self._stream
        if code == NAT.opcode:
            return Scalar(stream.unsigned(), "nat")
        if code == INT.opcode:
            return Scalar(stream.signed(), "int")
        if code == TEXT.opcode:
            return self._text()
        if code == BOOL.opcode:
            byte = stream.byte()
            if byte > 1:
                raise InspectError(f"a bool before {self._where} is {byte}, neither 0 nor 1")
            return Scalar(byte == 1, "bool")
        if code in (NULL.opcode, RESERVED.opcode):
            return Scalar(None, PRIMITIVE_BY_OPCODE[code].name)
        if code == PRINCIPAL.opcode:
            return self._principal("principal")
        if code == EMPTY.opcode:
            raise InspectError(f"a value of the type empty, which has none, at {self._where}")
        return self._shared_region(depth)

    def _text(self) -> Scalar:
        size = self._stream.unsigned()
        where = self._where
        self._check_length(size)
        raw = self._stream.head(size, self._keep.text, "a text")
        try:
            return Scalar(raw.decode("utf-8", "strict" if len(raw) == size else "ignore"), "text", size)
        except UnicodeDecodeError:
            raise InspectError(f"the text at {where} is not UTF-8") from None

    def _blob(self, kind: str) -> Scalar:
        size = self._stream.unsigned()
        self._check_length(size)
        return Scalar(self._stream.head(size, self._keep.blob_bytes, "a blob"), kind, size)

    def _principal(self, kind: str) -> Scalar:
        self._transparent()
        size = self._stream.unsigned()
        if size > MAX_LENGTH:
            raise InspectError(f"a principal of too many bytes before {self._where}")
        return Scalar(Principal(self._stream.take(size)), kind)

    def _function(self) -> Scalar:
        self._transparent()
        actor, method = self._principal("principal"), self._text()
        return Scalar(f'func "{actor.value}".{method.value}', "func")

    def _transparent(self) -> None:
        if self._stream.byte() != 1:
            raise InspectError(f"an opaque reference before {self._where}")

    # --- values with parts

    def _compound(self, want: _Want) -> _Reading:
        reference, depth = want
        kind = self._head.table[reference]
        left = depth - 1 if self._spend(depth) else 0
        return _COMPOUND[kind.kind](self, kind, left)

    def _opt(self, kind: Type, left: int) -> _Reading:
        if not self._some():
            return Scalar(None, "null")
        value = yield kind.inner, left
        return Opt(value) if left else ELIDED

    def _some(self) -> bool:
        """Read the mark of an option and return whether it holds a value."""
        byte = self._stream.byte()
        if byte > 1:
            raise InspectError(f"an option before {self._where} is marked {byte}, neither 0 nor 1")
        return byte == 1

    def _vec(self, kind: Type, left: int) -> _Reading:
        length = self._stream.unsigned()
        items: list[Node] = []
        for _ in range(min(length, self._keep.items) if left else 0):
            item = yield kind.inner, left
            items.append(item)
        rest = length - len(items)
        if rest and not self._skip(kind.inner, rest):
            while rest:
                rest -= self._jumped(kind.inner, rest)
                if rest:
                    yield kind.inner, 0
                    rest -= 1
        return Vec(tuple(items), length) if left else ELIDED

    def _skip(self, reference: int, count: int) -> bool:
        """Skip plain numbers all at once; False for other types."""
        layout = FIXED.get(reference)
        if layout is not None:
            self._stream.skip(layout.size * count, "a vector")
        elif reference in (NAT.opcode, INT.opcode):
            self._stream.skip_numbers(count)
        else:
            return False
        self._values += count
        return True

    def _jumped(self, reference: int, count: int) -> int:
        """Skip as many values of a flat type as possible; return their number."""
        flat = self._flats.get(reference)
        done = 0 if flat is None or not flat.min_size else self._stream.jump(flat.skip, count)
        self._values += done
        return done

    def _record(self, kind: Type, left: int) -> _Reading:
        fields: list[tuple[str | int, Node]] = []
        for label, inner in kind.fields:
            value = yield inner, left
            if left:
                fields.append((label, value))
        return Record(tuple(fields)) if left else ELIDED

    def _variant(self, kind: Type, left: int) -> _Reading:
        index = self._stream.unsigned()
        if index >= len(kind.fields):
            raise InspectError(f"a variant before {self._where} has the tag {index} of {len(kind.fields)}")
        tag, inner = kind.fields[index]
        value = yield inner, left
        return Variant(tag, value) if left else ELIDED

    def _alias(self, kind: Type, left: int) -> _Reading:
        node = self._reference() or self._new_var(left)
        if isinstance(node, Var):
            node.value = yield kind.inner, left
        return node if left else ELIDED

    def _shared_region(self, depth: int) -> Node:
        node = self._reference() or self._new_var(depth)
        if isinstance(node, Var):
            node.value = self._region()
        return node if depth else ELIDED

    def _new_var(self, kept: int) -> Var:
        """Begin a mutable thing; Motoko leaves 8 bytes free for its own reader."""
        var = self._begun(self._stream.place, kept)
        self._stream.take(8)
        return var

    def _reference(self) -> Same | None:
        """Read a reference to an earlier mutable thing; None if a new one begins."""
        byte = self._stream.byte()
        if byte > 1:
            raise InspectError(f"a mutable value before {self._where} is marked {byte}, neither 0 nor 1")
        if not byte:
            return None
        place = self._stream.place + int.from_bytes(self._stream.take(4), "little", signed=True)
        seen = self._seen(place)
        if seen is None:
            raise InspectError(f"a reference before {self._where} leads to byte {place:#x}, where nothing mutable is")
        return seen

    def _region(self) -> Region:
        number, pages = struct.unpack("<QI", self._stream.take(12))
        size = self._stream.unsigned()
        raw = self._stream.head(size, 1 << 16, "the blocks of a region")
        return Region(number, pages, tuple(struct.unpack(f"<{len(raw) // 2}H", raw[: len(raw) // 2 * 2])))


def unpacked(reference: int, raw: bytes, head: Head, keep: DecodeLimits, flats: FlatTypes) -> Node:
    """Decode one level of a packed value; its parts are packed again."""
    inner = ValueReader(Stream(Plain(raw)), head, keep, flats)
    return inner._driven(inner._compound((reference, keep.depth)))


_COMPOUND = {
    OPT: ValueReader._opt,
    VEC: ValueReader._vec,
    RECORD: ValueReader._record,
    VARIANT: ValueReader._variant,
    ALIAS: ValueReader._alias,
}
