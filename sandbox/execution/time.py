"""The passing of time, and the fees by time: for memory, compute allocation, the canister itself."""

from __future__ import annotations

from dataclasses import replace

from sandbox.execution import ingress
from sandbox.execution.context import ExecutionEnvironment
from sandbox.execution.finish import reject_open_calls, stop_if_done
from sandbox.state import NO_CHUNKS, CanisterState, Ingress, Status


def advance(env: ExecutionEnvironment, nanoseconds: int) -> None:
    """Advance the time. Canisters pay for it; one that cannot loses its code, its state and its snapshots."""
    if nanoseconds < 0:
        raise ValueError("time never goes back")
    subnet = env.subnet
    subnet.time += nanoseconds
    ingress.forget(subnet)
    schedule = env.fees.schedule
    if schedule is None:
        return
    for state in list(subnet.canisters.values()):
        due = schedule.idle_per_second(state) * nanoseconds // 1_000_000_000
        if due <= state.cycles:
            subnet.canisters[state.id] = replace(state, cycles=state.cycles - due)
        else:
            _deallocate(env, state)


def charge_ingress(env: ExecutionEnvironment, message: Ingress) -> None:
    """Charge the canister for taking in a user's message, which it can pay for: `calls.inspect` has let it in."""
    fee, state = env.fees.ingress(message), env.subnet.canisters.get(message.canister_id)
    if fee and state is not None:
        env.subnet.canisters[state.id] = replace(state, cycles=state.cycles - fee)


def _deallocate(env: ExecutionEnvironment, state: CanisterState) -> None:
    """Uninstall the canister, remove its snapshots and history: interface specification, "Canister out of cycles"."""
    pool = env.subnet.pool
    env.instances.drop(state.id)
    env.subnet.canisters[state.id] = replace(
        state,
        settings=replace(state.settings, compute_allocation=0, memory_allocation=0),
        heap=pool.memory(),
        stable=pool.memory(),
        code=None,
        globals=b"",
        certified_data=b"",
        global_timer=0,
        cycles=0,
        logs=(),
        history=(),
        snapshots=(),
        chunks=NO_CHUNKS,
        version=state.version + 1,
    )
    reject_open_calls(env, state.id)
    if state.status is Status.STOPPING:
        stop_if_done(env, env.subnet.canisters[state.id])
