"""The report of scenarios as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sandbox.proofs.report import html
from sandbox.proofs.report.html import Cell, Content, Html, Kind
from sandbox.proofs.report.model import CaseReport, Failure, Report, ScenarioReport, Status, StepReport

_KINDS: Final[dict[Status, Kind]] = {"held": "good", "failed": "bad", "not run": "warn"}
_PARTS = ("heap", "stable")
_SHORT = 200
"""Characters of a reply in the table of steps; the whole is a click away."""
_FIRST_STEPS = 1_000
"""Steps of a case in the table."""


def scenario_page(report: Report) -> str:
    """Return the page."""
    names = [f"{report.count(status):,} {status}" for status in _KINDS if report.count(status)]
    lead: list[Content] = [html.badge(*_word(report)), " ", ", ".join(names) or "nothing was run"]
    sections = [_scenario(scenario, f"s{number}") for number, scenario in enumerate(report.scenarios)]
    return html.page("Scenarios", _summary(report), sections, lead=lead)


def _word(report: Report) -> tuple[str, Kind]:
    if report.interrupted:
        return "interrupted", "warn"
    return ("held", "good") if report.held else ("failed", "bad")


def _summary(report: Report) -> Html:
    rows: list[list[Content | Cell]] = [
        [
            Cell(case.status, _KINDS[case.status]),
            html.element("a", scenario.title, href=f"#s{number}c{place}"),
            case.name,
            f"{len(case.steps):,}",
            f"{case.instructions:,}",
            f"{case.seconds:.2f}",
        ]
        for number, scenario in enumerate(report.scenarios)
        for place, case in enumerate(scenario.cases)
    ]
    headers = ["result", "scenario", "case", "steps", "instructions", "seconds"]
    return html.table(headers, rows, right={"steps", "instructions", "seconds"})


def _scenario(scenario: ScenarioReport, anchor: str) -> Html:
    only = len(scenario.cases) == 1
    return html.section(
        scenario.title,
        html.paragraph(html.element("code", scenario.path), dim=True),
        [html.note("warn", note) for note in scenario.notes],
        [_case(case, f"{anchor}c{place}", opened=only) for place, case in enumerate(scenario.cases)],
        anchor=anchor,
    )


def _case(case: CaseReport, anchor: str, *, opened: bool) -> Html:
    facts = f"seed {case.seed}, {case.instructions:,} instructions, {case.seconds:.2f} s"
    title: list[Content] = [
        html.badge(case.status, _KINDS[case.status]),
        html.element("strong", f" {case.name} ", id=anchor),
        html.element("span", facts, class_="dim"),
    ]
    return html.details(
        title,
        [_failures(step, failures) for step, failures in _by_step(case)],
        [html.note("plain", f"{step.title}: {note}") for step in case.steps for note in step.notes],
        _steps(case.steps),
        [_rounds(number, step) for number, step in enumerate(case.steps, 1) if step.steps],
        _plots(case.steps),
        _maps(case),
        opened=opened or case.status != "held",
    )


def _by_step(case: CaseReport) -> Iterator[tuple[StepReport | None, tuple[Failure, ...]]]:
    """Yield the failures of the case, then those of each step that has any."""
    if case.failures:
        yield None, case.failures
    for step in case.steps:
        yield from ((each, each.failures) for each in (step, *step.steps) if each.failures)


def _failures(step: StepReport | None, failures: Sequence[Failure]) -> Html:
    rows: list[list[Content | Cell]] = [
        [failure.title, _long(failure.expected), _long(failure.came)] for failure in failures
    ]
    place = failures[0].place or ("" if step is None else step.place)
    title: Content = None if step is None else html.element("strong", step.title)
    return html.note(
        "bad",
        html.paragraph(title, " ", html.element("span", place, class_="dim")),
        html.table(["", "expected", "got"], rows),
        [] if step is None else list(_evidence(step)),
    )


def _evidence(step: StepReport) -> Iterator[Html]:
    for title, lines in (("Log", step.logs), ("Backtrace", step.backtrace)):
        if lines:
            yield html.details(f"{title}, {len(lines)} lines", html.code("\n".join(lines)))


def _steps(steps: Sequence[StepReport]) -> Html:
    names = list(dict.fromkeys(name for step in steps for name in step.pages))
    headers = ["", "step", "result", "instructions", *(f"{name} {part}" for name in names for part in _PARTS), "answer"]
    rows: list[list[Content | Cell]] = [
        [
            number,
            html.element("span", step.title, class_="name"),
            Cell(step.status, _KINDS[step.status]),
            _count(step),
            *_pages(step, names),
            _answer(step),
        ]
        for number, step in enumerate(steps[:_FIRST_STEPS], 1)
    ]
    more = len(steps) - _FIRST_STEPS
    cut = html.paragraph(f"and {more:,} more steps; the JSON report has all", dim=True) if more > 0 else None
    return html.joined(html.table(headers, rows, right={"", "instructions", *headers[4:-1]}), cut)


def _rounds(number: int, step: StepReport) -> Html:
    """Return the steps of a repetition, with the instructions of each round."""
    rows: list[list[Content | Cell]] = [
        [each.title, Cell(each.status, _KINDS[each.status]), f"{each.times:,}", _count(each), _answer(each)]
        for each in step.steps
    ]
    headers = ["step", "result", "rounds", "instructions", "last answer"]
    plot = html.line_plot("Instructions of each round", {each.title: each.series for each in step.steps})
    return html.details(
        f"Step {number}: {step.title}", html.table(headers, rows, right={"rounds", "instructions"}), plot, opened=True
    )


def _count(step: StepReport) -> str:
    return f"{step.instructions:,}" if step.instructions else ""


def _pages(step: StepReport, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        heap, stable = step.pages.get(name, (0, 0))
        yield from (f"{heap:,}", f"{stable:,}") if name in step.pages else ("", "")


def _answer(step: StepReport) -> Content:
    if step.reject is not None:
        code = step.reject.error_code or step.reject.reject_code.name
        return _long(f"{code}: {step.reject.message}")
    return None if step.answer is None else _long(step.answer.text)


def _long(text: str) -> Html:
    line = " ".join(text.split())
    if len(line) <= _SHORT:
        return html.element("code", line)
    return html.details(html.element("code", f"{line[:_SHORT]}…"), html.code(text))


def _plots(steps: Sequence[StepReport]) -> Html:
    labels = [step.title for step in steps]
    names = list(dict.fromkeys(name for step in steps for name in step.pages))
    sizes = {
        f"{name} {part}": [step.pages[name][place] if name in step.pages else None for step in steps]
        for name in names
        for place, part in enumerate(_PARTS)
    }
    counts = [step.instructions if step.status != "not run" else None for step in steps]
    return html.row(
        html.line_plot("Instructions of each step", {"instructions": counts}, labels),
        html.line_plot("Memory after each step, pages of 64 KiB", sizes, labels),
    )


def _maps(case: CaseReport) -> Html | None:
    if not case.maps:
        return None
    pictures = [html.page_map(title, pages) for title, pages in case.maps.items()]
    return html.details("Memory at the end", html.row(pictures))
