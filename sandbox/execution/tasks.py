"""System tasks: heartbeat, global timer, low-memory hook (digest 4.9). They answer nobody; a trap only leaves a log."""

from __future__ import annotations

from dataclasses import replace

from sandbox.canister.code import prepare
from sandbox.execution import low_memory
from sandbox.execution.calls import cannot_pay
from sandbox.execution.finish import finish
from sandbox.execution.kernel import Kernel
from sandbox.ic0.modes import Mode
from sandbox.principal import Principal
from sandbox.state import CallContext, CanisterState, Status, SystemOrigin, Task

_MODES = {
    "on_low_wasm_memory": Mode.LOW_WASM_MEMORY,
    "heartbeat": Mode.HEARTBEAT,
    "global_timer": Mode.GLOBAL_TIMER,
}


def due(kernel: Kernel, heartbeats: bool = True) -> list[Task]:
    """The tasks to be run now, by canister id: low-memory hooks that had to wait, a heartbeat of every canister that
    has one, and due timers; none of a canister that cannot pay for it."""
    tasks: list[Task] = []
    for canister_id in sorted(kernel.subnet.canisters):
        state = kernel.subnet.canisters[canister_id]
        if state.status is not Status.RUNNING or state.code is None or state.damage is not None:
            continue
        found = [kind for kind in _MODES if (heartbeats or kind != "heartbeat") and _due(kernel, state, kind)]
        if found and cannot_pay(kernel, state, state.id) is None:
            tasks.extend(Task(canister_id, kind) for kind in found)
    return tasks


def _due(kernel: Kernel, state: CanisterState, kind: str) -> bool:
    if kind == "global_timer" and not 0 < state.global_timer <= kernel.subnet.time:
        return False
    if kind == "on_low_wasm_memory" and state.low_memory_hook != low_memory.READY:
        return False
    return _exports(state, kind)


def execute(kernel: Kernel, task: Task) -> None:
    """Run a task, if its canister still takes it. The timer is off before it runs, and stays off if it traps."""
    state = kernel.subnet.canisters.get(task.canister_id)
    if state is None or state.status is not Status.RUNNING or state.damage or not _due(kernel, state, task.kind):
        return
    if cannot_pay(kernel, state, state.id) is not None:
        return
    if task.kind == "global_timer":
        state = replace(state, global_timer=0)
    if task.kind == "on_low_wasm_memory":
        state = replace(state, low_memory_hook=low_memory.EXECUTED)
        kernel.subnet.canisters[state.id] = state
    caller = Principal.management()
    context = CallContext(kernel.new_id(), state.id, SystemOrigin(), caller, f"canister_{task.kind}", responded=True)
    live = kernel.machines.open(state)
    execution = kernel.execution(state, _MODES[task.kind], caller, b"", context)
    outcome = kernel.run(live, f"canister_{task.kind}", execution, kernel.subnet.instruction_limits.update)
    finish(kernel, state, live, context, outcome)


def _exports(state: CanisterState, kind: str) -> bool:
    return state.code is not None and f"canister_{kind}" in prepare(state.code).facts.entry_points
