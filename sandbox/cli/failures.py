"""The exit code and the error text for each exception that ends a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from os.path import commonprefix
from typing import Any

import click
from rich.text import Text

from sandbox.cli.options import hint_for
from sandbox.cli.render import output
from sandbox.errors import (
    CallRejected,
    CandidDecodeError,
    InspectError,
    InvalidModule,
    RequestTooLarge,
    SandboxError,
    SnapshotFileCorrupt,
    StillWaiting,
)

FAILED, MISUSE, INTERRUPTED = 1, 2, 130
_SHORT = 200
"""Characters of a printed text that a reject repeats."""


@dataclass(frozen=True)
class Report:
    """A failure to print. `kind`: rejected, failed, misuse or interrupted; `facts`: more fields for JSON."""

    code: int
    kind: str
    message: str
    facts: dict[str, Any] = field(default_factory=dict)


class CheckFailed(click.ClickException):
    """A failed check that the user asked for."""

    exit_code = FAILED


def report(error: BaseException) -> Report | None:
    """Return the report of an exception; None if it is a defect of this program, to be raised with its traceback."""
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
            other = hint_for(error.option_name) if isinstance(error, click.NoSuchOption) else ""
            hint = other + f"\n{error.ctx.command_path} --help shows the usage" if error.ctx else other
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


def show(failure: Report, *, json: bool) -> None:
    """Print a report on standard error for people, or on standard output as JSON."""
    if json:
        output.print_json({"error": {"kind": failure.kind, "message": failure.message, **failure.facts}})
        return
    if failure.kind == "rejected":
        output.show(*_reject_text(failure), stderr=True)
    else:
        output.show(Text.assemble(("error: ", "bold red"), failure.message), stderr=True)


def _reject_facts(error: CallRejected) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "reject_code": int(error.reject_code),
        "reject_name": error.reject_code.name,
        "error_code": None if error.error_code is None else str(error.error_code),
        "backtrace": [],
        "notes": list(getattr(error, "__notes__", ())),
    }
    result = error.result
    if result is not None:
        facts |= {"backtrace": result.backtrace, "instructions": result.instructions, "logs": result.logs}
    return facts


def _once(message: str, logs: Iterable[str]) -> str:
    """Leave out of a message the long texts that the canister has printed, which are on the terminal already."""
    for log in logs:
        at = message.find(log[:_SHORT]) if len(log) > _SHORT else -1
        if at >= 0:
            end = at + len(commonprefix([message[at:], log]))  # noqa: RUF071 - characters are meant
            message = f"{message[: at + _SHORT]}… (as printed above){message[end:]}"
    return message


def _reject_text(failure: Report) -> list[Text]:
    code = f" {failure.facts['error_code']}" if failure.facts["error_code"] else ""
    head = Text.assemble(
        ("rejected: ", "bold red"), (f"{failure.facts['reject_name']} ({failure.facts['reject_code']}){code}", "bold")
    )
    parts = [head, Text(output.cut(_once(failure.message.rstrip(), failure.facts.get("logs", ()))))]
    parts += [Text(note) for note in failure.facts["notes"]]
    trace = failure.facts["backtrace"]
    if trace and "Canister Backtrace:" not in failure.message:
        parts.append(Text("\n".join(("Canister Backtrace:", *trace))))
    return parts
