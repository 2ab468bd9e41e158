"""Run one entry point of an instance and return the outcome. Commits nothing."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox import engine
from sandbox.canister import failure
from sandbox.canister.failure import Failure
from sandbox.canister.instances import CanisterInstance
from sandbox.errors import ErrorCode
from sandbox.ic0.modes import Mode
from sandbox.ic0.state import Execution, GuestTrap

_LIMITED = int(Mode.UPDATE | Mode.INIT)
"""Modes in which `wasm_memory_limit` is enforced (SPECIFICATION 4.9)."""


@dataclass(frozen=True, slots=True)
class TableFunction:
    """A function in table 0 and its argument."""

    index: int
    environment: int


@dataclass(frozen=True, slots=True)
class Executed:
    """The outcome of an execution: the effects in `execution` if `failure` is None, else only its logs."""

    execution: Execution
    failure: Failure | None
    instructions: int


def run(
    live: CanisterInstance, entry: str | TableFunction, execution: Execution, instructions: int, heap_limit: int = 0
) -> Executed:
    """Run the export or callback `entry` with at most `instructions`; `heap_limit` in bytes, 0 for none."""
    live.begin(execution, instructions, heap_limit if execution.mode_bit & _LIMITED else 0)
    problem: Failure | None = None
    try:
        if isinstance(entry, str):
            live.instance.call(entry)
        else:
            _call_back(live, entry)
    except engine.EngineTrap as trap:
        problem = failure.of_engine_trap(trap, live.prepared.facts, instructions)
    except engine.HostFailure as stopped:
        problem = failure.of_host_failure(stopped, live.prepared.facts)
    except GuestTrap as trap:
        problem = failure.of_guest_trap(trap)
    if live.limited.peak:
        problem = _over_limit(live.limited.limit, live.limited.peak)
    live.end(execution)
    return Executed(execution, problem, min(live.used(execution.mode_bit), instructions))


def _call_back(live: CanisterInstance, callback: TableFunction) -> None:
    table = live.prepared.rewritten.table
    if table is None:
        raise _trap(failure.function_not_found(callback.index))
    try:
        live.instance.call_table(table, callback.index, live.prepared.pointer, callback.environment)
    except IndexError:
        raise _trap(failure.function_not_found(callback.index)) from None
    except TypeError:
        raise _trap(failure.callback_signature()) from None


def _trap(problem: Failure) -> GuestTrap:
    return GuestTrap(problem.code, problem.text)


def _over_limit(limit: int, peak: int) -> Failure:
    """`HypervisorError::WasmMemoryLimitExceeded` of the replica."""
    return Failure(
        ErrorCode.CANISTER_WASM_MEMORY_LIMIT_EXCEEDED,
        f"Canister exceeded its current Wasm memory limit of {limit} bytes. The peak Wasm memory usage was {peak} "
        "bytes. If the canister reaches 4GiB, then it may stop functioning and may become unrecoverable. Please reach "
        "out to the canister owner to investigate the reason for the increased memory usage. It might be necessary to "
        "move data from the Wasm memory to the stable memory. If such high Wasm memory usage is expected and safe, "
        "then the developer can increase the Wasm memory limit in the canister settings.",
    )
