"""System time, global timer and performance counter: interface specification, "System API"."""

from __future__ import annotations

from sandbox.ic0.access import violation
from sandbox.ic0.state import Execution


def time(x: Execution) -> int:
    return x.env.time


def global_timer_set(x: Execution, timestamp: int) -> int:
    """The previous value, an earlier one of the same execution included; 0 switches the timer off."""
    previous = x.env.global_timer if x.global_timer is None else x.global_timer
    x.global_timer = timestamp
    return previous


def performance_counter(_: Execution, kind: int) -> int:
    """Types 0 and 1 are answered without the host (`thunks`): only wrong types come here."""
    raise violation(f"Error getting performance counter type {kind}")
