"""Render a release matrix for the terminal: the grid, its legend, and the findings that are alike together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rich.console import RenderableType
from rich.text import Text

from sandbox.cli.render import output
from sandbox.proofs.findings import VERDICTS
from sandbox.proofs.matrix import MatrixReport
from sandbox.proofs.matrix.report import UNKNOWN, Group

_MARKS: Mapping[str, tuple[str, str]] = {
    "safe": ("✓", "green"),
    "risky": ("!", "yellow"),
    "broken": ("✗", "red"),
    UNKNOWN: ("?", "magenta"),
}
"""The mark and the style of each verdict."""
_DETAILS = 3
"""Lines that show one finding."""
_CELLS = 6
"""Cells that are named for one finding."""


def render_matrix(report: MatrixReport) -> output.Rendered:
    """Render verdict, grid and findings."""
    parts: list[RenderableType] = [
        Text.assemble((report.verdict, f"bold {_MARKS[report.verdict][1]}"), f": {_summary(report)}"),
        Text(),
        _grid(report),
        _legend(report),
    ]
    for group in report.groups:
        parts += [Text(), *_group(report, group)]
    for name, problem in report.problems.items():
        parts += [Text(), Text.assemble((name, "bold magenta"), f"  has no starting state: {problem}")]
    if report.empty:
        names = _list(report.empty, len(report.builds))
        parts += [Text(), Text(f"There was no data to lose in {names}: give calls (--calls) or states.", "dim")]
    return report.to_dict(), parts


def _summary(report: MatrixReport) -> str:
    upgrades = report.tally("upgrade", "itself")
    downgrades = report.tally("downgrade")
    counted = "" if report.downgrades or not downgrades else " (they do not count)"
    known = f"; {report.known:,} cells known from before" if report.known else ""
    return f"upgrades {_tally(upgrades)}; downgrades {_tally(downgrades)}{counted}{known}"


def _tally(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {verdict}" for verdict, count in counts.items()) or "none"


def _grid(report: MatrixReport) -> RenderableType:
    """A row for each old build, a column for the number of each new one."""
    numbers = [str(number) for number in range(1, len(report.builds) + 1)]
    rows = [
        [number, old, *(_mark(report, old, new) for new in report.builds)]
        for number, old in zip(numbers, report.builds, strict=True)
    ]
    return output.table(("", "from, to →", *numbers), rows, right=("",))


def _mark(report: MatrixReport, old: str, new: str) -> Text:
    mark, style = _MARKS[report.verdict_of(old, new)]
    return Text(mark, style if report.kind(old, new) in report.counted else f"{style} dim")


def _legend(report: MatrixReport) -> Text:
    found = {report.verdict_of(*pair) for pair in report.pairs("upgrade", "itself", "downgrade")}
    marks = [piece for name, mark in _MARKS.items() if name in found for piece in (mark, f" {name}   ")]
    return Text.assemble(*marks, ("above the diagonal upgrades, below it downgrades", "dim"))


def _group(report: MatrixReport, group: Group) -> Iterator[Text]:
    style = _MARKS[VERDICTS[group.finding.severity]][1]
    note = " (accepted)" if group.accepted else ""
    yield Text.assemble((f"{group.finding.id}{note}", f"bold {style}"), f"  {group.finding.text}")
    yield Text(f"  {_cells(report, group.cells)}")
    for line in group.finding.details[:_DETAILS]:
        yield Text(f"    {line}", "dim")
    yield Text(f"  → {group.finding.rule.advice}")


def _cells(report: MatrixReport, cells: Iterable[tuple[str, str]]) -> str:
    named = [old if old == new else f"{old} → {new}" for old, new in cells]
    more = f" and {len(named) - _CELLS:,} more" if len(named) > _CELLS else ""
    return ", ".join(named[:_CELLS]) + more


def _list(names: tuple[str, ...], count: int) -> str:
    return "any build" if len(names) == count else ", ".join(names)
