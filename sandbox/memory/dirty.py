"""The search for written pages of a private mapping, in three ways with the same answers.

scan     `PAGEMAP_SCAN` (Linux 6.7 and later): the kernel lists private pages. Costs the pages that are mapped.
pagemap  `/proc/self/pagemap` (older Linux): 8 bytes are read for each page that may have been touched.
compare  neither (macOS, gVisor): the mapping is compared with the committed bytes.

In the arena a touched page exists in the file, so `pagemap` and `compare` look only where the file has data: a sparse
memory costs its data. A named file does not show that; there they look at the whole size (pagemap about 2 ms per GiB).
"""

from __future__ import annotations

import ctypes
import os
import sys
import weakref
from typing import Final, Protocol

from sandbox.errors import Unsupported, of_system
from sandbox.memory import host
from sandbox.memory.host import PAGE, Run
from sandbox.memory.store import Store, extents


class Strategy(Protocol):
    """A way to find and to drop the pages that a private mapping of a store holds for itself."""

    name: str
    stale_exact: bool
    """True if `dirty` is right even after the file was changed by others."""
    leaves_none: bool
    """True if a mapping has no private page after the answer of `dirty` was dropped, not even an equal one."""

    def dirty(self, base: int, size: int, store: Store) -> list[Run]:
        """Return ascending runs of pages, at least those that differ from the store's bytes."""

    def drop(self, base: int, runs: list[Run], store: Store) -> None:
        """Show the store's bytes again at `runs`, the whole answer of `dirty`.

        Everything from the first run to the last must be a mapping of the store.
        """


class _Scan(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
        ("start", ctypes.c_uint64),
        ("end", ctypes.c_uint64),
        ("walk_end", ctypes.c_uint64),
        ("vec", ctypes.c_uint64),
        ("vec_len", ctypes.c_uint64),
        ("max_pages", ctypes.c_uint64),
        ("category_inverted", ctypes.c_uint64),
        ("category_mask", ctypes.c_uint64),
        ("category_anyof_mask", ctypes.c_uint64),
        ("return_mask", ctypes.c_uint64),
    )
    start: int
    end: int
    max_pages: int


_IS_FILE, _IS_PRESENT, _IS_SWAPPED, _IS_ZERO = 1 << 2, 1 << 3, 1 << 4, 1 << 5
_PAGEMAP_SCAN: Final = (3 << 30) | (ctypes.sizeof(_Scan) << 16) | (ord("f") << 8) | 16
_PAGEMAP: Final = "/proc/self/pagemap"
_REGIONS: Final = 4096  # of three 64-bit numbers: start, end, categories
_MANY: Final = 512
"""From this number of runs on, mapping anew may be cheaper than dropping them one by one."""


class Scan:
    """Strategy that asks the kernel for pages that are neither the file's nor the shared zero page.

    It looks through all page tables, also those in which nothing is mapped any more; only mapping anew frees them.
    """

    name = "scan"
    stale_exact = True
    leaves_none = True

    def __init__(self) -> None:
        self._fd = _open_pagemap(self)
        self._ioctl = host.libc.ioctl
        self._ioctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p]
        self._buffer = (ctypes.c_uint64 * (3 * _REGIONS))()
        self._regions = memoryview(self._buffer).cast("B").cast("Q")
        private = _IS_FILE | _IS_ZERO
        self._arg = _Scan(
            size=ctypes.sizeof(_Scan),
            vec=ctypes.addressof(self._buffer),
            vec_len=_REGIONS,
            category_inverted=private,
            category_mask=private,
            category_anyof_mask=_IS_PRESENT | _IS_SWAPPED,
            return_mask=_IS_PRESENT | _IS_SWAPPED,
        )
        self._address = ctypes.addressof(self._arg)
        self._counting = _Scan(
            size=ctypes.sizeof(_Scan),
            vec=ctypes.addressof(self._buffer),
            vec_len=_REGIONS,
            category_mask=_IS_PRESENT | _IS_FILE,
            return_mask=_IS_PRESENT,
        )

    def dirty(self, base: int, size: int, store: Store) -> list[Run]:
        arg, runs, position, end = self._arg, [], base, base + size
        while position < end:
            arg.start, arg.end = position, end
            count = self._ioctl(self._fd, _PAGEMAP_SCAN, self._address)
            if count < 0:
                code = ctypes.get_errno()
                raise OSError(code, f"PAGEMAP_SCAN: {os.strerror(code)}")
            regions = self._regions[: 3 * count].tolist()
            for index in range(0, 3 * count, 3):
                start = regions[index]
                runs.append((start - base, regions[index + 1] - start))
            if count < _REGIONS:
                break
            position = regions[-2]  # not walk_end, which is too small when the kernel filled the vector in steps
        return runs

    def drop(self, base: int, runs: list[Run], store: Store) -> None:
        if len(runs) >= _MANY:
            offset, length = _span(runs)
            if self._shows_few(base + offset, length, len(runs) // 2):
                host.map_private(base + offset, length, store.fd, store.origin + offset)
                return
        host.drop_private(base, runs)

    def _shows_few(self, start: int, length: int, limit: int) -> bool:
        """Return True if fewer than `limit` of the file's own pages are mapped there (mapping anew forgets them)."""
        arg = self._counting
        arg.start, arg.end, arg.max_pages = start, start + length, limit
        count = self._ioctl(self._fd, _PAGEMAP_SCAN, ctypes.addressof(arg))
        if not 0 <= count < _REGIONS:
            return False
        regions = self._regions[: 3 * count].tolist()
        return sum(regions[1::3]) - sum(regions[::3]) < limit * PAGE


class PageMap:
    """Strategy that reads the kernel's word for every page that may have been touched."""

    name = "pagemap"
    stale_exact = False
    leaves_none = True

    _AT_ONCE = 1 << 16

    def __init__(self) -> None:
        self._fd = _open_pagemap(self)

    def dirty(self, base: int, size: int, store: Store) -> list[Run]:
        pages: list[int] = []
        for offset, length in _candidates(size, store):
            first = offset // PAGE
            for start, count in host.pieces(first, -(-(offset + length) // PAGE) - first, self._AT_ONCE):
                words = os.pread(self._fd, 8 * count, (base // PAGE + start) * 8)
                if len(words) != 8 * count:
                    raise OSError(0, "/proc/self/pagemap ended early")
                pages += _private(words, start)
        return host.page_runs(pages)

    def drop(self, base: int, runs: list[Run], store: Store) -> None:
        host.drop_private(base, runs)


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


class Compare:
    """Strategy that compares bytes. It drops pages by mapping the file anew: elsewhere MADV_DONTNEED may keep them."""

    name = "compare"
    stale_exact = False
    leaves_none = False

    _AT_ONCE = 1 << 16

    def dirty(self, base: int, size: int, store: Store) -> list[Run]:
        fd, origin = store.fd, store.origin
        pages: list[int] = []
        differs = host.libc.memcmp
        for offset, length in _candidates(size, store):
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

    def drop(self, base: int, runs: list[Run], store: Store) -> None:
        fd, origin = store.fd, store.origin
        if len(runs) > 64:
            runs = [_span(runs)]
        for offset, length in runs:
            host.map_private(base + offset, length, fd, origin + offset)


def _span(runs: list[Run]) -> Run:
    """Return the run from the first run to the end of the last."""
    return runs[0][0], sum(runs[-1]) - runs[0][0]


def _candidates(size: int, store: Store) -> list[Run]:
    """Return where touched pages can be."""
    return extents(store, size) if store.shared else [(0, size)]


def _open_pagemap(owner: object) -> int:
    fd = os.open(_PAGEMAP, os.O_RDONLY | os.O_CLOEXEC)
    weakref.finalize(owner, os.close, fd).atexit = False
    return fd


STRATEGIES: Final[dict[str, type[Scan] | type[PageMap] | type[Compare]]] = {
    "scan": Scan,
    "pagemap": PageMap,
    "compare": Compare,
}


def choose(name: str | None, trial: Store) -> Strategy:
    """Return the strategy `name`, or the best that works here; each is tried on pages of `trial` first.

    `trial` is an empty store of an arena. Raises Unsupported for a name that does not work on this machine.
    """
    if name is not None and name not in STRATEGIES:
        raise ValueError(f"no memory strategy {name!r}; there are {', '.join(STRATEGIES)}")
    for candidate in STRATEGIES if name is None else [name]:
        try:
            strategy = STRATEGIES[candidate]()
            if _works(strategy, trial):
                return strategy
        except OSError as error:
            of_system(error)
    raise Unsupported(f"memory strategy {name!r} on this machine")


def _works(strategy: Strategy, store: Store) -> bool:
    """Return True if the strategy finds exactly the one page of four that was written, and drops it."""
    size = 4 * PAGE
    host.write_all(store.fd, b"\1" * size, store.origin)
    base = host.reserve(size)
    try:
        host.map_private(base, size, store.fd, store.origin)
        ctypes.string_at(base, 1)
        ctypes.memset(base + 2 * PAGE, 2, 1)
        if strategy.dirty(base, size, store) != [(2 * PAGE, PAGE)]:
            return False
        strategy.drop(base, [(2 * PAGE, PAGE)], store)
        return not strategy.dirty(base, size, store) and ctypes.string_at(base + 2 * PAGE, 1) == b"\1"
    finally:
        host.unmap(base, size)
        store.set_size(size, 0)
