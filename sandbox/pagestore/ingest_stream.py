"""Store a memory whose bytes arrive in order, as they arrive. After an interruption, the same stream does not write
stored bytes again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sandbox.memory import Run
from sandbox.pagestore.hash_tree import BLOCK, FANOUT, Pages, Tree
from sandbox.pagestore.ingest import Ingest, PageSource

_WINDOW: Final = BLOCK * FANOUT
"""Bytes gathered before they are written: those that a branch of level 2 covers."""


class IngestStream:
    """A memory of `size` bytes that is being stored."""

    def __init__(self, ingest: Ingest, size: int) -> None:
        self._ingest = ingest
        self._size = size
        self._tree = Tree(None, size)
        self._number = 0
        self._content = bytearray()

    def write(self, offset: int, data: bytes) -> None:
        """Add bytes after those written before; bytes left out are zero."""
        rest = memoryview(data)
        while rest:
            number, at = divmod(offset, _WINDOW)
            if number != self._number or not self._content:
                self._flush()
                self._number, self._content = number, bytearray(min(_WINDOW, self._size - number * _WINDOW))
            part = rest[: _WINDOW - at]
            self._content[at : at + len(part)] = part
            offset, rest = offset + len(part), rest[len(part) :]

    def finish(self) -> Tree:
        """Return the tree of the memory; it is stored when the ingest is finished."""
        self._flush()
        self._ingest.above(self._tree)
        return self._tree

    def _flush(self) -> None:
        start, content = self._number * _WINDOW, self._content
        self._content = bytearray()
        if content:
            pages = Pages.of([(start, len(content))], content)
            made = self._tree.step(self._size, pages.numbers, pages.keys)
            self._tree = made.after

            def pieces(runs: Iterable[Run]) -> Iterator[tuple[int, bytes]]:
                return ((offset, bytes(content[offset - start : offset - start + length])) for offset, length in runs)

            if made.branches:
                self._ingest.branch(made, PageSource(pieces, self._size))
