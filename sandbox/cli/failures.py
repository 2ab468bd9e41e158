"""Which exception ends a run with which exit code, and what is said about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import click
from rich.text import Text

from sandbox.cli.render import output
from sandbox.errors import (
    CallRejected,
    CandidDecodeError,
    InvalidModule,
    RequestTooLarge,
    SandboxError,
    SnapshotFileCorrupt,
    StillWaiting,
)
from sandbox.snapshots.inspect import InspectError

FAILED, MISUSE, INTERRUPTED = 1, 2, 130


@dataclass(frozen=True)
class Report:
    """`kind`: rejected, failed, misuse, state or interrupted."""

    code: int
    kind: str
    message: str
    facts: dict[str, Any] = field(default_factory=dict)


class CheckFailed(click.ClickException):
    """A check that the user asked for says no."""

    exit_code = FAILED


def report(error: BaseException) -> Report | None:
    """What to tell about an exception that belongs to the command line; None: a defect, to be shown as it is."""
    match error:
        case CallRejected():
            return Report(FAILED, "rejected", error.message, _reject_facts(error))
        case (
            InvalidModule()
            | CandidDecodeError()
            | SnapshotFileCorrupt()
            | StillWaiting()
            | InspectError()
            | RequestTooLarge()
        ):
            return Report(FAILED, "failed", str(error))
        case click.UsageError():
            hint = f"\n{error.ctx.command_path} --help says more" if error.ctx else ""
            return Report(MISUSE, "misuse", error.format_message() + hint)
        case click.ClickException():
            return Report(error.exit_code, "failed" if error.exit_code == FAILED else "misuse", error.format_message())
        case SandboxError():
            return Report(MISUSE, "misuse", str(error))
        case click.Abort() | KeyboardInterrupt():
            return Report(INTERRUPTED, "interrupted", "interrupted")
        case OSError():
            return Report(MISUSE, "misuse", str(error))
    return None


def show(found: Report, *, json: bool) -> None:
    """On standard error for people; as JSON on standard output."""
    if json:
        output.print_json({"error": {"kind": found.kind, "message": found.message, **found.facts}})
        return
    if found.kind == "rejected":
        output.show(*_reject_text(found), stderr=True)
    else:
        output.show(Text.assemble(("error: ", "bold red"), found.message), stderr=True)


def _reject_facts(error: CallRejected) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "reject_code": int(error.reject_code),
        "reject_name": error.reject_code.name,
        "error_code": None if error.error_code is None else str(error.error_code),
        "backtrace": [],
    }
    result = error.result
    if result is not None:
        facts |= {"backtrace": result.backtrace, "instructions": result.instructions, "logs": result.logs}
    return facts


def _reject_text(found: Report) -> list[Text]:
    code = f" {found.facts['error_code']}" if found.facts["error_code"] else ""
    head = Text.assemble(
        ("rejected: ", "bold red"), (f"{found.facts['reject_name']} ({found.facts['reject_code']}){code}", "bold")
    )
    parts = [head, Text(found.message.rstrip())]
    trace = found.facts["backtrace"]
    if trace and "Canister Backtrace:" not in found.message:
        parts.append(Text("\n".join(("Canister Backtrace:", *trace))))
    return parts
