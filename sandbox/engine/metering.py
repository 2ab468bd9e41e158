"""The counter of instructions of one instance, in cells of the control memory (`sandbox.wasm.control`).

The rewrite of modules and the functions of `ic0` count by the platform's own rules, so that counts depend on the module
and on the message, on no version of the engine and on no machine.
"""

from __future__ import annotations

import ctypes
from typing import Final

from sandbox.wasm import STOPPED, Cell

REVISION: Final = 1
"""Changes whenever the same message counts differently under the same rules, because a fault was mended."""
_CELLS: Final = 16


def counting(rules: str = "classic") -> str:
    """Return the name of the way of counting: two runs under the same name count the same."""
    return f"{rules} {REVISION}"


class Meter:
    """The counter in the control memory at address `base`, which stays where it is."""

    __slots__ = ("_cells",)

    def __init__(self, base: int) -> None:
        self._cells = (ctypes.c_int64 * _CELLS).from_address(base)

    def __getitem__(self, cell: Cell) -> int:
        return self._cells[cell >> 3]

    def __setitem__(self, cell: Cell, value: int) -> None:
        self._cells[cell >> 3] = value

    def start(self, limit: int, earlier: int, log_room: int, pages: int, growable: int) -> bool:
        """Begin the next message: let the guest execute `limit` instructions and access `pages` of stable memory.

        `earlier`: instructions of the earlier executions of its call context; `log_room`: bytes free in its log;
        `growable`: pages beyond which the heap may not grow, -1 for any number.
        Return True if the message before accessed stable memory.
        """
        cells = self._cells
        cells[0] = cells[2] = limit
        cells[1], cells[3], cells[4], cells[9] = 0, earlier, log_room, -1
        serial = cells[5]
        cells[5], cells[6], cells[7], cells[10], cells[11] = serial + 1, pages, pages, growable, 0
        accessed: bool = cells[8] == serial
        return accessed

    def used(self) -> int:
        """Return the instructions executed since `start`: more than the limit where no check came in time."""
        return self._cells[2] - self._cells[0]

    @property
    def exhausted(self) -> bool:
        """True if a check of the counter ended the guest."""
        return self._cells[1] != 0

    def stop(self) -> None:
        """Make the guest end at its next check. While it runs in another thread, one call may be lost."""
        self._cells[0] = STOPPED
