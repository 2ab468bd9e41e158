"""`verify_matrix`: every build to every later one and back, each cell once."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from sandbox.proofs.calls import Call, Line
from sandbox.proofs.matrix import tasks, workers
from sandbox.proofs.matrix.builds import Accepted, Build, Matrix, accepted
from sandbox.proofs.matrix.cache import Results, cell_key, state_key
from sandbox.proofs.matrix.cell import CellResult
from sandbox.proofs.matrix.report import MatrixReport
from sandbox.proofs.matrix.sources import read_matrix
from sandbox.proofs.matrix.tasks import Blob, Module, Preparation, Prepared, Row
from sandbox.proofs.matrix.workers import Workers

_SHARE = 4
"""The fewest tasks for each worker, if there are enough cells."""
_MANY = 32
"""The fewest cells for which starting processes is faster."""
_WAIT = 10.0
"""Seconds to wait for another matrix that uses the cache."""
Task = TypeVar("Task", Preparation, Row)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MatrixProgress:
    """Progress of a matrix: cells in all, those known from earlier runs, and those done now. `builds`: compiled and
    filled, of `building`."""

    cells: int
    known: int = 0
    done: int = 0
    builds: int = 0
    building: int = 0


@dataclass(frozen=True)
class MatrixOptions:
    """Options of a run. `full`: with every check of `verify_upgrade`; `cache`: the directory of results, None for
    one that is deleted afterwards; `jobs`: processes, 1 for this one alone, None for one for each processor if there
    are many cells; `cluster`: `dask` or `dask://HOST:PORT`; `workers`: another executor; `progress` is called as
    cells are done."""

    full: bool = False
    cache: Path | None = None
    jobs: int | None = 1
    cluster: str | None = None
    workers: Workers | None = None
    progress: Callable[[MatrixProgress], None] = field(default=lambda progress: None)


def verify_matrix(
    source: str | Path | Matrix | Iterable[Build],
    *,
    calls: Iterable[Call | Line | str] = (),
    queries: Iterable[Call | Line | str] = (),
    accept: Iterable[Accepted | str] = (),
    downgrades: bool = False,
    options: MatrixOptions | None = None,
) -> MatrixReport:
    """Prove every upgrade from an earlier build to a later one, every way back, and every build over itself.

    `source`: a directory of `.wasm` and `.wasm.gz` files in the natural order of their names, a text file with a path
    in each line, a YAML file, or the builds, the oldest first. `calls` make the starting state of each build, `queries`
    are asked before and after besides those that take no argument, `accept` are ids of findings that do not change
    a verdict: all of them are added to those of `source`. `downgrades`: they count for the verdict too.

    `MatrixError`, `ScenarioError`: the inputs cannot be used, and nothing was run.
    """
    matrix = _matrix(source)
    matrix = replace(
        matrix,
        calls=(*matrix.calls, *calls),
        queries=(*matrix.queries, *queries),
        accept=(*matrix.accept, *accepted(accept)),
    )
    chosen = options or MatrixOptions()
    run = _Run(matrix, chosen)
    with ExitStack() as stack:
        directory = chosen.cache or Path(stack.enter_context(TemporaryDirectory(prefix="canister-sandbox-matrix-")))
        results = Results(directory)
        stack.enter_context(results.open(_WAIT))
        run.perform(results)
    return MatrixReport(
        tuple(build.name for build in matrix.builds),
        run.cells,
        run.problems,
        matrix.accept,
        downgrades=downgrades,
        full=chosen.full,
        known=run.known,
        empty=tuple(part.module.name for part in run.parts if not part.calls and part.state is None),
    )


def _matrix(source: str | Path | Matrix | Iterable[Build]) -> Matrix:
    if isinstance(source, Matrix):
        return source
    return read_matrix(Path(source)) if isinstance(source, str | Path) else Matrix(tuple(source))


class _Run:
    """The cells of a matrix: those known, and those that are still to be done."""

    def __init__(self, matrix: Matrix, options: MatrixOptions) -> None:
        self.options = options
        self.limits = matrix.limits
        matrix.check_queries()
        self.parts = [_part(build, matrix) for build in matrix.builds]
        self.queries = [matrix.queries_of(build) for build in matrix.builds]
        self.states = [state_key(part) for part in self.parts]
        self.cells: dict[tuple[str, str], CellResult] = {}
        self.problems: dict[str, str] = {}
        """Why a build has no starting state, by its name."""
        self.known = 0
        self._progress = MatrixProgress(len(self.parts) ** 2)

    def perform(self, results: Results) -> None:
        """Run the unknown cells; results are stored as they arrive."""
        pending = self._look_up(results)
        self.known = len(self.cells)
        self._say(known=self.known)
        if pending:
            with ExitStack() as stack:
                own = self.options.workers
                stack.callback(tasks.forget)
                use = own or stack.enter_context(workers.chosen(self._jobs(pending), self.options.cluster))
                self._do(pending, results, use)
        results.prune(self.states)

    def _jobs(self, pending: dict[int, list[int]]) -> int:
        if self.options.jobs is not None:
            return self.options.jobs
        many = self.options.cluster is not None or sum(map(len, pending.values())) >= _MANY
        return (os.cpu_count() or 1) if many else 1

    def _look_up(self, results: Results) -> dict[int, list[int]]:
        """Take the known cells; return the others, new builds by old ones."""
        pending: dict[int, list[int]] = {}
        for old in range(len(self.parts)):
            for new in range(len(self.parts)):
                names = self._names(old, new)
                known = results.get(self._key(old, new), *names)
                if known is None:
                    pending.setdefault(old, []).append(new)
                else:
                    self.cells[names] = known
        return pending

    def _names(self, old: int, new: int) -> tuple[str, str]:
        return self.parts[old].module.name, self.parts[new].module.name

    def _key(self, old: int, new: int) -> str:
        modules = self.parts[old].module, self.parts[new].module
        return cell_key(self.states[old], *modules, self.queries[old], self.options.full)

    def _do(self, pending: dict[int, list[int]], results: Results, use: Workers) -> None:
        states = self._prepared(pending, results, use)
        parts = -(-use.width * _SHARE // len(pending))
        rows: deque[Row] = deque()
        for old, news in pending.items():
            state = states.get(self.states[old])
            if state is not None:
                each = -(-len(news) // parts)
                split = [news[at : at + each] for at in range(0, len(news), each)]
                rows += [self._row(old, state, some, use) for some in split]
        places = {part.module.name: place for place, part in enumerate(self.parts)}
        for row, finished in _done(use, tasks.run_row, rows):
            for result in finished:
                results.put(self._key(places[result.old], places[result.new]), result)
                self.cells[result.old, result.new] = result
                self._say(done=self._progress.done + 1)
            if len(finished) < len(row.news):
                rows.appendleft(replace(row, news=row.news[len(finished) :]))

    def _row(self, old: int, state: Blob, news: list[int], use: Workers) -> Row:
        modules = tuple(_sent(self.parts[new].module, use) for new in news)
        module = _sent(self.parts[old].module, use)
        return Row(module, state, modules, self.queries[old], self.options.full, self.limits)

    def _prepared(self, pending: dict[int, list[int]], results: Results, use: Workers) -> dict[str, Blob]:
        """Compile the builds of the pending cells, and return the starting states of old ones by their keys; builds
        that are equal share one."""
        wanted = {self.states[old] for old in pending}
        needed = {self.states[number]: number for number in (*pending, *(n for news in pending.values() for n in news))}
        made: dict[str, Prepared] = {}
        waiting: deque[Preparation] = deque()
        for key, number in needed.items():
            part, file = self.parts[number], results.state_file(key)
            if key in wanted and file.exists():
                made[key] = Prepared(Blob.of(file.read_bytes()))
            local = part.state is not None or not use.remote  # states that are inputs are on this machine
            start = key in wanted and key not in made
            task = replace(part, key=key, start=start, target=file if local else None)
            if start and part.state is not None and use.remote:
                made[key] = tasks.prepare(task)
            else:
                waiting.append(replace(task, module=_sent(part.module, use)))
        self._say(building=len(needed), builds=len(needed) - len(waiting))
        for task, prepared in _done(use, tasks.prepare, waiting):
            made.setdefault(task.key, prepared)
            self._say(builds=self._progress.builds + 1)
        return {key: state for key, prepared in made.items() if (state := self._kept(key, prepared, results, use))}

    def _kept(self, key: str, prepared: Prepared, results: Results, use: Workers) -> Blob | None:
        """Return a starting state in the form for the workers; None, with a noted problem, if there is none."""
        state, file = prepared.state, results.state_file(key)
        if state is None:
            names = [part.module.name for part, each in zip(self.parts, self.states, strict=True) if each == key]
            self.problems |= dict.fromkeys(names, prepared.problem) if prepared.problem else {}
            return None
        if not file.exists():
            results.keep_state(key, state.read())
        return (
            replace(state, content=state.read(), file=None) if use.remote else replace(state, content=None, file=file)
        )

    def _say(self, **changes: int) -> None:
        self._progress = replace(self._progress, **changes)
        self.options.progress(self._progress)


def _part(build: Build, matrix: Matrix) -> Preparation:
    wasm = Blob.of(build.wasm, build.file)
    module = Module(
        build.name,
        replace(wasm, content=build.wasm),
        build.argument(build.arg),
        build.argument(build.init_arg),
        build.did,
    )
    return Preparation(module, True, build.state, matrix.calls_of(build), matrix.limits, None)


def _sent(module: Module, use: Workers) -> Module:
    """Return a module in the form for the workers: by its file if they can read it."""
    wasm = module.wasm
    return module if use.remote or wasm.file is None else replace(module, wasm=replace(wasm, content=None))


def _done(use: Workers, function: Callable[[Task], T], waiting: deque[Task]) -> Iterator[tuple[Task, T]]:
    """Yield tasks with their results, in the order in which they end. Tasks may be added to `waiting` meanwhile."""
    running: dict[Future[T], Task] = {}
    try:
        while waiting or running:
            while waiting and len(running) < 2 * use.width:
                task = waiting.popleft()
                running[use.executor.submit(function, task)] = task
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    finally:
        for future in running:
            future.cancel()
