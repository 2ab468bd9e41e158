"""A private copy-on-write mapping of a memory: writes stay private until they are committed."""

from __future__ import annotations

import ctypes
import time
import weakref
from collections.abc import Callable
from typing import Final

from sandbox.errors import StateError, of_system
from sandbox.memory import host
from sandbox.memory.base import BaseMemory
from sandbox.memory.host import PAGE, Run
from sandbox.memory.store import SLOT, Store

CommitPages = Callable[[list[Run], memoryview, int], int]
"""Writes runs of pages of a view, and its size, to the memory; the bytes written."""

_SLOW: Final = 40e-6  # seconds that a scan may take, and
_SLOW_RUN: Final = 1e-6  # for each run in its answer


class BaseView:
    """A private mapping, which writes to its memory through `commit_pages`.

    `base` is an address, `size` the accessible bytes there, `capacity` the bytes to which it can grow in place; after
    those, guard bytes stay inaccessible; `bytes` are all `capacity` bytes. Pages that were never written show the
    committed bytes of now. `views` are the open views of the memory.
    """

    def __init__(
        self,
        memory: BaseMemory,
        commit_pages: CommitPages,
        views: weakref.WeakSet[BaseView],
        minimum: int,
        reserve: int,
        guard: int,
        movable: bool,
    ) -> None:
        self.memory = memory
        self.base = 0
        self.size = _whole(max(minimum, memory.size))
        self.capacity = 0
        self._commit_pages = commit_pages
        self._views = views
        self._guard = _whole(guard)
        self._movable = movable
        self._seen = memory.generation
        self._strategy = memory.strategy.of_view()
        self._slow = 0
        self._zero_tail = False
        """True if the view shows zeros at its end that are not of the memory's file."""
        self._map(_whole(max(reserve, self.size)))
        views.add(self)

    def _map(self, capacity: int) -> None:
        """Reserve address space and map the committed bytes in it; growth past them is zero."""
        memory, store = self.memory, self.memory.store
        length = max(capacity + self._guard, PAGE)
        base = host.reserve(length)
        self._unmap = weakref.finalize(self, host.unmap, base, length)
        self._unmap.atexit = False
        mapped = self.size if store.shared else min(self.size, memory.size)
        if mapped:
            host.map_private(base, mapped, store.fd, store.origin)
        host.map_zeros(base + mapped, self.size - mapped)
        self._strategy.watch(base, self.size)
        self._strategy.restart()
        self.base, self.capacity, self._zero_tail = base, capacity, mapped < self.size
        self.bytes = memoryview((ctypes.c_ubyte * capacity).from_address(base)) if capacity else memoryview(b"")

    @property
    def store(self) -> Store:
        """The store that the view shows."""
        return self.memory.store

    @property
    def stale(self) -> bool:
        """True if the memory was changed other than by this view, which must be rolled back or dropped."""
        return self._seen != self.memory.generation

    def read(self, offset: int, length: int) -> bytes:
        """Return a copy of bytes of the view; ValueError if they are not all inside."""
        self._check(offset, length)
        return self.bytes[offset : offset + length].tobytes()

    def write(self, offset: int, data: bytes) -> None:
        """Change bytes of the view; ValueError if they are not all inside."""
        self._check(offset, len(data))
        ctypes.memmove(self.base + offset, data, len(data))

    def grow(self, new_size: int) -> bool:
        """Make the view larger with zeros. Return False, with nothing changed, if there is no address space for it.

        In place up to `capacity`; beyond that a movable view gets a new `base`.
        """
        self._check()
        size = _whole(new_size)
        if size <= self.size:
            return size == self.size
        if size > SLOT:
            return False
        try:
            if size > self.capacity:
                return self._movable and self._move(size)
            self._extend(size)
        except OSError as error:
            of_system(error)
            return False
        self.size = size
        return True

    def _extend(self, size: int) -> None:
        """Map zeros in place up to `size`; after OSError nothing more is accessible."""
        start, more, store = self.base + self.size, size - self.size, self.memory.store
        if store.shared:
            host.map_private(start, more, store.fd, store.origin + self.size)
        else:
            host.map_zeros(start, more)
        try:
            self._strategy.watch(start, more)
        except OSError:
            host.make_inaccessible(start, more)
            raise
        self._zero_tail = self._zero_tail or not store.shared

    def _move(self, size: int) -> bool:
        """Map everything anew with room for growth, taking the dirty pages along."""
        dirty, old, old_size, old_base = self.dirty(), self._unmap, self.size, self.base
        self.size = size
        try:
            self._map(2 * size)
        except BaseException:
            self.size, self._unmap = old_size, old
            raise
        for offset, length in dirty:
            ctypes.memmove(self.base + offset, old_base + offset, length)
        old()
        return True

    def dirty(self) -> list[Run]:
        """Return ascending runs of pages written since the last commit or rollback; maybe not all if stale."""
        self._check()
        return self._searched(self._strategy.dirty)

    def _searched(self, search: Callable[[BaseView], list[Run]]) -> list[Run]:
        began = time.perf_counter()
        try:
            runs = search(self)
        except OSError as error:
            raise host.failure(error, "looking for dirty pages", self.store.where) from error
        if time.perf_counter() - began > _SLOW + len(runs) * _SLOW_RUN:
            self._slow += 1
        return runs

    def committed(self, offset: int, length: int) -> bytes:
        """Return the memory's own bytes there, zeros past its end; ValueError if they are not all inside the view."""
        self._check(offset, length)
        inside = min(max(self.memory.size - offset, 0), length)
        return (self.memory.read(offset, inside) if inside else b"") + bytes(length - inside)

    def commit(self, written: list[Run] | None = None) -> int:
        """Make the written pages and the size the memory's committed state; return the bytes written.

        All or nothing: after StateError the memory is as before and the view still holds its writes. A stale view is
        refused (StateError). `written`: the present answer of `dirty`, if it is known.
        """
        memory = self.memory
        if self.stale:
            raise StateError("committing a view of a memory that was changed since")
        runs, size = self.dirty() if written is None else written, self.size
        if not runs and size == memory.size:
            return 0
        before = memory.size
        count = self._commit_pages(runs, self.bytes, size)
        self._seen = memory.generation
        self._settle(runs, before)
        return count

    def rollback(self, written: list[Run] | None = None) -> bool:
        """Forget all writes since the last commit; a stale view shows the memory's present bytes again.

        Return False if the view has another size than the memory, because it had grown or the memory was resized: then
        it must be closed. `written`: the present answer of `dirty`, if it is known.
        """
        self._check()
        memory = self.memory
        if self.size != memory.size:
            return False
        runs = self._searched(self._strategy.to_revert) if written is None else written
        if self.stale:
            self._drop_missed(runs)
        elif self._zero_tail or self._slow >= self._strategy.patience:
            self._remap()
        elif runs:
            self._strategy.revert(self, runs)
        self._seen = memory.generation
        return True

    def follow(self) -> bool:
        """Do as `rollback` for a view without writes since its last commit or rollback.

        All its pages are the memory's own, so no search for dirty pages is needed.
        """
        self._check()
        if not self.stale:
            return True
        memory = self.memory
        if self.size != memory.size:
            return False
        if self._zero_tail or not self._strategy.leaves_none:
            self._drop_missed([])
        self._seen = memory.generation
        return True

    def _drop_missed(self, runs: list[Run]) -> None:
        """Show the memory's bytes at `runs` and wherever they changed without this view."""
        missed = None if self._zero_tail else self.memory.missed_since(self._seen)
        if missed is None:
            self._remap()
        else:
            self._strategy.drop(self, runs + missed)

    def _settle(self, runs: list[Run], mapped: int) -> None:
        """Take note that `runs` were committed, and map the memory past `mapped` for the first time."""
        store = self.memory.store
        if self._slow >= self._strategy.patience:
            self._remap()
            return
        if mapped < self.size and not store.shared:
            host.map_private(self.base + mapped, self.size - mapped, store.fd, store.origin + mapped)
            self._strategy.watch(self.base + mapped, self.size - mapped)
            runs = host.clipped(runs, mapped)
            self._zero_tail = False
        self._strategy.settle(self, runs)

    def _remap(self) -> None:
        """Map the memory's bytes everywhere anew; the sizes must be equal. Costs the pages that were mapped.

        The kernel's search for dirty pages costs all pages that were ever touched. When it was slow several times,
        this forgets them.
        """
        store = self.memory.store
        self._strategy.restart()
        host.map_private(self.base, self.size, store.fd, store.origin)
        self._strategy.watch(self.base, self.size)
        self._slow, self._zero_tail = 0, False

    def cut(self, size: int) -> None:
        """Show zeros past `size`, at which the memory's file is about to end: reading there must not fault."""
        if self._unmap.alive and size < self.size:
            host.map_zeros(self.base + size, self.size - size)
            self._strategy.watch(self.base + size, self.size - size)
            self._zero_tail = True

    def close(self) -> None:
        """Give the address space back; `base` must not be used any more. Does nothing the second time."""
        if not self._unmap.alive:
            return
        memory, size = self.memory, self.size
        self.bytes = memoryview(b"")
        self._unmap()
        self._views.discard(self)
        if memory.store.shared and size > memory.size and not memory.closed:
            self._give_back(size)

    def _give_back(self, size: int) -> None:
        """Give back the zero pages that growth without a commit left in the arena."""
        memory = self.memory
        if all(other.size <= memory.size for other in self._views):
            memory.store.set_size(size, memory.size)

    def _check(self, offset: int = 0, length: int = 0) -> None:
        if not self._unmap.alive:
            raise StateError("this view was closed")
        if self.memory.closed:
            raise self.memory.gone("this view's memory")
        if offset < 0 or length < 0 or offset + length > self.size:
            raise ValueError(f"{length} bytes at {offset} are not inside {self.size} bytes")


def _whole(length: int) -> int:
    return -(-length // PAGE) * PAGE
