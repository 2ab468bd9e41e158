"""What the commands of backups share: options, the text of reports, an end in order."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.text import Text

from sandbox.cli.interrupt import interruptible
from sandbox.cli.render import output
from sandbox.service.report import Report

CONFIG = click.Path(exists=True, dir_okay=False, path_type=Path)
REPOSITORY = click.Path(file_okay=False, path_type=Path)
repository_option = click.option(
    "--repository",
    type=REPOSITORY,
    default=Path("backups"),
    show_default=True,
    metavar="DIR",
    help="Directory of the backups.",
)


def warn(text: str) -> None:
    output.show(Text.assemble(("warning: ", "bold yellow"), text), stderr=True)


def print_report(report: Report) -> None:
    """Print what came of a run, for people."""
    output.show(*_report_lines(report))


def _report_lines(report: Report) -> list[Any]:
    facts = report.facts
    if report.ok:
        stored = facts["steps"].get("store", {}).get("bytes_on_disk")
        size = "" if stored is None else f", {output.size(max(0, stored))} more on disk"
        text = f"{report.name}: snapshot {report.snapshot}{size}, content id {report.content_id}"
        done = {"backup": "backed up and proven ", "restore": "restored "}[report.kind]
        return [Text.assemble((done, "green"), text)]
    lines = [Text.assemble(("failed ", "bold red"), f"{report.name}, step {report.failed}: {report.error}")]
    lines += [Text(f"  safe: {report.safe}"), Text(f"  next: {report.next}")]
    return lines


@contextmanager
def terminable() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the work in order, so that canisters are started again."""

    def end(_: int, __: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    with interruptible():
        before = signal.signal(signal.SIGTERM, end)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)
