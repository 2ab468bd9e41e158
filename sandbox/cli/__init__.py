"""The command line `canister-sandbox`. It holds no rules of the platform; those are in the packages below.

Exit codes: 0 done; 1 the check failed or the canister rejected; 2 misuse, or a state that cannot be used.
"""

from __future__ import annotations

import gc

from sandbox.cli import interrupt
from sandbox.cli.root import root

_ALLOCATIONS = 50_000
"""Allocations between two searches for garbage: most are of modules, and stay. With the usual 700, a twelfth of a
command's time is search."""


def main() -> None:
    """Run the command line in this process.

    Ctrl-C ends the process at once, also within a message of a canister, and says what holds.
    """
    gc.set_threshold(_ALLOCATIONS)
    interrupt.watch()
    root()


__all__ = ["main", "root"]
