"""Render the proof of an upgrade for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from sandbox.cli.render import output
from sandbox.proofs.findings import Finding, Severity
from sandbox.proofs.upgrade import SAVE_HINT, Check, UpgradeReport

_STYLES = {"safe": "bold green", "risky": "bold yellow", "broken": "bold red"}
_MARKS = {
    None: ("✓", "green"),
    Severity.NOTE: ("✓", "green"),
    Severity.RISK: ("!", "yellow"),
    Severity.BROKEN: ("✗", "red"),
}
_DETAILS = 6
"""Lines that show one finding."""


def render_upgrade(report: UpgradeReport) -> output.Rendered:
    """Render verdict, checks and findings."""
    verdict = report.verdict
    parts: list[RenderableType] = [
        Text.assemble((verdict, _STYLES[verdict]), f": {report.why}"),
        Text(f"{report.old} → {report.new}, from {report.start}", "dim"),
        Text(),
        output.table(("", "check", "seen"), [_row(check) for check in report.checks]),
    ]
    for finding in report.findings:
        parts += [Text(), *_finding(finding, finding.id in report.accepted)]
    for smallest in report.sequences:
        parts += [Text(), Text(f"# the fewest calls that show {', '.join(smallest.findings)}: {SAVE_HINT}", "bold")]
        parts += [output.candid(line) for line in smallest.lines]
    return report.to_dict(), parts


def _row(check: Check) -> tuple[Text, str, Text]:
    mark, style = _MARKS[check.severity] if check.done else ("–", "dim")
    return Text(mark, style), check.name, Text(check.text, "" if check.done else "dim")


def _finding(finding: Finding, accepted: bool) -> Iterator[Text]:
    _, style = _MARKS[finding.severity]
    note = " (accepted)" if accepted else ""
    yield Text.assemble((f"{finding.id}{note}", f"bold {style}"), f"  {finding.rule.title}")
    yield Text(f"  {finding.text}")
    for line in finding.details[:_DETAILS]:
        yield Text(f"    {line}", "dim")
    if len(finding.details) > _DETAILS:
        yield Text(f"    and {len(finding.details) - _DETAILS:,} more", "dim")
    yield Text(f"  → {finding.rule.advice}")
