"""The command line `canister-sandbox`: thin; every rule lives in a floor below.

Exit codes: 0 done; 1 the check failed or the canister rejected; 2 misuse, or a state that cannot be used.
"""

from __future__ import annotations

import signal

from sandbox.cli.root import root


def main() -> None:
    """The entry point. An interrupt ends the process at once, also in the middle of a canister's message: the state is
    then what it was before the command."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    root()


__all__ = ["main", "root"]
