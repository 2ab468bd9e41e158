"""Committed memory: the bytes as the last successful message left them, their images and their views."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Protocol

from sandbox.errors import StateError
from sandbox.memory import host
from sandbox.memory.base import BaseMemory
from sandbox.memory.dirty import Strategy
from sandbox.memory.history import BaseImage, History, not_implied
from sandbox.memory.host import PAGE, Part, Run
from sandbox.memory.store import Store, extents
from sandbox.memory.view import BaseView
from sandbox.memory.write_barrier import Overwritten, WriteBarrier

WRITING: Final = "writing"
_UNWRITTEN: Final = 4
"""The number of pieces that may wait to be written while others are made."""


class Image(BaseImage):
    """The bytes that a memory had when the image was taken: immutable, and free until they are overwritten.

    It dies when it is no longer referenced; nothing has to be closed. Using it after its memory was closed raises
    StateError.
    """

    __slots__ = ()

    memory: Memory


class View(BaseView):
    """A private copy-on-write mapping of a memory, made by `Memory.view`.

    Closed when it is no longer referenced; the memory stays open at least that long.
    """

    memory: Memory

    def fork(self) -> Memory:
        """Make a new memory of the same pool with the bytes that the view shows. Copies only data.

        The view and its memory stay as they are. A stale view is refused (StateError).
        """
        if self.stale:
            raise StateError("copying a view of a memory that was changed since")
        runs = self.dirty()
        other = self.memory.fork()
        other.commit_pages(runs, self.bytes, self.size)
        return other


class Unread(Protocol):
    """The means to check bytes that lay in a memory's file when it was opened and that nothing has read since."""

    def damage(self, memory: Memory) -> str | None:
        """Read and check every byte; return the text of the damage, None if there is none."""

    def check(self, memory: Memory, pages: Sequence[int], keys: Sequence[bytes]) -> None:
        """Check pages of 4 KiB that were just read, by number, with the BLAKE3 of their bytes (StateCorrupt)."""


class Memory(BaseMemory):
    """A sparse array of bytes; made by `Pool.memory` and `Pool.open`.

    Every change is all or nothing: one that fails (StateError) leaves the bytes as they were. A memory that is no
    longer referenced is closed. Use it in one thread at a time. A memory that is `unmarked` is not taken back by marks.
    `unread` is None where no byte is left to be checked.
    """

    def __init__(
        self,
        store: Store,
        size: int,
        barrier: WriteBarrier,
        strategy: Strategy,
        sibling: Callable[[int], Memory],
        unmarked: bool = False,
    ) -> None:
        super().__init__(store, size, strategy)
        self.unmarked = unmarked
        self.unread: Unread | None = None
        self._views: weakref.WeakSet[BaseView] = weakref.WeakSet()
        self._barrier = barrier
        self._turn = barrier.turn
        self._extent = size
        """The end of the store's bytes: past it all is zero, also when a change of the size was interrupted."""
        self._epoch = barrier.epoch - 1
        self._history = History(store, Image)
        self._sibling = sibling
        barrier.memories.add(self)

    # Reading

    def extents(self) -> list[Run]:
        """Return where data is, as ascending runs of bytes; everything else is zero. Costs the data, not the size."""
        self.check()
        return extents(self.store, self.size)

    def view(self, minimum: int = 0, reserve: int = 0, guard: int = 0, movable: bool = True) -> View:
        """Make a view of at least `minimum` bytes, with address space for `reserve` bytes in all.

        `guard` inaccessible bytes follow it. A view that is not `movable` keeps its base for ever.
        """
        self.check()
        try:
            return View(self, self.commit_pages, self._views, minimum, reserve, guard, movable)
        except OSError as error:
            self.fail(error, "opening a view")

    # Changing

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Change committed bytes; ValueError if they are not all inside."""
        source = memoryview(data).cast("B")
        self.check(offset, len(source), self.size)
        if len(source):
            self._change([_pages(offset, len(source))], [(offset, source)], self.size, WRITING)

    def fill(self, pieces: Iterable[Part]) -> None:
        """Write the initial contents of a freshly created memory.

        Not atomic: after StateError, discard the memory. ValueError if it has images, views or marks.
        """
        self.check()
        if self._history.deltas or self._views or (self._barrier.marks and not self.unmarked):
            raise ValueError("only a memory without images, views and marks can be filled")
        store = self.store
        written: deque[Future[None]] = deque()
        try:
            with ThreadPoolExecutor(1) as writer:
                for offset, data in pieces:
                    self.check(offset, len(data), self.size)
                    written.append(writer.submit(host.write_all, store.fd, data, store.origin + offset))
                    if len(written) > _UNWRITTEN:
                        written.popleft().result()
                while written:
                    written.popleft().result()
        except OSError as error:
            self.fail(error, "filling")
        self.changed(None)

    def patch(self, parts: Sequence[Part], size: int) -> None:
        """Write ascending parts of whole pages, all inside `size`, and set the size to it; all or nothing."""
        check_size(size)
        runs = [(offset, len(data)) for offset, data in parts]
        if any(offset % PAGE or length % PAGE or offset + length > size for offset, length in runs):
            raise ValueError("the parts are not whole pages inside the new size")
        if parts or size != self.size:
            self._change(runs, parts, size, WRITING)

    def resize(self, size: int) -> None:
        """Grow with zeros, or give up the bytes past `size`. Costs the data given up."""
        self.check()
        check_size(size)
        if size != self.size:
            self._change([], [], size, f"resizing to {size} bytes")

    def commit_pages(self, runs: list[Run], source: memoryview, size: int) -> int:
        """Write the pages `runs` of `source`, the bytes of a view, and set the size; return the bytes written."""
        parts = [(offset, source[offset : offset + length]) for offset, length in runs]
        return self._change(runs, parts, size, "committing")

    # Images

    def image(self) -> Image:
        """Return the present bytes as an immutable value. Copies nothing; the same object until the next change."""
        self.check()
        return self._history.take(self)

    def restore(self, image: BaseImage) -> int:
        """Bring back the bytes and size of an image of this memory; return the bytes written.

        Costs the pages written since the image was taken. Other images keep their bytes; views are stale.
        """
        self.check()
        image.check_of(self)
        history = self._history
        if history.is_latest(image):
            return 0
        self._join_marks()
        pages, low_water = history.since(image)
        runs = host.page_runs(sorted(not_implied(pages, low_water) if low_water < image.size else pages))
        parts = ((start, _joined(pages, start, part)) for run in runs for start, part in host.pieces(*run))
        low_water = min(low_water, self.size)
        written = self._change(runs, parts, image.size, "restoring an image", low_water=low_water)
        if history.is_newest(image):
            history.reset_newest(image)
        return written

    def changed_since(self, image: Image) -> list[Run]:
        """Return the pages that may differ from an image of this memory; as `Image.changed_since`."""
        return self.image().changed_since(image)

    def fork(self, image: Image | None = None) -> Memory:
        """Make a memory of the same pool with these bytes, or those of an image of this memory. Copies only data."""
        self.verify()
        source: Memory | Image = self if image is None else image
        if image is not None:
            self.check()
            image.check_of(self)
        other = self._sibling(source.size)
        for run in source.extents():
            for offset, length in host.pieces(*run):
                data = source.read(offset, length)
                if data != bytes(length):
                    other.write(offset, data)
        return other

    def close(self) -> None:
        """Close the memory: give back descriptors, and space if it has no name. The bytes of a named one stay on disk.

        Using the memory, its views or its images afterwards raises StateError; marks do not bring it back.
        """
        if not self.closed:
            self.closed = True
            self.store.release()

    def verify(self) -> None:
        """Check every byte that lay in the file when it was opened; a damaged memory is given up (StateCorrupt).

        The first time, it reads the whole file; from then on, and for a memory made by this process, it costs nothing.
        """
        self.check()
        if self.unread is not None:
            damage = self.unread.damage(self)
            self.unread = None
            if damage is not None:
                self.give_up(damage)
                self.check()

    def give_up(self, damage: str) -> None:
        """Close the memory because its bytes are damaged: using it raises StateCorrupt with the text `damage`."""
        self.close()
        self.damage = damage

    # The one place where bytes change

    def _change(
        self, runs: list[Run], parts: Iterable[Part], size: int, action: str, *, low_water: int | None = None
    ) -> int:
        """Set the size to `low_water`, then to `size`, and overwrite `parts`, which lie in the whole pages `runs`."""
        self.check()
        self._join_marks()
        store, history, journal = self.store, self._history, self._barrier.journal
        low_water = min(self.size, size) if low_water is None else low_water
        resized = low_water != self.size or size != low_water or self._extent != size
        # A page that exists in the arena can always be overwritten; everything else may run out of space half-way.
        rescue = history.take(self) if resized or not store.shared or action is WRITING else None
        written = 0
        try:
            if journal is not None:
                journal.before(self, runs, low_water)
            if resized:
                history.save_size(self.size, low_water)
            history.save(runs)
            if self._barrier.noted is not None and self._turn != self._barrier.turn:
                self._barrier.add_note(self._overwritten(runs, low_water))
            if resized:
                self._set_size(low_water, size)
            fd, origin = store.fd, store.origin
            for offset, data in parts:
                host.write_all(fd, data, origin + offset)
                written += len(data)
        except OSError as error:
            if rescue is not None:
                self._put_back(rescue, max(self.size, size), action)
            self.fail(error, action)
        self.size = self._extent = size
        self.changed(None if resized else runs)
        return written

    def _set_size(self, low_water: int, size: int) -> None:
        extent = max(self._extent, self.size)
        self._extent = max(extent, size)
        if low_water < extent:
            if not self.store.shared:
                for view in self._views:
                    view.cut(low_water)
            self.store.set_size(extent, low_water)
        if size > low_water:
            self.store.set_size(low_water, size)

    def _overwritten(self, runs: list[Run], low_water: int) -> Overwritten:
        """Return the bytes that a change of the pages `runs`, and of all past `low_water`, is about to overwrite,
        without those that are noted already."""
        store, size = self.store, self.size
        fd, origin = store.fd, store.origin
        kept = self._barrier.unnoted(self, host.clipped(runs, low_water))
        parts = [(offset, old) for (offset, _), old in zip(kept, self.held(kept), strict=True)]
        if low_water < size:
            lost = host.data_runs(fd, origin + low_water, origin + size)
            whole = (piece for offset, length in lost for piece in host.pieces(low_water + offset, length))
            parts += [(offset, host.read_padded(fd, length, origin + offset)) for offset, length in whole]
        return Overwritten(self, size, low_water, parts)

    def take_back(self, change: Overwritten) -> None:
        """Undo a change that was finished, interrupted or never begun."""
        runs = [_pages(offset, len(old)) for offset, old in change.parts]
        self._change(runs, change.parts, change.size, "undoing a change", low_water=change.low_water)

    def _put_back(self, rescue: Image, largest: int, action: str) -> None:
        """Undo a change that failed half-way."""
        pages, low_water = self._history.since(rescue)
        store = self.store
        self.changed(None)
        try:
            if low_water < largest:
                store.set_size(largest, low_water)
            if rescue.size > low_water:
                store.set_size(low_water, rescue.size)
            for page, old in pages.items():
                host.write_all(store.fd, old, store.origin + page * PAGE)
            self._extent = self.size
        except OSError as error:
            self.fail(error, f"{action} failed and what was there cannot be put back")

    def _join_marks(self) -> None:
        if self._epoch != self._barrier.epoch:
            if not self.unmarked:
                self._barrier.join(self)
            self._epoch = self._barrier.epoch


def _pages(offset: int, length: int) -> Run:
    """Return the whole pages that a range touches."""
    start = offset // PAGE * PAGE
    return start, -(-(offset + length) // PAGE) * PAGE - start


def _joined(pages: dict[int, bytes], offset: int, length: int) -> bytes:
    first = offset // PAGE
    return pages[first] if length == PAGE else b"".join([pages[n] for n in range(first, first + length // PAGE)])


def check_size(size: int) -> None:
    """Check that a memory can have the size `size` (ValueError)."""
    if size < 0 or size % PAGE:
        raise ValueError(f"a size of {size} bytes is not a multiple of the page size {PAGE}")
