"""On a real disk that is full, or may only be read: what is there can be used, and space be given back."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from sandbox import Canister, Keep, RawState, Sandbox
from sandbox.errors import SandboxError, StateError
from tests.cli.test_process import run
from tests.snapshots.writer import WASM, tell, writer
from tests.store.test_state_manifest import everything

SIZE = 8 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    if not sys.platform.startswith("linux") or os.geteuid() or not shutil.which("mount"):
        pytest.skip("mounting a file system of its own takes Linux and root")
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", path], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def filled(canister: Canister, number: int) -> None:
    """Some 640 KiB of the heap that do not compress well, others for every number."""
    for page in range(160):
        tell(canister, "poke", page * 4096 + 512, 8, (page * number) % 251)
        tell(canister, "poke", page * 4096 + 1024, 600, (page + 7 * number) % 256)


def prepared(path: Path, snapshots: int = 4) -> None:
    with Sandbox.open(path, max_snapshots=20) as sandbox:
        canister = sandbox.create_canister()
        canister.install(writer())
        tell(canister, "grow", 20)
        for number in range(snapshots):
            filled(canister, number)
            canister.take_snapshot(f"number {number}")
            sandbox.save()


def fill_up(disk: Path) -> None:
    """Not a byte more can be written."""
    with open(disk / "ballast", "wb", buffering=0) as file:
        for size in (1 << 16, 4096, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    with pytest.raises(OSError, match="No space left"):
        (disk / "more").write_bytes(b"x")
    (disk / "more").unlink(missing_ok=True)


def used(path: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in path.rglob("*"))


def loaded(path: Path, labels: list[str]) -> dict[str, RawState]:
    """What the snapshots bring back, on another disk."""
    found = {}
    with closing(Sandbox.open(path)) as sandbox:
        [canister] = sandbox.canisters()
        assert [s.label for s in canister.list_snapshots()] == labels
        for snapshot in canister.list_snapshots():
            assert sandbox.snapshots.verify(snapshot.id).intact
            canister.load_snapshot(snapshot.id)
            found[str(snapshot.label)] = canister.raw_state()
    return found


LABELS = [f"number {number}" for number in range(4)]


def read(path: Path, elsewhere: Path) -> None:
    """Everything that a state opened read-only is for, and what it refuses."""
    with Sandbox.open(path, read_only=True) as sandbox, Sandbox.open(path, read_only=True, lock_timeout=0) as second:
        [canister] = sandbox.canisters()
        snapshots = sandbox.snapshots.list()
        assert [s.label for s in snapshots] == LABELS
        assert [s.checksum for s in second.snapshots.list()] == [s.checksum for s in snapshots]
        calls = canister.query_raw("calls").reply
        before, state = canister.raw_state(), sandbox.state_hash()
        assert all(found.intact and found.on_disk for found in sandbox.snapshots.verify_all())
        past = sandbox.snapshots.query_raw(snapshots[0].id, "calls")
        assert past.reply != calls
        assert sandbox.snapshots.inspect(snapshots[0].id) is not None
        assert sandbox.snapshots.diff(snapshots[0].id).heap.changed
        assert sandbox.snapshots.download(snapshots[0].id, elsewhere / "out.icsnap").exists()
        with sandbox.anchor():
            assert canister.query_raw("calls").reply == calls
        refused: list[Callable[[], object]] = [
            sandbox.save,
            sandbox.snapshots.prune,
            sandbox.create_canister,
            sandbox.tick,
            lambda: sandbox.advance_time(1),
            lambda: tell(canister, "poke", 0, 1, 1),
            lambda: canister.install(writer(2), mode="reinstall"),
            lambda: canister.take_snapshot("more"),
            lambda: canister.load_snapshot(snapshots[0].id),
            lambda: canister.delete_snapshot(snapshots[0].id),
            lambda: sandbox.snapshots.upload(canister.id, elsewhere / "out.icsnap"),
            lambda: sandbox.snapshots.create_canister(elsewhere / "out.icsnap"),
        ]
        for number, action in enumerate(refused):
            with pytest.raises(StateError, match=f"{path} was opened read-only") as caught:
                action()
            assert "\n" not in str(caught.value), number
        assert (canister.raw_state(), sandbox.state_hash()) == (before, state)
        assert sandbox.snapshots.list() == snapshots
    (elsewhere / "out.icsnap").unlink()


def test_a_state_is_read_where_it_lies_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "state"
    prepared(path)
    before = {file: (file.stat().st_mtime_ns, file.stat().st_ctime_ns) for file in [path, *path.rglob("*")]}
    content = everything(path)
    read(path, tmp_path)
    assert everything(path) == content
    assert {file: (file.stat().st_mtime_ns, file.stat().st_ctime_ns) for file in [path, *path.rglob("*")]} == before


def test_what_a_killed_process_left_is_read_as_it_was_saved(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "state", tmp_path / "copy"
    prepared(path)
    with closing(Sandbox.open(path, read_only=True)) as sandbox:
        saved = sandbox.canisters()[0].raw_state()
    with closing(Sandbox.open(path)) as sandbox:
        filled(sandbox.canisters()[0], 99)
        sandbox.create_canister().install(writer())
        shutil.copytree(path, elsewhere)
    content = everything(elsewhere)
    with closing(Sandbox.open(elsewhere, read_only=True)) as sandbox:
        [canister] = sandbox.canisters()
        assert canister.raw_state() == saved
        assert canister.query_raw("calls").reply
    read(elsewhere, tmp_path)
    assert everything(elsewhere) == content


def test_a_directory_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be used as a state directory"):
        Sandbox.open(tmp_path / "nothing", read_only=True)
    assert not (tmp_path / "nothing").exists()
    (tmp_path / "empty").mkdir()
    with Sandbox.open(tmp_path / "empty", read_only=True) as sandbox:
        assert sandbox.canisters() == []
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_full_disk_is_read(disk: Path, tmp_path: Path) -> None:
    path = disk / "state"
    prepared(path)
    fill_up(disk)
    content = everything(path)
    read(path, tmp_path)
    assert everything(path) == content


def test_a_disk_that_may_only_be_read_is_read(disk: Path, tmp_path: Path) -> None:
    path = disk / "state"
    prepared(path)
    gc.collect()  # no descriptor is left that could write
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(StateError):
        Sandbox.open(path)
    read(path, tmp_path)
    assert run(path, "snapshot", "list").returncode == 0
    assert run(path, "snapshot", "verify", "--all").returncode == 0


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_snapshots_on_a_full_disk_are_deleted_and_their_space_comes_back(disk: Path, tmp_path: Path, keep: int) -> None:
    path, reference = disk / "state", tmp_path / "reference"
    prepared(path)
    shutil.copytree(path, reference)
    whole = loaded(reference, LABELS)
    fill_up(disk)
    before = used(path)
    with Sandbox.open(path) as sandbox:
        [canister] = sandbox.canisters()
        sandbox.snapshots.retain(canister.id, Keep(last=keep))
        sandbox.save()
        assert sandbox.snapshots.prune().freed > 0
    assert used(path) < before
    left = LABELS[-keep:]
    shutil.copytree(path, tmp_path / "after")
    assert loaded(tmp_path / "after", left) == {label: whole[label] for label in left}
    with Sandbox.open(path) as sandbox:
        tell(sandbox.canisters()[0], "poke", 0, 1, 1)


def test_the_commands_give_space_back_on_a_full_disk(disk: Path, tmp_path: Path) -> None:
    path = disk / "state"
    prepared(path)
    fill_up(disk)
    before = used(path)
    assert run(path, "snapshot", "delete", "number 0").returncode == 0
    assert run(path, "snapshot", "delete", "number 2").returncode == 0
    done = run(path, "snapshot", "prune")
    assert (done.returncode, done.stdout.split()[0]) == (0, "pruned"), done.stderr
    assert used(path) < before
    shutil.copytree(path, tmp_path / "after")
    loaded(tmp_path / "after", ["number 1", "number 3"])


def goes_on(sandbox: Sandbox) -> None:
    [canister] = sandbox.canisters()
    filled(canister, 200)
    canister.take_snapshot("more")
    sandbox.save()


def test_what_needs_space_on_a_full_disk_fails_and_loses_nothing(disk: Path, tmp_path: Path) -> None:
    path, reference = disk / "state", tmp_path / "reference"
    prepared(path)
    shutil.copytree(path, reference)
    whole = loaded(reference, LABELS)
    fill_up(disk)
    for _ in range(3):
        with closing(Sandbox.open(path)) as sandbox, pytest.raises(SandboxError, match=r"(?i)no space left"):
            goes_on(sandbox)
    (disk / "ballast").unlink()
    shutil.copytree(path, tmp_path / "after")
    assert loaded(tmp_path / "after", LABELS) == whole
    with Sandbox.open(path) as sandbox:
        tell(sandbox.canisters()[0], "poke", 3 * WASM, 1, 1)
