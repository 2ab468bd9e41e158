"""The outermost command: the table of commands, and the text and exit code of every failure."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from sandbox import __version__
from sandbox.cli.interrupt import wants_json
from sandbox.cli.options import LazyCommand, LazyGroup, Misuse, SharedOptions

COMMANDS = {
    "backup": LazyCommand(
        "sandbox.cli.service.backup", "backup", "Back up canisters of a network, prove the backups, and list them."
    ),
    "cache": LazyCommand("sandbox.cli.cache", "cache", "Show or delete the compiled code that is kept on disk."),
    "canister": LazyCommand("sandbox.cli.canister", "canister", "Create, install, call and manage canisters."),
    "demo": LazyCommand("sandbox.cli.demo", "demo", "Run three real canisters, break them, and restore every byte."),
    "deploy": LazyCommand(
        "sandbox.cli.deploy",
        "deploy",
        "Create CANISTER if there is none, and install the module FILE or upgrade to it.",
    ),
    "drun": LazyCommand("sandbox.cli.drun", "drun", "Run the drun script SCRIPT on a subnet of its own."),
    "identity": LazyCommand(
        "sandbox.cli.identity", "identity", "Print the principal of user NAME, or of the user given with --as."
    ),
    "maintenance": LazyCommand(
        "sandbox.cli.maintenance", "maintenance", "Tell users of a served canister that it is under maintenance."
    ),
    "replay": LazyCommand(
        "sandbox.cli.replay", "replay_record", "Repeat the steps of RECORD and report the first difference."
    ),
    "restore": LazyCommand(
        "sandbox.cli.service.restore", "restore", "Bring the backup SNAPSHOT back to CANISTER at its network."
    ),
    "run": LazyCommand("sandbox.cli.time", "run", "Execute rounds until no message and no due timer is left."),
    "serve": LazyCommand(
        "sandbox.cli.serve", "serve", "Serve the state to agents, tools and browsers, as a network does."
    ),
    "snapshot": LazyCommand(
        "sandbox.cli.snapshot.commands", "snapshot", "Take, load, inspect, compare and manage snapshots of canisters."
    ),
    "state": LazyCommand("sandbox.cli.state", "state", "Check the files of the state directory."),
    "stubs": LazyCommand("sandbox.cli.stubs", "stubs", "Write a typed client of the interface of MODULE, in Python."),
    "tick": LazyCommand(
        "sandbox.cli.time", "tick", "Execute one round, or ROUNDS: due timers and heartbeats, then messages."
    ),
    "time": LazyCommand("sandbox.cli.time", "time", "Show the time of the sandbox, or let time pass."),
    "verify": LazyCommand(
        "sandbox.cli.verify", "verify", "Run the scenarios in FILE..., and report what is not as expected."
    ),
    "verify-matrix": LazyCommand(
        "sandbox.cli.verify_matrix",
        "matrix",
        "Prove every upgrade from an earlier build to a later one, and every way back.",
    ),
    "verify-upgrade": LazyCommand(
        "sandbox.cli.verify_upgrade",
        "verify_upgrade",
        "Prove what an upgrade from module OLD to module NEW keeps and loses.",
    ),
    "wasm": LazyCommand("sandbox.cli.wasm", "wasm", "Inspect modules without running them."),
}


class Root(LazyGroup):
    """The outermost group: runs a command and ends the process with its exit code."""

    lazy = COMMANDS

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        arguments = list(sys.argv[1:] if args is None else args)
        shared = SharedOptions()
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        options |= {"standalone_mode": False, "obj": shared}
        try:
            _check_text(arguments)
            code = super().main(arguments, *rest, **options)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        except click.exceptions.Exit as error:
            code = error.exit_code
        except BaseException as error:
            code = _show_failure(error, json=shared.json or wants_json(arguments))
            if code is None:
                raise
        sys.exit(code if isinstance(code, int) else 0)


def _show_failure(error: BaseException, *, json: bool) -> int | None:
    """Print an exception and return the exit code; None, with nothing printed, if it is a defect of this program."""
    from sandbox.cli import failures  # imported late: it brings rich and the inspection of snapshots

    report = failures.report(error)
    if report is None:
        return None
    failures.show(report, json=json)
    return report.code


def _check_text(arguments: Sequence[str]) -> None:
    """Refuse arguments that are not UTF-8. Python passes their bytes as lone surrogates, which cannot be encoded."""
    for argument in arguments:
        if any("\ud800" <= letter <= "\udfff" for letter in argument):
            raise Misuse(f"{argument!r} is not UTF-8")


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog="--state, --as, --output and --lock-timeout may stand anywhere. Exit codes: 0 done, 1 the check failed or "
    "the canister rejected, 2 misuse.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def root() -> None:
    """Run real Internet Computer canisters, break them, and bring every byte back."""
