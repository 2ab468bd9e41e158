"""Immutable bytes that can be read: an image of a memory, or a state that is stored elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from sandbox.memory.host import Run


class Readable(Protocol):
    """A sparse array of `size` bytes."""

    @property
    def size(self) -> int:
        """The size in bytes."""

    def read(self, offset: int, length: int) -> bytes:
        """Return a copy of the bytes [offset, offset + length); ValueError if they are not all inside."""

    def extents(self) -> list[Run]:
        """Return where data is, as ascending runs of bytes; everything else is zero."""

    def pieces(self, runs: Iterable[Run]) -> Iterator[tuple[int, bytes]]:
        """Yield the bytes of ascending runs, as (offset, bytes) of at most 1 MiB each."""
