"""`scripts/bench`: every row measured in a process of its own, a table, a JSON file."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import sys
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sandbox.memory import Pool
from scripts.benchmarks.groups import GROUPS, rows_of
from scripts.benchmarks.row import RIGHT, TITLES, Row, cells, record

_SECONDS = 3.0
_QUICK = 0.5
_WIDTH = 180


@click.command()
@click.argument("rows", nargs=-1, type=click.Choice(list(GROUPS)), metavar="[ROW]...")
@click.option("--quick", is_flag=True, help="Shorter, less certain.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Where to write; default: bench.json.")
@click.option("--from", "start", type=click.Path(path_type=Path), default=".", hidden=True)
def main(rows: tuple[str, ...], quick: bool, file: Path | None, start: Path) -> None:
    """Measure each ROW; without any, all of them. The exit code tells only whether everything could be measured."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    target = Path("bench.json") if file is None else start / file
    results, failed = _measured(console, rows or tuple(GROUPS), _QUICK if quick else _SECONDS)
    console.print(_table(results))
    target.write_text(json.dumps({"machine": _machine(), "quick": quick, "rows": _records(results)}, indent=1) + "\n")
    console.print(f"written to {target}")
    sys.exit(1 if failed else 0)


def _measured(console: Console, names: tuple[str, ...], seconds: float) -> tuple[dict[str, list[Row]], bool]:
    """The rows of every group, each from a new process, so that none inherits another's memory."""
    results: dict[str, list[Row]] = {}
    failed = False
    context = multiprocessing.get_context("spawn")
    for name in names:
        with console.status(f"measuring: {name}"), ProcessPoolExecutor(1, context) as process:
            try:
                results[name] = process.submit(rows_of, name, seconds).result()
            except Exception as error:
                failed = True
                console.print(f"[red]{name} cannot be measured:[/]", escape(str(error) or repr(error)))
    return results, failed


def _table(results: dict[str, list[Row]]) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 1))
    for index, title in enumerate(TITLES):
        table.add_column(title, justify="right" if index in RIGHT else "left", no_wrap=index in RIGHT)
    for rows in results.values():
        for row in rows:
            table.add_row(*cells(row))
        table.add_section()
    return table


def _machine() -> dict[str, object]:
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "kernel": platform.release().split("-")[0],
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "wasmtime": version("wasmtime"),
        "strategy": Pool().strategy,
    }


def _records(results: dict[str, list[Row]]) -> list[dict[str, object]]:
    return [record(name, row) for name, rows in results.items() for row in rows]


if __name__ == "__main__":
    main()
