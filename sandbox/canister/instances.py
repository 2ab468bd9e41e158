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
from sandbox.canister.module import CompiledModule, compile_module, profiled_build
from sandbox.canister.profiling import CallRecorder, Profiler
from sandbox.errors import SandboxError
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
from sandbox.wasm import Cell, profiling

_KEPT = 256 << 20
"""Bytes of the instances that a sandbox keeps: about 1,600 small ones. Fewer, and canisters that are called in turn get
a new instance each time, which takes five times an update; many more, and the mappings (8 for each instance, of 65,530
that Linux allows a process) and the address space (18 GiB each, of 128 TiB) run out."""
_OWN = 160 << 10
"""Bytes of an instance besides page tables of what its memories hold: measured, with what the engine allocates."""
_TABLES = 512
"""Bytes of a memory for which page tables take one byte."""
_TRACKED = int(TRACKED)


def heap_view(memory: Memory, prepared: CompiledModule) -> View:
    """A view of a heap with the address space that the module's memory may need."""
    reserve = WASM64_MEMORY if prepared.pointer == "l" else WASM32_MEMORY
    return memory.view(minimum=prepared.heap_minimum, reserve=reserve, guard=engine.GUARD)


def stable_view(memory: Memory) -> View:
    """A view of a stable memory; its mapping moves when it outgrows the address space set aside."""
    return memory.view(minimum=0, reserve=max(engine.RESERVED, memory.size), guard=engine.GUARD)


class CanisterInstance:
    """One instance of `prepared` over two views; with a `profiler`, of its profiled build."""

    def __init__(self, prepared: CompiledModule, heap: View, stable: View, profiler: Profiler | None = None) -> None:
        self.prepared = prepared
        self.profiler = profiler
        self.recorder: CallRecorder | None = None
        self.heap = heap
        self.stable = stable
        self.guest = engine.GuestMemory(heap)
        self.running = False
        """Whether it executes a message now."""
        self.globals: bytes | None = None
        """The known values of the instance's globals; None if they must be loaded first."""
        self.footprint = _OWN + (heap.size + stable.size) // _TABLES
        """Bytes of this process that the instance takes, roughly, as of its making."""
        self.clean = False
        """Nothing was written since the last commit or rollback: at first, others may have written to the views."""
        touched, self._control = _plain(stable_api.TOUCHED_PAGES), _plain(1)
        own = (heap,) if prepared.facts.memory else ()
        self.meter = engine.Meter(self._control.base)
        self._facts = ControlMemory(self._control.base, {name for _, name in prepared.compiled.imports})
        compiled = prepared.compiled
        support = [
            engine.Support(prepared.support, (self._control, *own, stable, touched)),
            engine.Support(prepared.thunks, ()),
        ]
        if profiler is not None:
            build, paths = profiled_build(prepared), _plain(profiling.PAGES)
            compiled, self.recorder = build.compiled, CallRecorder(paths.base, self.meter, build)
            support.append(engine.Support(build.shim, (paths,)))
        self.instance = engine.Instance(_library(prepared.pointer), compiled, support, self.meter)
        self._stable_touched = True
        """Whether stable memory may differ from what is committed."""
        self._globals_size = len(prepared.rewritten.globals) * wasm.SLOT
        self._before: dict[int, bytes] = {}
        """Heap pages that were written before the present message, if its changes are tracked."""
        self._heap_written: list[Run] | None = None
        """The heap's written pages, once the message has ended and until others may be written."""
        self.initial_globals = self.save_globals()

    def begin(self, execution: Execution, instructions: int, heap_limit: int) -> None:
        """Prepare for one message: set its limits, `heap_limit` in bytes or 0, and the memory for its system calls."""
        tracked = execution.mode_bit & _TRACKED
        self._before = written_pages(self.heap) if tracked and not self.clean else {}
        self.clean, self._heap_written = False, None
        execution.heap = self.guest if self.prepared.facts.memory else None
        execution.meter = self.meter
        self.instance.context.subject = execution
        self._facts.give(execution)
        earlier, pages = execution.env.call_context_instructions, stable_api.page_limit(execution.mode_bit)
        growable = heap_limit // WASM_PAGE if heap_limit else -1
        if self.meter.start(instructions, earlier, LOG_CAPACITY, pages, growable):
            self._stable_touched = True
        if self.recorder is not None:
            self.recorder.start(instructions)

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
    """The instances of one sandbox, most recently used last; those stay that together take at most `kept` bytes,
    and always the last one."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._total = 0
        """The footprints of all; too large after an interruption, until it exceeds `kept`."""
        self._live: OrderedDict[Principal, CanisterInstance] = OrderedDict()
        self.used: set[Principal] = set()
        """Canisters of which an instance was used, since it was last emptied."""
        self.profiler: Profiler | None = None
        """Gets every execution, if the sandbox is profiled."""

    def open(self, state: CanisterState) -> CanisterInstance:
        """Return the instance that shows exactly `state`; the canister must have code."""
        assert state.code is not None
        self.used.add(state.id)
        live = self._idle(state.id)
        if live is not None and not (live.profiler is self.profiler and _fits(live, state) and live.refresh()):
            self.drop(state.id)
            live = None
        if live is None:
            prepared = compile_module(state.code)
            live = CanisterInstance(prepared, heap_view(state.heap, prepared), stable_view(state.stable), self.profiler)
            self.adopt(state.id, live)
        else:
            self._live.move_to_end(state.id)
        live.load_globals(state.globals)
        return live

    def _idle(self, canister_id: Principal) -> CanisterInstance | None:
        """Return the canister's instance, if there is one. `SandboxError` while it executes a message: only a function
        of the user's that the message calls, such as `on_log`, can ask for it then."""
        live = self._live.get(canister_id)
        if live is not None and live.running:
            raise SandboxError(f"{canister_id} executes a message: what it calls, such as on_log, cannot use it")
        return live

    def adopt(self, canister_id: Principal, live: CanisterInstance) -> None:
        """Keep `live` as the canister's own from now on, instead of any earlier one."""
        self.used.add(canister_id)
        if self._live.get(canister_id, live) is not live:
            self.drop(canister_id)
        if canister_id not in self._live:
            self._total += live.footprint
            self._live[canister_id] = live
        self._live.move_to_end(canister_id)
        if self._total > self._kept:
            self._total = sum(other.footprint for other in self._live.values())
        while self._total > self._kept and len(self._live) > 1:
            self.drop(next(iter(self._live)))

    def take(self, state: CanisterState) -> CanisterInstance:
        """As `open`, for the caller alone: until it is given back, others get instances of their own."""
        live = self.open(state)
        self._remove(state.id)
        return live

    def give_back(self, canister_id: Principal, live: CanisterInstance) -> None:
        """Discard the writes of a taken `live`, and keep it."""
        if live.rollback() and not live.prepared.facts.uses_data_drop:
            self.adopt(canister_id, live)
        else:
            live.close()

    def release(self, canister_id: Principal, successor: CanisterInstance) -> None:
        """Free the canister's instance, and those of its views that `successor` has not taken over."""
        live = self._remove(canister_id)
        assert live is not None
        live.instance.close()
        for view, taken in ((live.heap, successor.heap), (live.stable, successor.stable)):
            if view is not taken:
                view.close()

    def rollback(self, canister_id: Principal) -> None:
        """Discard the writes of the canister's message."""
        live = self._idle(canister_id)
        if live is not None and (not live.rollback() or live.prepared.facts.uses_data_drop):
            self.drop(canister_id)

    def drop(self, canister_id: Principal) -> None:
        """Free the canister's instance and views, if there are any."""
        live = self._idle(canister_id)
        if live is not None:
            self._remove(canister_id)
            live.close()

    def _remove(self, canister_id: Principal) -> CanisterInstance | None:
        live = self._live.pop(canister_id, None)
        if live is not None:
            self._total -= live.footprint
        return live

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
