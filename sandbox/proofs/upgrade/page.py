"""The proof of an upgrade as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sandbox.proofs.findings import Finding, Severity
from sandbox.proofs.report.html import (
    Cell,
    Html,
    Kind,
    badge,
    code,
    details,
    element,
    fields,
    note,
    page,
    page_map,
    paragraph,
    section,
    table,
)
from sandbox.proofs.upgrade.report import SAVE_HINT, Check, UpgradeReport
from sandbox.snapshots.diff.picture import STYLE

_SHOWN = 8
"""Lines of a finding that are shown without a click."""
_VERDICTS: Mapping[str, Kind] = {"safe": "good", "risky": "warn", "broken": "bad"}
_KINDS: Mapping[Severity | None, Kind] = {
    None: "good",
    Severity.NOTE: "plain",
    Severity.RISK: "warn",
    Severity.BROKEN: "bad",
}


def upgrade_page(report: UpgradeReport) -> str:
    """Return the page: the verdict, the checks, the findings, and the details of each check."""
    return page(
        f"{report.old} → {report.new}",
        element("p", badge(report.verdict, _VERDICTS[report.verdict]), " ", report.why),
        section("Checks", table(["", "check", "seen"], [_check(check) for check in report.checks])),
        section("Findings", *[_finding(finding, report) for finding in report.findings] or [paragraph("None.")]),
        *_sequences(report),
        *[part for check in report.checks for part in _SECTIONS.get(check.name, _nothing)(check)],
        lead=f"proof of an upgrade, from {report.start}",
    )


def _sequences(report: UpgradeReport) -> Iterator[Html]:
    """Yield the calls that cause findings."""
    lines = [
        part for each in report.sequences for part in (paragraph(", ".join(each.findings)), code("\n".join(each.lines)))
    ]
    if lines:
        yield section("The fewest calls that show it", *lines, paragraph(f"The lines: {SAVE_HINT}."))


def _check(check: Check) -> tuple[Cell, str, str]:
    severity = check.severity
    if not check.done:
        return Cell("not made", "plain"), check.name, check.text
    words = {None: "ok", Severity.NOTE: "note", Severity.RISK: "risk", Severity.BROKEN: "broken"}
    return Cell(words[severity], _KINDS[severity]), check.name, check.text


def _finding(finding: Finding, report: UpgradeReport) -> Html:
    accepted = " (accepted)" if finding.id in report.accepted else ""
    return note(
        _KINDS[finding.severity],
        element("p", element("strong", f"{finding.id}{accepted}"), f" {finding.rule.title}"),
        paragraph(finding.text),
        _lines(finding.details),
        paragraph(f"→ {finding.rule.advice}"),
    )


def _lines(lines: tuple[str, ...]) -> Html | None:
    """Return the lines that show a finding; many of them behind a click."""
    if not lines:
        return None
    shown = code("\n".join(lines))
    return shown if len(lines) <= _SHOWN else details(f"{len(lines)} lines", shown)


def _nothing(_: Check) -> Iterator[Html]:
    return iter(())


def _hooks(check: Check) -> Iterator[Html]:
    rows = check.facts["hooks"]
    if not rows:
        return
    limit = check.facts["limit"]
    lines = [
        [
            each["hook"],
            f"{each['instructions']:,}",
            f"{each['instructions'] / limit:.3%}",
            f"{each['heap']:,}",
            f"{each['stable']:,}",
        ]
        for each in rows
    ]
    names = ["hook", "instructions", "of the limit", "heap (bytes)", "stable memory (bytes)"]
    yield section("Hooks", table(names, lines, right=names[1:]))


def _data(check: Check) -> Iterator[Html]:
    places = check.facts["places"]
    names = ["place", "lost", "changed", "added", "reshaped", "moved"]
    lines = [_place(place) for place in places]
    content: list[Html] = [table(names, lines, right=names[1:])] if lines else [paragraph(check.text)]
    content += [page_map(title, pages, STYLE) for title, pages in check.maps.items()]
    yield section("Data", *content)


def _place(place: Mapping[str, Any]) -> list[Cell | str]:
    lost, changed = place["lost"], place["changed"]
    return [
        place["place"],
        Cell(f"{lost:,}", "bad") if lost and not place["moved"] else f"{lost:,}",
        Cell(f"{changed:,}", "warn") if changed else f"{changed:,}",
        f"{place['added']:,}",
        f"{place['reshaped']:,}",
        "yes" if place["moved"] else "",
    ]


def _queries(check: Check) -> Iterator[Html]:
    if not check.done:
        return
    lines: list[list[Cell | str]] = []
    for each in check.facts["queries"]:
        before, after = _cut(each["before"]), _cut(each["after"])
        lines.append([each["query"], before, after if each["same"] else Cell(after, "warn")])
    yield section("Queries", table(["query", "before", "after"], lines))


def _growth(check: Check) -> Iterator[Html]:
    estimates = {
        f"{factor} times the data": f"about {cost:,} instructions" for factor, cost in check.facts["estimates"].items()
    }
    yield section("Growth, an estimate", fields(estimates))


_SECTIONS: Mapping[str, Callable[[Check], Iterator[Html]]] = {
    "hooks": _hooks,
    "data": _data,
    "queries": _queries,
    "growth": _growth,
}
"""Checks with a separate section."""


def _cut(text: str) -> str:
    return text if len(text) <= 2_000 else f"{text[:2_000]}… ({len(text):,} characters)"
