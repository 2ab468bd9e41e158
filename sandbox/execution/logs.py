"""The canister's log: interface specification, "Canister logs" and `log_memory_limit` (SPECIFICATION 5.7).

At most `log_memory_limit` bytes of content (4 KiB by default); the oldest records give way. A trap leaves a record too,
with its backtrace.
"""

from __future__ import annotations

from dataclasses import replace

from sandbox.canister.failure import Failure
from sandbox.ic0.state import Execution
from sandbox.management.sizes import newest_logs
from sandbox.principal import Principal
from sandbox.state import CanisterState, LogRecord


def recorded(
    state: CanisterState, executions: tuple[Execution, ...], failure: Failure | None, time: int
) -> CanisterState:
    """The canister with what these executions printed, and with the trap that ended them, if one did."""
    room = state.settings.log_memory_limit
    if not room:
        return state
    contents = [text[:room] for execution in executions for text in execution.logs]
    record = failure.log_record() if failure is not None else None
    if record is not None:
        contents.append(record[:room])
    if not contents:
        return state
    first = state.next_log_index
    new = tuple(LogRecord(first + k, time, content) for k, content in enumerate(contents))
    return replace(state, logs=newest_logs((*state.logs, *new), room), next_log_index=first + len(new))


def reads_logs(state: CanisterState, reader: Principal) -> bool:
    """Whether `reader` may see the canister's logs, and the backtraces in its errors."""
    visibility = state.settings.log_visibility
    return visibility.public or reader in state.settings.controllers or reader in visibility.allowed_viewers
