"""The part of a memory that images, views, marks and journals need: its committed bytes, and checks of their use."""

from __future__ import annotations

from typing import NoReturn

from sandbox.errors import StateCorrupt, StateError
from sandbox.memory import host
from sandbox.memory.dirty import Strategy
from sandbox.memory.store import Store


class BaseMemory:
    """The committed bytes of one memory, to be read.

    `size` is a multiple of the host's page size. `generation` changes with every change of the bytes or the size.
    `damage`: the reason why the bytes must not be used, None if they may be. `owner`: the number of the process to
    which the memory belongs, if this process was forked from it; None otherwise.
    """

    def __init__(self, store: Store, size: int, strategy: Strategy) -> None:
        self.store = store
        self.size = size
        self.strategy = strategy
        self.generation = 0
        self.closed = False
        self.damage: str | None = None
        self.owner: int | None = None

    @property
    def writable(self) -> bool:
        """False if the bytes cannot change: they are in a file that was opened for reading only."""
        return self.store.writable

    @property
    def name(self) -> str:
        """The name by which `Pool.open` opens the memory again; empty for a memory that is not on disk."""
        return self.store.name

    def read(self, offset: int, length: int) -> bytes:
        """Return a copy of the committed bytes [offset, offset + length); ValueError if they are not all inside."""
        self.check(offset, length, self.size)
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
