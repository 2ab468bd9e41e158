"""A saved state with two canisters, and ways to damage the files of its memories."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cbor2
import pytest

from sandbox import Canister, RawState, Sandbox
from sandbox.api import runtime_of
from sandbox.pagestore.envelope import unwrap, wrap
from sandbox.store.seal import seal_of
from sandbox.store.state_manifest import KIND
from tests.conftest import FIXTURES
from tests.snapshots.writer import WASM, tell, writer

PAGE = 4096
kinds = pytest.mark.parametrize("kind", ["heap", "stable"])


@dataclass(frozen=True)
class Live:
    """`victim`: the guest of `writer`, with more pages than a manifest holds checks for; `other`: a counter."""

    path: Path
    victim: Any
    other: Any
    saved: RawState
    """What the victim was at the last save."""
    kept: dict[str, RawState]
    """What its snapshots bring back, by label."""
    snapshots: dict[str, bytes]
    files: dict[str, Path]
    """`heap` and `stable` of the victim."""


def live_state(path: Path) -> Live:
    """Two snapshots, then changes of a few pages, saved one after the other."""
    kept, snapshots = {}, {}
    with Sandbox.open(path, max_snapshots=3) as sandbox:
        other = sandbox.create_canister()
        other.install(FIXTURES / "counter.classical.wasm")
        other.call("inc")
        victim = sandbox.create_canister()
        victim.install(writer())
        tell(victim, "grow", 20)
        tell(victim, "stable_grow", 20)
        for page in range(20):
            tell(victim, "poke", page * WASM, WASM, 0x10 + page)
            tell(victim, "stable_poke", page * WASM, WASM, 0x40 + page)
        kept["one"] = victim.raw_state()
        snapshots["one"] = victim.take_snapshot("one").id
        sandbox.save()
        tell(victim, "poke", 5 * PAGE, 3 * PAGE, 0xA1)
        kept["two"] = victim.raw_state()
        snapshots["two"] = victim.take_snapshot("two").id
        sandbox.save()
        tell(victim, "stable_poke", 9 * PAGE, PAGE, 0xB2)
        saved = victim.raw_state()
        state = runtime_of(sandbox).state_of(victim.id)
        files = {kind: path / "memories" / getattr(state, kind).name for kind in ("heap", "stable")}
    return Live(path, victim.id, other.id, saved, kept, snapshots, files)


def flip(file: Path, offset: int) -> None:
    """Change one bit."""
    with open(file, "r+b") as content:
        content.seek(offset)
        [byte] = content.read(1)
        content.seek(offset)
        content.write(bytes([byte ^ 1]))


def flip_like_the_medium(live: Live, file: Path, offset: int) -> None:
    """Change one bit, and let the directory believe that nothing has written to the file."""
    flip(file, offset)
    with record_of(live.path) as record:
        record["checks"][file.name][1] = seal_of(file)


@contextmanager
def record_of(path: Path) -> Iterator[dict[str, Any]]:
    """The record in the manifest of a directory, to be changed."""
    manifest = path / "manifest"
    body, _ = unwrap(KIND, manifest, manifest.read_bytes())
    record = cbor2.loads(body)
    yield record
    manifest.write_bytes(wrap(KIND, cbor2.dumps(record))[0])


@contextmanager
def opened(path: Path) -> Iterator[Sandbox]:
    """The directory, open; nothing is saved."""
    with closing(Sandbox.open(path)) as sandbox:
        yield sandbox


def unsealed(path: Path) -> None:
    """Every file is newer than its seal: the next opening reads and checks everything."""
    for file in (path / "memories").iterdir():
        os.utime(file)


def whole(path: Path) -> None:
    """Every page of every memory is what its check says, and nothing else is wrong."""
    unsealed(path)
    with opened(path) as sandbox:
        found = sandbox.check(deep=True)
        assert [(p.part, p.why) for p in found.problems] == []
        assert found.unchecked == 0


def raw(sandbox: Sandbox, canister_id: Any) -> RawState:
    return canister(sandbox, canister_id).raw_state()


def canister(sandbox: Sandbox, canister_id: Any) -> Canister:
    return sandbox.canister(canister_id)


def bytes_read(monkeypatch: pytest.MonkeyPatch, part: str) -> list[int]:
    """Count from now on, in the only element of the list, the bytes read from files whose path contains `part`."""
    read = [0]

    def counted(name: str) -> None:
        original = getattr(os, name)

        def operation(descriptor: int, *args: object) -> object:
            result = original(descriptor, *args)
            if part in os.readlink(f"/proc/self/fd/{descriptor}"):
                read[0] += len(result) if isinstance(result, bytes) else result
            return result

        monkeypatch.setattr(os, name, operation)

    counted("pread")
    counted("preadv")
    return read
