"""Hash trees over the bytes of a memory: an update costs the pages changed and shares all other nodes.

Page: 4 KiB, its key is a BLAKE3 of its bytes. Block: 16 pages, 64 KiB. Branch: 64 children, so that five levels reach
1 TiB. The key of a node is a BLAKE3 of its children's keys; anything that holds only zeros has 32 zero bytes for a key
and is neither read nor stored. The root of a memory covers the top node and the size. Hashed inputs have lengths of
their own for pages, blocks, branches and roots (4096, 512, 2048, 40 bytes), so that none can be mistaken for another.

Nodes are immutable and shared between trees. A node may be known by its key alone until it is needed; `load` then
returns its content.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from blake3 import blake3

PAGE: Final = 4096
PAGES_PER_BLOCK: Final = 16
BLOCK: Final = PAGE * PAGES_PER_BLOCK
FANOUT: Final = 64
LEVELS: Final = 5
"""A block is of level 1, the top node of level 5."""
KEY: Final = 32
ZERO: Final = bytes(KEY)
ZERO_PAGE: Final = bytes(PAGE)
_ZERO_PAGE_KEY: Final = blake3(ZERO_PAGE).digest()
_NO_KEYS: Final = bytes(KEY * PAGES_PER_BLOCK)
_NO_BRANCH: Final = bytes(KEY * FANOUT)
Load = Callable[[bytes], bytes]
"""A function from the key of a node to the checked keys below it."""
_NOTHING: Final[tuple[Node | None, ...]] = (None,) * FANOUT


def page_key(data: bytes | memoryview) -> bytes:
    """Return the key of a page of 4 KiB."""
    return ZERO if data == ZERO_PAGE else blake3(data).digest()


class Node:
    """A block (`level` 1) or a branch. Of a block `keys` are those of its 16 pages, of a branch those of its children;
    `children` of a branch are nodes, None where all is zero."""

    __slots__ = ("_children", "_keys", "_load", "key", "level")

    def __init__(self, level: int, keys: bytes, children: tuple[Node | None, ...] | None = None) -> None:
        self.level = level
        self.key = blake3(keys).digest()
        self._keys: bytes | None = keys
        self._children = children
        self._load: Load | None = None

    @staticmethod
    def known(level: int, key: bytes, load: Load) -> Node:
        """Return a node of which only the key is known."""
        node = Node.__new__(Node)
        node.level, node.key, node._load = level, key, load
        node._keys = node._children = None
        return node

    @property
    def keys(self) -> bytes:
        """The keys below the node, joined."""
        if self._keys is None:
            assert self._load is not None
            self._keys = self._load(self.key)
        return self._keys

    @property
    def children(self) -> tuple[Node | None, ...]:
        """The nodes below a branch."""
        if self._children is None:
            load, keys = self._load, self.keys
            assert load is not None
            level = self.level - 1
            self._children = tuple(None if key == ZERO else Node.known(level, key, load) for key in split(keys))
        return self._children

    @property
    def span(self) -> int:
        """The number of pages it covers."""
        return 1 << _bits(self.level)


def split(keys: bytes) -> list[bytes]:
    """Split joined keys."""
    return [keys[at : at + KEY] for at in range(0, len(keys), KEY)]


def node_key(keys: bytes | bytearray) -> bytes:
    """Return the key of the node over these joined keys."""
    return ZERO if keys in (_NO_KEYS, _NO_BRANCH) else blake3(keys).digest()


def _bits(level: int) -> int:
    """Return the binary logarithm of the pages of a node."""
    return 4 + 6 * (level - 1)


def width(level: int) -> int:
    """Return the number of blocks that a node of this level covers."""
    return int(FANOUT ** (level - 1))


def stub(key: bytes, load: Load) -> Node | None:
    """Return a top node of which only the key is known, None if all is zero."""
    return None if key == ZERO else Node.known(LEVELS, key, load)


@dataclass(frozen=True, slots=True)
class Tree:
    """The hash tree of a memory of `size` bytes. `top` is None if all bytes are zero."""

    top: Node | None
    size: int

    @property
    def key(self) -> bytes:
        """The key of the top node."""
        return ZERO if self.top is None else self.top.key

    @property
    def root(self) -> bytes:
        """32 bytes that cover every byte and the size."""
        return blake3(self.size.to_bytes(8, "big") + self.key).digest()

    def updated(self, size: int, pages: Sequence[int], keys: Sequence[bytes]) -> Tree:
        """Return the tree after these pages (ascending, inside `size`) got these keys, and the size became `size`."""
        return self.step(size, pages, keys).after

    def step(self, size: int, pages: Sequence[int], keys: Sequence[bytes]) -> TreeStep:
        """Return the step to that tree, with the blocks and branches changed."""
        before = self if size >= self.size or self.top is None else Tree(_cut(self.top, -(-size // PAGE)), size)
        growth = _Growth(pages, keys)
        top = growth.branch(before.top, LEVELS, 0, len(pages)) if pages else before.top
        return TreeStep(before, Tree(top, size), growth.blocks, growth.branches)


EMPTY: Final = Tree(None, 0)

_SINGLE: Final = tuple((slot,) for slot in range(PAGES_PER_BLOCK))

Change = tuple[int, Node, "Node | None", "Sequence[int] | None"]
"""A block in which two trees differ: its number, the new and old node, and the slots of pages (None: any may)."""


@dataclass(frozen=True, slots=True)
class TreeStep:
    """The step from the tree `before` to `after`: the changed blocks that are not all zero, in order, and the branches
    over all changes, each after those below it."""

    before: Tree
    after: Tree
    blocks: list[Change]
    branches: list[Node]


class _Growth:
    """An update under way: ascending pages and their new keys, and the blocks and branches made so far."""

    def __init__(self, pages: Sequence[int], keys: Sequence[bytes]) -> None:
        self.pages = pages
        self.keys = keys
        self.blocks: list[Change] = []
        self.branches: list[Node] = []

    def branch(self, node: Node | None, level: int, start: int, end: int) -> Node | None:
        """Return a branch after the changes [start, end), all of which are below it."""
        children = list(_NOTHING if node is None else node.children)
        row = bytearray(_NO_BRANCH if node is None else node.keys)
        pages, shift, changed = self.pages, _bits(level - 1), False
        while start < end:
            number = pages[start] >> shift
            following = start + 1
            if following < end and pages[following] >> shift == number:
                following = bisect_left(pages, (number + 1) << shift, following, end)
            slot = number & (FANOUT - 1)
            old = children[slot]
            if level > 2:
                child = self.branch(old, level - 1, start, following)
            else:
                child = self._block(old, number, start, following)
            if child is not old:
                changed, children[slot] = True, child
                row[slot * KEY : slot * KEY + KEY] = ZERO if child is None else child.key
            start = following
        if not changed:
            return node
        made = _branch(level, bytes(row), tuple(children))
        if made is not None:
            self.branches.append(made)
        return made

    def _block(self, node: Node | None, number: int, start: int, end: int) -> Node | None:
        before = _NO_KEYS if node is None else node.keys
        slots: Sequence[int] | None
        if end - start == 1:
            slot = self.pages[start] & (PAGES_PER_BLOCK - 1)
            at = slot * KEY
            content, slots = before[:at] + self.keys[start] + before[at + KEY :], _SINGLE[slot]
        elif end - start == PAGES_PER_BLOCK:
            content, slots = b"".join(self.keys[start:end]), None
        else:
            row = bytearray(before)
            for index in range(start, end):
                at = (self.pages[index] & (PAGES_PER_BLOCK - 1)) * KEY
                row[at : at + KEY] = self.keys[index]
            content = bytes(row)
            slots = differing(content, before)
        if content == before:
            return node
        if content == _NO_KEYS:
            return None
        made = Node(1, content)
        self.blocks.append((number, made, node, slots))
        return made


def _of(level: int, children: tuple[Node | None, ...]) -> Node | None:
    return _branch(level, b"".join([ZERO if child is None else child.key for child in children]), children)


def _branch(level: int, keys: bytes, children: tuple[Node | None, ...] | None) -> Node | None:
    return None if keys in (_NO_KEYS, _NO_BRANCH) else Node(level, keys, children)


def _cut(node: Node, limit: int) -> Node | None:
    """Return the node without the pages from its page `limit` on."""
    if limit <= 0:
        return None
    if limit >= node.span:
        return node
    if node.level == 1:
        return _branch(1, node.keys[: limit * KEY] + _NO_KEYS[limit * KEY :], None)
    each, children = node.span // FANOUT, node.children
    cut = (None if child is None else _cut(child, limit - slot * each) for slot, child in enumerate(children))
    return _of(node.level, tuple(cut))


# Walking


def blocks(top: Node | None, first: int = 0, last: int | None = None) -> Iterator[tuple[int, Node]]:
    """Yield the blocks [first, last) that are not all zero, with their numbers, ascending."""
    stop = width(LEVELS) if last is None else last
    yield from _blocks(top, 0, first, stop) if top is not None else ()


def _blocks(node: Node, number: int, first: int, last: int) -> Iterator[tuple[int, Node]]:
    if node.level == 1:
        yield number, node
        return
    each = width(node.level - 1)
    for child in node.children:
        if child is not None and number < last and number + each > first:
            yield from _blocks(child, number, first, last)
        number += each


def changed_blocks(new: Node | None, old: Node | None) -> Iterator[tuple[int, Node | None, Node | None]]:
    """Yield the blocks in which two trees differ: number, new and old node. Costs the differences."""
    if (new.key if new else ZERO) != (old.key if old else ZERO):
        yield from _changed(new, old, LEVELS, 0)


def _changed(
    new: Node | None, old: Node | None, level: int, number: int
) -> Iterator[tuple[int, Node | None, Node | None]]:
    if level == 1:
        yield number, new, old
        return
    each = width(level - 1)
    for one, other in zip(new.children if new else _NOTHING, old.children if old else _NOTHING, strict=True):
        if (one.key if one else ZERO) != (other.key if other else ZERO):
            yield from _changed(one, other, level - 1, number)
        number += each


def differing(keys: bytes, others: bytes) -> list[int]:
    """Return the positions at which two rows of keys differ, ascending."""
    left = int.from_bytes(keys, "little") ^ int.from_bytes(others, "little")
    first: int = 0
    slots: list[int] = []
    while left:
        slot = ((left & -left).bit_length() - 1) >> 8
        slots.append(first + slot)
        left >>= (slot + 1) * 8 * KEY
        first += slot + 1
    return slots


def changed_pages(new: Tree, old: Tree) -> list[int]:
    """Return the pages in which two trees differ, ascending; beyond the end of a memory all is zero."""
    return [page for page, _, _ in changed_kinds(new, old)]


def changed_kinds(new: Tree, old: Tree) -> Iterator[tuple[int, bool, bool]]:
    """Yield the pages of `changed_pages`, and whether the old and the new page have non-zero bytes."""
    for number, one, other in changed_blocks(new.top, old.top):
        a, b = (node.keys if node is not None else _NO_KEYS for node in (one, other))
        for slot in differing(a, b):
            at = slot * KEY
            yield number * PAGES_PER_BLOCK + slot, b[at : at + KEY] != ZERO, a[at : at + KEY] != ZERO


def page_keys(pieces: Iterable[tuple[int, bytes]]) -> tuple[list[int], list[bytes]]:
    """Return the numbers and keys of whole pages given as ascending (offset, bytes)."""
    numbers: list[int] = []
    keys: list[bytes] = []
    for offset, data in pieces:
        first = offset // PAGE
        numbers += range(first, first + len(data) // PAGE)
        keys += [page_key(data[at : at + PAGE]) for at in range(0, len(data), PAGE)]
    return numbers, keys


@dataclass(frozen=True, slots=True)
class Pages:
    """Pages of 4 KiB in memory: ascending numbers, keys, and their joined bytes."""

    numbers: list[int]
    keys: list[bytes]
    content: memoryview

    @staticmethod
    def of(runs: Iterable[tuple[int, int]], content: bytearray) -> Pages:
        """Return the pages of runs of whole pages, whose joined bytes are `content`."""
        numbers = [page for offset, length in runs for page in range(offset // PAGE, (offset + length) // PAGE)]
        view = memoryview(content)
        keys = [blake3(view[at : at + PAGE]).digest() for at in range(0, len(view), PAGE)]
        if _ZERO_PAGE_KEY in keys:
            keys = [ZERO if key == _ZERO_PAGE_KEY else key for key in keys]
        return Pages(numbers, keys, view)

    def find(self, wanted: Sequence[int]) -> memoryview | None:
        """Return the joined bytes of pages if all of them are here, next to each other; else None."""
        at = bisect_left(self.numbers, wanted[0]) if wanted else len(self.numbers)
        end = at + len(wanted)
        return self.content[at * PAGE : end * PAGE] if self.numbers[at:end] == wanted else None


NO_PAGES: Final = Pages([], [], memoryview(b""))
