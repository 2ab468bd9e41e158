"""System tasks: heartbeat, global timer, low-memory hook (SPECIFICATION 4.9). They have no response; a trap only leaves
a log."""

from __future__ import annotations

from dataclasses import replace

from sandbox.canister.module import compile_module
from sandbox.execution.calls import cannot_pay
from sandbox.execution.context import ExecutionEnvironment
from sandbox.execution.finish import finish
from sandbox.ic0.modes import Mode
from sandbox.principal import Principal
from sandbox.state import CallContext, CanisterState, Status, SystemOrigin, Task
from sandbox.state.canister import EXECUTED, READY

_MODES = {
    "on_low_wasm_memory": Mode.LOW_WASM_MEMORY,
    "heartbeat": Mode.HEARTBEAT,
    "global_timer": Mode.GLOBAL_TIMER,
}


def due(env: ExecutionEnvironment, heartbeats: bool = True) -> list[Task]:
    """The tasks to be run now, by canister id: low-memory hooks that had to wait, a heartbeat of every canister that
    has one, and due timers; none of a canister that cannot pay for it."""
    tasks: list[Task] = []
    for canister_id in sorted(env.subnet.canisters):
        state = env.subnet.canisters[canister_id]
        if not _runs(state):
            continue
        kinds = [kind for kind in _MODES if (heartbeats or kind != "heartbeat") and _due(env, state, kind)]
        if kinds and cannot_pay(env, state, state.id) is None:
            tasks.extend(Task(canister_id, kind) for kind in kinds)
    return tasks


def next_timer(env: ExecutionEnvironment) -> int | None:
    """The time at which the next timer is due; None if no canister has one that could run."""
    return min(
        (
            state.global_timer
            for state in env.subnet.canisters.values()
            if state.global_timer > 0 and _runs(state) and _exports(state, "global_timer")
            if cannot_pay(env, state, state.id) is None
        ),
        default=None,
    )


def _runs(state: CanisterState) -> bool:
    return state.status is Status.RUNNING and state.code is not None and state.damage is None


def _due(env: ExecutionEnvironment, state: CanisterState, kind: str) -> bool:
    if kind == "global_timer" and not 0 < state.global_timer <= env.subnet.time:
        return False
    if kind == "on_low_wasm_memory" and state.low_memory_hook != READY:
        return False
    return _exports(state, kind)


def execute(env: ExecutionEnvironment, task: Task) -> None:
    """Run a task if it is still due. The timer is switched off before it runs, and stays off if it traps."""
    state = env.subnet.canisters.get(task.canister_id)
    if state is None or not _runs(state) or not _due(env, state, task.kind):
        return
    if cannot_pay(env, state, state.id) is not None:
        return
    if task.kind == "global_timer":
        state = replace(state, global_timer=0)
    if task.kind == "on_low_wasm_memory":
        state = replace(state, low_memory_hook=EXECUTED)
        env.subnet.canisters[state.id] = state
    caller = Principal.management()
    context = CallContext(env.new_id(), state.id, SystemOrigin(), caller, f"canister_{task.kind}", responded=True)
    live = env.instances.open(state)
    execution = env.execution(state, _MODES[task.kind], caller, b"", context)
    outcome = env.run(live, f"canister_{task.kind}", execution, env.subnet.instruction_limits.update)
    finish(env, state, live, context, outcome)


def _exports(state: CanisterState, kind: str) -> bool:
    return state.code is not None and f"canister_{kind}" in compile_module(state.code).facts.entry_points
