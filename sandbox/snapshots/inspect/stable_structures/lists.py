"""Vectors, heaps, logs and cells of `ic-stable-structures` (`src/base_vec.rs`, `vec.rs`, `min_heap.rs`, `log.rs`,
`cell.rs`, layout version 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from sandbox.snapshots.inspect.source import PIECE, Bytes, Damages, InspectError, number, part, within

VEC, HEAP, CELL, INDEX, DATA = b"SVC", b"SMH", b"SCL", b"GLI", b"GLD"
_VEC_DATA = 64
_LOG_HEAD = 32
_LOG_ENTRIES = 40
BLOCK = 1024
"""The most elements that are compared at once."""


@dataclass(frozen=True)
class Vector:
    """A vector, or a heap, whose least element is the first."""

    source: Bytes
    length: int
    max_size: int
    fixed: bool

    @property
    def prefix(self) -> int:
        """The bytes that hold the size of an element."""
        if self.fixed:
            return 0
        return 1 if self.max_size <= 0xFF else 2 if self.max_size <= 0xFFFF else 4

    @property
    def slot(self) -> int:
        """The bytes between the starts of two elements."""
        return self.prefix + self.max_size

    @property
    def block(self) -> int:
        """The elements in a block."""
        return max(1, min(BLOCK, PIECE // max(self.slot, 1)))

    def blocks(self) -> Iterator[tuple[bytes, Callable[[], Iterator[Bytes]]]]:
        """Yield the elements in blocks: the bytes, and a function to the elements."""
        for first in range(0, self.length, self.block):
            last = min(first + self.block, self.length)
            at = _VEC_DATA + first * self.slot
            data = self.source.read(at, min((last - first) * self.slot, self.source.size - at))
            yield data, partial(self.entries, first, last)

    def entries(self, first: int = 0, last: int | None = None) -> Iterator[Bytes]:
        """Yield all elements; one with a damaged size is its whole slot, and `Damaged` is raised at the end."""
        damages = Damages()
        for index in range(first, self.length if last is None else last):
            at = _VEC_DATA + index * self.slot
            size = self.max_size
            if self.prefix:
                size = number(self.source, at, self.prefix, f"the size of element {index:,}")
            if size > self.max_size:
                damages.note(f"element {index:,} at {at:#x} has {size:,} bytes; {self.max_size:,} is the most")
            begin = min(at + self.prefix, self.source.size)
            room = min(self.max_size, self.source.size - begin)
            if size <= self.max_size and size > room:
                damages.note(f"element {index:,} at {at:#x} has {size:,} bytes, of which {room:,} are there")
            yield part(self.source, begin, min(size, room))
        damages.end()


def read_vector(source: Bytes) -> Vector:
    _version(source, "the vector")
    fixed = number(source, 16, 1, "the flag of fixed sizes")
    vector = Vector(source, number(source, 4, 8, "the length"), number(source, 12, 4, "the greatest size"), fixed == 1)
    if fixed > 1:
        raise InspectError(f"the flag of fixed sizes (at 0x10) is {fixed}, neither 0 nor 1")
    if vector.length > source.size:
        raise InspectError(f"the vector has {vector.length:,} elements (at 0x4) in {source.size:,} bytes")
    last = max(vector.length - 1, 0) * (vector.prefix + vector.max_size)
    within(source, 0, _VEC_DATA + last, f"a vector of {vector.length:,} elements")
    return vector


def read_cell(source: Bytes) -> Bytes:
    """Return the value of a cell."""
    _version(source, "the cell")
    size = number(source, 4, 4, "the size of the value")
    within(source, 8, size, "the value of the cell")
    return part(source, 8, size)


@dataclass(frozen=True)
class Log:
    """A log: an index with the ends of entries, and their bytes, which are in another memory."""

    index: Bytes
    data: Bytes
    length: int

    def blocks(self) -> Iterator[tuple[bytes | None, Callable[[], Iterator[Bytes]]]]:
        """Yield the entries in blocks of `BLOCK`: the bytes of index and data (None if more than a piece), and a
        function to the entries."""
        for first in range(0, self.length, BLOCK):
            last = min(first + BLOCK, self.length)
            begin, index = self._end(first), self.index.read(_LOG_ENTRIES + 8 * first, 8 * (last - first))
            size = self._end(last) - begin
            few = 0 <= size <= PIECE and begin + size <= self.data.size - _LOG_HEAD
            data = index + self.data.read(_LOG_HEAD + begin, size) if few else None
            yield data, partial(self.entries, first, last)

    def _end(self, entries: int) -> int:
        """Return the offset at which the first `entries` entries end."""
        at = _LOG_ENTRIES + 8 * (entries - 1)
        return number(self.index, at, 8, f"the end of entry {entries - 1:,}") if entries else 0

    def entries(self, first: int = 0, last: int | None = None) -> Iterator[Bytes]:
        """Yield all entries; one with a damaged end is empty, and `Damaged` is raised at the end."""
        damages = Damages()
        begin, most = self._end(first), self.data.size - _LOG_HEAD
        for n in range(first, self.length if last is None else last):
            end = self._end(n + 1)
            right = begin <= end <= most
            if not right:
                text = f"entry {n:,} of the log ends at {end:#x}: it begins at {begin:#x}, the data ends at {most:#x}"
                damages.note(text)
            yield part(self.data, _LOG_HEAD + min(begin, most), end - begin if right else 0)
            begin = end
        damages.end()


def log_extent(index: Bytes) -> tuple[int, int]:
    """Return the number of entries in an index, and their bytes in all."""
    _version(index, "the index of the log")
    length = number(index, _LOG_HEAD, 8, "the number of entries")
    if length > index.size:
        raise InspectError(f"the log has {length:,} entries (at 0x20) in an index of {index.size:,} bytes")
    within(index, _LOG_ENTRIES, 8 * length, f"an index of {length:,} entries")
    return length, number(index, _LOG_ENTRIES + 8 * (length - 1), 8, "the end of the last entry") if length else 0


def read_log(index: Bytes, data: Bytes, *, whole: bool = True) -> Log:
    """Read a log; `whole`: refuse data that is too short for the end of the last entry (InspectError)."""
    length, total = log_extent(index)
    _version(data, "the data of the log")
    within(data, _LOG_HEAD, total if whole else 0, f"the data of {length:,} log entries")
    return Log(index, data, length)


def _version(source: Bytes, what: str) -> None:
    version = number(source, 3, 1, f"the version of {what}")
    if version != 1:
        raise InspectError(f"{what} has layout version {version} (at 0x3); version 1 is known")
