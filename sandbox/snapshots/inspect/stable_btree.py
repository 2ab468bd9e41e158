"""Maps and sets of `ic-stable-structures`: B-trees of both layouts (`src/btreemap.rs`, `src/btreemap/node/*.rs`).

A node of version 1 has slots of the greatest key and value size. A node of version 2 spans a page and its overflow
pages, children first, then all keys, then all values; values carry their size, keys only where their type is not of a
fixed size, which the map does not record: it is found by trying what makes every sampled node come out even.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from sandbox.snapshots.inspect.source import Bytes, InspectError, Pieces, Run, number, part, take, within

MAGIC = b"BTR"
_HEADER = 52
_NODE, _OVERFLOW = b"BTN", b"NOF"
_CAPACITY = 11
_MAX_DEPTH = 64
_LEAST_PAGE = 128
_BY_VALUE = 0xFFFF_FFFF
_V2_CHILDREN = 15
_OVERFLOW_HEAD = 11
_SAMPLE = 24
_MOST_LOOKED_AT = 500
_LIKELY = (8, 4, 16, 2, 1, 32)
_LONGEST = 1024


@dataclass(frozen=True)
class BTree:
    """The header of a map. `max_key` and `max_value` are None where the map does not say; `key_size` is the fixed size
    of keys in nodes of version 2, None where each key carries its own."""

    source: Bytes
    version: int
    root: int
    length: int
    page: int
    max_key: int | None
    max_value: int | None
    key_size: int | None = None
    sampled: bool = True
    """False where no node of version 2 was seen yet: each one is then asked for itself."""

    def is_set(self, key: int) -> bool:
        """Whether values are certainly of a type without bytes, given how long some key is. Where both types are
        bounded, the size of a page follows from the sum of their greatest sizes: if a key takes all of it, nothing is
        left for values. Pages of unbounded types tell nothing."""
        if self.max_value is not None:
            return self.max_value == 0
        return self.page == _slots(key, 0) * 3 // 4

    def entries(self) -> Iterator[tuple[Bytes, Bytes]]:
        """Key and value of every entry, in the order of the map."""
        return _walk(self)

    def nodes(self) -> Iterator[tuple[bytes, Callable[[], list[tuple[Bytes, Bytes]]]]]:
        """Every node, in no particular order: its bytes, and its entries when they are asked for. For comparing: equal
        bytes are equal entries."""
        return _nodes(self)


@dataclass(slots=True)
class _Node:
    address: int
    version: int
    entries: int
    children: list[int]
    data: Bytes
    start: int
    """Where keys begin in `data`."""
    cached: bytes
    """The first bytes of `data`."""

    def number(self, offset: int, what: str) -> int:
        if offset + 4 <= len(self.cached):
            return int.from_bytes(self.cached[offset : offset + 4], "little")
        return number(self.data, offset, 4, f"{what} of the node at {self.address:#x}")


def read_btree(source: Bytes, key_size: int | None = None) -> BTree:
    """The header at the start of `source`, which begins with `MAGIC`; `key_size` says how long keys are, where the
    caller knows."""
    version = number(source, 3, 1, "the version of the map")
    if version not in (1, 2):
        raise InspectError(f"the map has layout version {version} (at 0x3); 1 and 2 are known")
    first, second = number(source, 4, 4, "sizes"), number(source, 8, 4, "sizes")
    derived = version == 1 or second != _BY_VALUE
    page = _slots(first, second) if derived else first
    if page < _LEAST_PAGE and not derived:
        raise InspectError(f"the map has pages of {page} bytes (at 0x4); {_LEAST_PAGE} is the least")
    tree = BTree(
        source=source,
        version=version,
        root=number(source, 12, 8, "the address of the root"),
        length=number(source, 20, 8, "the number of entries"),
        page=page,
        max_key=first if derived else None,
        max_value=second if derived else None,
    )
    if tree.length > source.size:
        raise InspectError(f"the map has {tree.length:,} entries (at 0x14) in {source.size:,} bytes")
    if (tree.root == 0) != (tree.length == 0):
        raise InspectError(f"the map has {tree.length:,} entries (at 0x14) and its root at {tree.root:#x} (at 0xc)")
    if key_size is not None:
        return replace(tree, key_size=key_size)
    nodes = _sample(tree)
    return replace(tree, key_size=_fitting(tree, nodes), sampled=bool(nodes))


def _slots(max_key: int, max_value: int) -> int:
    """The size of a node of version 1."""
    return 7 + _CAPACITY * (8 + max_key + max_value) + (_CAPACITY + 1) * 8


def _walk(tree: BTree) -> Iterator[tuple[Bytes, Bytes]]:
    """In order; the stack is as deep as the tree, and no node is visited twice."""
    left = tree.length
    seen: set[int] = set()
    stack: list[tuple[_Node, Iterator[tuple[Bytes, Bytes]], int]] = []
    address = tree.root
    while address or stack:
        if address:
            if address in seen or len(stack) >= _MAX_DEPTH:
                raise InspectError(f"the map reaches the node at {address:#x} twice, or its tree is endless")
            seen.add(address)
            node = _node(tree, address)
            stack.append((node, iter(_pairs(tree, node)), 0))
            address = node.children[0] if node.children else 0
            continue
        node, pairs, index = stack.pop()
        pair = next(pairs, None)
        if pair is None:
            continue
        left -= 1
        if left < 0:
            raise InspectError(f"the map has more entries than the {tree.length:,} of its header (at 0x14)")
        yield pair
        stack.append((node, pairs, index + 1))
        address = node.children[index + 1] if node.children else 0
    if left:
        raise InspectError(f"the map has {tree.length - left:,} entries, its header says {tree.length:,} (at 0x14)")


def _nodes(tree: BTree) -> Iterator[tuple[bytes, Callable[[], list[tuple[Bytes, Bytes]]]]]:
    waiting = [tree.root] if tree.root else []
    seen: set[int] = set()
    while waiting:
        address = waiting.pop()
        if address in seen:
            raise InspectError(f"the map reaches the node at {address:#x} twice")
        seen.add(address)
        node = _node(tree, address)
        yield node.data.read(0, node.data.size), partial(_entries, tree, address)
        waiting.extend(node.children)


def _entries(tree: BTree, address: int) -> list[tuple[Bytes, Bytes]]:
    return _pairs(tree, _node(tree, address))


def _node(tree: BTree, address: int) -> _Node:
    if address < _HEADER:
        raise InspectError(f"a node at {address:#x} lies in the header of the map")
    head = take(tree.source, address, 7, "the head of a node")
    version, kind, entries = head[3], head[4], int.from_bytes(head[5:7], "little")
    if head[:3] != _NODE:
        raise InspectError(f"no node at {address:#x}: it begins with {head[:3].hex(' ')}, not {_NODE.hex(' ')}")
    if version not in (1, 2) or kind > 1 or not 0 < entries <= _CAPACITY:
        raise InspectError(f"the node at {address:#x} has version {version}, type {kind}, {entries} entries")
    if version == 1:
        return _node_v1(tree, address, kind, entries)
    data = Pieces(tree.source, _pages(tree, address))
    start = _V2_CHILDREN + (8 * (entries + 1) if kind else 0)
    within(data, 0, start, f"the children of the node at {address:#x}")
    cached = data.read(0, min(data.size, 65536))
    return _Node(address, 2, entries, _addresses(cached[_V2_CHILDREN:start], address), data, start, cached)


def _node_v1(tree: BTree, address: int, kind: int, entries: int) -> _Node:
    if tree.max_key is None or tree.max_value is None:
        raise InspectError(f"the node at {address:#x} has version 1 in a map that gives no sizes for it")
    within(tree.source, address, tree.page, f"the node at {address:#x}")
    start = 7 + entries * (8 + tree.max_key + tree.max_value)
    raw = take(tree.source, address + start, 8 * (entries + 1), "children") if kind else b""
    return _Node(address, 1, entries, _addresses(raw, address), part(tree.source, address, tree.page), 7, b"")


def _addresses(raw: bytes, node: int) -> list[int]:
    found = [int.from_bytes(raw[at : at + 8], "little") for at in range(0, len(raw), 8)]
    if not all(found):
        raise InspectError(f"a child of the node at {node:#x} has no address")
    return found


def _pages(tree: BTree, address: int) -> list[Run]:
    within(tree.source, address, tree.page, "a page of a node")
    found: list[Run] = [(address, tree.page)]
    most = tree.source.size // tree.page
    following = number(tree.source, address + 7, 8, "the address of an overflow page")
    while following:
        head = take(tree.source, following, _OVERFLOW_HEAD, "the head of an overflow page")
        if head[:3] != _OVERFLOW or len(found) > most:
            raise InspectError(f"no overflow page at {following:#x} of the node at {address:#x}, or they are endless")
        within(tree.source, following, tree.page, "an overflow page")
        found.append((following + _OVERFLOW_HEAD, tree.page - _OVERFLOW_HEAD))
        following = int.from_bytes(head[3:11], "little")
    return found


def _pairs(tree: BTree, node: _Node) -> list[tuple[Bytes, Bytes]]:
    if node.version == 1:
        keys, values, _ = _places_v1(tree, node)
    else:
        keys, values, _ = _places_v2(tree, node, tree.key_size if tree.sampled else _fitting(tree, [node]))
    return [(part(node.data, *key), part(node.data, *value)) for key, value in zip(keys, values, strict=True)]


def _places_v1(tree: BTree, node: _Node) -> tuple[list[Run], list[Run], int]:
    assert tree.max_key is not None
    assert tree.max_value is not None
    at = node.start
    keys: list[Run] = []
    values: list[Run] = []
    for _ in range(node.entries):
        for found, most, what in ((keys, tree.max_key, "key"), (values, tree.max_value, "value")):
            size = node.number(at, f"the size of a {what}")
            if size > most:
                raise InspectError(
                    f"a {what} in the node at {node.address:#x} has {size:,} bytes; {most:,} is the most"
                )
            found.append((at + 4, size))
            at += 4 + most
    return keys, values, at


def _places_v2(tree: BTree, node: _Node, key_size: int | None) -> tuple[list[Run], list[Run], int]:
    """Where keys and values lie in the node, and where they end."""
    at = node.start
    keys: list[Run] = []
    values: list[Run] = []
    for _ in range(node.entries):
        size = node.number(at, "the size of a key") if key_size is None else key_size
        at += 4 if key_size is None else 0
        at = _place(tree, node, keys, (at, size), tree.max_key)
    for _ in range(node.entries):
        size = node.number(at, "the size of a value")
        at = _place(tree, node, values, (at + 4, size), tree.max_value)
    return keys, values, at


def _place(tree: BTree, node: _Node, found: list[Run], place: Run, most: int | None) -> int:
    offset, size = place
    if offset + size > node.data.size or (most is not None and size > most):
        raise InspectError(
            f"an entry of {size:,} bytes at {offset:#x} of the node at {node.address:#x} does not fit into it"
        )
    found.append(place)
    return offset + size


def _sample(tree: BTree) -> list[_Node]:
    """Some nodes of version 2, those near the root first; children stand before keys, so that it does not matter how
    long keys are."""
    found: list[_Node] = []
    waiting = deque([tree.root] if tree.root else [])
    looked = 0
    while waiting and len(found) < _SAMPLE and looked < _MOST_LOOKED_AT:
        node = _node(tree, waiting.popleft())
        looked += 1
        if node.version == 2:
            found.append(node)
        waiting.extend(node.children[:3])
    return found


def _fitting(tree: BTree, nodes: list[_Node]) -> int | None:
    """The fixed size of keys, or None if each carries its own: what fits all these nodes, keys ascending at best."""
    if not nodes:
        return None
    if tree.max_key is not None:
        sizes = [tree.max_key]
    else:
        shortest = min((node.data.size - node.start) // node.entries for node in nodes)
        sizes = [n for n in _LIKELY if n <= shortest]
        sizes += [n for n in range(1, min(shortest, _LONGEST) + 1) if n not in _LIKELY]
    ranked = []
    for rank, candidate in enumerate((None, *sizes)):
        score = _score(tree, nodes, candidate)
        if score is not None:
            ranked.append((score, -rank, candidate))
    return max(ranked, key=lambda entry: entry[:2])[2] if ranked else None


def _score(tree: BTree, nodes: list[_Node], key_size: int | None) -> int | None:
    """How well a size fits: None not at all, else in how many nodes keys ascend without an empty one."""
    score = 0
    for node in nodes:
        try:
            keys, _, end = _places_v2(tree, node, key_size)
        except InspectError:
            return None
        if node.data.size > tree.page and end <= node.data.size - (tree.page - _OVERFLOW_HEAD):
            return None  # the last page would be empty
        texts = [node.data.read(offset, min(size, 64)) for offset, size in keys]
        if len(set(texts)) < len(texts) and all(size <= 64 for _, size in keys):
            return None
        score += texts == sorted(texts) and bool(texts[0])
    return score
