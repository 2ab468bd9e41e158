"""Pages in which two memories differ, and their bytes on demand.

Two images of one memory are compared only where pages were written between them; all else by hash trees, which costs
the differences once both trees are known. Bytes past the end of a memory count as zeros: a page of zeros equals an
absent one, and only the sizes differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from sandbox.memory import Image, Run, host
from sandbox.pagestore.hash_tree import PAGE, ZERO_PAGE, changed_kinds
from sandbox.pagestore.memory_trees import tree, whole_pages
from sandbox.pagestore.stored_memory import Stored
from sandbox.snapshots.inspect.source import Bytes

_PIECE: Final = 1 << 20
_DIFFERENT: Final = re.compile(rb"[^\0]+(?:\0{1,7}[^\0]+)*")
"""A difference, with up to seven equal bytes in between."""


@dataclass(frozen=True, slots=True)
class ByteChange:
    """Bytes at `offset` before and after, equally many; zeros past the end of a memory."""

    offset: int
    before: bytes
    after: bytes


@dataclass(frozen=True)
class MemoryDiff:
    """The differences of a memory of `before` bytes and one of `after` bytes.

    Pages of 4 KiB that differ, as ascending runs of bytes: `added` held nothing but zeros before, `removed` hold
    nothing else now, `changed` are the others.
    """

    before: int
    after: int
    changed: tuple[Run, ...]
    added: tuple[Run, ...]
    removed: tuple[Run, ...]
    _old: Bytes = field(repr=False, compare=False)
    _new: Bytes = field(repr=False, compare=False)

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return self.before != self.after or bool(self.runs)

    @property
    def runs(self) -> list[Run]:
        """All pages that differ, as ascending runs of bytes."""
        return _joined(sorted([*self.changed, *self.added, *self.removed]))

    @property
    def filled(self) -> Sequence[Run]:
        """Ascending runs of bytes that may hold data in the new state."""
        return self._new.extents()

    @property
    def pages(self) -> int:
        """The number of pages that differ."""
        return sum(length for _, length in self.runs) // PAGE

    def byte_changes(self) -> Iterator[ByteChange]:
        """Yield the differing bytes inside the pages, ascending, lazily. Differences with fewer than eight equal bytes
        between them are one."""
        waiting: ByteChange | None = None
        for offset, before, after in self._pieces():
            for change in _changes(offset, before, after):
                near = waiting is not None and change.offset - waiting.offset - len(waiting.before) < 8
                if waiting is not None and near and len(waiting.before) < _PIECE:
                    waiting = self._joined(waiting, change)
                    continue
                if waiting is not None:
                    yield waiting
                waiting = change
        if waiting is not None:
            yield waiting

    def _pieces(self) -> Iterator[tuple[int, bytes, bytes]]:
        for start, length in self.runs:
            for offset in range(start, start + length, _PIECE):
                part = min(_PIECE, start + length - offset)
                yield offset, _padded(self._old, offset, part), _padded(self._new, offset, part)

    def _joined(self, one: ByteChange, two: ByteChange) -> ByteChange:
        """Join two changes with the equal bytes between them."""
        end = one.offset + len(one.before)
        between = _padded(self._new, end, two.offset - end)
        return ByteChange(one.offset, one.before + between + two.before, one.after + between + two.after)


def compare_memories(old: Bytes, new: Bytes) -> MemoryDiff:
    """Compare two memories; exact to the page."""
    kinds: tuple[list[int], list[int], list[int]] = ([], [], [])
    for page, had, has in _differing(old, new):
        kinds[0 if had and has else 1 if has else 2].append(page)
    changed, added, removed = (tuple(host.page_runs(pages, PAGE)) for pages in kinds)
    return MemoryDiff(old.size, new.size, changed, added, removed, old, new)


Page = tuple[int, bool, bool]
"""A page that differs: its number, and whether it held and holds anything but zeros."""


def _differing(old: Bytes, new: Bytes) -> Iterable[Page]:
    if old is new:
        return ()
    one, two = _image(old), _image(new)
    for image in (one, two):
        if image is not None:
            image.memory.verify()
    if one is not None and two is not None and one.memory is two.memory:
        return _written(one, two)
    return changed_kinds(tree(new), tree(old))


def _image(content: Bytes) -> Image | None:
    """Return an image with the same bytes, if there is one."""
    if isinstance(content, Stored):
        return content.shown
    return content if isinstance(content, Image) else None


def _written(old: Image, new: Image) -> Iterator[Page]:
    """Yield the pages written between two images of one memory whose bytes differ."""
    runs = whole_pages(new.changed_since(old), max(old.size, new.size))
    for (offset, before), (_, after) in zip(_paged(old, runs), _paged(new, runs), strict=True):
        if before != after:
            yield offset // PAGE, before != ZERO_PAGE, after != ZERO_PAGE


def _paged(image: Image, runs: list[Run]) -> Iterator[tuple[int, bytes]]:
    """Yield every page of the runs, with zeros past the end."""
    inside = [(offset, min(length, image.size - offset)) for offset, length in runs if offset < image.size]
    for offset, data in image.pieces(inside):
        for at in range(0, len(data), PAGE):
            yield offset + at, data[at : at + PAGE]
    for offset, length in runs:
        for at in range(max(offset, image.size), offset + length, PAGE):
            yield at, ZERO_PAGE


def _padded(content: Bytes, offset: int, length: int) -> bytes:
    inside = max(0, min(offset + length, content.size) - offset)
    return (content.read(offset, inside) if inside else b"").ljust(length, b"\0")


def _changes(offset: int, before: bytes, after: bytes) -> Iterator[ByteChange]:
    one, two = int.from_bytes(before, "little"), int.from_bytes(after, "little")
    for match in _DIFFERENT.finditer((one ^ two).to_bytes(len(before), "little")):
        start, end = match.span()
        yield ByteChange(offset + start, before[start:end], after[start:end])


def _joined(runs: list[Run]) -> list[Run]:
    joined: list[Run] = []
    for offset, length in runs:
        if joined and joined[-1][0] + joined[-1][1] == offset:
            joined[-1] = joined[-1][0], joined[-1][1] + length
        else:
            joined.append((offset, length))
    return joined
