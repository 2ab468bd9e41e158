"""Maps and sets of `ic-stable-structures`: B-trees of both layouts (`src/btreemap.rs`).

Whether keys in nodes of version 2 carry their size depends on their type, which the map does not record: it is inferred
from the layout that fits all sampled nodes. Damages are noted, and everything else is read.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from sandbox.snapshots.inspect.source import Bytes, Damages, InspectError, number
from sandbox.snapshots.inspect.stable_structures.nodes import (
    OVERFLOW_HEAD,
    Entry,
    Node,
    Shape,
    entries_v1,
    entries_v2,
    read_node,
    slots,
)

MAGIC = b"BTR"
_MAX_DEPTH = 64
_LEAST_PAGE = 128
_BY_VALUE = 0xFFFF_FFFF
_SAMPLE = 24
_MOST_LOOKED_AT = 500
_MOST_CHECKED = 20_000
_LIKELY = (8, 4, 16, 2, 1, 32)
_LONGEST = 1024

Pair = tuple[Bytes, Bytes]
"""A key and its value."""


@dataclass(frozen=True)
class BTree(Shape):
    """The header of a map. `max_key` and `max_value` are None if not recorded; `key_size`: the fixed size of keys in
    nodes of version 2, None if each key carries its own."""

    version: int
    root: int
    length: int
    key_size: int | None = None
    sampled: bool = True
    """False if the sample had no node of version 2: the size of keys is then inferred for each node."""

    def is_set(self, key: int) -> bool:
        """Return whether values are certainly of a type without bytes, given the size of some key. If both types are
        bounded, the size of a page follows from the sum of their greatest sizes: if a key takes all of it, values have
        size 0. Pages of unbounded types allow no conclusion."""
        if self.max_value is not None:
            return self.max_value == 0
        return self.page == slots(key, 0) * 3 // 4

    def entries(self) -> Iterator[Pair]:
        """Yield key and value of every readable entry, in the order of the map; `Damaged` at the end if there are
        others."""
        damages = Damages()
        yield from _walk(self, damages)
        damages.end()

    def nodes(self) -> Iterator[tuple[bytes, Callable[[], Iterator[Pair]]]]:
        """Yield every node, in no particular order: its bytes, which are equal only if its entries are, and a
        function to its entries. The nodes and the entries end in `Damaged` if there were damages."""
        damages = Damages()
        for node in _visit(self, damages):
            yield node.data.read(0, node.data.size), partial(_node_entries, self, node.address)
        damages.end()

    def check(self, most: int = _MOST_CHECKED) -> tuple[Counter[int], Damages, bool]:
        """Return the number of nodes of each version, the damages, and whether all nodes were read: at most `most`
        are."""
        damages, versions = Damages(), Counter[int]()
        for node in _visit(self, damages):
            if versions.total() == most:
                return versions, damages, False
            versions[node.version] += 1
            _entries(self, node, damages)
        return versions, damages, True


def read_btree(source: Bytes, key_size: int | None = None) -> BTree:
    """Read the header at the start of `source`, which begins with `MAGIC`; `key_size`: the size of keys, if known."""
    version = number(source, 3, 1, "the version of the map")
    if version not in (1, 2):
        raise InspectError(f"the map has layout version {version} (at 0x3); 1 and 2 are known")
    first, second = number(source, 4, 4, "sizes"), number(source, 8, 4, "sizes")
    derived = version == 1 or second != _BY_VALUE
    page = slots(first, second) if derived else first
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
    if key_size is not None:
        return replace(tree, key_size=key_size)
    nodes = _sample(tree)
    return replace(tree, key_size=_fitting(tree, nodes), sampled=bool(nodes))


def _walk(tree: BTree, damages: Damages) -> Iterator[Pair]:
    """Yield the entries in order; the stack is as deep as the tree, and no node is visited twice."""
    reader = _Reader(tree, damages)
    stack: list[tuple[Node, list[Entry | None], int]] = []
    address = tree.root
    while address or stack:
        if address:
            node = reader.node(address, len(stack))
            if node is not None:
                stack.append((node, _entries(tree, node, damages), 0))
            address = node.children[0] if node is not None and node.children else 0
            continue
        node, entries, index = stack.pop()
        if index == len(entries):
            continue
        stack.append((node, entries, index + 1))
        address = node.children[index + 1] if node.children else 0
        entry = entries[index]
        if entry is not None:
            yield node.pair(entry)
    reader.end()


def _visit(tree: BTree, damages: Damages) -> Iterator[Node]:
    """Yield every readable node, in no particular order."""
    reader = _Reader(tree, damages)
    waiting = [(tree.root, 0)] if tree.root else []
    while waiting:
        address, depth = waiting.pop()
        node = reader.node(address, depth)
        if node is not None:
            waiting.extend((child, depth + 1) for child in node.children if child)
            yield node
    reader.end()


class _Reader:
    """A reader of nodes, each once, which compares their entries with the header."""

    def __init__(self, tree: BTree, damages: Damages) -> None:
        self._tree, self._damages = tree, damages
        self._seen: set[int] = set()
        self._entries = 0

    def node(self, address: int, depth: int) -> Node | None:
        """Read a node; None if it cannot be read, with everything below it."""
        if address in self._seen or depth >= _MAX_DEPTH:
            self._damages.note(f"the map reaches the node at {address:#x} twice, or its tree is endless")
            return None
        self._seen.add(address)
        try:
            node = read_node(self._tree, address, self._damages)
        except InspectError as error:
            self._damages.note(str(error))
            return None
        self._entries += node.entries
        return node

    def end(self) -> None:
        """Check the number of entries after all nodes were read."""
        if self._entries != self._tree.length:
            self._damages.note(
                f"the header says {self._tree.length:,} entries (at 0x14), the nodes that the tree reaches have "
                f"{self._entries:,}",
                lost=False,
            )


def _node_entries(tree: BTree, address: int) -> Iterator[Pair]:
    damages = Damages()
    node = read_node(tree, address, Damages())
    yield from (node.pair(entry) for entry in _entries(tree, node, damages) if entry is not None)
    damages.end()


def _entries(tree: BTree, node: Node, damages: Damages) -> list[Entry | None]:
    if node.version == 1:
        return entries_v1(tree, node, damages)
    return entries_v2(node, tree.key_size if tree.sampled else _fitting(tree, [node]), damages)[0]


def _sample(tree: BTree) -> list[Node]:
    """Return some nodes of version 2, those near the root first; children stand before keys and are readable without
    the size of keys."""
    nodes: list[Node] = []
    waiting = deque([tree.root] if tree.root else [])
    looked = 0
    while waiting and len(nodes) < _SAMPLE and looked < _MOST_LOOKED_AT:
        looked += 1
        try:
            node = read_node(tree, waiting.popleft(), Damages())
        except InspectError:
            continue
        if node.version == 2:
            nodes.append(node)
        waiting.extend(child for child in node.children[:3] if child)
    return nodes


def _fitting(tree: BTree, nodes: list[Node]) -> int | None:
    """Infer the fixed size of keys, or None if each carries its own: the layout with the best score, that is with the
    most readable entries, preferably ascending and inside the sizes of the header. Keys that carry their size win if
    they make more than half as many readable: together with four bytes of equal sizes, such keys look like ones of a
    fixed size, also where one is damaged."""
    if not nodes:
        return None
    if tree.max_key is not None:
        sizes = [tree.max_key]
    else:
        shortest = min((node.data.size - node.start) // node.entries for node in nodes)
        sizes = [n for n in _LIKELY if n <= shortest]
        sizes += [n for n in range(1, min(shortest, _LONGEST) + 1) if n not in _LIKELY]
    own = best = _score(tree, nodes, None, 0)
    fixed = None
    for size in sizes:
        score = _score(tree, nodes, size, best[0])
        if score > best:
            best, fixed = score, size
    return None if 2 * own[0] > best[0] else fixed


def _score(tree: BTree, nodes: list[Node], key_size: int | None, best: int) -> tuple[int, int]:
    """Score a size of keys: readable entries, those in nodes with ascending keys counted twice, and nodes inside the
    header's sizes. Stops once `best` cannot be reached."""
    points = inside = 0
    possible = 2 * sum(node.entries for node in nodes)
    for node in nodes:
        entries, end = entries_v2(node, key_size, None)
        whole = [entry for entry in entries if entry is not None]
        if not _plausible(tree, node, whole, end):
            whole = []
        texts = [node.data.read(offset, min(size, 64)) for (offset, size), _ in whole]
        ascending = texts == sorted(texts) and bool(texts and texts[0])
        points += len(whole) * (2 if ascending else 1)
        inside += bool(whole) and all(_inside(tree, entry) for entry in whole)
        possible -= 2 * node.entries
        if points + possible < best:
            break
    return points, inside


def _inside(tree: BTree, entry: Entry) -> bool:
    (_, key), (_, value) = entry
    return (tree.max_key is None or key <= tree.max_key) and (tree.max_value is None or value <= tree.max_value)


def _plausible(tree: BTree, node: Node, entries: list[Entry], end: int) -> bool:
    """Return whether the last page holds data and no key occurs twice."""
    if len(entries) == node.entries and node.data.size > tree.page:
        last_page = node.data.size - (tree.page - OVERFLOW_HEAD)
        if end <= last_page:
            return False
    keys = [key for key, _ in entries]
    texts = {node.data.read(offset, min(size, 64)) for offset, size in keys}
    return len(texts) == len(keys) or any(size > 64 for _, size in keys)
