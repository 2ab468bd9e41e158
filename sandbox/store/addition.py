"""Adding a memory to the packs: what is not there yet, found by walking down its tree beside one that is there.

Of a block at most half of whose pages have changed, only those pages are written, and which block that is kept whole has
the others or most of them. A branch is written after everything below it: what is finished, in however many packs, can
stay, and is found again.
"""

from __future__ import annotations

from typing import Final

from sandbox.memory import Readable
from sandbox.store.objects import BRANCH, WHOLE_BLOCK, Objects, all_of, chosen, packed
from sandbox.store.pack_writer import PackWriter
from sandbox.store.tree import BLOCK, EMPTY, FAN, KEY, PAGE, SPREAD, ZERO, Change, Node, Tree, differing, width
from sandbox.store.trees import Pages, step, tree

_MOST_PAGES: Final = FAN // 2
"""So many pages of a block are kept one by one; more and the block is kept whole."""

_Missing = tuple[str, bytes, bytes, int, int]
"""What is to be read: kind, key, keys of the block, offset and length."""


class Addition:
    """One pack in the making, or several."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._writer: PackWriter | None = None
        index = objects.index
        self._nodes, self._deltas, self._held = index["node"], index["delta"], index["page"]
        self._added: set[bytes] = set()
        self._based: dict[bytes, bytes] = {}

    def memory(self, content: Readable, before: Tree | None) -> None:
        """Keep the bytes of a memory; `before` is the tree of something that is here and probably similar."""
        last, pages = step(content)
        current = tree(content)
        if current.top is None or not self._is_new(current.key):
            return
        old = before if before is not None and before.key in self._objects else EMPTY
        if last is not None and last.before.key == old.key != ZERO:
            self._blocks(last.blocks, (content, pages))
            for node in last.branches:
                if node is current.top or self._is_new(node.key):
                    self._branch(node)
        else:
            self._walk(current.top, old.top, 0, (content, pages))

    def finish(self) -> None:
        """Everything is on the disk itself and can be read."""
        pack = self._writer.finish() if self._writer is not None else None
        self._writer = None
        if pack is not None:
            self._objects.admit(pack)

    def abandon(self) -> None:
        """Forget what was not finished."""
        if self._writer is not None:
            self._writer.abandon()

    @property
    def _out(self) -> PackWriter:
        if self._writer is None:
            self._writer = self._objects.writer()
        return self._writer

    def _is_new(self, key: bytes) -> bool:
        """Whether a node is to be written, now."""
        if key in self._added or key in self._nodes or key in self._deltas:
            return False
        self._added.add(key)
        return True

    def _walk(self, node: Node, old: Node | None, number: int, source: tuple[Readable, Pages]) -> None:
        """Write a branch that is not here, and what below it is not. `old` is here."""
        each = width(node.level - 1)
        others = old.children if old is not None else (None,) * SPREAD
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

    def _branch(self, node: Node) -> None:
        self._out.add("node", node.key, BRANCH + packed(node.keys))

    def _blocks(self, changes: list[Change], source: tuple[Readable, Pages]) -> None:
        """Write blocks with what is below them."""
        missing: list[_Missing] = []
        add, based, base_of = self._out.add, self._based, self._objects.base
        for number, node, old, slots in changes:
            keys = node.keys
            if old is not None and slots is not None and len(slots) <= _MOST_PAGES:
                base = based.get(old.key) or base_of(old.key)
                based[node.key] = base or old.key
                add("delta", node.key, chosen(keys, slots) if base is None else all_of(keys), base or old.key)
                missing += self._pages(number * FAN, keys, slots, source[1])
            elif self._is_new(node.key):
                add("node", node.key, WHOLE_BLOCK + packed(keys))
                missing.append(("block", node.key, keys, number * BLOCK, BLOCK))
        if missing:
            self._read(missing, source[0])

    def _pages(self, first: int, keys: bytes, slots: list[int], known: Pages) -> list[_Missing]:
        """Write pages of the block whose first page is `first`; returns those that were not read yet."""
        missing: list[_Missing] = []
        for slot in slots:
            key = keys[slot * KEY : slot * KEY + KEY]
            if key == ZERO or key in self._held or key in self._added:
                continue
            self._added.add(key)
            data = known.get(first + slot)
            if data is not None:
                self._out.add("page", key, data)
            else:
                missing.append(("page", key, keys, (first + slot) * PAGE, PAGE))
        return missing

    def _read(self, missing: list[_Missing], content: Readable) -> None:
        runs = [(offset, min(length, content.size - offset)) for *_, offset, length in missing]
        for (kind, key, keys, _, _), (_, data) in zip(missing, content.pieces(runs), strict=True):
            self._out.add(kind, key, data if kind == "page" else _without_zeros(data, keys))


def _without_zeros(data: bytes, keys: bytes) -> bytes:
    """The pages of a block that are not zero."""
    if ZERO not in keys:
        return data
    return b"".join(data[at * PAGE : (at + 1) * PAGE] for at in range(FAN) if keys[at * KEY : at * KEY + KEY] != ZERO)
