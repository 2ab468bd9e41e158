"""The write barrier: the steps before a change of committed bytes in any memory of a pool.

Marks take images of the memory, the journal writes old bytes to the disk, and changes are noted if they may be undone.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from sandbox.memory import host
from sandbox.memory.base import BaseMemory
from sandbox.memory.history import BaseImage
from sandbox.memory.host import PAGE, Run
from sandbox.memory.journal import Journal


class Undoable(Protocol):
    """A memory as marks and notes see it."""

    @property
    def closed(self) -> bool:
        """True if its bytes cannot be used any more."""

    def image(self) -> BaseImage:
        """Return the present bytes as an immutable value."""

    def restore(self, image: BaseImage) -> int:
        """Bring back the bytes and size of an image; return the bytes written."""

    def take_back(self, change: Overwritten) -> None:
        """Undo a change that was finished, interrupted or never begun."""


class Overwritten(NamedTuple):
    """What undoing one change of a memory takes, besides undoing the changes noted before it: the memory's size before
    the change, the smallest size during it, and old bytes as (offset, bytes) of pages that no earlier note has."""

    memory: Undoable
    size: int
    low_water: int
    parts: list[tuple[int, bytes]]


class WriteBarrier:
    """The marks, notes and journal of the memories of one pool."""

    def __init__(self) -> None:
        self.turn = 0
        """The number of times that noting began; changes of a memory made since the last time are not noted."""
        self.noted: list[Overwritten] | None = None
        """The changes since then; None if they are not noted."""
        self._pages: dict[Undoable, set[int]] = {}
        """The pages of each memory whose old bytes are in `noted`: later changes of them need no note."""
        self._last: dict[Undoable, Overwritten] = {}
        """The last note of each memory, whose pages are added to `_pages` by its next change: most calls have none."""
        self.epoch = 0
        """The number of marks made so far. A memory that has seen the present epoch need not ask the marks."""
        self.marks: dict[int, weakref.ref[PoolMark]] = {}
        self.journal: Journal | None = None
        self.memories: weakref.WeakSet[BaseMemory] = weakref.WeakSet()
        self.owner: int | None = None
        """The number of the process to which the pool belongs, if this process was forked from it."""

    def disown(self, owner: int) -> None:
        """In a forked child: close every memory; their bytes are the parent's and stay."""
        self.owner = owner
        for memory in self.memories:
            memory.disown(owner)
        if self.journal is not None:
            self.journal.detach()
            self.journal = None

    def note(self) -> list[Overwritten]:
        """Note all changes from now on, until `forget` or `take_back`; return the growing list."""
        self.turn += 1
        self._pages, self._last = {}, {}
        self.noted = []
        return self.noted

    def unnoted(self, memory: Undoable, runs: list[Run]) -> list[Run]:
        """Return the pages in `runs` whose old bytes are not in a note yet."""
        last = self._last.pop(memory, None)
        if last is not None:  # if an exception comes here, a page is noted twice, never missed
            old = _numbers([(offset, len(data)) for offset, data in last.parts])
            self._pages.setdefault(memory, set()).update(old)
        pages = self._pages.get(memory)
        if pages is None:
            return runs
        return host.page_runs([page for page in _numbers(runs) if page not in pages])

    def add_note(self, change: Overwritten) -> None:
        """Note a change that is about to happen."""
        if self.noted is not None:
            self.noted.append(change)  # first: if an exception comes here, a page is noted twice, never missed
            self._last[change.memory] = change

    def forget(self) -> None:
        """Stop noting; the changes stay."""
        self.noted, self._pages, self._last = None, {}, {}

    def take_back(self, noted: list[Overwritten]) -> None:
        """Undo the changes, the newest of which may be unfinished. May be repeated until it returns."""
        self.noted, self._pages, self._last = None, {}, {}
        for change in reversed(noted):
            if not change.memory.closed:
                change.memory.take_back(change)

    def mark(self) -> PoolMark:
        """Return a new mark: no memory has been written since."""
        self.epoch += 1
        mark = PoolMark(self.marks, self.epoch)
        self.marks[self.epoch] = weakref.ref(mark)
        return mark

    def join(self, memory: Undoable) -> None:
        """Have every mark hold the memory's present state, unless it holds an older one."""
        for epoch, reference in list(self.marks.items()):
            mark = reference()
            if mark is not None:
                mark.keep(memory)
            else:
                del self.marks[epoch]


def _numbers(runs: list[Run]) -> Iterator[int]:
    """Yield the numbers of the pages that runs of bytes lie in."""
    for offset, length in runs:
        yield from range(offset // PAGE, -(-(offset + length) // PAGE))


class PoolMark:
    """A moment of a whole pool, to which every memory written since can be taken back.

    Free until a memory is written; from then on it holds that memory's image. Marks nest and are released in any order;
    a mark that is no longer referenced is released. A memory that was closed since is not brought back.
    """

    def __init__(self, marks: dict[int, weakref.ref[PoolMark]], epoch: int) -> None:
        self._marks = marks
        self._epoch = epoch
        self._images: dict[Undoable, BaseImage] = {}

    def keep(self, memory: Undoable) -> None:
        """Hold the memory's present state, unless an earlier one is held."""
        if memory not in self._images:
            self._images[memory] = memory.image()

    def undo(self) -> None:
        """Take every memory written since the mark back to its state at the mark, and release the mark.

        Costs the pages written since. Memories stay valid; views of those taken back are stale. A memory made since the
        mark returns to its first state. If one memory cannot be restored (StateError), the others are, and the mark
        stays for another attempt.
        """
        failed: Exception | None = None
        for memory, image in list(self._images.items()):
            if memory.closed:
                continue
            try:
                memory.restore(image)
            except Exception as error:
                failed = failed or error
        if failed is not None:
            raise failed
        self.release()

    def release(self) -> None:
        """Forget the moment; does nothing the second time."""
        self._marks.pop(self._epoch, None)
        self._images.clear()
