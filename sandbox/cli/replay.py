"""`replay`: what a sandbox did, once more."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from sandbox.cli.app import App, Command, with_app
from sandbox.cli.failures import FAILED
from sandbox.engine import counting
from sandbox.replay import Replay
from sandbox.replay import replay as replayed

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(cls=Command)
@click.argument("record", type=FILE)
@with_app
def replay(app: App, record: Path) -> int:
    """Take the steps of RECORD, a file made by `Sandbox.record`, once more, and report the first that differs.

    Everything happens in memory, from nothing; no state is read or changed. At each step answers, logs, HTTP requests
    and the state of every canister are compared; counts of instructions only if the same engine counted them, states
    only if the same version hashed them. It says so if they are not.

    Exit codes: 0 all steps have the same outcome; 1 one differs; 2 the file is not a record of this format, or damaged.
    """
    found = replayed(record)
    app.emit(_facts(found), *_lines(found))
    return FAILED if found.difference is not None else 0


def _facts(found: Replay) -> dict[str, Any]:
    return {
        "same": found.difference is None,
        "steps": found.steps,
        "complete": found.end is not None and found.end.whole,
        "end": None if found.end is None else found.end.why,
        "unfinished": found.unfinished,
        "instructions_compared": found.counts_compared,
        "states_compared": found.states_compared,
        "counted_by": found.header.counted_by,
        "state_hash": found.state_hash or None,
        "step": found.step,
        "difference": None if found.difference is None else asdict(found.difference),
    }


def _lines(found: Replay) -> list[Text]:
    lines = []
    if not found.counts_compared:
        counted = f"recorded with {found.header.counted_by}, replayed with {counting()}"
        lines.append(Text(f"counts of instructions are not compared: {counted}", "yellow"))
    if not found.states_compared:
        lines.append(Text("states are not compared, only answers and logs: another version hashed them", "yellow"))
    if found.difference is not None:
        what, expected, came = found.difference.what, found.difference.expected, found.difference.came
        lines.append(Text(f"step {found.steps + 1} differs: {found.step}", "red"))
        return [*lines, Text(f"{what}\n  recorded  {expected}\n  now       {came}")]
    assert found.end is not None
    lines.append(Text(f"the same: {found.steps} steps", "green"))
    if not found.end.whole:
        lines.append(Text(f"the record ends there: {found.end.why}", "yellow"))
    elif found.end.why != "closed":
        lines.append(Text(f"the record ends there: {found.end.why}"))
    if found.unfinished is not None:
        lines.append(Text(f"begun and not finished when it was made, not replayed: {found.unfinished}", "yellow"))
    return [*lines, Text(f"state hash {found.state_hash}")]
