"""Committed memory: the bytes that the last successful message left."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NoReturn

from sandbox.errors import StateCorrupt, StateError
from sandbox.memory import host
from sandbox.memory.dirty import Strategy
from sandbox.memory.history import History, Image, image_extents
from sandbox.memory.host import PAGE, ZEROS, Part, Run
from sandbox.memory.store import Store, extents
from sandbox.memory.view import View
from sandbox.memory.write_barrier import Overwritten, WriteBarrier

WRITING: Final = "writing"
_UNWRITTEN: Final = 4
"""So many pieces wait for being written while others are made."""


class Memory:
    """A sparse array of bytes; made by `Pool.memory` and `Pool.open`.

    `size` is a multiple of the host's page size. `generation` changes with every change of the bytes or the size.
    Every change is all or nothing: one that fails (StateError) leaves what was there. A memory that nobody references
    is closed. Use it in one thread at a time. `damage`: why its bytes must not be used, None if they may be. A memory
    that is `unmarked` is not taken back by marks.
    """

    def __init__(
        self,
        store: Store,
        size: int,
        guard: WriteBarrier,
        strategy: Strategy,
        sibling: Callable[[int], Memory],
        unmarked: bool = False,
    ) -> None:
        self.size = size
        self.generation = 0
        self.closed = False
        self.damage: str | None = None
        self.unmarked = unmarked
        self.store = store
        self.strategy = strategy
        self.views: weakref.WeakSet[View] = weakref.WeakSet()
        self._guard = guard
        self._turn = guard.turn
        self._extent = size
        """No bytes of the store lie past it, also when a change of the size was interrupted."""
        self._epoch = guard.epoch - 1
        self._history = History(store)
        self._sibling = sibling
        guard.memories.add(self)

    @property
    def writable(self) -> bool:
        """Whether the bytes can change at all: not those of a file that was opened to be read only."""
        return self.store.writable

    @property
    def name(self) -> str:
        """The name under which `Pool.open` finds it again; empty for a memory that is not on disk."""
        path = getattr(self.store, "path", None)
        return path.name if path is not None else ""

    # Reading

    def read(self, offset: int, length: int) -> bytes:
        """A copy of the committed bytes [offset, offset + length); ValueError if they are not all inside."""
        self._check(offset, length, self.size)
        try:
            return host.read_padded(self.store.fd, length, self.store.origin + offset)
        except OSError as error:
            self._fail(error, f"reading {length} bytes at {offset}")

    def extents(self) -> list[Run]:
        """Where data is, as ascending runs of bytes; everything else is zero. Costs the data, not the size."""
        self._check()
        return extents(self.store, self.size)

    def view(self, minimum: int = 0, reserve: int = 0, guard: int = 0, movable: bool = True) -> View:
        """A private copy-on-write mapping of at least `minimum` bytes, with address space for `reserve` bytes of growth
        and `guard` inaccessible bytes after it. A view that is not `movable` keeps its base for ever.
        """
        self._check()
        try:
            return View(self, minimum, reserve, guard, movable)
        except OSError as error:
            self._fail(error, "opening a view")

    # Changing

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Change committed bytes; ValueError if they are not all inside."""
        source = memoryview(data).cast("B")
        self._check(offset, len(source), self.size)
        if len(source):
            self._change([_pages(offset, len(source))], [(offset, source)], self.size, WRITING)

    def fill(self, pieces: Iterable[Part]) -> None:
        """Give a memory that was just made its bytes, without a way back: if it fails, the memory is good for nothing.

        ValueError if the memory has a past.
        """
        self._check()
        if self._history.deltas or self.views or (self._guard.marks and not self.unmarked):
            raise ValueError("only a memory without images, views and marks can be filled")
        store = self.store
        written: deque[Future[None]] = deque()
        try:
            with ThreadPoolExecutor(1) as writer:
                for offset, data in pieces:
                    self._check(offset, len(data), self.size)
                    written.append(writer.submit(host.write_all, store.fd, data, store.origin + offset))
                    if len(written) > _UNWRITTEN:
                        written.popleft().result()
                while written:
                    written.popleft().result()
        except OSError as error:
            self._fail(error, "filling")
        self.generation += 1

    def patch(self, parts: Sequence[Part], size: int) -> None:
        """Write ascending parts of whole pages, all inside `size`, and make that the size; all or nothing."""
        check_size(size)
        runs = [(offset, len(data)) for offset, data in parts]
        if any(offset % PAGE or length % PAGE or offset + length > size for offset, length in runs):
            raise ValueError("the parts are not whole pages inside the new size")
        if parts or size != self.size:
            self._change(runs, parts, size, WRITING)

    def resize(self, size: int) -> None:
        """Grow with zeros or give up what lies past `size`. Costs the data given up."""
        self._check()
        check_size(size)
        if size != self.size:
            self._change([], [], size, f"resizing to {size} bytes")

    def absorb(self, runs: list[Run], source: memoryview, size: int) -> int:
        """Take the pages `runs` and the size of a view; for `View.commit`."""
        parts = [(offset, source[offset : offset + length]) for offset, length in runs]
        return self._change(runs, parts, size, "committing")

    # Images

    def image(self) -> Image:
        """The present bytes as an immutable value. Copies nothing; the same object until something is written."""
        self._check()
        return self._history.take(self)

    def restore(self, image: Image) -> int:
        """Bring back the bytes and size of an image of this memory; returns the bytes written.

        Costs the pages written since the image was taken. Other images keep what they hold; views are stale.
        """
        self._check_image(image)
        history = self._history
        if history.is_latest(image):
            return 0
        self._join_marks()
        pages, low = history.since(image)
        runs = host.page_runs(sorted(_told(pages, low) if low < image.size else pages))
        parts = ((start, _joined(pages, start, part)) for run in runs for start, part in host.pieces(*run))
        written = self._change(runs, parts, image.size, "restoring an image", low=min(low, self.size))
        if history.is_newest(image):
            history.returned_to(image)
        return written

    def changed_since(self, image: Image) -> list[Run]:
        """Pages that may differ from an image of this memory; as `Image.changed_since`."""
        return self.image().changed_since(image)

    def fork(self, image: Image | None = None) -> Memory:
        """A new memory of the same pool with these bytes, or those of an image of this memory. Copies only data."""
        source: Memory | Image = self if image is None else image
        if image is not None:
            self._check_image(image)
        other = self._sibling(source.size)
        for run in source.extents():
            for offset, length in host.pieces(*run):
                data = source.read(offset, length)
                if data != bytes(length):
                    other.write(offset, data)
        return other

    def close(self) -> None:
        """Give descriptors back, and space where the memory has no name; the bytes of a named one stay on disk.

        Using the memory, its views or its images afterwards raises StateError; marks do not bring it back.
        """
        if not self.closed:
            self.closed = True
            self.store.release()

    def give_up(self, damage: str) -> None:
        """Close the memory because its bytes are not what they were: whatever needs them raises `StateCorrupt`."""
        self.close()
        self.damage = damage

    # For images

    def read_image(self, image: Image, offset: int, length: int) -> bytes:
        """`Image.read`."""
        self._check_image(image)
        self._check(offset, length, image.size)
        return self._past(self._history.since(image), offset, length)

    def image_pieces(self, image: Image, runs: Iterable[Run]) -> Iterator[tuple[int, bytes]]:
        """`Image.pieces`."""
        self._check_image(image)
        generation, past = self.generation, self._history.since(image)
        store, size = self.store, image.size
        for run in runs:
            for offset, length in host.pieces(*run) if run[1] > host.CHUNK else (run,):
                if generation != self.generation:
                    generation, past = self.generation, self._history.since(image)
                if past[0] or self.closed or offset < 0 or offset + length > min(size, self.size, past[1]):
                    self._check(offset, length, size)
                    yield offset, self._past(past, offset, length)
                else:
                    yield offset, host.read_padded(store.fd, length, store.origin + offset)

    def image_together(self, image: Image, runs: Sequence[Run]) -> bytearray:
        """`Image.together`."""
        self._check_image(image)
        data = bytearray(sum([length for _, length in runs]))
        pages, low = self._history.since(image)
        first, end = (runs[0][0], sum(runs[-1])) if runs else (0, 0)
        if (
            pages
            or first < 0
            or end > min(image.size, self.size, low)
            or not host.read_into(self.store.fd, memoryview(data), runs, self.store.origin)
        ):
            return bytearray().join([self.read_image(image, *run) for run in runs])
        return data

    def _past(self, past: tuple[dict[int, bytes], int], offset: int, length: int) -> bytes:
        """What an image shows there, given its `History.since`."""
        pages, low = past
        present = max(0, min(offset + length, low, self.size) - offset)
        data = bytearray(self.read(offset, present) if present else b"")
        data += bytes(length - len(data))
        first, last = offset // PAGE, -(-(offset + length) // PAGE)
        numbers = range(first, last)
        for page in [n for n in pages if n in numbers] if len(pages) < last - first else numbers:
            old = pages.get(page)
            if old is not None:
                start = page * PAGE - offset
                skip = max(0, -start)
                stop = min(PAGE, length - start)
                data[start + skip : start + stop] = old[skip:stop]
        return bytes(data)

    def image_extents(self, image: Image, start: int = 0) -> list[Run]:
        """`Image.extents`, from `start` on."""
        self._check_image(image)
        return image_extents(self.store, self.size, self._history.since(image), start)

    def changed_between(self, one: Image, other: Image) -> list[Run]:
        """`Image.changed_since`."""
        self._check_image(one)
        self._check_image(other)
        if one is other:
            return []
        older, newer = self._history.order(one, other)
        pages, low = self._history.since(older, newer)
        changed = _told(pages, low) if low < older.size else set(pages)
        if newer.size > low:
            for offset, length in self.image_extents(newer, low):
                changed.update(range(offset // PAGE, -(-(offset + length) // PAGE)))
        return host.page_runs(sorted(changed))

    # The one place where bytes change

    def _change(self, runs: list[Run], parts: Iterable[Part], size: int, action: str, *, low: int | None = None) -> int:
        """Overwrite `parts`, inside the whole pages `runs`, after bringing the size to `low` and then to `size`."""
        self._check()
        self._join_marks()
        store, history, journal = self.store, self._history, self._guard.journal
        low = min(self.size, size) if low is None else low
        resized = low != self.size or size != low or self._extent != size
        # A page that exists in the arena can always be overwritten; everything else may run out of space half-way.
        rescue = history.take(self) if resized or not store.shared or action is WRITING else None
        written = 0
        try:
            if journal is not None:
                journal.before(self, runs, low)
            if resized:
                history.save_size(self.size, low)
            history.save(runs)
            if self._guard.noted is not None and self._turn != self._guard.turn:
                self._guard.noted.append(self._overwritten(runs, low))
            if resized:
                self._set_size(low, size)
            fd, origin = store.fd, store.origin
            for offset, data in parts:
                host.write_all(fd, data, origin + offset)
                written += len(data)
        except OSError as error:
            if rescue is not None:
                self._put_back(rescue, max(self.size, size), action)
            self._fail(error, action)
        self.size = self._extent = size
        self.generation += 1
        return written

    def _set_size(self, low: int, size: int) -> None:
        extent = max(self._extent, self.size)
        self._extent = max(extent, size)
        if low < extent:
            if not self.store.shared:
                for view in self.views:
                    view.cut(low)
            self.store.set_size(extent, low)
        if size > low:
            self.store.set_size(low, size)

    def _overwritten(self, runs: list[Run], low: int) -> Overwritten:
        """What a change of the pages `runs`, and of what lies past `low`, is about to overwrite."""
        store, size = self.store, self.size
        fd, origin = store.fd, store.origin
        parts = [(offset, host.read_padded(fd, length, origin + offset)) for offset, length in host.clipped(runs, low)]
        if low < size:
            lost = host.data_runs(fd, origin + low, origin + size)
            whole = (piece for offset, length in lost for piece in host.pieces(low + offset, length))
            parts += [(offset, host.read_padded(fd, length, origin + offset)) for offset, length in whole]
        return Overwritten(self, size, low, parts)

    def take_back(self, change: Overwritten) -> None:
        """Undo a change that was finished, interrupted or never begun."""
        runs = [_pages(offset, len(old)) for offset, old in change.parts]
        self._change(runs, change.parts, change.size, "undoing a change", low=change.low)

    def _put_back(self, rescue: Image, largest: int, action: str) -> None:
        """Undo a change that failed half-way."""
        pages, low = self._history.since(rescue)
        store = self.store
        self.generation += 1
        try:
            if low < largest:
                store.set_size(largest, low)
            if rescue.size > low:
                store.set_size(low, rescue.size)
            for page, old in pages.items():
                host.write_all(store.fd, old, store.origin + page * PAGE)
            self._extent = self.size
        except OSError as error:
            self._fail(error, f"{action} failed and what was there cannot be put back")

    def _join_marks(self) -> None:
        if self._epoch != self._guard.epoch:
            if not self.unmarked:
                self._guard.join(self)
            self._epoch = self._guard.epoch

    def _check_image(self, image: Image) -> None:
        self._check()
        if image.memory is not self:
            raise ValueError("an image of another memory")

    def _check(self, offset: int = 0, length: int = 0, size: int = 0) -> None:
        if self.closed:
            raise self.gone("this memory")
        if offset < 0 or length < 0 or offset + length > size:
            raise ValueError(f"{length} bytes at {offset} are not inside {size} bytes")

    def gone(self, what: str) -> StateError:
        """Why `what`, which needs this closed memory, cannot be used."""
        return self._guard.closed(what) if self.damage is None else StateCorrupt(self.damage)

    def _fail(self, error: OSError, action: str) -> NoReturn:
        raise host.failure(error, action, self.store.where) from error


def _pages(offset: int, length: int) -> Run:
    """The whole pages that a range touches."""
    start = offset // PAGE * PAGE
    return start, -(-(offset + length) // PAGE) * PAGE - start


def _told(pages: dict[int, bytes], low: int) -> set[int]:
    """The pages that tell anything: past `low`, everything is zero anyway."""
    limit = low // PAGE
    return {page for page, old in pages.items() if page < limit or old is not ZEROS}


def _joined(pages: dict[int, bytes], offset: int, length: int) -> bytes:
    first = offset // PAGE
    return pages[first] if length == PAGE else b"".join([pages[n] for n in range(first, first + length // PAGE)])


def check_size(size: int) -> None:
    """ValueError unless `size` is one that a memory can have."""
    if size < 0 or size % PAGE:
        raise ValueError(f"a size of {size} bytes is not a multiple of the page size {PAGE}")
