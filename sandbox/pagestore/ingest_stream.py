"""A memory whose bytes come from elsewhere, in order: kept as they come. When what was interrupted begins anew, what
was kept is found and not written again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sandbox.memory import Run
from sandbox.pagestore.hash_tree import BLOCK, FANOUT, Pages, Tree
from sandbox.pagestore.ingest import Ingest, PageSource

_WINDOW: Final = BLOCK * FANOUT
"""What a branch of level 2 covers: so much is gathered before it is written."""


class IngestStream:
    """A memory of `size` bytes on its way into packs."""

    def __init__(self, addition: Ingest, size: int) -> None:
        self._addition = addition
        self._size = size
        self._tree = Tree(None, size)
        self._number = 0
        self._content = bytearray()

    def write(self, offset: int, data: bytes) -> None:
        """More bytes, past those before; what is left out is zero."""
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
        """The tree of what has come; it is kept when the addition is finished."""
        self._flush()
        self._addition.above(self._tree)
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
                self._addition.branch(made, PageSource(pieces, self._size))
