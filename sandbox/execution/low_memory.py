"""The hook `canister_on_low_wasm_memory`: when it becomes due (interface specification, "On Low Wasm Memory").

The condition is that less than `wasm_memory_threshold` bytes are left below `wasm_memory_limit`; an unset limit counts
as 4 GiB. The hook is scheduled once each time the condition comes true, before any other new message of the canister.
"""

from __future__ import annotations

from dataclasses import replace

from sandbox.canister.module import compile_module
from sandbox.execution.context import ExecutionEnvironment
from sandbox.management.sizes import low_on_memory
from sandbox.state import CanisterState, Task
from sandbox.state.canister import NOT_SATISFIED, READY

_HOOK = "canister_on_low_wasm_memory"


def watched(env: ExecutionEnvironment, state: CanisterState) -> CanisterState:
    """The state with the present status of the hook; a hook that became due is put first in the queue."""
    if not state.settings.wasm_memory_threshold and state.low_memory_hook == NOT_SATISFIED:
        return state
    if not low_on_memory(state.settings, state.heap.size):
        return replace(state, low_memory_hook=NOT_SATISFIED) if state.low_memory_hook != NOT_SATISFIED else state
    if state.low_memory_hook != NOT_SATISFIED:
        return state
    schedule(env, state)
    return replace(state, low_memory_hook=READY)


def schedule(env: ExecutionEnvironment, state: CanisterState) -> None:
    """Put the hook before everything else, if the canister has one. While the canister does not run or cannot pay, the
    hook stays ready (`tasks.due`)."""
    if state.code is not None and _HOOK in compile_module(state.code).facts.entry_points:
        env.subnet.queue.appendleft(Task(state.id, "on_low_wasm_memory"))
