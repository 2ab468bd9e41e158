"""The report of scenarios for a terminal: a line for each case, and its failures, cut to a readable length."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from sandbox.proofs.report.model import CaseReport, Failure, Report, ScenarioReport, Status, StepReport

_LONGEST = 600
"""Characters of one text."""
_MOST_FAILURES = 20
"""Failures of a case that are shown."""
_MOST_LINES = 12
"""Lines of a backtrace or log."""
_STYLES: dict[Status, str] = {"held": "green", "failed": "bold red", "not run": "yellow"}


def terminal_report(report: Report) -> RenderableType:
    """Return the report as a renderable of rich."""
    lines: list[RenderableType] = []
    for scenario in report.scenarios:
        lines.extend(_scenario(scenario))
    counts = [(status, report.count(status)) for status in _STYLES]
    total = Text(", ").join(Text(f"{count:,} {status}", _STYLES[status]) for status, count in counts if count)
    if report.interrupted:
        total = Text.assemble(("interrupted; done so far: ", "yellow"), total)
    return Group(*lines, total if total else Text("nothing was run", "yellow"))


def _scenario(scenario: ScenarioReport) -> Iterator[Text]:
    yield Text.assemble((scenario.path, "bold"), f"  {scenario.title}")
    for case in scenario.cases:
        yield _case_line(case)
        yield from _failures(case)
        for step in case.steps:
            for note in step.notes:
                yield Text(f"    {step.title}: {_cut(note)}", "yellow")
        for note in case.notes:
            yield Text(f"    {_cut(note)}", "yellow")
    for note in scenario.notes:
        yield Text(f"  {_cut(note)}", "yellow")


def _case_line(case: CaseReport) -> Text:
    done = sum(step.status != "not run" for step in case.steps)
    steps = f"{done:,}" if done == len(case.steps) else f"{done:,} of {len(case.steps):,}"
    facts = f"{steps} steps, {case.instructions:,} instructions, {case.seconds:.2f} s"
    name = f"{case.name}: " if case.name else ""
    return Text.assemble("  ", (f"{case.status:<8}", _STYLES[case.status]), name, (facts, "dim"))


def _failures(case: CaseReport) -> Iterator[Text]:
    failures = list(case.all_failures())
    shown: StepReport | None = None
    for step, failure in failures[:_MOST_FAILURES]:
        if step is not None and step is not shown:
            shown = step
            yield Text.assemble(f"    {failure.place or step.place} ", (step.title, "bold"))
            yield from _evidence(step)
        yield from _failure(failure)
    if len(failures) > _MOST_FAILURES:
        yield Text(f"    and {len(failures) - _MOST_FAILURES:,} more; --output json has all", "yellow")


def _failure(failure: Failure) -> Iterator[Text]:
    yield Text(f"      {failure.title}", "red")
    yield Text.assemble(("        expected  ", "dim"), (_cut(failure.expected), "green"))
    yield Text.assemble(("        got       ", "dim"), (_cut(failure.came), "red"))


def _evidence(step: StepReport) -> Iterator[Text]:
    for title, lines in (("log", step.logs), ("backtrace", step.backtrace)):
        for line in lines[:_MOST_LINES]:
            yield Text(f"      {title}: {_cut(line)}", "dim")
        if len(lines) > _MOST_LINES:
            yield Text(f"      {title}: and {len(lines) - _MOST_LINES:,} more lines", "dim")


def _cut(text: str) -> str:
    """Return a text without control characters, indented and cut."""
    harmless = "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text)
    cut = harmless if len(harmless) <= _LONGEST else f"{harmless[:_LONGEST]}… ({len(text):,} characters)"
    return cut.strip().replace("\n", "\n" + " " * 18)
