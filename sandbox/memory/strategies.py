"""The choice of a strategy for finding written pages: each is tried on real pages before it is used."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Final

from sandbox.errors import Unsupported, of_system
from sandbox.memory import host
from sandbox.memory.dirty import Compare, PageMap, Scan, Strategy
from sandbox.memory.host import PAGE
from sandbox.memory.protect import Protect
from sandbox.memory.store import Store

STRATEGIES: Final[dict[str, type[Protect] | type[Scan] | type[PageMap] | type[Compare]]] = {
    strategy.name: strategy for strategy in (Protect, Scan, PageMap, Compare)
}
"""All strategies by name, the best first."""


def choose(name: str | None, trial: Store) -> Strategy:
    """Return the strategy `name`, or the best that works here; each is tried on pages of `trial` first.

    `trial` is an empty store of an arena. Raises Unsupported for a name that does not work on this machine.
    """
    if name is not None and name not in STRATEGIES:
        raise ValueError(f"no memory strategy {name!r}; there are {', '.join(STRATEGIES)}")
    for candidate in STRATEGIES if name is None else [name]:
        try:
            strategy = STRATEGIES[candidate]()
            if _works(strategy.of_view(), trial):
                return strategy
        except OSError as error:
            of_system(error)
    raise Unsupported(f"memory strategy {name!r} on this machine")


@dataclass
class _Trial:
    """A mapping to try a strategy on."""

    base: int
    size: int
    store: Store
    bytes: memoryview


def _works(strategy: Strategy, store: Store) -> bool:
    """Return True if the strategy finds exactly the one page of four that was written, twice, and takes it back."""
    size, written = 4 * PAGE, [(2 * PAGE, PAGE)]
    host.write_all(store.fd, b"\1" * size, store.origin)
    base = host.reserve(size)
    trial = _Trial(base, size, store, memoryview((ctypes.c_ubyte * size).from_address(base)).cast("B"))
    try:
        host.map_private(base, size, store.fd, store.origin)
        strategy.watch(base, size)
        ctypes.string_at(base, 1)
        ctypes.memset(base + 2 * PAGE, 2, 1)
        if strategy.dirty(trial) != written:
            return False
        host.write_all(store.fd, b"\2", store.origin + 2 * PAGE)
        strategy.settle(trial, written)
        ctypes.string_at(base + PAGE, 1)
        if strategy.dirty(trial):
            return False
        ctypes.memset(base + 2 * PAGE, 3, 1)
        if strategy.dirty(trial) != written:
            return False
        strategy.revert(trial, written)
        return not strategy.dirty(trial) and ctypes.string_at(base + 2 * PAGE, 2) == b"\2\1"
    finally:
        host.unmap(base, size)
        store.set_size(size, 0)
