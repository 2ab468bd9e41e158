"""Storage of committed bytes: one sparse anonymous file for a whole pool, or one named file per memory.

A store knows bytes, not rules: its callers decide who may write and which bytes must be saved before. Bytes of a store
past its memory's size are always zero.
"""

from __future__ import annotations

import errno
import os
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import Final, Protocol

from sandbox.memory import host
from sandbox.memory.host import Run

SLOT: Final = 1 << 40  # address space of one memory in the arena; stable memory may have half of it
_OPEN_FILES: Final = 128


class Store(Protocol):
    """Storage of one memory: `fd` and the offset `origin` of its first byte."""

    @property
    def fd(self) -> int: ...
    @property
    def origin(self) -> int: ...
    @property
    def where(self) -> str:
        """The place, for error texts."""

    @property
    def name(self) -> str:
        """The name of the file; empty for a part of an arena."""

    @property
    def writable(self) -> bool:
        """False for a file that was opened for reading only."""

    @property
    def shared(self) -> bool:
        """True for the arena: a mapping may reach past the memory's size, every touched page of a mapping is in the
        file, and writing to a page that exists cannot fail for want of space."""

    def set_size(self, old: int, new: int) -> None:
        """Make room, or give up the bytes past `new`. Costs the data given up, not the sizes."""

    def release(self) -> None:
        """Give descriptors and, where the memory has no name, space back."""


class Arena:
    """One sparse file without a name for any number of memories: one descriptor, space only for pages that exist."""

    def __init__(self) -> None:
        self.fd = host.anonymous_file()
        self._count = 0
        self._free: list[int] = []
        self._close = weakref.finalize(self, os.close, self.fd)

    def slot(self) -> ArenaSlot:
        """Return room for a new, empty memory; it is given back when the slot is no longer referenced."""
        if self._free:
            index = self._free.pop()
        else:
            index = self._count
            os.ftruncate(self.fd, (index + 1) * SLOT)
            self._count += 1
        return ArenaSlot(self, index)

    def detach(self) -> None:
        """In a forked child: give the descriptor back; the bytes are the parent's."""
        self._close()

    def _take_back(self, index: int) -> None:
        if self._close.alive and host.punch(self.fd, index * SLOT, (index + 1) * SLOT):
            self._free.append(index)  # otherwise the slot is not used again: numbers are cheaper than writing zeros


class ArenaSlot:
    """The bytes of one memory in an arena."""

    shared: Final = True
    writable: Final = True
    where: Final = "memory"
    name: Final = ""

    def __init__(self, arena: Arena, index: int) -> None:
        self.fd: Final = arena.fd
        self.origin: Final = index * SLOT
        self._arena = arena  # keeps the descriptor open
        weakref.finalize(self, arena._take_back, index).atexit = False

    def set_size(self, old: int, new: int) -> None:
        if new > SLOT:
            raise OSError(errno.EFBIG, f"a memory of {new} bytes")
        host.clear(self.fd, self.origin + new, self.origin + old)

    def release(self) -> None:
        host.punch(self.fd, self.origin, self.origin + SLOT)


class Handles:
    """Open files by path; the least recently used is closed when there are too many, so descriptors never run out."""

    def __init__(self, limit: int = _OPEN_FILES, *, read_only: bool = False) -> None:
        self.read_only = read_only
        self._limit = limit
        self._open: OrderedDict[Path, int] = OrderedDict()
        self.close_all = weakref.finalize(self, _close_all, self._open)

    def get(self, path: Path) -> int:
        """Return a descriptor, valid until `limit` other files have been requested."""
        fd = self._open.get(path)
        if fd is None:
            while len(self._open) >= self._limit:
                os.close(self._open.popitem(last=False)[1])
            fd = self._open[path] = os.open(path, (os.O_RDONLY if self.read_only else os.O_RDWR) | os.O_CLOEXEC)
        else:
            self._open.move_to_end(path)
        return fd

    def close(self, path: Path) -> None:
        """Close the file if it is open."""
        fd = self._open.pop(path, None)
        if fd is not None:
            os.close(fd)


def _close_all(files: OrderedDict[Path, int]) -> None:
    while files:
        os.close(files.popitem()[1])


class NamedFile:
    """The bytes of one memory as a sparse file that outlives the process; its length is the memory's size."""

    shared: Final = False
    origin: Final = 0

    def __init__(self, handles: Handles, path: Path) -> None:
        self.path: Final = path
        self.where: Final = str(path)
        self.name: Final = path.name
        self.writable: Final = not handles.read_only
        self._handles = handles

    @property
    def fd(self) -> int:
        return self._handles.get(self.path)

    def set_size(self, old: int, new: int) -> None:
        os.ftruncate(self.fd, new)

    def release(self) -> None:
        self._handles.close(self.path)


def extents(store: Store, size: int) -> list[Run]:
    """Return where the first `size` bytes of a store hold data."""
    return host.data_runs(store.fd, store.origin, store.origin + size)
