"""The part of a memory that images, views, marks and journals need: its committed bytes, and checks of their use."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, NoReturn

from sandbox.errors import StateCorrupt, StateError
from sandbox.memory import host
from sandbox.memory.dirty import Strategy
from sandbox.memory.host import Run
from sandbox.memory.store import Store

_REMEMBERED: Final = 64
_RUNS: Final = 1 << 15
"""The changes that are remembered for views that missed them, and the runs that all of them together may have."""


class BaseMemory:
    """The committed bytes of one memory, to be read.

    `name`: the name by which `Pool.open` opens the memory again; empty for a memory that is not on disk.
    `size` is a multiple of the host's page size. `generation` changes with every change of the bytes or the size.
    `damage`: the reason why the bytes must not be used, None if they may be. `owner`: the number of the process to
    which the memory belongs, if this process was forked from it; None otherwise.
    """

    def __init__(self, store: Store, size: int, strategy: Strategy) -> None:
        self.store = store
        self.name: Final = store.name
        self.size = size
        self.strategy = strategy
        self.generation = 0
        self._changes: deque[list[Run] | None] = deque()
        self._runs = 0
        self._held: tuple[list[Run], list[bytes]] | None = None
        """The answer of `held`, until the bytes change."""
        self.closed = False
        self.damage: str | None = None
        self.owner: int | None = None

    @property
    def writable(self) -> bool:
        """False if the bytes cannot change: they are in a file that was opened for reading only."""
        return self.store.writable

    def read(self, offset: int, length: int) -> bytes:
        """Return a copy of the committed bytes [offset, offset + length); ValueError if they are not all inside."""
        self.check(offset, length, self.size)
        return self._padded(offset, length)

    def held(self, runs: list[Run]) -> Iterable[bytes]:
        """Return the committed bytes of each run of a view, zeros past the end.

        Few bytes are read once, however often they are needed before they change: `runs` must stay as it is.
        """
        if self._held is not None and self._held[0] is runs:
            return self._held[1]
        parts = (self._padded(offset, length) for offset, length in runs)
        if sum([length for _, length in runs]) > host.CHUNK:
            return parts
        self._held = runs, list(parts)
        return self._held[1]

    def _padded(self, offset: int, length: int) -> bytes:
        try:
            return host.read_padded(self.store.fd, length, self.store.origin + offset)
        except OSError as error:
            self.fail(error, f"reading {length} bytes at {offset}")

    def check(self, offset: int = 0, length: int = 0, size: int = 0) -> None:
        """Check that the memory is open (StateError) and that a range lies inside `size` bytes (ValueError)."""
        if self.closed:
            raise self.gone("this memory")
        if offset < 0 or length < 0 or offset + length > size:
            raise ValueError(f"{length} bytes at {offset} are not inside {size} bytes")

    def changed(self, runs: list[Run] | None) -> None:
        """Begin the next generation: the pages `runs` were overwritten, or anything, and perhaps the size, for None."""
        changes = self._changes
        changes.append(runs)
        self._runs += len(runs or ())
        while len(changes) > _REMEMBERED or self._runs > _RUNS:
            self._runs -= len(changes.popleft() or ())
        self._held = None
        self.generation += 1

    def missed_since(self, generation: int) -> list[Run] | None:
        """Return the pages overwritten since a generation, in any order, perhaps repeatedly; None if not known."""
        runs: list[Run] = []
        missed = self.generation - generation
        if missed > len(self._changes):
            return None
        for index in range(-missed, 0):
            change = self._changes[index]
            if change is None:
                return None
            runs += change
        return runs

    def disown(self, owner: int) -> None:
        """In a forked child: close the memory without touching its bytes, which are the parent's."""
        self.closed = True
        self.owner = owner

    def gone(self, user: str) -> StateError:
        """Return the error of `user`, which needs this closed memory."""
        return closed(user, self.owner) if self.damage is None else StateCorrupt(self.damage)

    def fail(self, error: OSError, action: str) -> NoReturn:
        """Raise the StateError of an `action` on this memory that a system call refused."""
        raise host.failure(error, action, self.store.where) from error


def closed(user: str, owner: int | None) -> StateError:
    """Return the error of `user`, which was closed, or which belongs to the process `owner`."""
    if owner is None:
        return StateError(f"{user} was closed")
    return StateError(f"{user} belongs to process {owner}, from which this one was forked")
