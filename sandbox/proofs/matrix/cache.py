"""Results on disk by the hash of all their inputs: unchanged cells are not run again.

    results/KEY.json      a cell; KEY covers both modules, arguments, interfaces, calls, queries, limits, the version
    states/KEY.icsnap     the starting state of a build

Files are written beside and renamed, so that a killed run loses only unfinished cells. A file that is damaged, or of
another format, counts as absent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cbor2
from blake3 import blake3

from sandbox import __version__
from sandbox.errors import StateLocked
from sandbox.pagestore.durable_files import put_in_place
from sandbox.proofs.calls import Call
from sandbox.proofs.findings import Finding, finding
from sandbox.proofs.matrix.cell import CellResult, CheckResult
from sandbox.proofs.matrix.tasks import Module, Preparation
from sandbox.snapshots import portable
from sandbox.state import InstructionLimits
from sandbox.store.lock import locked, unlock

FORMAT = 1
"""Incremented when the checks of cells, or the files, change."""
_STATE = re.compile(rf"[0-9a-f]{{64}}{re.escape(portable.SUFFIX)}(\.part)?")


class Results:
    """A cache directory, for one run at a time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.states = directory / "states"
        self.results = directory / "results"

    @contextmanager
    def open(self, timeout: float) -> Iterator[None]:
        """Make the directory, and keep other runs out; `StateLocked` if one is in it for `timeout` seconds."""
        for folder in (self.states, self.results):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = locked(self.directory, timeout, shared=False)
        except StateLocked as error:
            raise StateLocked(f"another matrix uses {self.directory}: give this one a cache of its own") from error
        try:
            yield
        finally:
            unlock(lock)

    def state_file(self, key: str) -> Path:
        """The file of a starting state."""
        return self.states / f"{key}{portable.SUFFIX}"

    def keep_state(self, key: str, content: bytes) -> None:
        """Store a starting state of a remote worker."""
        put_in_place(self.state_file(key), content, wait=False)

    def get(self, key: str, old: str, new: str) -> CellResult | None:
        """Return a result, None if there is none."""
        try:
            known = json.loads((self.results / f"{key}.json").read_bytes())
            return _result(known, old, new) if known["format"] == FORMAT else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, result: CellResult) -> None:
        """Store a result."""
        content = {
            "format": FORMAT,
            "instructions": result.instructions,
            "checks": [asdict(check) for check in result.checks],
            "findings": [{"id": each.id, "text": each.text, "details": each.details} for each in result.findings],
        }
        put_in_place(self.results / f"{key}.json", json.dumps(content).encode(), wait=False)

    def prune(self, keys: Collection[str]) -> None:
        """Delete the starting states of other builds."""
        for file in self.states.iterdir():
            if _STATE.fullmatch(file.name) and file.name[:64] not in keys:
                file.unlink(missing_ok=True)


def _result(known: dict[str, Any], old: str, new: str) -> CellResult:
    findings: tuple[Finding, ...] = tuple(
        finding(each["id"], each["text"], each["details"]) for each in known["findings"]
    )
    checks = tuple(CheckResult(**check) for check in known["checks"])
    return CellResult(old, new, checks, findings, known["instructions"])


def state_key(task: Preparation) -> str:
    """Return the key of a starting state."""
    build = task.module
    content = None if task.state is None else _content(task.state)
    return _hash("state", build.wasm.digest, build.init_argument, build.did, content, _calls(task.calls), task.limits)


def cell_key(state: str, old: Module, new: Module, queries: tuple[Call, ...], full: bool) -> str:
    """Return the key of a cell. `state`: the key of its starting state, which covers build and limits."""
    same = old.name == new.name
    target = (new.wasm.digest, new.argument, new.did)
    return _hash("cell", state, old.init_argument if full else None, *target, _calls(queries), full, same)


def _calls(calls: tuple[Call, ...]) -> list[object]:
    return [[call.method, call.arg, None if call.sender is None else str(call.sender), call.text] for call in calls]


def _content(path: Path) -> object:
    """Return the digest of a file, or of all files below a directory by name."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return [[str(file.relative_to(path)), _content(file)] for file in files]
    return blake3(max_threads=1).update_mmap(path).digest()


def _hash(*parts: object) -> str:
    plain = [asdict(part) if isinstance(part, InstructionLimits) else part for part in parts]
    return blake3(cbor2.dumps([FORMAT, __version__, *plain])).hexdigest()
