"""Going past values, or cutting them out as bytes, without reading what is in them.

A type is flat if its values refer to nothing, are not nested without end and take at least one byte: most records are.
A skip is a function from bytes and a place in them to the place after the value. It goes past the end, or raises an
IndexError, where the bytes end too early or are wrong: what is wrong is then found and told by reading the value.
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
_HIGHEST, _MOST_AT_LEAST, _MOST_HOLLOW = 24, 4096, 64
"""Types nested more deeply, that take more bytes whatever the value, or with more parts that take none, are read one
level after the other: a skip is soon at its end, also where the bytes are not what they should be."""


@dataclass(frozen=True, slots=True)
class FlatType:
    """`least`: so many bytes a value takes at least. `kind`: equal for equal types, also of two messages."""

    skip: Skip
    least: int
    kind: str


class FlatTypes:
    """The flat ones among the types of a message."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._found: dict[int, FlatType | None] = {}

    def get(self, reference: int, height: int = _HIGHEST) -> FlatType | None:
        """None if the type is not flat, or nested more deeply than `height`."""
        if reference not in self._found and height:
            self._found[reference] = None  # what leads to itself meets this
            self._found[reference] = self._made(reference, height)
        return self._found.get(reference)

    def _made(self, reference: int, height: int) -> FlatType | None:
        if reference < 0:
            return _primitive(reference)
        kind = self._head.table[reference]
        if kind.kind not in _COMPOUND:
            return None
        parts = [self.get(inner, height - 1) for inner in _inner(kind)]
        flat = [part for part in parts if part is not None]
        hollow = sum(not part.least for part in flat)
        if len(flat) < len(parts) or hollow > _MOST_HOLLOW or (kind.kind == VEC and hollow):
            return None
        least = sum(part.least for part in flat) if kind.kind == RECORD else 1
        labels = [str(label) for label, _ in kind.fields]
        text = repr((kind.kind, labels, [part.kind for part in flat]))
        if not 0 < least <= _MOST_AT_LEAST:
            return None
        return FlatType(_COMPOUND[kind.kind](flat), least, hashlib.sha256(text.encode()).hexdigest())


def _inner(kind: Type) -> list[int]:
    return [kind.inner] if kind.kind in (OPT, VEC) else [reference for _, reference in kind.fields]


def _size(data: bytes, at: int) -> tuple[int, int]:
    """A number in LEB128, and the place after it."""
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
"""And how many bytes a value takes at least."""


def _primitive(code: int) -> FlatType | None:
    layout = FIXED.get(code)
    if layout is not None:
        size = layout.size
        return FlatType(lambda _, at: at + size, size, str(code))
    return FlatType(*_SKIPS[code], str(code)) if code in _SKIPS else None


def _opt(parts: list[FlatType]) -> Skip:
    past = parts[0].skip

    def skip(data: bytes, at: int) -> int:
        mark = data[at]
        if mark == 1:
            return past(data, at + 1)
        if mark:
            raise IndexError
        return at + 1

    return skip


def _vec(parts: list[FlatType]) -> Skip:
    past, least = parts[0].skip, parts[0].least

    def skip(data: bytes, at: int) -> int:
        length, at = _size(data, at)
        if length * least > len(data) - at:
            raise IndexError
        for _ in range(length):
            at = past(data, at)
        return at

    return skip


def _record(parts: list[FlatType]) -> Skip:
    skips = [part.skip for part in parts]

    def skip(data: bytes, at: int) -> int:
        for past in skips:
            at = past(data, at)
        return at

    return skip


def _variant(parts: list[FlatType]) -> Skip:
    skips = [part.skip for part in parts]

    def skip(data: bytes, at: int) -> int:
        return skips[data[at]](data, at + 1)

    return skip


_COMPOUND: dict[int, Callable[[list[FlatType]], Skip]] = {OPT: _opt, VEC: _vec, RECORD: _record, VARIANT: _variant}
