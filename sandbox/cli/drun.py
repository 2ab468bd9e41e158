"""The command `drun`: run a script of drun, the runner of the platform's test scripts."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import click

from sandbox.cli.app import App, Command, Misuse, with_app
from sandbox.cli.render import output
from sandbox.errors import PrincipalError
from sandbox.principal import Principal
from sandbox.replay import Answer, Drun, Modules, read_script
from sandbox.replay.script import FIRST

_COSTS = {"application": "mainnet", "system": "free"}


@click.command(cls=Command)
@click.argument("script", type=click.File("rb"))
@click.option(
    "--modules",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    metavar="DIR",
    help="Directory of the modules that the script names; a/b.mo stands for the compiled a/b.wasm [.]",
)
@click.option("--id", "first", default=str(FIRST), metavar="ID", help=f"Canister id that $ID stands for [{FIRST}]")
@click.option(
    "--subnet-type",
    type=click.Choice(sorted(_COSTS)),
    default="system",
    help="Type of the subnet: on an application subnet canisters pay the published fees [system]",
)
@with_app
def drun(app: App, script: BinaryIO, modules: Path, first: str, subnet_type: str) -> None:
    """Run the drun script SCRIPT on a subnet of its own.

    SCRIPT is a file, or - for standard input.

    Each line is one command:

    \b
      create                   a new canister (implied if the script has none)
      install ID MODULE ARG    also reinstall, upgrade
      ingress ID METHOD ARG    an update call
      query ID METHOD ARG      a query call
      stop ID, start ID
      # a comment

    \b
    ARG is 0x4449444c0000, or "DIDL\\x00\\x00" with the escapes \\xHH, \\bBBBBBBBB, \\" and \\\\.
    $ID stands for the first canister, $PRINCIPAL for its id as an argument of stop_canister.

    Answers are printed in the format of drun; debug output of canisters goes to standard error. The sender is the
    anonymous principal, which is a controller of the canisters. The exit code is 0 even if canisters reject: compare
    the output with the expected output.
    """
    text = _text(script.read())
    on_print, costs = None if app.json else _print, _COSTS[subnet_type]
    with closing(Drun(Modules(modules), on_print, _principal(first), costs)) as runner:
        answers = []
        for answer in runner.run(read_script(text, _principal(first))):
            if app.json:
                answers.append(_facts(answer))
            else:
                click.echo(str(answer))
    if app.json:
        output.print_json(answers)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Misuse(f"the script is not UTF-8: {error}") from None


def _principal(text: str) -> Principal:
    try:
        return Principal.from_text(text)
    except PrincipalError as error:
        raise Misuse(str(error)) from None


def _print(text: str) -> None:
    click.echo(text, err=True)


def _facts(answer: Answer) -> dict[str, Any]:
    line, result = answer.line, answer.result
    reject = result.reject
    return {
        "line": line.number,
        "command": line.command,
        "canister_id": str(line.canister_id),
        "name": line.name,
        "answer": str(answer),
        "reply": result.reply,
        "error_code": None if reject is None else str(reject.error_code),
        "message": None if reject is None else reject.message,
        "instructions": result.instructions,
        "logs": result.logs,
    }
