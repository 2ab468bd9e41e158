"""The page of `--canister-report`: one HTML file that needs no other, with every test, its calls, memory and logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from sandbox.pytest_plugin.tested import TEXTS, TITLES, Tested, instructions_of

_STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem }
h1 { font-size: 1.4rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .25rem .75rem; border-bottom: 1px solid #8884; vertical-align: top }
.number { text-align: right; white-space: nowrap }
pre { white-space: pre-wrap; overflow-wrap: anywhere }
pre { padding: .5rem .75rem; background: #8881; font-size: 13px; margin: .5rem 0 }
summary { cursor: pointer; overflow-wrap: anywhere }
td td, td th { font-size: 13px }
.failed, .error { color: #c22; font-weight: bold }
.passed { color: #284 }
"""
_COLUMNS = ("test", "outcome", "seconds", "calls", "instructions", "memory, MiB")
_MIB = 1 << 20


def page(tests: Sequence[Tested]) -> str:
    """The whole page."""
    outcomes = Counter(test.outcome for test in tests)
    total = sum(call[2] for test in tests for call in test.facts.get("calls", ()))
    said = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(outcomes.items())) or "no tests"
    head = _row("th", _COLUMNS, 2)
    body = "\n".join(_test(test) for test in tests)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n<link rel="icon" href="data:,">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>Canister tests</title>\n'
        f"<style>{_STYLE}</style>\n<h1>Canister tests: {said}</h1>\n<p>{total:,} instructions</p>\n"
        f"<table>\n<thead>{head}</thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</html>\n"
    )


def _test(test: Tested) -> str:
    calls = test.facts.get("calls", ())
    details = "".join(_details(test))
    name = escape(test.nodeid)
    opened = " open" if test.outcome in ("failed", "error") else ""
    shown = f"<details{opened}><summary>{name}</summary>{details}</details>" if details else name
    memory = test.facts.get("memory")
    numbers = (
        f"{test.seconds:.2f}",
        f"{len(calls):,}",
        f"{sum(call[2] for call in calls):,}",
        "" if memory is None else f"{memory / _MIB:,.2f}",
    )
    cells = "".join(f'<td class="number">{number}</td>' for number in numbers)
    return f'<tr><td>{shown}</td><td class="{escape(test.outcome)}">{escape(test.outcome)}</td>{cells}</tr>'


def _details(test: Tested) -> Iterator[str]:
    rows = [row.cells[1:] for row in instructions_of([test])]
    if rows:
        head = _row("th", TITLES[1:], TEXTS - 1)
        yield f"<table>{head}{''.join(_row('td', row, TEXTS - 1) for row in rows)}</table>"
    if test.facts.get("logs"):
        yield f"<pre>{escape(chr(10).join(test.facts['logs']))}</pre>"
    if test.text:
        yield f"<pre>{escape(test.text)}</pre>"


def _row(kind: str, cells: Iterable[str], texts: int) -> str:
    marked = (
        f"<{kind}>{escape(cell)}</{kind}>" if number < texts else f'<{kind} class="number">{escape(cell)}</{kind}>'
        for number, cell in enumerate(cells)
    )
    return f"<tr>{''.join(marked)}</tr>"
