"""Executors of the tasks of a matrix: this process, a pool of processes, or a Dask cluster.

Processes are spawned: a sandbox does not survive a fork. They end when this process stops the pool or dies.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from sandbox.proofs.matrix.builds import MatrixError

T = TypeVar("T")
DASK = "dask"
_ANSWER = 10
"""Seconds within which a scheduler must answer."""


@dataclass(frozen=True)
class Workers:
    """An executor. `width`: tasks that run at a time; `remote`: its workers may lack the files of this machine."""

    executor: Executor
    width: int
    remote: bool = False


class Inline(Executor):
    """An executor that runs each task at once, in this process."""

    def submit(self, function: Callable[..., T], /, *args: Any, **options: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(function(*args, **options))
        except Exception as error:
            future.set_exception(error)
        return future


def chosen(jobs: int, cluster: str | None) -> AbstractContextManager[Workers]:
    """Return the workers: `jobs` processes, this one for 1; or a cluster, `dask` (as many processes as `jobs`, on this
    machine) or `dask://HOST:PORT` (the address of its scheduler)."""
    if cluster is not None:
        return _dask(jobs, cluster)
    return _here() if jobs == 1 else _pool(jobs)


@contextmanager
def _here() -> Iterator[Workers]:
    yield Workers(Inline(), 1)


@contextmanager
def _pool(jobs: int) -> Iterator[Workers]:
    context = multiprocessing.get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    with closing(reader), closing(writer):
        executor = _Pool(jobs, context, initializer=_follow, initargs=(reader,))
        try:
            yield Workers(executor, jobs)
        except BaseException as error:
            writer.close()
            executor.shutdown(cancel_futures=True)
            if isinstance(error, BrokenProcessPool):
                raise MatrixError("a worker process died; what was done is kept, and the same run goes on") from error
            raise
        executor.shutdown()


class _Pool(ProcessPoolExecutor):
    """Processes that leave Ctrl-C to this one. A terminal sends it to all of them, also while they import modules: they
    inherit that it is blocked."""

    def submit(self, function: Callable[..., T], /, *args: Any, **options: Any) -> Future[T]:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(function, *args, **options)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _follow(alive: Connection) -> None:
    """End this worker when the other end of the pipe is closed, also because its process died."""

    def wait() -> None:
        alive.poll(None)
        os._exit(1)

    threading.Thread(target=wait, daemon=True, name="follow").start()


@contextmanager
def _dask(jobs: int, cluster: str) -> Iterator[Workers]:
    """Return a Dask cluster, which distributes the tasks and runs those of lost workers again."""
    try:
        dask: Any = import_module("distributed")
    except ImportError as error:
        raise MatrixError("the cluster needs Dask: pip install 'canister-sandbox[dask]'") from error
    kind, _, address = cluster.partition("://")
    if kind != DASK or (address == "") != (cluster == DASK):
        raise MatrixError(f"a cluster is {DASK} or {DASK}://HOST:PORT, not {cluster!r}")
    if address:
        with closing(_connected(dask.Client, f"tcp://{address}")) as client:
            yield _executor(client, remote=True)
        return
    local = dask.LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=None)
    with closing(local), closing(dask.Client(local)) as client:
        yield _executor(client, remote=False)


def _connected(client: Callable[..., Any], address: str) -> Any:
    try:
        return client(address, timeout=_ANSWER)
    except (OSError, ValueError) as error:
        raise MatrixError(f"no scheduler of Dask answers at {address}: {error}") from error


def _executor(client: Any, *, remote: bool) -> Workers:
    threads = sum(client.nthreads().values())
    return Workers(client.get_executor(pure=False), max(1, threads), remote)
