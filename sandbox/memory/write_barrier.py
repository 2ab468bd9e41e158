"""What must happen before the committed bytes of any memory of a pool change: marks take images, the journal writes."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, NamedTuple

from sandbox.errors import StateError
from sandbox.memory.history import Image

if TYPE_CHECKING:
    from sandbox.memory.committed import Memory
    from sandbox.memory.journal import Journal


class Overwritten(NamedTuple):
    """What one change of a memory was about to overwrite: the size before, the smallest size meanwhile, the bytes."""

    memory: Memory
    size: int
    low: int
    parts: list[tuple[int, bytes]]


class WriteBarrier:
    """Shared by the memories of one pool."""

    def __init__(self) -> None:
        self.turn = 0
        """How often changes began to be noted; a memory made since then is not noted."""
        self.noted: list[Overwritten] | None = None
        """The changes since then; None if they are not noted."""
        self.epoch = 0
        """Changes with every new mark: a memory that knows the present epoch has nothing to do."""
        self.marks: dict[int, weakref.ref[PoolMark]] = {}
        self.journal: Journal | None = None
        self.memories: weakref.WeakSet[Memory] = weakref.WeakSet()
        self.process: int | None = None
        """The process that all of them belong to, if this one is a forked child of it."""

    def disown(self, process: int) -> None:
        """In a forked child: every memory counts as closed, but its bytes are the parent's and stay."""
        self.process = process
        for memory in self.memories:
            memory.closed = True
        if self.journal is not None:
            self.journal.detach()
            self.journal = None

    def closed(self, what: str) -> StateError:
        """Why `what` cannot be used any more."""
        if self.process is None:
            return StateError(f"{what} was closed")
        return StateError(f"{what} belongs to process {self.process}, from which this one was forked")

    def note(self) -> None:
        """Note all changes from now on, until `forget` or `take_back`."""
        self.turn += 1
        self.noted = []

    def forget(self) -> None:
        """Keep the changes."""
        self.noted = None

    def take_back(self, noted: list[Overwritten]) -> None:
        """Undo the changes, the newest of which may be unfinished. May be repeated until it returns."""
        self.noted = None
        for change in reversed(noted):
            if not change.memory.closed:
                change.memory.take_back(change)

    def mark(self) -> PoolMark:
        """A new mark: no memory has been written since."""
        self.epoch += 1
        mark = PoolMark(self, self.epoch)
        self.marks[self.epoch] = weakref.ref(mark)
        return mark

    def join(self, memory: Memory) -> None:
        """Let every mark keep the memory as it is, if it does not hold an older state of it."""
        for epoch, reference in list(self.marks.items()):
            mark = reference()
            if mark is not None:
                mark.keep(memory)
            else:
                del self.marks[epoch]


class PoolMark:
    """A moment of a whole pool, to which every memory written since can be taken back.

    Free until a memory is written; from then on it holds that memory's image. Marks nest and are released in any order;
    one that nobody references is released. A memory that was closed since is not brought back.
    """

    def __init__(self, guard: WriteBarrier, epoch: int) -> None:
        self._guard = guard
        self._epoch = epoch
        self._images: dict[Memory, Image] = {}

    def keep(self, memory: Memory) -> None:
        """Remember the memory as it is now, unless an earlier state of it is known."""
        if memory not in self._images:
            self._images[memory] = memory.image()

    def undo(self) -> None:
        """Take every memory written since the mark back to what it was, and release the mark.

        Costs the pages written since. Memories stay valid; views of those taken back are stale. A memory made since the
        mark ends up as it was when it was made. If one memory cannot be restored (StateError), the others are, and the
        mark stays for another attempt.
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
        self._guard.marks.pop(self._epoch, None)
        self._images.clear()
