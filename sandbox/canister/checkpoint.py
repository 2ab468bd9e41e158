"""Checkpoints of an instance's uncommitted changes, so that a query can return to the moment before a callback that
trapped. Costs the pages written so far."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from sandbox.canister.instances import CanisterInstance, heap_view, stable_view
from sandbox.memory import Memory, View

_Pages = tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Written pages by offset, and the sizes, of both memories; all globals."""

    heap: _Pages
    heap_size: int
    stable: _Pages
    stable_size: int
    globals: bytes


def checkpoint(live: CanisterInstance) -> Checkpoint:
    """Save the present uncommitted changes of `live`, between two executions."""
    heap, stable = live.heap, live.stable
    return Checkpoint(_written(heap), heap.size, _written(stable), stable.size, live.save_globals())


def resumed(live: CanisterInstance, kept: Checkpoint) -> CanisterInstance:
    """Return an instance in the state of the checkpoint; `live` is closed."""
    prepared, heap, stable = live.prepared, live.heap.memory, live.stable.memory
    live.close()
    again = CanisterInstance(
        prepared,
        _shown(heap_view(heap, prepared), heap, kept.heap, kept.heap_size),
        _shown(stable_view(stable), stable, kept.stable, kept.stable_size),
        live.profiler,
    )
    again.load_globals(kept.globals)
    return again


def _written(view: View) -> _Pages:
    return tuple((offset, ctypes.string_at(view.base + offset, length)) for offset, length in view.dirty())


def _shown(view: View, memory: Memory, pages: _Pages, size: int) -> View:
    if size > memory.size:
        view.grow(size)
    for offset, content in pages:
        ctypes.memmove(view.base + offset, content, len(content))
    return view
