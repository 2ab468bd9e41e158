"""The command line `canister-sandbox`. It holds no rules of the platform; those are in the packages below.

Exit codes: 0 done; 1 the check failed or the canister rejected; 2 misuse, or a state that cannot be used.
"""

from __future__ import annotations

import gc
import signal

from sandbox.cli.root import root

_ALLOCATIONS = 50_000
"""Allocations between two searches for garbage: most are of modules, and stay. With the usual 700, a twelfth of a
command's time is search."""


def main() -> None:
    """Run the command line, as the entry point of the process.

    An interrupt ends the process at once, also within a message of a canister. The state is then as before the command.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.set_threshold(_ALLOCATIONS)
    root()


__all__ = ["main", "root"]
