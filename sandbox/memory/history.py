"""Past states of one memory: a chain of deltas, oldest first.

A delta stands for the moment at which its image was taken and holds the old bytes of pages overwritten between that
moment and the next image (or now). A page that an image does not hold itself is looked up in the newer deltas and, at
last, in the committed bytes. An image that nobody references gives its pages to its older neighbour.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from sandbox.memory import host
from sandbox.memory.host import PAGE, ZEROS, Run
from sandbox.memory.store import Store

if TYPE_CHECKING:
    from sandbox.memory.committed import Memory


class UndoPages:
    """Which pages of a memory have been saved since a moment at which it had `size` bytes.

    `low` is the smallest size since then: what lay past it has been saved where it was not zero, so a page past `low`
    that is not in `pages` was zero.
    """

    __slots__ = ("low", "pages", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.low = size
        self.pages: dict[int, bytes] = {}

    def missing(self, runs: list[Run]) -> list[Run]:
        """The parts of `runs` (whole pages) that must still be saved before they are overwritten."""
        low, pages, wanted = self.low, self.pages, []
        for offset, length in runs:
            end = min(offset + length, low)
            if offset >= end:
                continue
            if not pages:
                wanted.append((offset, end - offset))
                continue
            page, last = offset // PAGE, -(-end // PAGE)
            while page < last:
                if page in pages:
                    page += 1
                    continue
                first = page
                while page < last and page not in pages:
                    page += 1
                wanted.append((first * PAGE, (page - first) * PAGE))
        return wanted


class Image:
    """The bytes that a memory had when the image was taken: immutable, and free until they are overwritten.

    It dies when nobody references it; nothing has to be closed. Using it after its memory was closed raises StateError.
    """

    __slots__ = ("__weakref__", "_delta", "_history", "memory")

    def __init__(self, memory: Memory, delta: UndoPages, history: History) -> None:
        self.memory = memory
        self._delta = delta
        self._history = history

    def __del__(self) -> None:
        history = getattr(self, "_history", None)
        if history is not None:  # otherwise an exception came before it was finished
            history.forget(self._delta)

    @property
    def size(self) -> int:
        """In bytes."""
        return self._delta.size

    def read(self, offset: int, length: int) -> bytes:
        """A copy of the bytes [offset, offset + length); ValueError if they are not all inside."""
        return self.memory.read_image(self, offset, length)

    def extents(self) -> list[Run]:
        """Where data is, as ascending runs of bytes; everything else is zero."""
        return self.memory.image_extents(self)

    def pieces(self, runs: Iterable[Run]) -> Iterator[tuple[int, bytes]]:
        """The bytes of ascending runs, as (offset, bytes) of at most 1 MiB each."""
        return self.memory.image_pieces(self, runs)

    def together(self, runs: Sequence[Run]) -> bytearray:
        """The bytes of ascending runs, one after another."""
        return self.memory.image_together(self, runs)

    def same_as(self, other: Image) -> bool:
        """True if both are of one memory and nothing was written between them. Compares no bytes."""
        return self is other or (
            self.memory is other.memory and self.size == other.size and not self.changed_since(other)
        )

    def changed_since(self, other: Image) -> list[Run]:
        """Pages that may differ from `other`, an image of the same memory, older or newer; ascending runs of bytes.

        Bytes past the end of an image count as zeros. Costs what was written between the two, whatever the sizes.
        """
        return self.memory.changed_between(self, other)


class _Section:
    """What two threads may not do at once. An image that dies within is retired afterwards.

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


class History:
    """The chain of one memory."""

    def __init__(self, store: Store) -> None:
        self.deltas: list[UndoPages] = []
        self._store = store
        self._latest: weakref.ref[Image] | None = None
        self._section = _Section()
        self._dead: list[UndoPages] = []

    def take(self, memory: Memory) -> Image:
        """An image of the present state; the same object as long as nothing was written."""
        image = self._latest() if self._latest is not None else None
        if image is None:
            delta = UndoPages(memory.size)
            image = Image(memory, delta, self)
            with self._section:
                self.deltas.append(delta)
            self._latest = weakref.ref(image)
        return image

    def save(self, runs: list[Run]) -> None:
        """Keep the old bytes of `runs` for the newest image; must precede every overwriting."""
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
        """Keep what lies past `new` for the newest image; must precede every change of size."""
        self._latest = None
        if new < old and self.deltas:
            start = self._store.origin + new
            lost = host.data_runs(self._store.fd, start, start + old - new)
            self.save([(new + offset, length) for offset, length in lost])
            with self._section:
                if self.deltas:
                    self.deltas[-1].low = min(self.deltas[-1].low, new)

    def since(self, image: Image, until: Image | None = None) -> tuple[dict[int, bytes], int]:
        """(pages, low): the image's bytes of every page overwritten since (before `until`, a newer image).

        A page past `low` that is not among them was zero or past the end. The dict is not the caller's.
        """
        with self._section:
            start = self.deltas.index(image._delta)
            end = len(self.deltas) if until is None else self.deltas.index(until._delta)
            chain = self.deltas[start:end]
            if len(chain) == 1:
                return chain[0].pages, chain[0].low
            merged: dict[int, bytes] = {}
            low, top = image.size, 0
            for delta in reversed(chain):
                if top > delta.low:  # what newer deltas hold past this one's low is not of this past
                    limit = delta.low // PAGE
                    merged = {page: old for page, old in merged.items() if page < limit}
                merged.update(delta.pages)
                low, top = min(low, delta.low), max(top, delta.size)
            return merged, low

    def is_latest(self, image: Image) -> bool:
        """True if nothing was written since the image was taken."""
        return self._latest is not None and self._latest() is image

    def is_newest(self, image: Image) -> bool:
        """True if no image is younger."""
        return bool(self.deltas) and self.deltas[-1] is image._delta

    def order(self, a: Image, b: Image) -> tuple[Image, Image]:
        """The two, the older one first."""
        with self._section:
            return (a, b) if self.deltas.index(a._delta) <= self.deltas.index(b._delta) else (b, a)

    def returned_to(self, image: Image) -> None:
        """The committed bytes are the newest image's again: nothing needs to be held for it."""
        with self._section:
            delta = image._delta
            delta.pages.clear()
            delta.low = delta.size
            self._latest = weakref.ref(image)

    def forget(self, delta: UndoPages) -> None:
        """The image of `delta` has died; this may happen in the middle of anything, in any thread."""
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
            limit = older.low // PAGE
            inherited = delta.pages
            if delta.size > older.low:
                inherited = {page: old for page, old in inherited.items() if page < limit}
            if len(inherited) > len(older.pages):
                inherited.update(older.pages)
                older.pages = inherited
            else:
                older.pages = inherited | older.pages
            older.low = min(older.low, delta.low)
        del self.deltas[index]


def image_extents(store: Store, present: int, past: tuple[dict[int, bytes], int], start: int = 0) -> list[Run]:
    """Where an image holds data from `start` on, given its `History.since` and the size of the memory at present."""
    pages, low = past
    origin = store.origin + start
    found = host.data_runs(store.fd, origin, store.origin + min(present, low))
    runs = [(start + offset, length) for offset, length in found]
    if not pages:
        return runs
    here: set[int] = set()
    for offset, length in runs:
        here.update(range(offset // PAGE, -(-(offset + length) // PAGE)))
    for page, old in pages.items():
        if old is ZEROS:
            here.discard(page)
        elif page * PAGE >= start:
            here.add(page)
    return host.page_runs(sorted(here))
