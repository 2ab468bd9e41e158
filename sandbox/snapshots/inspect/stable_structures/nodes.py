"""Nodes of the B-trees of `ic-stable-structures` (`src/btreemap/node/v1.rs`, `v2.rs`), and the places of their entries.

A node of version 1 has slots of the greatest key and value size of the map's header. A node of version 2 spans a page
and its overflow pages, children first, then all keys, then all values; values carry their size, keys only if their
type has no fixed size. Its entries may be larger than the header says: the header of an old map stays unchanged when a
program continues with greater bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.snapshots.inspect.source import Bytes, Damages, InspectError, Pieces, Run, number, part, take, within

HEADER = 52
OVERFLOW_HEAD = 11
CAPACITY = 11
_NODE, _OVERFLOW = b"BTN", b"NOF"
_V2_CHILDREN = 15
_NAMED = 24
"""The most bytes of a key that the text of a damage shows."""

Entry = tuple[Run, Run]
"""The places of a key and its value in the node."""


@dataclass(frozen=True)
class Shape:
    """The parameters of nodes. `page`: bytes of a page; `max_key`, `max_value`: bytes of slots, None if unknown."""

    source: Bytes
    page: int
    max_key: int | None
    max_value: int | None


@dataclass(slots=True)
class Node:
    address: int
    version: int
    entries: int
    children: list[int]
    """0 where the address of a child is damaged."""
    data: Bytes
    start: int
    """The offset of keys in `data`."""
    cached: bytes
    """The first bytes of `data`."""

    def number(self, offset: int) -> int | None:
        """Read a number of four bytes; None if they are not in the node."""
        if offset + 4 <= len(self.cached):
            return int.from_bytes(self.cached[offset : offset + 4], "little")
        return number(self.data, offset, 4, "a size") if offset + 4 <= self.data.size else None

    def pair(self, entry: Entry) -> tuple[Bytes, Bytes]:
        """Return key and value."""
        return part(self.data, *entry[0]), part(self.data, *entry[1])

    def key_text(self, key: Run) -> str:
        """Return the name of a key in the text of a damage."""
        offset, size = key
        return f"key {self.data.read(offset, min(size, _NAMED)).hex()}{'...' if size > _NAMED else ''}"


def slots(max_key: int, max_value: int) -> int:
    """Return the size of a node of version 1, in bytes."""
    return 7 + CAPACITY * (8 + max_key + max_value) + (CAPACITY + 1) * 8


def read_node(shape: Shape, address: int, damages: Damages) -> Node:
    """Read the node at an address; InspectError if there is none."""
    if address < HEADER:
        raise InspectError(f"a node at {address:#x} lies in the header of the map")
    head = take(shape.source, address, 7, "the head of a node")
    version, kind, entries = head[3], head[4], int.from_bytes(head[5:7], "little")
    if head[:3] != _NODE:
        raise InspectError(f"no node at {address:#x}: it begins with {head[:3].hex(' ')}, not {_NODE.hex(' ')}")
    if version not in (1, 2) or kind > 1 or not 0 < entries <= CAPACITY:
        raise InspectError(f"the node at {address:#x} has version {version}, type {kind}, {entries} entries")
    count = entries + 1 if kind else 0
    if version == 1:
        return _node_v1(shape, address, entries, count, damages)
    data = Pieces(shape.source, _pages(shape, address, damages))
    start = _V2_CHILDREN + 8 * count
    within(data, 0, start, f"the children of the node at {address:#x}")
    cached = data.read(0, min(data.size, 65536))
    children = _addresses(cached[_V2_CHILDREN:start], address, damages)
    return Node(address, 2, entries, children, data, start, cached)


def _node_v1(shape: Shape, address: int, entries: int, count: int, damages: Damages) -> Node:
    if shape.max_key is None or shape.max_value is None:
        raise InspectError(f"the node at {address:#x} has version 1 in a map that gives no sizes for it")
    within(shape.source, address, shape.page, f"the node at {address:#x}")
    start = 7 + entries * (8 + shape.max_key + shape.max_value)
    raw = take(shape.source, address + start, 8 * count, "children")
    children = _addresses(raw, address, damages)
    return Node(address, 1, entries, children, part(shape.source, address, shape.page), 7, b"")


def _addresses(raw: bytes, node: int, damages: Damages) -> list[int]:
    children = [int.from_bytes(raw[at : at + 8], "little") for at in range(0, len(raw), 8)]
    if not all(children):
        damages.note(f"a child of the node at {node:#x} has no address")
    return children


def _pages(shape: Shape, address: int, damages: Damages) -> list[Run]:
    """Return the page of a node and its overflow pages, up to a damaged one."""
    within(shape.source, address, shape.page, "a page of a node")
    pages: list[Run] = [(address, shape.page)]
    most = shape.source.size // shape.page
    following = number(shape.source, address + 7, 8, "the address of an overflow page")
    while following:
        inside = following + shape.page <= shape.source.size
        head = shape.source.read(following, OVERFLOW_HEAD) if inside else b""
        if head[:3] != _OVERFLOW or len(pages) > most:
            damages.note(f"no overflow page at {following:#x} of the node at {address:#x}, or they are endless")
            break
        pages.append((following + OVERFLOW_HEAD, shape.page - OVERFLOW_HEAD))
        following = int.from_bytes(head[3:11], "little")
    return pages


def entries_v1(shape: Shape, node: Node, damages: Damages) -> list[Entry | None]:
    """Return the places of the entries of a node of version 1; None for each unreadable one."""
    assert shape.max_key is not None
    assert shape.max_value is not None
    entries: list[Entry | None] = []
    at = node.start
    for index in range(node.entries):
        value_at = at + 4 + shape.max_key
        key, value = (at + 4, node.number(at) or 0), (value_at + 4, node.number(value_at) or 0)
        where = f"in the node of version 1 at {node.address:#x}"
        good = False
        if key[1] > shape.max_key:
            damages.note(f"key {index + 1} {where} has {key[1]:,} bytes, its slot {shape.max_key:,}")
        elif value[1] > shape.max_value:
            damages.note(
                f"the value of {node.key_text(key)} {where} has {value[1]:,} bytes, its slot {shape.max_value:,}: "
                "the next entry may be written over its end"
            )
        else:
            good = True
        entries.append((key, value) if good else None)
        at = value_at + 4 + shape.max_value
    return entries


def entries_v2(node: Node, key_size: int | None, damages: Damages | None) -> tuple[list[Entry | None], int]:
    """Return the places of the entries of a node of version 2, None for each unreadable one, and their end.

    `key_size`: of every key, None if each carries its own.
    """
    at, end = node.start, node.data.size
    keys: list[Run] = []
    for index in range(node.entries):
        size = node.number(at) if key_size is None else key_size
        at += 4 if key_size is None else 0
        if size is None or at + size > end:
            if damages is not None:
                damages.note(
                    f"key {index + 1} of the node at {node.address:#x} {_unfit(size)}: "
                    f"none of its {node.entries} entries can be read"
                )
            return [None] * node.entries, at
        keys.append((at, size))
        at += size
    entries: list[Entry | None] = []
    for index, key in enumerate(keys):
        size = node.number(at)
        if size is None or at + 4 + size > end:
            if damages is not None:
                damages.note(_value_damage(node, keys[index:], size))
            return entries + [None] * (node.entries - index), at
        entries.append((key, (at + 4, size)))
        at += 4 + size
    return entries, at


def _value_damage(node: Node, keys: Sequence[Run], size: int | None) -> str:
    first, *others = map(node.key_text, keys)
    rest = f"; the values of {', '.join(others)} lie behind it and cannot be read" if others else ""
    return f"the value of {first} in the node at {node.address:#x} {_unfit(size)}{rest}"


def _unfit(size: int | None) -> str:
    return "begins behind its end" if size is None else f"has {size:,} bytes, which do not fit into it"
