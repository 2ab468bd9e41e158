"""Values that are compared with what was kept in files beside the tests.

A value is kept as the text that Python's `pprint` makes of it, a text of several lines as it is, in
`kept/TEST FILE/TEST.txt`; a second one of the same test in `TEST.2.txt`, a named one in `TEST.NAME.txt`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from difflib import unified_diff
from itertools import islice
from pathlib import Path
from pprint import pformat
from typing import Any

import pytest

from sandbox.api import Canister, runtime_of
from sandbox.snapshots.inspect.cells import column, field_names
from sandbox.snapshots.inspect.model import Part
from sandbox.snapshots.inspect.source import Bytes, InspectError
from sandbox.snapshots.inspect.target import InspectionTarget, inspection_target

_WIDTH = 100
_SHOWN = 60
"""Most lines of a difference that are shown."""
_ENTRIES = 1_000
"""Most entries of a structure that are kept."""
_LONGEST = 100
"""Characters of a file's name."""
_CHUNK = 1 << 20


class Keeper:
    """The kept values of one test. `used`: their files; `written`: how many of them were written anew."""

    def __init__(self, module: Path, nodeid: str, update: bool) -> None:
        self.directory = directory_of(module)
        self.update = update
        self.used: set[Path] = set()
        self.written = 0
        self._test = ".".join(nodeid.split("::")[1:])
        self._unnamed = 0

    def file(self, name: str | None) -> Path:
        """The file of the value with this name, or of the next one without a name."""
        if name is None:
            self._unnamed += 1
            name = str(self._unnamed) if self._unnamed > 1 else ""
        full = f"{self._test}.{name}" if name else self._test
        plain = re.sub(r"[^\w.,=+ \[\]-]", "_", full)[:_LONGEST]
        if plain != full:
            plain += "." + hashlib.sha256(full.encode(errors="replace")).hexdigest()[:8]
        return self.directory / f"{plain}.txt"

    def write(self, file: Path, content: bytes) -> None:
        """Replace a file as a whole."""
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(content)
        part.replace(file)
        self.written += 1


KEPT = pytest.StashKey[Keeper]()


def directory_of(module: Path) -> Path:
    """Where the values of a test file are kept."""
    return module.parent / "kept" / module.stem


class Kept:
    """What a value was when it was kept; equal to a value with the same text. `difference`: of the last comparison."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, keeper: Keeper, name: str | None = None) -> None:
        self._keeper, self._name = keeper, name
        self.difference: list[str] = []

    def __call__(self, name: str) -> Kept:
        """The value kept under a name of its own."""
        return Kept(self._keeper, name)

    def __eq__(self, value: object) -> bool:
        keeper = self._keeper
        file, now = keeper.file(self._name), text_of(value)
        keeper.used.add(file)
        content = now.encode(errors="backslashreplace")
        before = file.read_bytes() if file.is_file() else None
        if content == before:
            return True
        if keeper.update:
            keeper.write(file, content)
            return True
        self.difference = list(_difference(file, before, content))
        return False

    def __repr__(self) -> str:
        return f"kept({self._name!r})" if self._name else "kept"


def _difference(file: Path, before: bytes | None, now: bytes) -> Iterator[str]:
    short = file.relative_to(file.parents[2])
    if before is None:
        yield f"nothing is kept in {short}: --canister-update writes it"
        return
    yield f"is not what is kept in {short} (--canister-update writes it anew):"
    old, new = (text.decode(errors="replace").splitlines() for text in (before, now))
    lines = list(islice(unified_diff(old, new, "kept", "now", lineterm=""), 2, None))
    yield from lines[:_SHOWN]
    if len(lines) > _SHOWN:
        yield f"({len(lines) - _SHOWN:,} lines more)"


def text_of(value: object) -> str:
    """The text under which a value is kept; a canister stands for its state."""
    if isinstance(value, str) and "\n" in value:
        return value
    if isinstance(value, Canister):
        value = state_facts(inspection_target(runtime_of(value).state_of(value.id)))
    return pformat(value, width=_WIDTH, sort_dicts=True) + "\n"


def state_facts(target: InspectionTarget) -> dict[str, Any]:
    """The module, the memories and the decoded stable structures of a canister, without what each message changes (its
    version)."""
    return {
        "certified_data": target.fields["certified_data"],
        "heap": _memory(target.heap),
        "module": _memory(target.module),
        "stable": _memory(target.stable),
        "structures": _structures(target),
    }


def _memory(data: Bytes) -> dict[str, object]:
    digest = hashlib.sha256()
    for start in range(0, data.size, _CHUNK):
        digest.update(data.read(start, min(_CHUNK, data.size - start)))
    return {"size": data.size, "sha256": digest.hexdigest()}


def _structures(target: InspectionTarget) -> dict[str, object]:
    try:
        return {part.name: _entries(target, part) for part in target.decode().parts}
    except InspectError as problem:
        return {"problem": str(problem)}


def _entries(target: InspectionTarget, part: Part) -> dict[str, object]:
    if part.problem is not None:
        return {"kind": part.kind, "problem": part.problem}
    try:
        rows = list(islice(part.rows(), _ENTRIES))
    except InspectError as problem:
        return {"kind": part.kind, "problem": str(problem)}
    names = field_names(target)
    columns = [column([row[number] for row in rows], names).text for number in range(len(part.columns))] if rows else []
    return {"kind": part.kind, "count": part.count, "entries": list(zip(*columns, strict=True))}
