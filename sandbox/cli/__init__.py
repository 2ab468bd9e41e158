"""The command line `canister-sandbox`. It holds no rules of the platform; those are in the packages below.

Exit codes: 0 done; 1 the check failed or the canister rejected; 2 misuse, or a state that cannot be used.
"""

from __future__ import annotations

import signal

from sandbox.cli.root import root


def main() -> None:
    """Run the command line, as the entry point of the process.

    An interrupt ends the process at once, also within a message of a canister. The state is then as before the command.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    root()


__all__ = ["main", "root"]
