"""The bytes of a memory stored in packs, read in place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sandbox.memory import Image, Memory, Run, host
from sandbox.pagestore import memory_trees
from sandbox.pagestore.hash_tree import BLOCK, PAGE, PAGES_PER_BLOCK, ZERO, Tree, blocks, split
from sandbox.pagestore.objects import Objects


class Stored:
    """A stored memory, immutable. Every page that is read is checked by its key (`StateCorrupt`)."""

    def __init__(self, tree: Tree, objects: Objects) -> None:
        self.tree = tree
        self.objects = objects
        self._shown: Image | None = None

    @property
    def shown(self) -> Image | None:
        """An image with the same bytes, if an open memory has shown them; it is cheaper to restore."""
        image = self._shown
        return None if image is None or image.memory.closed else image

    def shown_by(self, memory: Memory) -> None:
        """Note that the memory shows these bytes now."""
        self._shown = memory.image()
        memory_trees.remember(self._shown, self.tree)

    def block(self, number: int) -> bytes:
        """Return the 64 KiB of a block."""
        for _, node in blocks(self.tree.top, number, number + 1):
            return self.objects.block(node)
        return bytes(BLOCK)

    @property
    def size(self) -> int:
        """In bytes."""
        return self.tree.size

    def read(self, offset: int, length: int) -> bytes:
        """Return a copy of the bytes [offset, offset + length); ValueError if they are not all inside."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise ValueError(f"{length} bytes at {offset} are not inside {self.size} bytes")
        data = bytearray(length)
        for number, node in blocks(self.tree.top, offset // BLOCK, -(-(offset + length) // BLOCK)):
            start = number * BLOCK
            first, last = max(start, offset), min(start + BLOCK, offset + length)
            data[first - offset : last - offset] = self.objects.block(node)[first - start : last - start]
        return bytes(data)

    def extents(self) -> list[Run]:
        """Return the ascending runs of bytes that hold data; everything else is zero."""
        held = (
            number * PAGES_PER_BLOCK + slot
            for number, node in blocks(self.tree.top)
            for slot, key in enumerate(split(node.keys))
            if key != ZERO
        )
        return host.page_runs(held, PAGE)

    def pieces(self, runs: Iterable[Run]) -> Iterator[tuple[int, bytes]]:
        """Yield the bytes of ascending runs, as (offset, bytes) of at most 1 MiB each."""
        for run in runs:
            for offset, length in host.pieces(*run):
                yield offset, self.read(offset, length)


@memory_trees.tree.register
def _(content: Stored) -> Tree:
    return content.tree
