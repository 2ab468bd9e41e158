"""A linear memory of fresh zero pages: for small memories of the sandbox's own, never for state."""

from __future__ import annotations

import weakref

from sandbox.errors import of_system
from sandbox.memory import host


class PlainMemory:
    """`capacity` bytes of address space and `guard` inaccessible bytes after them; the first `size` are accessible.

    MemoryError if there is no address space for it.
    """

    def __init__(self, size: int, capacity: int, guard: int) -> None:
        length = max(capacity + guard, host.PAGE)
        try:
            self.base = host.reserve(length)
        except OSError as error:
            of_system(error)
            raise MemoryError(str(error)) from error
        self.size = 0
        self.capacity = capacity
        self.close = weakref.finalize(self, host.unmap, self.base, length)
        self.close.atexit = False
        if not self.grow(size):
            raise MemoryError(f"no memory of {size} bytes")

    def grow(self, new_size: int) -> bool:
        """Make the first `new_size` bytes accessible; return False beyond the capacity."""
        if new_size > self.capacity or not host.make_accessible(self.base, new_size):
            return False
        self.size = new_size
        return True
