"""Read the values of Motoko's stable variables in a graph copy (`graph`), as the `reader` of a message does: the same
trees, mutable things numbered in the same order.

Only the values that are kept are read.
"""

from __future__ import annotations

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
from sandbox.principal import Principal
from sandbox.snapshots.inspect.motoko import graph as objects
from sandbox.snapshots.inspect.motoko.graph import Graph
from sandbox.snapshots.inspect.motoko.graph_pack import Packer
from sandbox.snapshots.inspect.motoko.graph_types import GraphTypes
from sandbox.snapshots.inspect.motoko.reader import unpacked
from sandbox.snapshots.inspect.motoko.tree import ELIDED, DecodeLimits, TreeReader
from sandbox.snapshots.inspect.motoko.wire import ALIAS, FIXED, WEAK
from sandbox.snapshots.inspect.source import InspectError
from sandbox.snapshots.inspect.value import Node, Opt, Packed, Record, Region, Scalar, Variant, Vec

_Want = tuple[int, int, int]
"""A type, the levels of it that are kept, and the value."""
_Reading = Generator[_Want, Node, Node]
_BLOCK = 2


class GraphReader(TreeReader[_Want]):
    """The reader of the values of one graph copy."""

    def __init__(self, graph: Graph, types: GraphTypes, keep: DecodeLimits) -> None:
        super().__init__(keep)
        self._graph = graph
        self._types = types
        self._table = types.head.table
        self._flats = types.flats()
        self._packer = Packer(graph, types)

    def fields(self, record: int) -> Iterator[tuple[str | int, Node]]:
        """Read the fields of the first object, one by one; options are unwrapped."""
        values = self._graph.record(objects.ROOT, self._types.ids(record))
        for (label, reference), value in zip(self._table[record].fields, values, strict=True):
            kind = None if reference < 0 else self._table[reference]
            if kind is None or kind.kind != OPT:
                yield label, self._run((reference, self._keep.depth, value))
                continue
            inner = self._graph.option(value)
            yield label, Scalar(None, "null") if inner is None else self._run((kind.inner, self._keep.depth, inner))

    @property
    def _where(self) -> str:
        return self._graph.where

    def _count(self) -> None:
        self._graph.charge()

    def _packed(self, want: _Want) -> Node | None:
        """Read a value of a flat type as the bytes that a message has for it; None if that is not wanted or not
        possible."""
        reference, depth, value = want
        flat = self._flats.get(reference) if self._keep.whole else None
        raw = None if flat is None else self._packer.pack(reference, value)
        if flat is None or raw is None:
            return None
        self._spend(depth)
        return Packed(raw, flat.kind, partial(unpacked, reference, raw, self._types.head, self._keep, self._flats))

    # --- values without parts

    def _plain(self, want: _Want) -> Node | None:
        """Read a value if its type has no parts (a vector of bytes counts as such); else None."""
        reference, depth, value = want
        if reference >= 0:
            kind = self._table[reference]
            if kind.kind == FUNC:
                return self._function(value)
            if kind.kind == SERVICE:
                return Scalar(self._actor(value), "service")
            if kind.kind != VEC or kind.inner != NAT8.opcode:
                return self._packed(want)
            self._spend(depth)
            return self._blob(value)
        kept = self._spend(depth)
        if reference in FIXED:
            return Scalar(self._graph.fixed(reference, value), PRIMITIVE_BY_OPCODE[reference].name) if kept else ELIDED
        return self._primitive(reference, depth, value)

    def _primitive(self, code: int, depth: int, value: int) -> Node:
        graph = self._graph
        if code in (NAT.opcode, INT.opcode):
            return Scalar(graph.integer(value, code == INT.opcode), PRIMITIVE_BY_OPCODE[code].name)
        if code == TEXT.opcode:
            return self._text(value)
        if code == BOOL.opcode:
            return Scalar(graph.boolean(value), "bool")
        if code in (NULL.opcode, RESERVED.opcode):
            return Scalar(None, PRIMITIVE_BY_OPCODE[code].name)
        if code == PRINCIPAL.opcode:
            return Scalar(Principal(graph.principal(value)), "principal")
        if code == EMPTY.opcode:
            raise InspectError(f"a value of the type empty, which has none, at {self._where}")
        return self._region(value, depth)

    def _text(self, value: int) -> Scalar:
        raw, size = self._graph.text(value, self._keep.text)
        self._check_length(size)
        try:
            return Scalar(raw.decode("utf-8", "strict" if len(raw) == size else "ignore"), "text", size)
        except UnicodeDecodeError:
            raise InspectError(f"the text at {self._where} is not UTF-8") from None

    def _blob(self, value: int) -> Scalar:
        raw, size = self._graph.byte_vector(value, self._keep.blob_bytes)
        self._check_length(size)
        return Scalar(raw, "blob", size)

    def _actor(self, value: int) -> Principal:
        return Principal(self._graph.principal(value, objects.ACTOR))

    def _function(self, value: int) -> Scalar:
        actor, name = self._graph.function(value)
        return Scalar(f'func "{self._actor(actor)}".{self._text(name).value}', "func")

    def _region(self, value: int, depth: int) -> Node:
        place, number, pages, blocks = self._graph.region(value)
        seen = self._seen(place)
        if seen is not None:
            return seen
        var = self._begun(place, depth)
        raw, _ = self._graph.blob(blocks, objects.BYTES, 1 << 16)
        places = (int.from_bytes(raw[at : at + _BLOCK], "little") for at in range(0, len(raw) // _BLOCK * _BLOCK, 2))
        var.value = Region(number, pages, tuple(places))
        return var if depth else ELIDED

    # --- values with parts

    def _compound(self, want: _Want) -> _Reading:
        reference, depth, value = want
        left = depth - 1 if self._spend(depth) else 0
        if left > 0:
            return _COMPOUND[self._table[reference].kind](self, reference, left, value)
        self._left_out()
        return _elided()

    def _opt(self, reference: int, left: int, value: int) -> _Reading:
        inner = self._graph.option(value)
        if inner is None:
            return Scalar(None, "null")
        node = yield self._table[reference].inner, left, inner
        return Opt(node)

    def _weak(self, reference: int, left: int, value: int) -> _Reading:
        """Read a weak reference, as an option: null if its target is gone."""
        inner = self._graph.weak(value)
        if inner is None:
            return Scalar(None, "null")
        node = yield self._table[reference].inner, left, inner
        return Opt(node)

    def _vec(self, reference: int, left: int, value: int) -> _Reading:
        _, at, length = self._graph.array(value)
        items: list[Node] = []
        for item in self._graph.items(at, min(length, self._keep.items)):
            node = yield self._table[reference].inner, left, item
            items.append(node)
        return Vec(tuple(items), length)

    def _record(self, reference: int, left: int, value: int) -> _Reading:
        fields: list[tuple[str | int, Node]] = []
        values = self._graph.record(value, self._types.ids(reference))
        for (label, inner), item in zip(self._table[reference].fields, values, strict=True):
            node = yield inner, left, item
            fields.append((label, node))
        return Record(tuple(fields))

    def _variant(self, reference: int, left: int, value: int) -> _Reading:
        place, item = self._graph.variant(value, self._types.tags(reference))
        label, inner = self._table[reference].fields[place]
        node = yield inner, left, item
        return Variant(label, node)

    def _alias(self, reference: int, left: int, value: int) -> _Reading:
        """Read a mutable field, which is a box, or a mutable array."""
        found, place = self._graph.look(value)
        if found not in (objects.BOX, objects.MUTABLE_ARRAY):
            raise InspectError(f"a mutable value is an object of kind {found}, at {self._where}")
        seen = self._seen(place)
        if seen is not None:
            return seen
        var = self._begun(place, left)
        var.value = yield (
            self._table[reference].inner,
            left,
            self._graph.field(place) if found == objects.BOX else value,
        )
        return var


def _elided() -> _Reading:
    return ELIDED
    yield


_COMPOUND = {
    OPT: GraphReader._opt,
    VEC: GraphReader._vec,
    RECORD: GraphReader._record,
    VARIANT: GraphReader._variant,
    ALIAS: GraphReader._alias,
    WEAK: GraphReader._weak,
}
