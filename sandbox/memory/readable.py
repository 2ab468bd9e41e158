"""Bytes that can be read and do not change: an image of a memory, or a state that is kept somewhere else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from sandbox.memory.host import Run


class Readable(Protocol):
    """A sparse array of `size` bytes."""

    @property
    def size(self) -> int:
        """In bytes."""

    def read(self, offset: int, length: int) -> bytes:
        """A copy of the bytes [offset, offset + length); ValueError if they are not all inside."""

    def extents(self) -> list[Run]:
        """Where data is, as ascending runs of bytes; everything else is zero."""

    def pieces(self, runs: Iterable[Run]) -> Iterator[tuple[int, bytes]]:
        """The bytes of ascending runs, as (offset, bytes) of at most 1 MiB each."""
