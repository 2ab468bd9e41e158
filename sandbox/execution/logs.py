"""The canister's log: interface specification, "Canister logs" (digest 5.7).

At most 4 KiB of content, the oldest records give way. A trap leaves a record too, with its backtrace.
"""

from __future__ import annotations

from dataclasses import replace

from sandbox.canister.failure import Failure
from sandbox.ic0.state import Execution
from sandbox.limits import LOG_SIZE
from sandbox.principal import Principal
from sandbox.state import CanisterState, LogRecord


def recorded(
    state: CanisterState, executions: tuple[Execution, ...], failure: Failure | None, time: int
) -> CanisterState:
    """The canister with what these executions printed, and with the trap that ended them, if one did."""
    contents = [text[:LOG_SIZE] for execution in executions for text in execution.logs]
    record = failure.log_record() if failure is not None else None
    if record is not None:
        contents.append(record[:LOG_SIZE])
    if not contents:
        return state
    first = state.next_log_index
    new = tuple(LogRecord(first + k, time, content) for k, content in enumerate(contents))
    return replace(state, logs=_newest((*state.logs, *new)), next_log_index=first + len(new))


def _newest(records: tuple[LogRecord, ...]) -> tuple[LogRecord, ...]:
    room, first = LOG_SIZE, len(records)
    while first and len(records[first - 1].content) <= room:
        first -= 1
        room -= len(records[first].content)
    return records[first:]


def reads_logs(state: CanisterState, reader: Principal) -> bool:
    """Whether `reader` may see the canister's logs, and the backtraces in its errors."""
    visibility = state.settings.log_visibility
    return visibility.public or reader in state.settings.controllers or reader in visibility.allowed_viewers
