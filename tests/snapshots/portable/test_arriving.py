"""An upload into a state directory is kept as it comes: what was interrupted is not written twice."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import Sandbox
from sandbox.api import runtime_of
from sandbox.errors import SnapshotFileCorrupt
from sandbox.limits import MIB
from sandbox.memory import Pool
from sandbox.pagestore import ingest
from sandbox.pagestore.hash_tree import PAGE
from sandbox.pagestore.ingest_stream import IngestStream
from sandbox.pagestore.memory_trees import tree
from sandbox.store import Repository
from tests.snapshots.portable.samples import FORMATS, canister_with_everything, new_sandbox, read

SIZE = 48 * MIB


class Interrupted(Exception):
    """What a progress callback raises to end a transfer."""


@pytest.fixture(scope="module")
def sample() -> Sandbox:
    """A canister with much in its stable memory."""
    sandbox = new_sandbox()
    canister = canister_with_everything(sandbox)
    stable = runtime_of(sandbox).state_of(canister.id).stable
    stable.resize(SIZE)
    for window in range(0, SIZE, 2 * MIB):
        stable.write(window, random.Random(window).randbytes(MIB))
    canister.take_snapshot("large")
    return sandbox


@pytest.fixture(scope="module", params=FORMATS)
def file(request: pytest.FixtureRequest, sample: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / FORMATS[request.param]
    [canister] = sample.canisters()
    [snapshot] = canister.list_snapshots()
    return sample.snapshots.download(snapshot.id, path)


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "_LARGE", 4 * MIB)


def packs(home: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in (home / "packs").iterdir() if not path.name.startswith(".")}


def test_what_was_kept_before_an_interruption_is_not_written_again(sample: Sandbox, file: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done > 0.7 * total:
            raise Interrupted

    [origin] = sample.canisters()
    home = tmp_path / "home"
    with Sandbox.open(home) as sandbox:
        target = sandbox.create_canister().id
        before = sandbox.state_hash()
        with pytest.raises(Interrupted):
            sandbox.snapshots.upload(target, file, progress=stop)
        assert sandbox.state_hash() == before
        assert sandbox.canister(target).list_snapshots() == []
    first = packs(home)
    assert sum(first.values()) > 8 * MIB
    with Sandbox.open(home) as sandbox:
        made = sandbox.snapshots.upload(target, file)
    second = packs(home)
    assert first.items() <= second.items()
    assert sum(second.values()) < SIZE / 2 * 1.05  # half of it is zero, the rest is noise, and is there once
    with Sandbox.open(home) as sandbox:
        assert sandbox.snapshots.verify(made.id).intact
        canister = sandbox.canister(target)
        canister.load_snapshot(made.id)
        assert canister.raw_state() == origin.raw_state()
        sandbox.snapshots.download(made.id, tmp_path / file.name)
    kept, again = read(file), read(tmp_path / file.name)
    assert [kept[name] for name in ("module", "heap", "stable")] == [
        again[name] for name in ("module", "heap", "stable")
    ]


def test_what_arrives_is_kept_before_it_is_saved_and_saving_writes_it_no_more(file: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Sandbox.open(home) as sandbox:
        target = sandbox.create_canister()
        made = sandbox.snapshots.upload(target.id, file)
        arrived = packs(home)
        target.load_snapshot(made.id)
    assert packs(home) == arrived


def test_a_file_that_turns_out_to_be_torn_changes_nothing(sample: Sandbox, file: Path, tmp_path: Path) -> None:
    torn = tmp_path / file.name
    (shutil.copytree if file.is_dir() else shutil.copy)(file, torn)
    damaged = torn / "stable_memory.bin" if file.is_dir() else torn
    content = bytearray(damaged.read_bytes())
    content[len(content) * 3 // 4] ^= 1
    damaged.write_bytes(content)
    home = tmp_path / "home"
    with Sandbox.open(home) as sandbox:
        target = sandbox.create_canister()
        before = sandbox.state_hash()
        with pytest.raises(SnapshotFileCorrupt):
            sandbox.snapshots.upload(target.id, torn)
        assert sandbox.state_hash() == before
        assert sandbox.snapshots.upload(target.id, file).label == "large"
        sandbox.snapshots.prune()


KILLED = """
import os, signal, sys
from sandbox import Sandbox
from sandbox.limits import MIB
from sandbox.pagestore import ingest
ingest._LARGE = 4 * MIB
home, target, file = sys.argv[1:]
def tell(done, total):
    if done > total / 2:
        os.kill(os.getpid(), signal.SIGKILL)
with Sandbox.open(home) as sandbox:
    sandbox.snapshots.upload(target, file, progress=tell)
"""


def test_a_killed_upload_leaves_what_it_had_kept(file: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Sandbox.open(home) as sandbox:
        target = sandbox.create_canister().id
    done = subprocess.run([sys.executable, "-c", KILLED, str(home), str(target), str(file)], check=False)
    assert done.returncode == -signal.SIGKILL
    left = packs(home)
    assert sum(left.values()) > 4 * MIB
    with Sandbox.open(home) as sandbox:
        made = sandbox.snapshots.upload(target, file)
        assert sandbox.snapshots.verify(made.id).intact
    assert left.items() <= packs(home).items()
    assert sum(packs(home).values()) < SIZE / 2 * 1.05


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 300), st.lists(st.tuples(st.integers(0, 2400), st.integers(1, 3 * PAGE)), max_size=12), st.randoms()
)
def test_it_is_kept_as_if_it_had_been_in_a_memory(
    tmp_path_factory: pytest.TempPathFactory, blocks: int, pieces: list[tuple[int, int]], dice: random.Random
) -> None:
    path, pool = tmp_path_factory.mktemp("kept"), Pool()
    memory, repository = pool.memory(blocks * 16 * PAGE), Repository(path)
    for page, length in pieces:
        offset = page * PAGE % memory.size
        memory.write(offset, dice.randbytes(min(length, memory.size - offset)))
    image = memory.image()
    with repository.arriving() as arriving:
        arrival = IngestStream(arriving, memory.size)
        for offset, piece in image.pieces(image.extents()):
            arrival.write(offset, piece)
        found = arrival.finish()
    assert found.root == tree(image).root
    kept = Repository(path).content(found.size, found.key)
    assert kept.read(0, kept.size) == image.read(0, image.size)
