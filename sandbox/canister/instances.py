"""Instances of canisters over private views of their memories. Disposable: no committed state is lost with one.

An instance shows the committed state plus the writes of the present message. `commit` makes the writes permanent,
`rollback` discards them; both cost the pages written. `InstanceCache` keeps the most recently used ones.
"""

from __future__ import annotations

import ctypes
import os
from collections import OrderedDict
from functools import cache

from sandbox import engine, wasm
from sandbox.canister.changes import Run, changed_pages, written_pages
from sandbox.canister.module import CompiledModule, compile_module
from sandbox.ic0 import stable as stable_api
from sandbox.ic0 import table
from sandbox.ic0.control import ControlMemory
from sandbox.ic0.modes import TRACKED
from sandbox.ic0.state import Execution, GuestTrap
from sandbox.ic0.weights import HEAP_PAGE, HEAP_PAGE_WASM64, LOG_CAPACITY
from sandbox.limits import WASM32_MEMORY, WASM64_MEMORY, WASM_PAGE
from sandbox.memory import Memory, View
from sandbox.principal import Principal
from sandbox.state import CanisterState
from sandbox.wasm import Cell

_KEPT = 128
_TRACKED = int(TRACKED)


class LimitedHeap:
    """A view that refuses to grow beyond `limit` bytes (0: none) and remembers that it was asked to."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.limit = 0
        self.peak = 0
        """The size that was refused first, 0 if none was."""

    @property
    def base(self) -> int:
        return self.view.base

    @property
    def size(self) -> int:
        return self.view.size

    @property
    def capacity(self) -> int:
        return self.view.capacity

    def grow(self, new_size: int) -> bool:
        if self.limit and new_size > self.limit:
            self.peak = self.peak or new_size
            return False
        return self.view.grow(new_size)


def heap_view(memory: Memory, prepared: CompiledModule) -> View:
    """A view of a heap with the address space that the module's memory may need."""
    reserve = WASM64_MEMORY if prepared.pointer == "l" else WASM32_MEMORY
    return memory.view(minimum=prepared.heap_minimum, reserve=reserve, guard=engine.GUARD)


def stable_view(memory: Memory) -> View:
    """A view of a stable memory; its mapping moves when it outgrows the address space set aside."""
    return memory.view(minimum=0, reserve=max(engine.RESERVED, memory.size), guard=engine.GUARD)


class CanisterInstance:
    """One instance of `prepared` over two views."""

    def __init__(self, prepared: CompiledModule, heap: View, stable: View) -> None:
        self.prepared = prepared
        self.heap = heap
        self.stable = stable
        self.limited = LimitedHeap(heap)
        self.guest = engine.GuestMemory(heap)
        self.globals: bytes | None = None
        """The known values of the instance's globals; None if they must be loaded first."""
        self.clean = False
        """Nothing was written since the last commit or rollback: at first, others may have written to the views."""
        touched, self._control = _plain(stable_api.TOUCHED_PAGES), _plain(1)
        own = (self.limited,) if prepared.facts.memory else ()
        self.meter = engine.Meter(self._control.base)
        self._facts = ControlMemory(self._control.base, {name for _, name in prepared.compiled.imports})
        self.instance = engine.Instance(
            _library(prepared.pointer),
            prepared.compiled,
            [
                engine.Support(prepared.support, (self._control, *own, stable, touched)),
                engine.Support(prepared.thunks, ()),
            ],
            self.meter,
        )
        self._stable_touched = True
        """Whether stable memory may differ from what is committed."""
        self._globals_size = len(prepared.rewritten.globals) * wasm.SLOT
        self._before: dict[int, bytes] = {}
        """Heap pages that were written before the present message, if its changes are tracked."""
        self._heap_written: list[Run] | None = None
        """The heap's written pages, once the message has ended and until others may be written."""
        self.initial_globals = self.save_globals()

    def begin(self, execution: Execution, instructions: int, heap_limit: int) -> None:
        """Prepare for one message: set its limits and the memory for its system calls."""
        tracked = execution.mode_bit & _TRACKED
        self._before = written_pages(self.heap) if tracked and not self.clean else {}
        self.clean, self._heap_written = False, None
        meter = self.meter
        if meter[Cell.ACCESSED] == meter[Cell.SERIAL]:
            self._stable_touched = True
        meter[Cell.SERIAL] += 1
        meter[Cell.ACCESSIBLE] = meter[Cell.MODIFIABLE] = stable_api.page_limit(execution.mode_bit)
        meter[Cell.EARLIER] = execution.env.call_context_instructions
        meter[Cell.LOG_ROOM] = LOG_CAPACITY
        meter[Cell.REFUSED] = -1
        self.limited.limit, self.limited.peak = heap_limit, 0
        execution.heap = self.guest if self.prepared.facts.memory else None
        execution.meter = meter
        self.instance.context.subject = execution
        self._facts.give(execution)
        meter.start(instructions)

    def end(self, execution: Execution) -> None:
        """Move what the system calls of the message left to its execution."""
        self._facts.take(execution)
        self.globals = None

    def used(self, mode: int) -> int:
        """Instructions of the message in this mode, which has ended; its changed heap pages included."""
        used = self.meter.used()
        if not mode & _TRACKED:
            return used
        self._heap_written = self.heap.dirty()
        each = HEAP_PAGE_WASM64 if self.prepared.facts.is64 else HEAP_PAGE
        return used + each * changed_pages(self.heap, self._heap_written, self._before)

    def load_globals(self, values: bytes) -> None:
        """Set the globals; costs nothing if they have these values already."""
        if values is not self.globals:
            if values:
                ctypes.memmove(self._control.base + wasm.GLOBALS, values, len(values))
                self.instance.call_leaf(wasm.LOAD_GLOBALS)
            self.globals = values

    def save_globals(self) -> bytes:
        """The values of all mutable globals; the same object as before if none has changed."""
        if not self._globals_size:
            self.globals = b""
            return b""
        self.instance.call_leaf(wasm.SAVE_GLOBALS)
        values = ctypes.string_at(self._control.base + wasm.GLOBALS, self._globals_size)
        if values != self.globals:
            self.globals = values
        assert self.globals is not None
        return self.globals

    def commit(self) -> bytes:
        """Commit the writes to both memories, or to neither; return the globals."""
        values = self.save_globals()
        stable = self.stable
        written, self._heap_written = self._heap_written, None
        if self._stable_same():
            self.heap.commit(written)
        else:
            before = stable.memory.image()
            stable.commit()
            try:
                self.heap.commit(written)
            except BaseException:
                stable.memory.restore(before)
                raise
        self._settled()
        return values

    def _stable_same(self) -> bool:
        """Whether stable memory was not touched since the last commit or rollback; costs no look at its pages."""
        touched = self._stable_touched or self.meter[Cell.ACCESSED] == self.meter[Cell.SERIAL]
        return not touched and self.stable.size == self.stable.memory.size and not self.stable.stale

    def shared_heap(self) -> View:
        """The view of the heap, for another instance to write to as well."""
        self._heap_written = None
        return self.heap

    def shared_stable(self) -> View:
        """The view of stable memory, for another instance to write to as well."""
        self._stable_touched = True
        return self.stable

    def _settled(self) -> None:
        self.clean, self._stable_touched = True, False
        self.meter[Cell.ACCESSED] = 0

    def rollback(self) -> bool:
        """Discard the writes; False if this instance cannot be used any more."""
        self.globals = None
        written, self._heap_written = self._heap_written, None
        heap, stable = self.heap.rollback(written), self._stable_same() or self.stable.rollback()
        if not (heap and stable):
            self.clean = False
            return False
        self._settled()
        return True

    def refresh(self) -> bool:
        """Show the memories' present bytes, also if others have changed them; False if that is impossible."""
        if not self.clean:
            return self.rollback()
        return self.heap.follow() and self.stable.follow()

    def close(self, keep_views: bool = False) -> None:
        """Free the instance, and the views unless another instance has taken them over."""
        self.instance.close()
        if not keep_views:
            self.heap.close()
            self.stable.close()


class InstanceCache:
    """The instances of one sandbox, most recently used last; at most a fixed number stay."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._live: OrderedDict[Principal, CanisterInstance] = OrderedDict()
        self.used: set[Principal] = set()
        """Canisters of which an instance was used, since it was last emptied."""

    def open(self, state: CanisterState) -> CanisterInstance:
        """Return the instance that shows exactly `state`; the canister must have code."""
        assert state.code is not None
        self.used.add(state.id)
        live = self._live.get(state.id)
        if live is not None and not (_fits(live, state) and live.refresh()):
            self.drop(state.id)
            live = None
        if live is None:
            prepared = compile_module(state.code)
            live = CanisterInstance(prepared, heap_view(state.heap, prepared), stable_view(state.stable))
            self.adopt(state.id, live)
        else:
            self._live.move_to_end(state.id)
        live.load_globals(state.globals)
        return live

    def adopt(self, canister_id: Principal, live: CanisterInstance) -> None:
        """Keep `live` as the canister's own from now on, instead of any earlier one."""
        self.used.add(canister_id)
        if self._live.get(canister_id, live) is not live:
            self.drop(canister_id)
        self._live[canister_id] = live
        self._live.move_to_end(canister_id)
        while len(self._live) > self._kept:
            self.drop(next(iter(self._live)))

    def take(self, state: CanisterState) -> CanisterInstance:
        """As `open`, for the caller alone: until it is given back, others get instances of their own."""
        live = self.open(state)
        del self._live[state.id]
        return live

    def give_back(self, canister_id: Principal, live: CanisterInstance) -> None:
        """Discard the writes of a taken `live`, and keep it."""
        if live.rollback() and not live.prepared.facts.uses_data_drop:
            self.adopt(canister_id, live)
        else:
            live.close()

    def release(self, canister_id: Principal, successor: CanisterInstance) -> None:
        """Free the canister's instance, and those of its views that `successor` has not taken over."""
        live = self._live.pop(canister_id)
        live.instance.close()
        for view, taken in ((live.heap, successor.heap), (live.stable, successor.stable)):
            if view is not taken:
                view.close()

    def rollback(self, canister_id: Principal) -> None:
        """Discard the writes of the canister's message."""
        live = self._live.get(canister_id)
        if live is not None and (not live.rollback() or live.prepared.facts.uses_data_drop):
            self.drop(canister_id)

    def drop(self, canister_id: Principal) -> None:
        """Free the canister's instance and views, if there are any."""
        live = self._live.pop(canister_id, None)
        if live is not None:
            live.close()

    def drop_used(self) -> None:
        """Free the instances used since `used` was emptied, in any state that an interruption left."""
        for canister_id in self.used:
            self.drop(canister_id)

    def clear(self) -> None:
        for canister_id in list(self._live):
            self.drop(canister_id)


def _fits(live: CanisterInstance, state: CanisterState) -> bool:
    """Whether it is an instance of the state's module over the state's memories."""
    code = state.code
    return (
        code is not None
        and live.prepared.hash == code.hash
        and live.heap.memory is state.heap
        and live.stable.memory is state.stable
    )


@cache
def _library(pointer: str) -> engine.Library:
    """All host functions for modules with this pointer type."""
    functions = {
        row.name: engine.HostFunction(
            row.params.replace("I", pointer),
            row.results.replace("I", pointer),
            table.bind(row),
        )
        for row in table.SYSTEM_API
        if row.function is not None
    }
    functions["fail"] = engine.HostFunction("i", "", _fail)
    return engine.Library(engine.runtime(), functions, GuestTrap)


os.register_at_fork(after_in_child=_library.cache_clear)


def _fail(_: Execution, reason: int) -> None:
    """Trap for the stable memory functions, with the failure of this number."""
    raise GuestTrap(*stable_api.FAILURES[reason])


def _plain(pages: int) -> engine.PlainMemory:
    return engine.PlainMemory(pages * WASM_PAGE, engine.RESERVED, engine.GUARD)
