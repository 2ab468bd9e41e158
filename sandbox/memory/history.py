"""Past states of one memory: a chain of deltas, oldest first.

A delta stands for the moment at which its image was taken and holds the old bytes of pages overwritten between that
moment and the next image (or now). A page that an image does not hold itself is looked up in the newer deltas and, at
last, in the committed bytes. When an image is no longer referenced, its pages pass to the next older delta.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from sandbox.memory import host
from sandbox.memory.base import BaseMemory
from sandbox.memory.host import PAGE, ZEROS, Run
from sandbox.memory.store import Store
from sandbox.memory.undo_pages import UndoPages

_FEW = 256
"""Pages up to which they are looked for one by one."""

PagesSince = tuple[dict[int, bytes], int]
"""The answer of `History.since`: old pages by number, and the low-water mark of the size."""


class BaseImage:
    """A past state of a memory, read through the memory's history."""

    __slots__ = ("__weakref__", "_delta", "_history", "memory")

    def __init__(self, memory: BaseMemory, delta: UndoPages, history: History[Any]) -> None:
        self.memory = memory
        self._delta = delta
        self._history = history

    def __del__(self) -> None:
        history = getattr(self, "_history", None)
        if history is not None:  # otherwise an exception came before it was finished
            history.forget(self._delta)

    @property
    def size(self) -> int:
        """The size of the image in bytes."""
        return self._delta.size

    def read(self, offset: int, length: int) -> bytes:
        """Return a copy of the bytes [offset, offset + length); ValueError if they are not all inside."""
        self.memory.check(offset, length, self.size)
        return self._merged(self._history.among(self, [(offset, length)]), offset, length)

    def extents(self) -> list[Run]:
        """Return where data is, as ascending runs of bytes; everything else is zero."""
        return self._extents(0)

    def pieces(self, runs: Iterable[Run]) -> Iterator[tuple[int, bytes]]:
        """Yield the bytes of ascending runs, as (offset, bytes) of at most 1 MiB each."""
        memory, history = self.memory, self._history
        memory.check()
        generation, since = memory.generation, history.since(self)
        store, size = memory.store, self.size
        for run in runs:
            for offset, length in host.pieces(*run) if run[1] > host.CHUNK else (run,):
                if generation != memory.generation:
                    generation, since = memory.generation, history.since(self)
                if since[0] or memory.closed or offset < 0 or offset + length > min(size, memory.size, since[1]):
                    memory.check(offset, length, size)
                    yield offset, self._merged(since, offset, length)
                else:
                    yield offset, host.read_padded(store.fd, length, store.origin + offset)

    def together(self, runs: Sequence[Run]) -> bytearray:
        """Return the bytes of ascending runs, one after another."""
        memory = self.memory
        memory.check()
        since = pages, low_water = self._history.among(self, runs)
        first, end = (runs[0][0], sum(runs[-1])) if runs else (0, 0)
        if not pages and first >= 0 and end <= min(self.size, memory.size, low_water):
            data = bytearray(sum([length for _, length in runs]))
            if host.read_into(memory.store.fd, memoryview(data), runs, memory.store.origin):
                return data
        for run in runs:
            memory.check(*run, self.size)
        return bytearray().join([self._merged(since, *run) for run in runs])

    def same_as(self, other: BaseImage) -> bool:
        """Return True if both are of one memory and nothing was written between them. Compares no bytes."""
        return self is other or (
            self.memory is other.memory and self.size == other.size and not self.changed_since(other)
        )

    def changed_since(self, other: BaseImage) -> list[Run]:
        """Return the pages that may differ from `other`, an image of the same memory, older or newer; ascending runs.

        Bytes past the end of an image count as zeros. Costs the pages written between the two, whatever the sizes.
        """
        self.memory.check()
        other.check_of(self.memory)
        if self is other:
            return []
        older, newer = self._history.order(self, other)
        pages, low_water = self._history.since(older, newer)
        changed = not_implied(pages, low_water) if low_water < older.size else set(pages)
        if newer.size > low_water:
            for offset, length in newer._extents(low_water):
                changed.update(range(offset // PAGE, -(-(offset + length) // PAGE)))
        return host.page_runs(sorted(changed))

    def check_of(self, memory: BaseMemory) -> None:
        """Check that this is an image of `memory` (ValueError)."""
        if self.memory is not memory:
            raise ValueError("an image of another memory")

    def _extents(self, start: int) -> list[Run]:
        """Return where data is from `start` on."""
        self.memory.check()
        return _extents(self.memory.store, self.memory.size, self._history.since(self), start)

    def _merged(self, since: PagesSince, offset: int, length: int) -> bytes:
        """Return bytes of the image: the committed ones, and over them the old pages of `since`."""
        pages, low_water = since
        memory = self.memory
        present = max(0, min(offset + length, low_water, memory.size) - offset)
        data = bytearray(memory.read(offset, present) if present else b"")
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


class _Section:
    """A section that one thread at a time may be in. An image that dies while one is inside is retired afterwards.

    If an exception comes where the section begins or ends, its thread can enter it again all the same.
    """

    __slots__ = ("busy", "lock")

    def __init__(self) -> None:
        self.busy = False
        self.lock = threading.RLock()

    def __enter__(self) -> None:
        self.lock.acquire()
        self.busy = True

    def __exit__(self, *_: object) -> None:
        self.busy = False
        self.lock.release()


AnyImage = TypeVar("AnyImage", bound=BaseImage)


class History(Generic[AnyImage]):
    """The chain of one memory, whose images are of the class `kind`."""

    def __init__(self, store: Store, kind: type[AnyImage]) -> None:
        self.deltas: list[UndoPages] = []
        self._store = store
        self._kind = kind
        self._latest: weakref.ref[AnyImage] | None = None
        self._section = _Section()
        self._dead: list[UndoPages] = []

    def take(self, memory: BaseMemory) -> AnyImage:
        """Return an image of the present state; the same object as long as nothing was written."""
        image = self._latest() if self._latest is not None else None
        if image is None:
            delta = UndoPages(memory.size)
            image = self._kind(memory, delta, self)
            with self._section:
                self.deltas.append(delta)
            self._latest = weakref.ref(image)
        return image

    def save(self, runs: list[Run]) -> None:
        """Save the old bytes of `runs` for the newest image; must precede every overwriting."""
        self._latest = None
        if not self.deltas:
            return
        with self._section:
            newest = self.deltas[-1] if self.deltas else UndoPages(0)
            pages, fd, origin = newest.pages, self._store.fd, self._store.origin
            for run in newest.missing(runs):
                for offset, length in host.pieces(*run):
                    data = host.read_padded(fd, length, origin + offset)
                    page = offset // PAGE
                    if length == PAGE:
                        pages[page] = data if data != ZEROS else ZEROS
                        continue
                    for position in range(0, length, PAGE):
                        old = data[position : position + PAGE]
                        pages[page] = old if old != ZEROS else ZEROS
                        page += 1
        self._sweep()

    def save_size(self, old: int, new: int) -> None:
        """Save the bytes past `new` for the newest image; must precede every change of size."""
        self._latest = None
        if new < old and self.deltas:
            start = self._store.origin + new
            lost = host.data_runs(self._store.fd, start, start + old - new)
            self.save([(new + offset, length) for offset, length in lost])
            with self._section:
                if self.deltas:
                    self.deltas[-1].low_water = min(self.deltas[-1].low_water, new)

    def since(self, image: BaseImage, until: BaseImage | None = None) -> PagesSince:
        """Return (pages, low-water mark): the image's bytes of every page overwritten since, or before the newer image
        `until`, and the smallest size meanwhile.

        A page past the mark that is not among them was zero or past the end. The caller must not change the dict.
        """
        with self._section:
            start = self.deltas.index(image._delta)
            end = len(self.deltas) if until is None else self.deltas.index(until._delta)
            chain = self.deltas[start:end]
            if len(chain) == 1:
                return chain[0].pages, chain[0].low_water
            merged: dict[int, bytes] = {}
            low_water, top = image.size, 0
            for delta in reversed(chain):
                if top > delta.low_water:  # pages of newer deltas past this mark were zero or absent at this moment
                    limit = delta.low_water // PAGE
                    merged = {page: old for page, old in merged.items() if page < limit}
                merged.update(delta.pages)
                low_water, top = min(low_water, delta.low_water), max(min(top, delta.low_water), delta.size)
            return merged, low_water

    def among(self, image: BaseImage, runs: Sequence[Run]) -> PagesSince:
        """As `since`, for the pages of `runs`; of others, some may be missing. Of few pages in a long chain, each is
        looked for in the deltas one after the other: the oldest that has it holds the image's bytes."""
        if sum(length for _, length in runs) > _FEW * PAGE:
            return self.since(image)
        with self._section:
            chain = self.deltas[self.deltas.index(image._delta) :]
            if len(chain) == 1:
                return chain[0].pages, chain[0].low_water
            wanted = {page for start, length in runs for page in range(start // PAGE, -(-(start + length) // PAGE))}
            found: dict[int, bytes] = {}
            for delta in chain:
                here = delta.pages.keys() & wanted
                found.update((page, delta.pages[page]) for page in here)
                limit = delta.low_water // PAGE  # pages past it were zero or absent before newer deltas
                wanted = {page for page in wanted if page < limit and page not in here}
                if not wanted:
                    break
            return found, min([image.size, *[delta.low_water for delta in chain]])

    def is_latest(self, image: BaseImage) -> bool:
        """Return True if nothing was written since the image was taken."""
        return self._latest is not None and self._latest() is image

    def is_newest(self, image: BaseImage) -> bool:
        """Return True if no image is younger."""
        return bool(self.deltas) and self.deltas[-1] is image._delta

    def order(self, a: BaseImage, b: BaseImage) -> tuple[BaseImage, BaseImage]:
        """Return the two images, the older one first."""
        with self._section:
            return (a, b) if self.deltas.index(a._delta) <= self.deltas.index(b._delta) else (b, a)

    def reset_newest(self, image: BaseImage) -> None:
        """Drop the old pages of the newest image, whose bytes are the committed ones again."""
        assert isinstance(image, self._kind)
        with self._section:
            delta = image._delta
            delta.pages.clear()
            delta.low_water = delta.size
            self._latest = weakref.ref(image)

    def forget(self, delta: UndoPages) -> None:
        """Remove the delta of an image that died. May be called between any two steps of this class, in any thread."""
        self._dead.append(delta)
        self._sweep()

    def _sweep(self) -> None:
        section = self._section
        while self._dead and not section.busy and section.lock.acquire(blocking=False):
            try:
                if self._dead:
                    self._retire(self._dead.pop())
            finally:
                section.lock.release()

    def _retire(self, delta: UndoPages) -> None:
        if delta not in self.deltas:
            return  # its image was never finished
        index = self.deltas.index(delta)
        if index:
            older = self.deltas[index - 1]
            limit = older.low_water // PAGE
            inherited = delta.pages
            if delta.size > older.low_water:
                inherited = {page: old for page, old in inherited.items() if page < limit}
            if len(inherited) > len(older.pages):
                inherited.update(older.pages)
                older.pages = inherited
            else:
                older.pages = inherited | older.pages
            older.low_water = min(older.low_water, delta.low_water)
        del self.deltas[index]


def not_implied(pages: dict[int, bytes], low_water: int) -> set[int]:
    """Return the numbers of `pages` without zero pages past `low_water`, where every page not listed is zero."""
    limit = low_water // PAGE
    return {page for page, old in pages.items() if page < limit or old is not ZEROS}


def _extents(store: Store, present: int, since: PagesSince, start: int) -> list[Run]:
    """Return where an image of a memory of `present` bytes holds data from `start` on."""
    pages, low_water = since
    committed = host.data_runs(store.fd, store.origin + start, store.origin + min(present, low_water))
    runs = [(start + offset, length) for offset, length in committed]
    if not pages:
        return runs
    numbers: set[int] = set()
    for offset, length in runs:
        numbers.update(range(offset // PAGE, -(-(offset + length) // PAGE)))
    for page, old in pages.items():
        if old is ZEROS:
            numbers.discard(page)
        elif page * PAGE >= start:
            numbers.add(page)
    return host.page_runs(sorted(numbers))
