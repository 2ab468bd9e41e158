"""Skip or slice values without decoding them.

A type is *flat* if it has no references, bounded nesting and a minimum size of one byte: most records are. A `Skip`
maps bytes and the position of a value to the position after it. Where the bytes end too early or are malformed, it
returns a position beyond the end or raises IndexError; reading the value then raises the InspectError.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.candid.types import (
    BOOL,
    INT,
    NAT,
    NULL,
    OPT,
    PRINCIPAL,
    RECORD,
    RESERVED,
    TEXT,
    VARIANT,
    VEC,
)
from sandbox.principal import MAX_LENGTH
from sandbox.snapshots.inspect.motoko.wire import FIXED, Head, Type

Skip = Callable[[bytes, int], int]
_MAX_NESTING, _MAX_MIN_SIZE, _MAX_ZERO_SIZED = 24, 4096, 64
"""Types with deeper nesting, a greater minimum size or more parts of size zero are not flat: this bounds the work of
one skip, also over malformed bytes."""


@dataclass(frozen=True, slots=True)
class FlatType:
    """A flat type. `min_size`: the least bytes of a value. `kind`: equal for equal types, also of two messages."""

    skip: Skip
    min_size: int
    kind: str


class FlatTypes:
    """The flat types of a message, by their references."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._types: dict[int, FlatType | None] = {}

    def get(self, reference: int, height: int = _MAX_NESTING) -> FlatType | None:
        """Return the flat type, or None if the type is not flat or nested more deeply than `height`."""
        if reference not in self._types and height:
            self._types[reference] = None  # a recursive type meets this entry
            self._types[reference] = self._flat_type(reference, height)
        return self._types.get(reference)

    def _flat_type(self, reference: int, height: int) -> FlatType | None:
        if reference < 0:
            return _primitive(reference)
        kind = self._head.table[reference]
        if kind.kind not in _COMPOUND:
            return None
        parts = [self.get(inner, height - 1) for inner in _inner(kind)]
        flat = [part for part in parts if part is not None]
        zero_sized = sum(not part.min_size for part in flat)
        if len(flat) < len(parts) or zero_sized > _MAX_ZERO_SIZED or (kind.kind == VEC and zero_sized):
            return None
        min_size = sum(part.min_size for part in flat) if kind.kind == RECORD else 1
        labels = [str(label) for label, _ in kind.fields]
        text = repr((kind.kind, labels, [part.kind for part in flat]))
        if not 0 < min_size <= _MAX_MIN_SIZE:
            return None
        return FlatType(_COMPOUND[kind.kind](flat), min_size, hashlib.sha256(text.encode()).hexdigest())


def _inner(kind: Type) -> list[int]:
    return [kind.inner] if kind.kind in (OPT, VEC) else [reference for _, reference in kind.fields]


def _size(data: bytes, at: int) -> tuple[int, int]:
    """Return an unsigned LEB128 number of at most 63 bits and the position after it. `codec.leb128` would do the same;
    its calls and checks take half as long again on this hot path."""
    byte = data[at]
    at += 1
    if byte < 0x80:
        return byte, at
    value, shift = byte & 0x7F, 7
    while byte >= 0x80:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if shift > 63:
            raise IndexError
    return value, at


def _number(data: bytes, at: int) -> int:
    while data[at] >= 0x80:
        at += 1
    return at + 1


def _text(data: bytes, at: int) -> int:
    byte = data[at]
    if byte < 0x80:
        return at + 1 + byte
    size, at = _size(data, at)
    return at + size


def _bool(data: bytes, at: int) -> int:
    if data[at] > 1:
        raise IndexError
    return at + 1


def _principal(data: bytes, at: int) -> int:
    if data[at] != 1 or data[at + 1] > MAX_LENGTH:
        raise IndexError
    return at + 2 + data[at + 1]


def _nothing(_: bytes, at: int) -> int:
    return at


_SKIPS: dict[int, tuple[Skip, int]] = {
    NAT.opcode: (_number, 1),
    INT.opcode: (_number, 1),
    TEXT.opcode: (_text, 1),
    BOOL.opcode: (_bool, 1),
    PRINCIPAL.opcode: (_principal, 2),
    NULL.opcode: (_nothing, 0),
    RESERVED.opcode: (_nothing, 0),
}
"""The skip of a primitive type and the least bytes of a value, by opcode."""


def _primitive(code: int) -> FlatType | None:
    layout = FIXED.get(code)
    if layout is not None:
        size = layout.size
        return FlatType(lambda _, at: at + size, size, str(code))
    return FlatType(*_SKIPS[code], str(code)) if code in _SKIPS else None


def _opt(parts: list[FlatType]) -> Skip:
    skip_inner = parts[0].skip

    def skip(data: bytes, at: int) -> int:
        mark = data[at]
        if mark == 1:
            return skip_inner(data, at + 1)
        if mark:
            raise IndexError
        return at + 1

    return skip


def _vec(parts: list[FlatType]) -> Skip:
    skip_inner, min_size = parts[0].skip, parts[0].min_size

    def skip(data: bytes, at: int) -> int:
        length, at = _size(data, at)
        if length * min_size > len(data) - at:
            raise IndexError
        for _ in range(length):
            at = skip_inner(data, at)
        return at

    return skip


def _record(parts: list[FlatType]) -> Skip:
    skips = [part.skip for part in parts]

    def skip(data: bytes, at: int) -> int:
        for skip_inner in skips:
            at = skip_inner(data, at)
        return at

    return skip


def _variant(parts: list[FlatType]) -> Skip:
    skips = [part.skip for part in parts]

    def skip(data: bytes, at: int) -> int:
        return skips[data[at]](data, at + 1)

    return skip


_COMPOUND: dict[int, Callable[[list[FlatType]], Skip]] = {OPT: _opt, VEC: _vec, RECORD: _record, VARIANT: _variant}
