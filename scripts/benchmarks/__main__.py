"""`scripts/bench`: every row measured, a table, a JSON file."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import rows_calls
import rows_state
from measure import Row, shown
from rich.console import Console
from rich.table import Table

ROWS: dict[str, Callable[[bool], Iterator[Row]]] = {
    "calls": rows_calls.calls,
    "anchors": rows_calls.anchors,
    "stable": rows_calls.stable_writes,
    "pages": rows_state.pages,
    "snapshots": rows_state.snapshots,
    "code": rows_state.compiled_code,
    "between": rows_calls.between_canisters,
    "many": rows_calls.many_canisters,
    "disk": rows_state.directories,
    "candid": rows_state.candid,
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(ROWS)))
@click.option("--quick", is_flag=True, help="Fewer repetitions.")
@click.option("--json", "file", type=click.Path(path_type=Path), default="bench.json", show_default=True)
def main(names: tuple[str, ...], quick: bool, file: Path) -> None:
    """Measure; without NAMES, everything."""
    console = Console()
    results: list[Row] = []
    for name in names or ROWS:
        with console.status(f"measuring {name}"):
            results.extend(ROWS[name](quick))
    console.print(_table(results))
    file.write_text(json.dumps({"machine": platform.platform(), "rows": [_record(row) for row in results]}, indent=1))
    console.print(f"written to {file}")


def _table(results: list[Row]) -> Table:
    table = Table(box=None, header_style="bold")
    for title in ("", "ours", "reference", "", "ratio", "aim", "note"):
        table.add_column(title, justify="right" if title in ("ours", "reference", "ratio", "aim") else "left")
    for row in results:
        ratio = "" if row.ratio is None else f"{row.ratio:.3g}"
        colour = {True: "green", False: "red", None: ""}[row.met]
        table.add_row(
            row.name,
            shown(row.ours),
            "" if row.reference is None else shown(row.reference),
            row.against,
            f"[{colour}]{ratio}[/]" if colour else ratio,
            "" if row.aim is None else f"{row.aim:.3g}",
            row.note,
        )
    return table


def _record(row: Row) -> dict[str, object]:
    return {**row.__dict__, "ratio": row.ratio, "met": row.met}


main()
