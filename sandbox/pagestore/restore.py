"""Restore stored content into memories: write the differences, or fill a fresh memory."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from sandbox.errors import StateCorrupt
from sandbox.memory import Image, Memory, Pool, Readable
from sandbox.pagestore import memory_trees
from sandbox.pagestore.hash_tree import BLOCK, PAGE, Node, blocks, changed_pages
from sandbox.pagestore.stored_memory import Stored

_MOST: Final = 64 << 20
"""The most bytes written over a memory; larger differences fill a fresh one, piece by piece."""
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Patch:
    """The writes that make a memory show `content`; read and checked already."""

    content: Stored
    parts: tuple[tuple[int, bytes], ...]

    def apply(self, memory: Memory) -> None:
        """Write the parts, all or nothing."""
        memory.patch(self.parts, self.content.size)
        self.content.shown_by(memory)


def restoration(
    content: Readable, memory: Memory, in_use: Container[Memory], pool: Pool
) -> tuple[Memory, Image | Patch | None]:
    """Return the memory that will show `content`, and the change that is still to be applied to it, None for none.

    `memory`: the one to be restored; neither it nor the memories `in_use` are touched here: the caller applies the
    change. Content from the disk has been read and checked when this returns, and so has what stays in the memory.
    """
    if isinstance(content, Stored):
        image = content.shown
        if image is None or not _is_sound(image.memory):
            return _from_disk(content, memory, pool)
    else:
        assert isinstance(content, Image)
        image = content
        image.memory.verify()
    if image.memory in in_use or not image.memory.writable:
        return image.memory.fork(image), None
    return image.memory, image


def _from_disk(content: Stored, memory: Memory, pool: Pool) -> tuple[Memory, Patch | None]:
    if memory.size and not memory.closed and memory.writable and memory_trees.is_known(memory):
        pages = _differing(content, memory)
        if pages is not None and len(pages) * PAGE <= _MOST and _is_sound(memory):
            inside = [page for page in pages if page * PAGE < content.size]
            return memory, Patch(content, tuple(_parts(content, inside)))
    fresh = copied(content, pool)
    content.shown_by(fresh)
    return fresh, None


def _differing(content: Stored, memory: Memory) -> list[int] | None:
    """The pages in which the memory differs; None if a tree is damaged on the disk, be it only the memory's."""
    try:
        return changed_pages(content.tree, memory_trees.tree(memory.image()))
    except StateCorrupt:
        return None


def _is_sound(memory: Memory) -> bool:
    """Return whether the pages that are not written can be relied on; if not, the memory was given up."""
    try:
        memory.verify()
    except StateCorrupt:
        return False
    return True


def _parts(content: Stored, pages: list[int]) -> list[tuple[int, bytes]]:
    wanted: dict[int, list[int]] = {}
    for page in pages:
        wanted.setdefault(page * PAGE // BLOCK, []).append(page)
    parts = []
    for number, inside in wanted.items():
        block = content.block(number)
        for page in inside:
            at = page * PAGE - number * BLOCK
            parts.append((page * PAGE, block[at : at + PAGE]))
    return parts


def showing(content: Readable, pool: Pool) -> Memory:
    """Return a memory that shows the content now; it may be in use elsewhere."""
    image = content.shown if isinstance(content, Stored) else content
    if image is None:
        fresh = copied(content, pool)
        assert isinstance(content, Stored)
        content.shown_by(fresh)
        return fresh
    assert isinstance(image, Image)
    return image.memory if image.same_as(image.memory.image()) else image.memory.fork(image)


def copied(content: Readable, pool: Pool) -> Memory:
    """Return a new memory with these bytes."""
    memory = pool.memory(content.size)
    pieces: Iterable[tuple[int, bytes]]
    if isinstance(content, Stored):
        pieces = (_read(content, group) for group in _groups(content))
    else:
        pieces = content.pieces(content.extents())
    if pool.marked:
        for offset, data in pieces:
            memory.write(offset, data)
    else:
        memory.fill(pieces)
    return memory


def _groups(content: Stored) -> Iterator[list[tuple[int, Node]]]:
    """Group consecutive blocks, up to a piece each."""
    group: list[tuple[int, Node]] = []
    for number, node in blocks(content.tree.top):
        if group and (number != group[-1][0] + 1 or len(group) >= _PIECE // BLOCK):
            yield group
            group = []
        group.append((number, node))
    if group:
        yield group


def _read(content: Stored, group: list[tuple[int, Node]]) -> tuple[int, bytes]:
    start = group[0][0] * BLOCK
    data = b"".join([content.objects.block(node) for _, node in group])
    return start, data[: content.size - start]
