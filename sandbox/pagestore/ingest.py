"""Add a memory to the packs: only nodes that are not stored, by walking its tree beside one that is stored.

Of a block at most half of whose pages have changed, only those pages are written, with the key of the whole block that
they replace pages of. A branch is written after everything below it: packs finished before an interruption are valid,
and their content is not written again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from sandbox.memory import Readable, Run
from sandbox.pagestore.hash_tree import (
    BLOCK,
    EMPTY,
    FANOUT,
    KEY,
    NO_PAGES,
    PAGE,
    PAGES_PER_BLOCK,
    ZERO,
    Change,
    Node,
    Pages,
    Tree,
    TreeStep,
    differing,
    width,
)
from sandbox.pagestore.memory_trees import update
from sandbox.pagestore.objects import BRANCH, WHOLE_BLOCK, Objects, all_of, chosen, packed
from sandbox.pagestore.pack_writer import PackWriter

_MOST_PAGES: Final = PAGES_PER_BLOCK // 2
"""The most pages of a block that are stored one by one; with more changes the block is stored whole."""
_LARGE: Final = 256 << 20
"""Uncompressed bytes of a pack at which it is finished and another one begun."""


class PageSource(NamedTuple):
    """The source of a memory's bytes: `pieces` reads runs (as `Readable`), `pages` have been read already."""

    pieces: Callable[[Iterable[Run]], Iterator[tuple[int, bytes]]]
    size: int
    pages: Pages = NO_PAGES


_NOWHERE: Final = PageSource(lambda _: iter(()), 0)


class Ingest:
    """An addition to the store, of one pack or several."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._writer: PackWriter | None = None
        self._here = objects.complete
        self._added: set[bytes] = set()
        self._based: dict[bytes, bytes] = {}

    def memory(self, content: Readable, before: Tree | None) -> None:
        """Store the bytes of a memory; `before`: a tree that is stored and probably similar."""
        current, last, pages = update(content)
        source = PageSource(content.pieces, content.size, pages)
        old = before if before is not None and before.key in self._objects else EMPTY
        if last is not None and last.before.key == old.key != ZERO:
            self._step(last, source)
        elif current.top is not None and self._is_new(current.key):
            self._walk(current.top, old.top, 0, source)

    def _step(self, made: TreeStep, source: PageSource) -> None:
        """Store the nodes that a step made; the tree that it began with must be stored."""
        top = made.after.top
        if top is not None and self._is_new(top.key):
            self._blocks(made.blocks, source)
            for node in made.branches:
                if node is top or self._is_new(node.key):
                    self._branch(node)

    def branch(self, made: TreeStep, source: PageSource) -> None:
        """Store the nodes that a step made up to its only branch of level 2, but not those above (see `above`)."""
        node = made.branches[0]
        if self._is_new(node.key):
            self._blocks(made.blocks, source)
            self._branch(node)
            self._close_when_large()

    def above(self, tree: Tree) -> None:
        """Store the nodes above the branches that were stored one by one."""
        if tree.top is not None and self._is_new(tree.key):
            self._walk(tree.top, None, 0, _NOWHERE)

    def finish(self) -> None:
        """Finish the last pack: everything is on the disk and can be read."""
        pack = self._writer.finish() if self._writer is not None else None
        self._writer = None
        if pack is not None:
            self._objects.admit(pack)

    def abandon(self) -> None:
        """Discard the unfinished pack."""
        if self._writer is not None:
            self._writer.abandon()

    @property
    def _out(self) -> PackWriter:
        if self._writer is None:
            self._writer = self._objects.writer()
        return self._writer

    def _is_new(self, key: bytes) -> bool:
        """Return whether a node is not stored yet, and mark it as stored."""
        if key in self._added or key in self._here:
            return False
        self._added.add(key)
        return True

    def _walk(self, node: Node, old: Node | None, number: int, source: PageSource) -> None:
        """Write a branch that is not stored, and all nodes below it that are not. `old` is stored."""
        each = width(node.level - 1)
        others = old.children if old is not None else (None,) * FANOUT
        blocks: list[Change] = []
        for child, other in zip(node.children, others, strict=True):
            if child is not other and child is not None:
                if node.level == 2:
                    blocks.append((number, child, other, None if other is None else differing(child.keys, other.keys)))
                elif self._is_new(child.key):
                    self._walk(child, other, number, source)
            number += each
        self._blocks(blocks, source)
        self._branch(node)
        self._close_when_large()

    def _close_when_large(self) -> None:
        """Finish the pack above _LARGE bytes, so that an interruption loses only the unfinished one."""
        if self._out.size >= _LARGE:
            self.finish()

    def _branch(self, node: Node) -> None:
        self._out.add("node", [node.key], [BRANCH + packed(node.keys)])

    def _blocks(self, changes: list[Change], source: PageSource) -> None:
        """Write blocks with their bytes: the bytes first, which other threads compress meanwhile."""
        held, is_new, added = self._here.places["page"], self._is_new, self._added
        keys: list[bytes] = []
        pages: list[int] = []
        partial: list[tuple[Node, bytes, Sequence[int]]] = []
        whole: list[tuple[int, Node]] = []
        for number, node, old, slots in changes:
            if not is_new(node.key):
                continue
            if old is not None and slots is not None and len(slots) <= _MOST_PAGES:
                partial.append((node, old.key, slots))
                row = node.keys
                for slot in slots:
                    key = row[slot * KEY : slot * KEY + KEY]
                    if key not in held and key not in added and key != ZERO:
                        added.add(key)
                        keys.append(key)
                        pages.append(number * PAGES_PER_BLOCK + slot)
            else:
                whole.append((number, node))
        if pages:
            self._pages(keys, pages, source)
        if whole:
            self._whole(whole, source)
        if partial:
            self._partial(partial)

    def _partial(self, blocks: list[tuple[Node, bytes, Sequence[int]]]) -> None:
        """Write blocks as changes, given the key of each old block and the slots changed: over the whole block that the
        old one is based on, or over the old one if that is whole."""
        based, known = self._based, self._here.bases
        bases = [based.get(old) or known.get(old) for _, old, _ in blocks]
        keys = [node.key for node, _, _ in blocks]
        rows = [
            chosen(node.keys, slots) if base is None else all_of(node.keys)
            for (node, _, slots), base in zip(blocks, bases, strict=True)
        ]
        under = [base or old for (_, old, _), base in zip(blocks, bases, strict=True)]
        based.update(zip(keys, under, strict=True))
        self._out.add("delta", keys, rows, under)

    def _pages(self, keys: list[bytes], numbers: list[int], source: PageSource) -> None:
        """Write pages by their keys and numbers."""
        content = source.pages.find(numbers)
        if content is not None:
            self._out.add_pages(keys, content)
        else:
            pieces = source.pieces((number * PAGE, PAGE) for number in numbers)
            self._out.add("page", keys, [data for _, data in pieces])

    def _whole(self, blocks: list[tuple[int, Node]], source: PageSource) -> None:
        """Write blocks by their numbers."""
        keys = [node.key for _, node in blocks]
        self._out.add("node", keys, [WHOLE_BLOCK + packed(node.keys) for _, node in blocks])
        starts = (number * BLOCK for number, _ in blocks)
        pieces = source.pieces((start, min(BLOCK, source.size - start)) for start in starts)
        for (_, node), (_, data) in zip(blocks, pieces, strict=True):
            self._out.add("block", [node.key], [_without_zeros(data, node.keys)])


def _without_zeros(data: bytes, keys: bytes) -> bytes:
    """Return the joined pages of a block that are not zero."""
    if ZERO not in keys:
        return data
    return b"".join(
        data[at * PAGE : (at + 1) * PAGE] for at in range(PAGES_PER_BLOCK) if keys[at * KEY : at * KEY + KEY] != ZERO
    )
