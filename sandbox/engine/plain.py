"""A linear memory that is nothing but fresh zero pages: for small memories of our own, never for state."""

from __future__ import annotations

import ctypes
import mmap
import weakref

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)
_PROT_NONE = 0
_FAILED = ctypes.c_void_p(-1).value


class PlainMemory:
    """`capacity` bytes of address space and a guard behind them; the first `size` are readable and writable."""

    def __init__(self, size: int, capacity: int, guard: int) -> None:
        length = capacity + guard
        base = _libc.mmap(None, length, _PROT_NONE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE, -1, 0)
        if base is None or base == _FAILED:
            raise MemoryError(f"no address space for {length} bytes")
        self.base: int = base
        self.size = 0
        self.capacity = capacity
        self.close = weakref.finalize(self, _libc.munmap, base, length)
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            _libc.madvise(base, capacity, mmap.MADV_NOHUGEPAGE)
        if not self.grow(size):
            raise MemoryError(f"no memory of {size} bytes")

    def grow(self, new_size: int) -> bool:
        """Make the first `new_size` bytes accessible; False beyond the capacity."""
        if new_size > self.capacity:
            return False
        if new_size and _libc.mprotect(self.base, new_size, mmap.PROT_READ | mmap.PROT_WRITE):
            return False
        self.size = new_size
        return True
