"""Debugging aids: interface specification, "Debugging aids". Texts: `dfinity/ic` `system_api.rs`."""

from __future__ import annotations

from typing import NoReturn

from sandbox.engine.guest import OutOfBounds
from sandbox.errors import ErrorCode
from sandbox.ic0.access import heap_of
from sandbox.ic0.state import Execution, GuestTrap
from sandbox.ic0.weights import LOG_CAPACITY, LOG_RECORD
from sandbox.limits import DEBUG_PRINT, PRINTED_KEPT
from sandbox.wasm import Cell

_RECORD = 64
"""Bytes that a stored record costs besides its content."""


def debug_print(x: Execution, src: int, size: int) -> None:
    """Append to the canister's log and call `on_log`; a range outside the memory never traps.

    The log keeps the bytes as they are (32 KiB at most, for the log's own limit to cut), `on_log` gets text. The two
    differ on a bad range as in the replica, which checks the whole range for the log and 32 KiB of it for the text.
    """
    heap = heap_of(x)
    try:
        text = heap.read(src, min(size, DEBUG_PRINT))
        shown = text.decode(errors="replace")
        in_bounds = src + size <= heap.size
    except OutOfBounds:
        shown, in_bounds = "(debug message out of memory bounds)", False
    record = text if in_bounds else b"(debug_print message out of memory bounds)"
    x.logs.append(record)
    _take_room(x, len(record))
    x.printed += len(record) + _RECORD
    if x.printed > PRINTED_KEPT:
        del x.logs[: len(x.logs) // 2 + 1]
        x.printed = sum(map(len, x.logs)) + _RECORD * len(x.logs)
    if x.on_log is not None:
        x.on_log(shown)


def _take_room(x: Execution, size: int) -> None:
    """Put a record into the message's own log, whose free bytes decide what the next one costs: the oldest go until it
    fits (`dfinity/ic` `rs/types/management_canister_types/src/lib.rs`, `CanisterLog`)."""
    taken = LOG_RECORD + min(size, LOG_CAPACITY - LOG_RECORD)
    log = x.message_log
    free = LOG_CAPACITY - sum(log)
    while free < taken:
        free += log.popleft()
    log.append(taken)
    if x.meter is not None:
        x.meter[Cell.LOG_ROOM] = free - taken


def trap(x: Execution, src: int, size: int) -> NoReturn:
    try:
        message = heap_of(x).read(src, min(size, DEBUG_PRINT)).decode(errors="replace")
    except OutOfBounds:
        message = "(trap message out of memory bounds)"
    raise GuestTrap(ErrorCode.CANISTER_CALLED_TRAP, f"Canister called `ic0.trap` with message: '{message}'")
