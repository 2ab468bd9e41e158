"""Write values of a graph copy as the bytes that a message of stable variables has for them.

Only for flat types (`skip`), whose nesting is bounded. Equal values of the two forms have equal bytes.
"""

from __future__ import annotations

from collections.abc import Callable

from sandbox.candid.types import BOOL, INT, NAT, NAT8, NULL, OPT, PRINCIPAL, RECORD, RESERVED, TEXT, VARIANT, VEC
from sandbox.codec.leb128 import encode_signed, encode_unsigned
from sandbox.snapshots.inspect.motoko.graph import Graph
from sandbox.snapshots.inspect.motoko.graph_types import GraphTypes
from sandbox.snapshots.inspect.motoko.wire import FIXED
from sandbox.snapshots.inspect.source import PIECE

_Write = Callable[[int, bytearray], None]
"""Write a value to the end of the bytes."""


class _TooLong(Exception):
    """The bytes are more than a piece."""


class Packer:
    """The writer of the values of one graph copy, by their types."""

    def __init__(self, graph: Graph, types: GraphTypes) -> None:
        self._graph = graph
        self._types = types
        self._writers: dict[int, _Write] = {}

    def pack(self, reference: int, value: int) -> bytes | None:
        """Return the bytes of a value of a flat type; None if they are more than a piece."""
        out = bytearray()
        try:
            self._writer(reference)(value, out)
        except _TooLong:
            return None
        return bytes(out)

    def _writer(self, reference: int) -> _Write:
        known = self._writers.get(reference)
        if known is None:
            known = self._writers[reference] = self._made(reference)
        return known

    def _made(self, reference: int) -> _Write:
        if reference < 0:
            return self._fixed(reference) if reference in FIXED else _PRIMITIVE[reference](self)
        kind = self._types.head.table[reference]
        if kind.kind == VEC and kind.inner == NAT8.opcode:
            return self._byte_vector
        return _COMPOUND[kind.kind](self, reference)

    def _part(self, reference: int) -> _Write:
        """Return the writer of a part of a value, which counts the part."""
        write = self._writer(reference)

        def counted(value: int, out: bytearray) -> None:
            self._graph.charge()
            write(value, out)

        return counted

    # --- values without parts

    def _fixed(self, code: int) -> _Write:
        pack = FIXED[code].pack
        return lambda value, out: out.extend(pack(self._graph.fixed(code, value)))

    def _nat(self) -> _Write:
        return lambda value, out: out.extend(encode_unsigned(self._graph.integer(value, False)))

    def _int(self) -> _Write:
        return lambda value, out: out.extend(encode_signed(self._graph.integer(value, True)))

    def _bool(self) -> _Write:
        return lambda value, out: out.append(self._graph.boolean(value))

    def _text(self) -> _Write:
        return lambda value, out: _sized(self._graph.text(value, PIECE), out)

    def _byte_vector(self, value: int, out: bytearray) -> None:
        _sized(self._graph.byte_vector(value, PIECE), out)

    def _principal(self) -> _Write:
        def write(value: int, out: bytearray) -> None:
            raw = self._graph.principal(value)
            out += bytes((1, len(raw))) + raw

        return write

    def _nothing(self) -> _Write:
        return lambda value, out: None

    # --- values with parts

    def _opt(self, reference: int) -> _Write:
        part = self._part(self._types.head.table[reference].inner)

        def write(value: int, out: bytearray) -> None:
            inner = self._graph.option(value)
            out.append(inner is not None)
            if inner is not None:
                part(inner, out)

        return write

    def _vec(self, reference: int) -> _Write:
        part = self._part(self._types.head.table[reference].inner)

        def write(value: int, out: bytearray) -> None:
            _, at, length = self._graph.array(value)
            out += encode_unsigned(length)
            for item in self._graph.items(at, length):
                part(item, out)
                if len(out) > PIECE:
                    raise _TooLong

        return write

    def _record(self, reference: int) -> _Write:
        parts = [self._part(inner) for _, inner in self._types.head.table[reference].fields]
        ids = self._types.ids(reference)

        def write(value: int, out: bytearray) -> None:
            for part, item in zip(parts, self._graph.record(value, ids), strict=True):
                part(item, out)

        return write

    def _variant(self, reference: int) -> _Write:
        parts = [self._part(inner) for _, inner in self._types.head.table[reference].fields]
        tags = self._types.tags(reference)

        def write(value: int, out: bytearray) -> None:
            place, item = self._graph.variant(value, tags)
            out += encode_unsigned(place)
            parts[place](item, out)

        return write


def _sized(found: tuple[bytes, int], out: bytearray) -> None:
    """Write the size and the bytes."""
    raw, size = found
    if size > len(raw) or len(out) + size > PIECE:
        raise _TooLong
    out += encode_unsigned(size) + raw


_COMPOUND = {OPT: Packer._opt, VEC: Packer._vec, RECORD: Packer._record, VARIANT: Packer._variant}
_PRIMITIVE = {
    NAT.opcode: Packer._nat,
    INT.opcode: Packer._int,
    TEXT.opcode: Packer._text,
    BOOL.opcode: Packer._bool,
    PRINCIPAL.opcode: Packer._principal,
    NULL.opcode: Packer._nothing,
    RESERVED.opcode: Packer._nothing,
}
