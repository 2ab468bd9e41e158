"""The search for written pages of a private mapping, in three ways with the same answers.

scan     `PAGEMAP_SCAN` (Linux 6.7 and later): the kernel lists private pages. Costs the pages that are mapped.
pagemap  `/proc/self/pagemap` (older Linux): 8 bytes are read for each page that may have been touched.
compare  neither (macOS, gVisor): the mapping is compared with the committed bytes.

In the arena a touched page exists in the file, so `pagemap` and `compare` look only where the file has data: a sparse
memory costs its data. A named file does not show that; there they look at the whole size (pagemap about 2 ms per GiB).
"""

from __future__ import annotations

import os
import sys
from typing import Final, Protocol, TypeVar

from sandbox.memory import host, pagemap
from sandbox.memory.host import PAGE, Run
from sandbox.memory.store import Store, extents


class Shown(Protocol):
    """A private mapping of `store`: `size` bytes at `base`, with `bytes` to read and write them."""

    @property
    def base(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def store(self) -> Store: ...
    @property
    def bytes(self) -> memoryview: ...


class Strategy(Protocol):
    """A way to find the pages that a private mapping of a store holds for itself, and to make them the store's again.

    Everything mapped for a view must be announced by `watch`. All between the first and the last of `runs` is mapped.
    """

    name: str
    leaves_none: bool
    """True if a mapping has no private page after the answer of `dirty` was settled, not even an equal one."""
    patience: int
    """The number of slow searches that cost about as much as mapping everything anew."""

    def of_view(self) -> Strategy:
        """Return the strategy for one view: itself if it remembers nothing of a view."""

    def watch(self, address: int, length: int) -> None:
        """Prepare bytes of a view that were just mapped (OSError)."""

    def dirty(self, view: Shown) -> list[Run]:
        """Return ascending runs of pages written since they were settled or reverted, at least those that differ from
        the store's bytes; not what others have changed in the store."""

    def to_revert(self, view: Shown) -> list[Run]:
        """As `dirty`, when the answer is reverted or dropped at once."""

    def settle(self, view: Shown, runs: list[Run]) -> None:
        """Take note that the store holds the bytes of `runs` now, the whole answer of `dirty`."""

    def revert(self, view: Shown, runs: list[Run]) -> None:
        """Show the store's bytes again at `runs`, the whole answer of `dirty`."""

    def drop(self, view: Shown, runs: list[Run]) -> None:
        """Show the store's bytes at `runs`, in any order, now and whenever others change them."""

    def restart(self) -> None:
        """Forget the view: everything is about to be mapped anew."""

    def detach(self) -> None:
        """In a forked child: give up descriptors, which are of the parent's memory."""


AnyStrategy = TypeVar("AnyStrategy", bound=Strategy)


class Dropping:
    """Base of the strategies that drop private pages at once: afterwards a view holds what was written since."""

    leaves_none = True
    patience = 12

    def of_view(self: AnyStrategy) -> AnyStrategy:
        return self

    def watch(self, address: int, length: int) -> None:
        pass

    def settle(self, view: Shown, runs: list[Run]) -> None:
        self.drop(view, runs)

    def revert(self, view: Shown, runs: list[Run]) -> None:
        self.drop(view, runs)

    def drop(self, view: Shown, runs: list[Run]) -> None:
        host.drop_private(view.base, runs)

    def restart(self) -> None:
        pass

    def detach(self) -> None:
        pass


_MANY: Final = 512
"""From this number of runs on, mapping anew may be cheaper than dropping them one by one."""


class Scan(Dropping):
    """Strategy that asks the kernel for pages that are neither the file's nor the shared zero page.

    It looks through all page tables, also those in which nothing is mapped any more; only mapping anew frees them.
    """

    name = "scan"

    def __init__(self) -> None:
        self._scanner = pagemap.Scanner()
        self._private = self._scanner.private()
        self._shared = self._scanner.query(pagemap.IS_PRESENT | pagemap.IS_FILE, pagemap.IS_PRESENT)

    def detach(self) -> None:
        self._scanner.close()

    def dirty(self, view: Shown) -> list[Run]:
        base = view.base
        regions = self._scanner.all(self._private, base, base + view.size)
        return [(start - base, end - start) for start, end in zip(regions[::3], regions[1::3], strict=True)]

    to_revert = dirty

    def settle(self, view: Shown, runs: list[Run]) -> None:
        if len(runs) >= _MANY:
            base, store, (offset, length) = view.base, view.store, _span(runs)
            if self._shows_few(base + offset, length, len(runs) // 2):
                host.map_private(base + offset, length, store.fd, store.origin + offset)
                return
        host.drop_private(view.base, runs)

    revert = settle

    def _shows_few(self, start: int, length: int, limit: int) -> bool:
        """Return True if fewer than `limit` of the file's own pages are mapped there (mapping anew forgets them)."""
        self._shared.max_pages = limit
        regions = self._scanner.some(self._shared, start, start + length)
        return len(regions) < 3 * pagemap.REGIONS and sum(regions[1::3]) - sum(regions[::3]) < limit * PAGE


class PageMap(Dropping):
    """Strategy that reads the kernel's word for every page that may have been touched."""

    name = "pagemap"

    _AT_ONCE = 1 << 16

    def __init__(self) -> None:
        self._fd, self._close = pagemap.open_pagemap(self)

    def detach(self) -> None:
        self._close()

    def dirty(self, view: Shown) -> list[Run]:
        pages: list[int] = []
        base = view.base
        for offset, length in _candidates(view):
            first = offset // PAGE
            for start, count in host.pieces(first, -(-(offset + length) // PAGE) - first, self._AT_ONCE):
                words = os.pread(self._fd, 8 * count, (base // PAGE + start) * 8)
                if len(words) != 8 * count:
                    raise OSError(0, "/proc/self/pagemap ended early")
                pages += _private(words, start)
        return host.page_runs(pages)

    to_revert = dirty


# The highest byte of a page's word: present is bit 63, swapped 62, of a file (or shared) 61.
_PRIVATE: Final = bytes(top >> 5 in (0b010, 0b100) for top in range(256))
_HIGHEST: Final = slice(7 if sys.byteorder == "little" else 0, None, 8)


def _private(words: bytes, first: int) -> list[int]:
    """Return the pages that are present or swapped and belong to no file."""
    private = words[_HIGHEST].translate(_PRIVATE)
    pages = []
    index = private.find(1)
    while index >= 0:
        pages.append(first + index)
        index = private.find(1, index + 1)
    return pages


class Compare(Dropping):
    """Strategy that compares bytes. It drops pages by mapping the file anew: elsewhere MADV_DONTNEED may keep them."""

    name = "compare"
    leaves_none = False

    _AT_ONCE = 1 << 16

    def dirty(self, view: Shown) -> list[Run]:
        base, fd, origin = view.base, view.store.fd, view.store.origin
        pages: list[int] = []
        differs = host.libc.memcmp
        for offset, length in _candidates(view):
            for start, count in host.pieces(offset, length, self._AT_ONCE):
                committed = host.read_padded(fd, count, origin + start)
                if not differs(base + start, committed, count):
                    continue
                pages += [
                    (start + position) // PAGE
                    for position in range(0, count, PAGE)
                    if differs(base + start + position, committed[position : position + PAGE], PAGE)
                ]
        return host.page_runs(pages)

    to_revert = dirty

    def drop(self, view: Shown, runs: list[Run]) -> None:
        base, fd, origin = view.base, view.store.fd, view.store.origin
        if len(runs) > 64:
            runs = [_span(sorted(runs))]
        for offset, length in runs:
            host.map_private(base + offset, length, fd, origin + offset)


def _span(runs: list[Run]) -> Run:
    """Return the run from the first run to the end of the last."""
    return runs[0][0], sum(runs[-1]) - runs[0][0]


def _candidates(view: Shown) -> list[Run]:
    """Return where touched pages can be."""
    return extents(view.store, view.size) if view.store.shared else [(0, view.size)]
