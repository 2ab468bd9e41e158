"""The kernel's `PAGEMAP_SCAN` (Linux 6.7): which pages of a mapping have which properties."""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Final

from sandbox.memory import host

PATH: Final = "/proc/self/pagemap"
IS_WRITTEN, IS_FILE, IS_PRESENT, IS_SWAPPED, IS_ZERO = 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5
WP_MATCHING: Final = 1
REGIONS: Final = 4096  # of three 64-bit numbers: start, end, categories


class Query(ctypes.Structure):
    """The kernel's `struct pm_scan_arg`: the properties looked for, and where the regions go."""

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
    address: int


_PAGEMAP_SCAN: Final = (3 << 30) | (ctypes.sizeof(Query) << 16) | (ord("f") << 8) | 16


class Scanner:
    """The open page map of this process, and a buffer for its answers."""

    def __init__(self) -> None:
        self.fd, self.close = open_pagemap(self)
        self._ioctl = host.quick_ioctl
        self._buffer = (ctypes.c_uint64 * (3 * REGIONS))()
        self._regions = memoryview(self._buffer).cast("B").cast("Q")

    def query(self, mask: int, answer: int, *, inverted: int = 0, any_of: int = 0, flags: int = 0) -> Query:
        """Return a query for pages with all properties of `mask`, those of `inverted` negated, and one of `any_of`."""
        query = Query(
            size=ctypes.sizeof(Query),
            flags=flags,
            vec=ctypes.addressof(self._buffer),
            vec_len=REGIONS,
            category_inverted=inverted,
            category_mask=mask,
            category_anyof_mask=any_of,
            return_mask=answer,
        )
        query.address = ctypes.addressof(query)
        return query

    def private(self) -> Query:
        """Return the query for private pages, neither the file's nor the shared zero page."""
        shared, mapped = IS_FILE | IS_ZERO, IS_PRESENT | IS_SWAPPED
        return self.query(shared, mapped, inverted=shared, any_of=mapped)

    def all(self, query: Query, start: int, end: int) -> list[int]:
        """Return the regions in [start, end) as a flat list: start, end, properties, and so on.

        Where one answer of the kernel ended, a region may be in two pieces.
        """
        query.start, query.end = start, end
        count = self._ioctl(self.fd, _PAGEMAP_SCAN, query.address)
        regions = found = self._regions[: 3 * count].tolist() if count >= 0 else self.some(query, start, end)
        while len(found) == 3 * REGIONS:
            # not walk_end, which is too small when the kernel filled the vector in steps
            found = self.some(query, found[-2], end)
            regions += found
        return regions

    def some(self, query: Query, start: int, end: int) -> list[int]:
        """Return the first regions in [start, end), as `all`."""
        query.start, query.end = start, end
        count: int = host.libc.ioctl(self.fd, _PAGEMAP_SCAN, query.address)
        if count < 0:
            code = ctypes.get_errno()
            raise OSError(code, f"PAGEMAP_SCAN: {os.strerror(code)}")
        return self._regions[: 3 * count].tolist()


def open_pagemap(owner: object) -> tuple[int, weakref.finalize]:  # type: ignore[type-arg]
    """Return a descriptor of the page map, and what closes it, at the latest when `owner` is no longer referenced."""
    fd = os.open(PATH, os.O_RDONLY | os.O_CLOEXEC)
    close = weakref.finalize(owner, os.close, fd)
    close.atexit = False
    return fd, close
