"""The command `verify-matrix`: prove every upgrade between builds, and every way back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sandbox.cli.app import App, Command, Misuse, with_app
from sandbox.cli.calls import FILE
from sandbox.cli.failures import FAILED, INTERRUPTED
from sandbox.cli.interrupt import interruptible
from sandbox.cli.render import output
from sandbox.cli.render.matrix import render_matrix
from sandbox.cli.verify_upgrade import REPORT, check_report
from sandbox.proofs.calls import CallFileError, Line, read_lines
from sandbox.proofs.matrix import MatrixOptions, MatrixProgress, verify_matrix
from sandbox.proofs.matrix.page import matrix_page
from sandbox.proofs.report.files import write_report

_CACHE = "matrix"
"""The directory of results within the state directory."""
SOURCE = click.Path(exists=True, path_type=Path)


@click.command("verify-matrix", cls=Command)
@click.argument("source", metavar="DIR|LIST|FILE.yaml", type=SOURCE)
@click.option("--calls", type=FILE, help="File of calls that make the starting state of each build, one a line.")
@click.option("--queries", type=FILE, help="File of queries to compare besides those that take no argument.")
@click.option(
    "--accept", multiple=True, metavar="ID", help="Id of a finding that shall not change a verdict. Repeatable."
)
@click.option("--downgrades", is_flag=True, help="Downgrades must be safe too.")
@click.option("--full", is_flag=True, help="Make every check of verify-upgrade in each cell.")
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Directory of results [STATE/matrix]")
@click.option(
    "--jobs", type=click.IntRange(1), help="Processes that work at a time [one for each processor, one for few cells]"
)
@click.option("--cluster", metavar="dask[://HOST:PORT]", help="Let Dask distribute the work, here or by its scheduler.")
@click.option("--html", type=REPORT, help="Write the matrix as one self-contained HTML page.")
@with_app
def matrix(app: App, source: Path, **options: object) -> int:
    """Prove every upgrade from an earlier build to a later one, and every way back.

    Non-adjacent builds count too, since users skip releases. The builds are the .wasm and .wasm.gz files of DIR in the
    natural order of their names (v9 before v10), those of a text file LIST with a path in each line, or those of
    FILE.yaml, which can give each build its name, arguments, interface, calls and state. Each build is filled once, by
    calls or from its state; then every other one is installed over it, as verify-upgrade does.

    Results are kept: what has not changed is not run again, and an interrupted run goes on.

    Exit codes: 0 all upgrades are safe; 1 one is risky or broken; 2 the matrix could not begin; 130 interrupted.
    """
    accept, jobs, cluster, html = options["accept"], options["jobs"], options["cluster"], options["html"]
    assert isinstance(accept, tuple)
    check_report(html)
    cache = options["cache"] if isinstance(options["cache"], Path) else app.state / _CACHE
    done = [MatrixProgress(0)]
    try:
        with interruptible(), _shown(app, done) as progress:
            report = verify_matrix(
                source,
                calls=_lines(options["calls"]),
                queries=_lines(options["queries"]),
                accept=accept,
                downgrades=bool(options["downgrades"]),
                options=MatrixOptions(
                    full=bool(options["full"]),
                    cache=cache,
                    jobs=jobs if isinstance(jobs, int) else None,
                    cluster=cluster if isinstance(cluster, str) else None,
                    progress=progress,
                ),
            )
    except KeyboardInterrupt:
        state = done[0]
        kept = state.known + state.done
        app.note(f"interrupted: {kept:,} of {state.cells:,} cells are kept in {cache}; the same command goes on")
        return INTERRUPTED
    facts, parts = render_matrix(report)
    if isinstance(html, Path):
        write_report(html, matrix_page(report))
    app.emit(facts, *parts)
    return 0 if report.verdict == "safe" else FAILED


def _lines(path: object) -> tuple[Line, ...]:
    try:
        return read_lines(path) if isinstance(path, Path) else ()
    except CallFileError as error:
        raise Misuse(str(error)) from error


@contextmanager
def _shown(app: App, done: list[MatrixProgress]) -> Iterator[Callable[[MatrixProgress], None]]:
    """Show the progress on a terminal; `done[0]` is the latest."""
    target = output.console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=target, transient=True, disable=app.json or not target.is_terminal) as bar:
        building = bar.add_task("builds", total=None, visible=False)
        cells = bar.add_task("cells", total=None)

        def show(progress: MatrixProgress) -> None:
            done[0] = progress
            working = progress.builds < progress.building
            bar.update(building, total=progress.building, completed=progress.builds, visible=working)
            bar.update(cells, total=progress.cells - progress.known, completed=progress.done)

        yield show
