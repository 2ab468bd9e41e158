"""The work of a matrix as pure functions of picklable inputs, for any `concurrent.futures.Executor`.

`prepare` compiles a build into the code cache and makes its starting state; `run_row` does cells of one old build.
Opened states and versions, which a process keeps between tasks, affect the time of tasks, never their results.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from blake3 import blake3

from sandbox import __version__
from sandbox.canister.module import compile_module
from sandbox.errors import CallRejected, InvalidModule, SandboxError
from sandbox.proofs.calls import Call
from sandbox.proofs.matrix.builds import MatrixError
from sandbox.proofs.matrix.cell import Beginning, CellResult, cell
from sandbox.proofs.upgrade.hooks import reason
from sandbox.proofs.upgrade.observe import fingerprint, plain_queries
from sandbox.proofs.upgrade.start import Start, Version
from sandbox.proofs.upgrade.trial import Trial
from sandbox.snapshots import portable
from sandbox.state import InstructionLimits

_OPEN = 2
"""Starting states that a process keeps open for its next tasks."""
SECONDS = 1.0
"""Processor time after which a task ends; the remaining cells become another task."""


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes by their BLAKE3 `digest`: in the task itself, or in a file that workers can read."""

    digest: str
    content: bytes | None = None
    file: Path | None = None

    @classmethod
    def of(cls, content: bytes, file: Path | None = None) -> Blob:
        """Return the blob of some bytes, which travel with the task unless they are in `file`."""
        return cls(blake3(content).hexdigest(), None if file else content, file)

    def read(self) -> bytes:
        """Return the bytes; `MatrixError` if the file has changed."""
        if self.content is not None:
            return self.content
        assert self.file is not None
        content = self.file.read_bytes()
        if blake3(content).hexdigest() != self.digest:
            raise MatrixError(f"{self.file} has changed since the matrix began")
        return content


@dataclass(frozen=True, slots=True)
class Module:
    """One build: its arguments as Candid bytes, `did` the text of its interface if the module carries none."""

    name: str
    wasm: Blob
    argument: bytes
    init_argument: bytes
    did: str | None = None


@dataclass(frozen=True, slots=True)
class Preparation:
    """The starting state to be made of a build: from `state` or a new canister, then by calls. `target`: the file to be
    written; None: the bytes are returned. Without `start`, the build is only compiled. `key`: that of the state."""

    module: Module
    start: bool
    state: Path | None
    calls: tuple[Call, ...]
    limits: InstructionLimits | None
    target: Path | None
    key: str = ""
    product: str = __version__


@dataclass(frozen=True, slots=True)
class Prepared:
    """A starting state, or the reason why there is none."""

    state: Blob | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Cells of one old build, from its starting state. `full`: with every check of `verify_upgrade`."""

    old: Module
    state: Blob
    news: tuple[Module, ...]
    queries: tuple[Call, ...]
    full: bool
    limits: InstructionLimits | None
    product: str = __version__


def prepare(task: Preparation) -> Prepared:
    """Compile a build, and make its starting state."""
    _check_product(task.product)
    version = _version(task.module, first=True)
    try:
        compile_module(version.code)
        return _started(task, version) if task.start else Prepared(None)
    except InvalidModule as error:
        return Prepared(None, f"the platform refuses the module: {error}")


def _started(task: Preparation, version: Version) -> Prepared:
    try:
        sandbox, canister = Start(task.state, task.calls, task.limits).open(version)
    except CallRejected as error:
        return Prepared(None, f"its installation or one of the calls fails: {reason(error)}")
    except SandboxError as error:
        return Prepared(None, str(error))
    with sandbox, TemporaryDirectory() as folder:
        target = task.target or Path(folder) / f"state{portable.SUFFIX}"
        sandbox.snapshots.download(canister.take_snapshot(label="matrix"), target)
        return Prepared(Blob.of(target.read_bytes(), task.target))


def run_row(row: Row) -> tuple[CellResult, ...]:
    """Return the results of the first cells of a row, at least one, as many as `SECONDS` allow."""
    _check_product(row.product)
    end = time.thread_time() + SECONDS
    results: list[CellResult] = []
    with _begun(row) as beginning:
        for new in row.news:
            again = new.name == row.old.name
            results.append(cell(beginning, _version(new, first=False), again=again, full=row.full))
            if time.thread_time() >= end:
                break
    return tuple(results)


def _check_product(product: str) -> None:
    if product != __version__:
        raise MatrixError(f"a worker runs canister-sandbox {__version__}, and the matrix {product}")


def _version(module: Module, *, first: bool) -> Version:
    return _known_version(module.name, module.wasm, module.init_argument if first else module.argument, module.did)


@lru_cache(maxsize=256)
def _known_version(name: str, wasm: Blob, argument: bytes, did: str | None) -> Version:
    return Version(name, wasm.read(), argument, did)


_idle: OrderedDict[object, Beginning] = OrderedDict()
_lock = threading.Lock()


@contextmanager
def _begun(row: Row) -> Iterator[Beginning]:
    """The opened starting state of a row; a task has it for itself."""
    key = (row.old, row.state.digest, row.queries, row.limits)
    with _lock:
        beginning = _idle.pop(key, None)
    beginning = beginning or _opened(row)
    try:
        yield beginning
    except BaseException:
        beginning.trial.sandbox.close()
        raise
    with _lock:
        _idle[key] = beginning
        superfluous = [_idle.popitem(last=False)[1] for _ in range(len(_idle) - _OPEN)]
    for each in superfluous:
        each.trial.sandbox.close()


def forget() -> None:
    """Close what this process keeps open between tasks."""
    with _lock:
        kept = list(_idle.values())
        _idle.clear()
    for each in kept:
        each.trial.sandbox.close()


def _opened(row: Row) -> Beginning:
    old = _version(row.old, first=True)
    with TemporaryDirectory() as folder:
        file = row.state.file
        if file is None:
            file = Path(folder) / f"state{portable.SUFFIX}"
            file.write_bytes(row.state.read())
        sandbox, canister = Start(file, (), row.limits).open(old)
    every = {call.text: call for call in (*plain_queries(old), *row.queries)}
    trial = Trial(sandbox, canister, old, old, tuple(every.values()), (), True)
    return Beginning(trial, fingerprint(canister))
