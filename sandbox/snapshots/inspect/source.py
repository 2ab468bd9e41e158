"""The bytes to inspect: read by ranges, never all at once, and never trusted.

A number read from them is checked before it is used as an offset or a length; a wrong one raises an `InspectError` that
says what and where. Every `Readable` of `sandbox.memory` is a `Bytes`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from sandbox.errors import InspectError as InspectError

Run = tuple[int, int]
"""Offset and length."""

PIECE = 1 << 20
"""The bytes read at a time."""
MOST_NAMED = 100
"""The most damages that are noted for one structure."""
_SAID = 3
"""The most damages that an error names."""


class Damages(list[str]):
    """Damages noted while the rest is read, at most `MOST_NAMED`: where each is and why."""

    lost = False
    """Whether entries could not be read."""

    def note(self, text: str, lost: bool = True) -> None:
        self.lost |= lost
        if len(self) < MOST_NAMED:
            self.append(text)

    def end(self) -> None:
        """Raise `Damaged` if there were any."""
        if self:
            raise Damaged(self)


class Damaged(InspectError):
    """The error at the end of a damaged structure, after all its readable entries were given."""

    def __init__(self, damages: Damages) -> None:
        self.damages, self.lost = tuple(damages), damages.lost
        super().__init__(summary(damages))


def summary(damages: Sequence[str]) -> str:
    """Return a text of the first damages and the number of the others."""
    more = f"; and {len(damages) - _SAID:,} more" if len(damages) > _SAID else ""
    return "; ".join(damages[:_SAID]) + more


class Bytes(Protocol):
    """Bytes that can be inspected."""

    @property
    def size(self) -> int:
        """In bytes."""

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes [offset, offset + length), which must all be inside."""

    def extents(self) -> Sequence[Run]:
        """Return ascending runs inside that may hold data; everything else is zero."""


@dataclass(frozen=True, slots=True)
class Plain:
    """Bytes in memory."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]

    def extents(self) -> list[Run]:
        return [(0, len(self.data))] if self.data else []


class Pieces:
    """Ranges of other bytes, joined: `Pieces(stable, [(0x10000, 4096), (0x80000, 100)])`.

    All pieces must lie inside `source`; InspectError otherwise.
    """

    __slots__ = ("_ends", "_source", "_starts", "size")

    def __init__(self, source: Bytes, pieces: Sequence[Run]) -> None:
        self._source = source
        self._starts: list[int] = []
        self._ends: list[int] = []
        total = 0
        for offset, length in pieces:
            within(source, offset, length, "a part")
            if length:
                total += length
                self._starts.append(offset)
                self._ends.append(total)
        self.size = total

    def read(self, offset: int, length: int) -> bytes:
        parts = []
        index = bisect_right(self._ends, offset)
        while length > 0 and index < len(self._ends):
            begin = self._ends[index - 1] if index else 0
            take = min(length, self._ends[index] - offset)
            parts.append(self._source.read(self._starts[index] + offset - begin, take))
            offset, length, index = offset + take, length - take, index + 1
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def extents(self) -> list[Run]:
        below = self._source.extents()
        ends = [offset + length for offset, length in below]
        runs: list[Run] = []
        begin = 0
        for start, end in zip(self._starts, self._ends, strict=True):
            index = bisect_right(ends, start)
            while index < len(below) and below[index][0] < start + end - begin:
                first = max(below[index][0], start)
                last = min(ends[index], start + end - begin)
                runs.append((begin + first - start, last - first))
                index += 1
            begin = end
        return runs


def part(source: Bytes, offset: int, length: int) -> Pieces:
    """Return the bytes [offset, offset + length) as a `Bytes` of their own."""
    return Pieces(source, [(offset, length)])


class Patched:
    """Other bytes, cut to `size`, with `head` at their start."""

    __slots__ = ("_head", "_source", "size")

    def __init__(self, source: Bytes, size: int, head: bytes) -> None:
        within(source, 0, size, "a memory")
        self._source = source
        self._head = head[:size]
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        data = self._source.read(offset, length)
        covered = self._head[offset : offset + length]
        return covered + data[len(covered) :]

    def extents(self) -> list[Run]:
        cut = [(offset, min(length, self.size - offset)) for offset, length in self._source.extents()]
        inside = [run for run in cut if run[1] > 0]
        if any(self._head) and (not inside or inside[0][0] >= len(self._head)):
            return [(0, len(self._head)), *inside]
        if any(self._head) and inside[0][0] > 0:
            return [(0, inside[0][0] + inside[0][1]), *inside[1:]]
        return inside


def within(source: Bytes, offset: int, length: int, what: str) -> None:
    """Raise InspectError unless [offset, offset + length) is inside."""
    if offset < 0 or length < 0 or offset + length > source.size:
        raise InspectError(f"{what} of {length:,} bytes at {offset:#x} is not inside the {source.size:,} bytes")


def take(source: Bytes, offset: int, length: int, what: str) -> bytes:
    """Read a range whose offset or length comes from the data itself."""
    within(source, offset, length, what)
    return source.read(offset, length)


def number(source: Bytes, offset: int, length: int, what: str) -> int:
    """Read a little-endian unsigned number."""
    return int.from_bytes(take(source, offset, length, what), "little")


def pieces(source: Bytes, unit: int = 1, first: int = 0, last: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, data) of all data between `first` and `last`, ascending, at most `PIECE` bytes at a time; offsets
    are multiples of `unit`, and lengths too except at the end."""
    end = source.size if last is None else min(last, source.size)
    done = first // unit * unit
    for offset, length in source.extents():
        at = max(done, offset // unit * unit)
        stop = min(end, -(-(offset + length) // unit) * unit)
        while at < stop:
            count = min(PIECE, stop - at)
            yield at, source.read(at, count)
            at += count
        done = max(done, at)


def is_zero(source: Bytes) -> bool:
    """Return whether all bytes are zero; stops at the first other one."""
    return not any(data.count(0) != len(data) for _, data in pieces(source))
