"""Base trees: for each memory of a canister, a tree that is stored on disk, and the pages changed since.

With a base, the next snapshot reads, hashes and writes only those pages, also when another process takes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sandbox.memory import Image, Memory, Readable, Run
from sandbox.pagestore import memory_trees
from sandbox.pagestore.hash_tree import PAGE, Tree, stub
from sandbox.pagestore.stored_memory import Stored
from sandbox.state import SnapshotState
from sandbox.store.repository import Repository, memories


@dataclass(frozen=True, slots=True)
class _Base:
    """A stored tree. It is that of `image`, except for the pages `pending`."""

    tree: Tree
    image: Image
    pending: tuple[Run, ...] = ()


class BaseTrees:
    """The base trees of the memories of one directory, by the memory's name."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._bases: dict[str, _Base] = {}

    def tree(self, content: Readable) -> Tree | None:
        """Return a stored tree that is probably similar to that of `content`, or None."""
        base = self._bases.get(content.memory.name) if isinstance(content, Image) else None
        return None if base is None else base.tree

    @property
    def keys(self) -> list[bytes]:
        """The keys of the base trees that are in the repository: pruning must not delete them."""
        return [base.tree.key for base in self._bases.values() if base.tree.key in self._repository.objects]

    def note(self, snapshots: Iterable[SnapshotState], live: Iterable[Memory]) -> None:
        """Take the memories of snapshots that were just stored as the new bases."""
        alive = set(live)
        for snapshot in snapshots:
            for content in memories(snapshot):
                if isinstance(content, Image) and content.memory in alive:
                    self._bases[content.memory.name] = _Base(memory_trees.tree(content), content)
                elif isinstance(content, Stored) and content.shown is not None:
                    self._bases[content.shown.memory.name] = _Base(content.tree, content.shown)

    def dump(self, live: Iterable[Memory]) -> dict[str, Any]:
        """Return, by the name of every memory with a base, its size and key, and runs of page numbers changed since."""
        objects, record = self._repository.objects, {}
        for memory in live:
            base = self._bases.get(memory.name)
            if base is None or memory.closed or base.image.memory is not memory or base.tree.key not in objects:
                continue
            size = max(memory.size, base.tree.size)  # pages cut off at the end count when the memory grows again
            runs = memory_trees.whole_pages([*base.pending, *memory.changed_since(base.image)], size)
            pages = [[offset // PAGE, length // PAGE] for offset, length in runs]
            record[memory.name] = [base.tree.size, base.tree.key, pages]
        self._bases = {name: base for name, base in self._bases.items() if name in record}
        return record

    def load(self, record: dict[str, Any], live: Iterable[Memory]) -> None:
        """Restore the result of `dump` for memories that were just opened. Where packs are damaged, memories get no
        bases and remain usable."""
        for memory in live:
            size, key, pages = record.get(memory.name, (0, b"", ()))
            if not key or memory.closed or key not in self._repository.objects:
                continue
            known = Tree(stub(key, self._repository.objects.keys), size)
            base = _Base(known, memory.image(), tuple((first * PAGE, count * PAGE) for first, count in pages))
            memory_trees.remember(base.image, base.tree, base.pending)
            self._bases[memory.name] = base
