"""Run one entry point of an instance and return the outcome. Commits nothing."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox import engine
from sandbox.canister import failure
from sandbox.canister.failure import Failure
from sandbox.canister.instances import CanisterInstance
from sandbox.canister.profiling import Spent
from sandbox.ic0.modes import NAMES, Mode
from sandbox.ic0.state import Execution, GuestTrap
from sandbox.limits import WASM_PAGE
from sandbox.wasm import Cell

_LIMITED = int(Mode.UPDATE | Mode.START | Mode.INIT)
"""Modes in which `wasm_memory_limit` is enforced (SPECIFICATION 4.9)."""
_UPDATE = int(Mode.UPDATE)


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
    if execution.mode_bit == _UPDATE and (problem := over_limit(live, heap_limit)) is not None:
        return Executed(execution, problem, 0)
    live.begin(execution, instructions, heap_limit if execution.mode_bit & _LIMITED else 0)
    live.running = True
    problem = None
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
    finally:
        live.running = False
    exceeded = live.meter[Cell.EXCEEDED]
    if exceeded:
        problem = failure.heap_limit(heap_limit, exceeded * WASM_PAGE)
    live.end(execution)
    used = live.used(execution.mode_bit)
    if live.profiler is not None and live.recorder is not None:
        executed = live.meter.used()
        spent = Spent(executed, used - executed, instructions)
        frame = live.profiler.entry_point(_name(entry, execution), live.prepared.hash, execution.env.canister_id)
        live.profiler.add(live.recorder.recorded(frame, spent))
    return Executed(execution, problem, min(used, instructions))


def _name(entry: str | TableFunction, execution: Execution) -> str:
    """The name of an entry point in a profile: `update NAME`, `init`, `reply callback`."""
    if isinstance(entry, TableFunction) or execution.mode is Mode.START:
        return NAMES[execution.mode]
    return entry.removeprefix("canister_")


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


def over_limit(live: CanisterInstance, heap_limit: int) -> Failure | None:
    """The failure of an update, or of an installation, whose heap is larger than `heap_limit` bytes; 0: no limit."""
    size = live.heap.size
    return failure.heap_limit(heap_limit, size) if 0 < heap_limit < size else None
