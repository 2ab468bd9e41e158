"""What is kept: nothing is run again whose inputs did not change, and an interrupted run goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import Build, MatrixOptions, MatrixProgress, MatrixReport, StateLocked, verify_matrix
from sandbox.proofs.matrix.cache import Results
from tests.conftest import guest

COUNT = """(func (export "canister_query count") (call $reply64 (i64.load (i32.const 0))))
(func (export "canister_update add") (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const {step})))
  (call $reply64 (i64.load (i32.const 0))))"""


def build(number: int, step: int = 1) -> Build:
    return Build(f"v{number}", guest(COUNT.format(step=step) + f'(func (export "v{number}"))'))


class Run:
    """Matrices with one cache directory."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.last = MatrixProgress(0)

    def __call__(self, *builds: Build, stop: Callable[[], bool] = lambda: False) -> MatrixReport:
        def progress(now: MatrixProgress) -> None:
            self.last = now
            if now.done and stop():
                raise KeyboardInterrupt

        options = MatrixOptions(cache=self.cache, progress=progress)
        return verify_matrix(builds, calls=["add()"], options=options)

    @property
    def done(self) -> tuple[int, int, int]:
        """Cells known before, cells done, builds compiled or filled by the last run."""
        return self.last.known, self.last.done, self.last.builds


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "cache")


def test_nothing_is_run_again_whose_inputs_did_not_change(run: Run) -> None:
    first = run(build(1), build(2), build(3))
    assert run.done == (0, 9, 3)
    again = run(build(1), build(2), build(3))
    assert run.done == (9, 0, 0)
    assert (again.cells, again.known) == (first.cells, 9)


def test_a_new_build_costs_its_row_and_its_column(run: Run) -> None:
    run(build(1), build(2), build(3))
    run(build(1), build(2), build(3), build(4))
    assert run.done == (9, 7, 4)


def test_a_changed_build_is_run_again_and_its_name_does_not_matter(run: Run) -> None:
    run(build(1), build(2), build(3))
    renamed = Build("second", build(2).wasm)
    run(build(1), renamed, build(3))
    assert run.done == (9, 0, 0)
    run(build(1), build(2, step=2), build(3))
    assert run.done == (4, 5, 3)
    run(build(1), Build("v2", build(2).wasm, arg=b"DIDL\0\1\x7e\1"), build(3))
    assert run.done == (6, 3, 3)  # states stay as they were: only the cells to the build are others


def test_results_that_are_damaged_count_as_absent(run: Run) -> None:
    whole = run(build(1), build(2))
    files = sorted((run.cache / "results").iterdir())
    files[0].write_bytes(files[0].read_bytes()[:50])
    files[1].write_text('{"format": 99}')
    assert run(build(1), build(2)).cells == whole.cells
    assert run.done[:2] == (2, 2)


def test_an_interrupted_run_goes_on(run: Run) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(build(1), build(2), build(3), stop=lambda: True)
    kept = run.last.done
    assert 0 < kept < 9
    whole = run(build(1), build(2), build(3))
    assert run.done[:2] == (kept, 9 - kept)
    assert len(whole.cells) == 9


def test_states_of_other_builds_are_given_up(run: Run) -> None:
    run(build(1), build(2))
    assert len(list((run.cache / "states").iterdir())) == 2
    run(build(1), build(3))
    assert len(list((run.cache / "states").iterdir())) == 2


def test_one_matrix_at_a_time_uses_a_cache(tmp_path: Path) -> None:
    with Results(tmp_path).open(0), pytest.raises(StateLocked, match="another matrix uses"), Results(tmp_path).open(0):
        pass


def test_a_run_that_is_killed_with_its_workers_goes_on(tmp_path: Path) -> None:
    """`kill -9` of the command while two workers run: they end too, and what was done is there."""
    builds, cache = tmp_path / "builds", tmp_path / "cache"
    builds.mkdir()
    slow = '(func (export "canister_post_upgrade") (local $i i32) (loop $on (br_if $on (i32.lt_u (local.tee $i '
    slow += "(i32.add (local.get $i) (i32.const 1))) (i32.const 60000000)))))"
    for number in range(6):
        (builds / f"v{number}.wasm").write_bytes(guest(COUNT.format(step=1) + slow + f'(func (export "v{number}"))'))
    command = [sys.executable, "-c", "from sandbox.cli import main; main()", "verify-matrix", str(builds)]
    options = ["--jobs", "2", "--cache", str(cache)]
    process = subprocess.Popen([*command, *options], start_new_session=True, stdout=subprocess.DEVNULL)
    results = cache / "results"
    _until(lambda: results.is_dir() and len(list(results.glob("*.json"))) > 0)
    process.kill()
    process.wait()
    _until(lambda: not _alive(process.pid))
    last = [MatrixProgress(0)]
    run = MatrixOptions(cache=cache, progress=lambda now: last.__setitem__(0, now))
    report = verify_matrix(builds, options=run)
    assert 0 < last[0].known < 36
    assert last[0].known + last[0].done == 36 == len(report.cells)


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def _alive(group: int) -> bool:
    """Whether a process group has a member."""
    try:
        os.killpg(group, signal.SIG_DFL)
    except ProcessLookupError:
        return False
    return True
