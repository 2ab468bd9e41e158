"""The outermost command: shared options, and one place where every failure gets its text and exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import click

from sandbox import __version__
from sandbox.cli import failures
from sandbox.cli.app import App, Group, Misuse
from sandbox.cli.canister import canister
from sandbox.cli.demo import demo
from sandbox.cli.drun import drun
from sandbox.cli.identity import identity
from sandbox.cli.replay import replay
from sandbox.cli.snapshot.commands import snapshot
from sandbox.cli.state import state
from sandbox.cli.wasm import wasm


class Root(Group):
    """Runs a command and ends with its exit code."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        arguments = list(sys.argv[1:] if args is None else args)
        app = App()
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        options |= {"standalone_mode": False, "obj": app}
        try:
            _check_text(arguments)
            code = super().main(arguments, *rest, **options)
            sys.exit(code if isinstance(code, int) else 0)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        except click.exceptions.Exit as error:
            sys.exit(error.exit_code)
        except BaseException as error:
            found = failures.report(error)
            if found is None:
                raise
            failures.show(found, json=app.json or _wants_json(arguments))
            sys.exit(found.code)


def _check_text(arguments: Sequence[str]) -> None:
    """Bytes that are not UTF-8 reach Python as lone surrogates, which nothing below can encode."""
    for argument in arguments:
        if any("\ud800" <= letter <= "\udfff" for letter in argument):
            raise Misuse(f"{argument!r} is not UTF-8")


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether JSON was asked for, where the options themselves could not be understood."""
    return "--output=json" in arguments or ("--output", "json") in pairwise(arguments)


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="--state, --as, --output and --lock-timeout may stand anywhere. Exit codes: 0 done, 1 the check failed or "
    "the canister rejected, 2 misuse.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def root() -> None:
    """Run real Internet Computer canisters, break them, and bring every byte back."""


for command in (demo, canister, snapshot, state, wasm, drun, replay, identity):
    root.add_command(command)
