"""The same grid from processes of this machine and from a Dask cluster, of which one worker is killed on the way."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from sandbox import Build, MatrixError, MatrixOptions, MatrixProgress, verify_matrix
from sandbox.proofs.matrix import workers
from tests.conftest import guest

dask: Any = import_module("distributed")
COUNTER = """(func (export "canister_query count") (call $reply64 (i64.load (i32.const 0))))
(func (export "canister_post_upgrade") (local $i i32)
  (loop $on (br_if $on (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 40000000)))))"""
SLOW = tuple(Build(f"v{number}", guest(f'{COUNTER} (func (export "v{number}"))')) for number in range(4))
"""Builds whose upgrades take a while."""


def test_a_worker_of_a_cluster_that_is_killed_loses_nothing() -> None:
    here = verify_matrix(SLOW)
    with (
        dask.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        dask.Client(cluster) as client,
    ):
        first, _ = client.run(os.getpid).values()
        killed, progress = killer(first)
        address = cluster.scheduler_address.replace("tcp://", "dask://")
        there = verify_matrix(SLOW, options=MatrixOptions(cluster=address, progress=progress))
        assert killed == [first]
        assert first not in client.run(os.getpid).values()
    assert there.cells == here.cells
    assert len(there.cells) == 16


def killer(worker: int) -> tuple[list[int], Callable[[MatrixProgress], None]]:
    """A progress callback that kills a worker when the first cells are done, and what it has killed."""
    killed: list[int] = []

    def progress(now: MatrixProgress) -> None:
        if 0 < now.done < now.cells and not killed:
            os.kill(worker, signal.SIGKILL)
            killed.append(worker)

    return killed, progress


def test_a_process_of_a_pool_leaves_an_interruption_to_the_command_from_its_first_instruction_on() -> None:
    with workers.chosen(2, None) as pool:
        done = [pool.executor.submit(os.getpid) for _ in range(2)]
        started = multiprocessing.active_children()
        assert started
        for process in started:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGINT)
        assert {each.result() for each in done} <= {process.pid for process in started}


def test_a_dead_process_of_a_pool_ends_the_run_and_keeps_what_was_done(tmp_path: Path) -> None:
    def progress(now: MatrixProgress) -> None:
        if now.done:
            multiprocessing.active_children()[0].kill()

    with pytest.raises(MatrixError, match="a worker process died; what was done is kept, and the same run goes on"):
        verify_matrix(SLOW, options=MatrixOptions(jobs=2, cache=tmp_path, progress=progress))
    assert verify_matrix(SLOW, options=MatrixOptions(cache=tmp_path)).cells == verify_matrix(SLOW).cells


@pytest.mark.parametrize("cluster", ["dusk", "dask://", "dask:8786", "slurm://host:1"])
def test_a_cluster_of_another_kind_is_refused(cluster: str) -> None:
    with pytest.raises(MatrixError, match="a cluster is dask or dask://HOST:PORT"):
        verify_matrix(SLOW, options=MatrixOptions(cluster=cluster))


def test_a_cluster_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_ANSWER", 0.2)
    with pytest.raises(MatrixError, match=r"no scheduler of Dask answers at tcp://127.0.0.1:9"):
        verify_matrix(SLOW, options=MatrixOptions(cluster="dask://127.0.0.1:9"))
