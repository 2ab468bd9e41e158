"""The command `replay`: repeat the recorded steps of a sandbox."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from sandbox.cli.app import App, Command, with_app
from sandbox.cli.failures import FAILED
from sandbox.engine import counting
from sandbox.replay import Replay, replay

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("replay", cls=Command)
@click.argument("record", type=FILE)
@with_app
def replay_record(app: App, record: Path) -> int:
    """Repeat the steps of RECORD and report the first difference.

    RECORD is a file made by `Sandbox.record`. Everything happens in memory, in a new sandbox; no state directory is
    read or changed. Each step compares answers, logs, HTTP requests and the state of every canister. Instruction
    counts are compared only if they were counted by the same rules, and states only if the same version hashed
    them; otherwise a line of the output says that they are not compared.

    Exit codes: 0 all steps have the same outcome; 1 a step differs; 2 the file is damaged or not a record of this
    format.
    """
    result = replay(record)
    app.emit(_facts(result), *_lines(result))
    return FAILED if result.difference is not None else 0


def _facts(result: Replay) -> dict[str, Any]:
    return {
        "same": result.difference is None,
        "steps": result.steps,
        "complete": result.end is not None and result.end.whole,
        "end": None if result.end is None else result.end.why,
        "unfinished": result.unfinished,
        "instructions_compared": result.counts_compared,
        "states_compared": result.states_compared,
        "counted_by": result.header.counted_by,
        "state_hash": result.state_hash or None,
        "step": result.step,
        "difference": None if result.difference is None else asdict(result.difference),
    }


def _lines(result: Replay) -> list[Text]:
    lines = []
    if not result.counts_compared:
        counted = f"recorded with {result.header.counted_by}, replayed with {counting(result.header.metering)}"
        lines.append(Text(f"counts of instructions are not compared: {counted}", "yellow"))
    if not result.states_compared:
        lines.append(Text("states are not compared, only answers and logs: another version hashed them", "yellow"))
    if result.difference is not None:
        difference = result.difference
        lines.append(Text(f"step {result.steps + 1} differs: {result.step}", "red"))
        return [*lines, Text(f"{difference.what}\n  recorded  {difference.expected}\n  now       {difference.came}")]
    assert result.end is not None
    lines.append(Text(f"the same: {result.steps} steps", "green"))
    if not result.end.whole:
        lines.append(Text(f"the record ends there: {result.end.why}", "yellow"))
    elif result.end.why != "closed":
        lines.append(Text(f"the record ends there: {result.end.why}"))
    if result.unfinished is not None:
        lines.append(Text(f"not replayed, unfinished when the record ended: {result.unfinished}", "yellow"))
    return [*lines, Text(f"state hash {result.state_hash}")]
