"""A release matrix as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sandbox.proofs.findings import Severity
from sandbox.proofs.matrix.report import UNKNOWN, Group, MatrixReport
from sandbox.proofs.report.html import (
    Cell,
    Content,
    Html,
    Kind,
    badge,
    code,
    details,
    element,
    note,
    page,
    paragraph,
    section,
    table,
)

_KINDS: Mapping[str, Kind] = {"safe": "good", "risky": "warn", "broken": "bad", UNKNOWN: "plain"}
_MARKS: Mapping[str, str] = {"safe": "✓", "risky": "!", "broken": "✗", UNKNOWN: "?"}
_TIP = 5
"""Findings that are shown when the pointer rests on a cell."""


def matrix_page(report: MatrixReport) -> str:
    """Return the page: the verdict, the grid, the findings, and the checks of each cell."""
    numbers = [str(number) for number in range(1, len(report.builds) + 1)]
    rows: list[list[Content | Cell]] = [
        [number, old, *(_cell(report, old, new) for new in report.builds)]
        for number, old in zip(numbers, report.builds, strict=True)
    ]
    upgrades, downgrades = (_tally(report.tally(*kinds)) for kinds in (("upgrade", "itself"), ("downgrade",)))
    return page(
        "Release matrix",
        element("p", badge(report.verdict, _KINDS[report.verdict]), f" upgrades {upgrades}; downgrades {downgrades}"),
        section(
            "Grid",
            table(["", "from, to →", *numbers], rows),
            paragraph(
                "A row for each old build, a column for each new one; above the diagonal upgrades, below downgrades. ",
                "; ".join(f"{mark} {verdict}" for verdict, mark in _MARKS.items()),
                dim=True,
            ),
        ),
        section("Findings", *[_group(group) for group in report.groups] or [paragraph("None.")]),
        *_problems(report),
        section("Cells", *[_details(report, old) for old in report.builds]),
        lead=f"{len(report.builds)} builds, {len(report.builds) ** 2:,} cells",
    )


def _tally(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {verdict}" for verdict, count in counts.items()) or "none"


def _cell(report: MatrixReport, old: str, new: str) -> Cell:
    verdict, result = report.verdict_of(old, new), report.cells.get((old, new))
    findings = [f"{each.id}: {each.text}" for each in (result.findings if result else ())[:_TIP]]
    return Cell(_MARKS[verdict], _KINDS[verdict], "\n".join([f"{old} → {new}: {verdict}", *findings]))


def _group(group: Group) -> Html:
    accepted = " (accepted)" if group.accepted else ""
    kind: Kind = "bad" if group.finding.severity is Severity.BROKEN else "warn"
    return note(
        "plain" if group.accepted else kind,
        element("p", element("strong", f"{group.finding.id}{accepted}"), f" {group.finding.text}"),
        paragraph(", ".join(old if old == new else f"{old} → {new}" for old, new in group.cells)),
        code("\n".join(group.finding.details)) if group.finding.details else None,
        paragraph(f"→ {group.finding.rule.advice}"),
    )


def _problems(report: MatrixReport) -> Iterator[Html]:
    if report.problems:
        lines = [[name, problem] for name, problem in report.problems.items()]
        yield section("Builds without a starting state", table(["build", "why"], lines))


def _details(report: MatrixReport, old: str) -> Html:
    """Return the results of the checks of one old build's cells, behind a click."""
    rows: list[list[Content | Cell]] = []
    for new in report.builds:
        result = report.cells.get((old, new))
        for number, check in enumerate(result.checks if result is not None else ()):
            verdict = report.verdict_of(old, new)
            first: list[Content | Cell] = ["", ""] if number else [new, Cell(verdict, _KINDS[verdict])]
            rows.append([*first, check.name, check.text])
    return details(f"from {old}", table(["to", "verdict", "check", "seen"], rows))
