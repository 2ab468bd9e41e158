"""The control memory: one page that the host shares with a module, outside every canister's reach.

It holds the counter of instructions, facts about the present message, and the values of globals while they are copied
in or out. Every cell is a 64-bit number, little-endian. The host writes the cells before each message. What system
calls answer stands behind the cells of this file and behind the globals (`ic0.control`).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Cell(IntEnum):
    """Offsets of the cells."""

    LEFT = 0
    """Instructions that may still be executed, signed: the counter."""
    EXHAUSTED = 8
    """Not 0 once a check of the counter has ended the execution."""
    LIMIT = 16
    """Instructions that this execution may execute in all."""
    EARLIER = 24
    """Instructions of the earlier executions of this call context."""
    LOG_ROOM = 32
    """Free bytes in the message's own log."""
    SERIAL = 40
    """The number of the message, never 2^64 - 1 (`ic0.stable`)."""
    ACCESSIBLE = 48
    """Pages of stable memory that the message may access."""
    MODIFIABLE = 56
    """Pages of stable memory that the message may modify."""
    ACCESSED = 64
    """Written by the guest: the number of the last message that accessed stable memory."""
    REFUSED = 72
    """Pages of the smallest heap that the host refused to this message; all ones if it refused none."""


GLOBALS: Final = 1024
"""Offset at which the values of globals begin."""
SLOT: Final = 16
"""Bytes for one global; its value is at the beginning, floats as raw bits. There are at most `limits.GLOBALS`."""
STOPPED: Final = -(1 << 62)
"""A value of `LEFT` with which the guest ends at its next check."""


def load(cell: Cell, memory: int) -> bytes:
    """Return the code that pushes a cell, if the control memory has the index `memory`."""
    return b"\x41\0\x29\x43" + bytes((memory, cell))  # i32.const 0, i64.load


def store(cell: Cell, memory: int, value: bytes) -> bytes:
    """Return the code that sets a cell to the value that the code `value` pushes."""
    return b"\x41\0" + value + b"\x37\x43" + bytes((memory, cell))  # i32.const 0, value, i64.store
