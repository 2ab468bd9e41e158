"""The entry point of `canister-sandbox` and of `python -m sandbox`."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command line, as the entry point of the process. Ctrl-C ends it without a traceback from the start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from sandbox.cli import main as run  # imported late: only now does Ctrl-C end the process

    run()


if __name__ == "__main__":
    main()
