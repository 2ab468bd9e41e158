"""The report of scenarios as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sandbox.proofs.report import html
from sandbox.proofs.report.html import Cell, Content, Html, Kind
from sandbox.proofs.report.model import CaseReport, Failure, Report, ScenarioReport, Status, StepReport

_KINDS: Final[dict[Status, Kind]] = {"held": "good", "failed": "bad", "not run": "warn"}
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
    return html.section(
        scenario.title,
        html.paragraph(html.element("code", scenario.path), dim=True),
        [html.note("warn", note) for note in scenario.notes],
        [_case(case, f"{anchor}c{place}") for place, case in enumerate(scenario.cases)],
        anchor=anchor,
    )


def _case(case: CaseReport, anchor: str) -> Html:
    title: list[Content] = [html.badge(case.status, _KINDS[case.status]), " ", case.name or "the only case"]
    found = list(case.all_failures())
    return html.section(
        title,
        html.paragraph(f"seed {case.seed}, {case.instructions:,} instructions, {case.seconds:.2f} s", dim=True),
        [_failure(step, failure) for step, failure in found],
        [html.note("plain", f"{step.title}: {note}") for step in case.steps for note in step.notes],
        _steps(case.steps),
        _plots(case.steps),
        _maps(case),
        level=3,
        anchor=anchor,
    )


def _failure(step: StepReport | None, failure: Failure) -> Html:
    place = failure.place or ("" if step is None else step.place)
    rows = {"expected": html.element("code", failure.expected), "got": html.element("code", failure.came)}
    head: list[Content] = [html.element("strong", failure.title), " ", html.element("span", place, class_="dim")]
    evidence = [] if step is None else list(_evidence(step))
    title = "" if step is None else f"{step.title}: "
    return html.note("bad", html.paragraph(title, head), html.fields(rows), evidence)


def _evidence(step: StepReport) -> Iterator[Html]:
    for title, lines in (("Log", step.logs), ("Backtrace", step.backtrace)):
        if lines:
            yield html.details(f"{title}, {len(lines)} lines", html.code("\n".join(lines)))


def _steps(steps: Sequence[StepReport]) -> Html:
    names = list(dict.fromkeys(name for step in steps for name in step.pages))
    headers = ["", "step", "result", "instructions", *(f"{name}, pages" for name in names), "answer"]
    rows: list[list[Content | Cell]] = [
        [
            number,
            _title(step),
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


def _title(step: StepReport) -> Content:
    if not step.steps:
        return step.title
    rows: list[list[Content | Cell]] = [
        [each.title, Cell(each.status, _KINDS[each.status]), f"{each.times:,}", _count(each)] for each in step.steps
    ]
    plot = html.line_plot("Instructions of each round", {each.title: each.series for each in step.steps})
    inner = html.table(["step", "result", "rounds", "instructions"], rows, right={"rounds", "instructions"})
    return html.details(step.title, inner, plot)


def _count(step: StepReport) -> str:
    return f"{step.instructions:,}" if step.instructions else ""


def _pages(step: StepReport, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        heap, stable = step.pages.get(name, (0, 0))
        yield f"{heap:,} + {stable:,}" if name in step.pages else ""


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
        for place, part in enumerate(("heap", "stable"))
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
