"""An interrupted download goes on where it was, and believes nothing of what lies there without looking."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox import Sandbox, Snapshot
from sandbox.api import runtime_of
from sandbox.errors import SnapshotFileError
from sandbox.limits import MIB
from sandbox.snapshots import portable
from sandbox.snapshots.portable import archive_writer, directory_writer
from tests.snapshots.portable.samples import FORMATS, canister_with_everything, content_of, new_sandbox, parts, read

each_format = pytest.mark.parametrize("form", FORMATS)
WINDOWS = 24


class Interrupted(Exception):
    """What a progress callback raises to end a transfer."""


@pytest.fixture(scope="module")
def sample() -> Sandbox:
    """A canister whose memories have many windows."""
    sandbox = new_sandbox()
    state = runtime_of(sandbox).state_of(canister_with_everything(sandbox).id)
    state.stable.resize(WINDOWS * 2 * MIB)
    dice = random.Random(3)
    for window in range(0, WINDOWS * 2, 2):
        state.stable.write(window * MIB + dice.randrange(MIB - 9000), dice.randbytes(9000))
    return sandbox


@pytest.fixture(scope="module")
def snapshot(sample: Sandbox) -> Snapshot:
    return sample.canisters()[0].take_snapshot("long")


def interrupted(sample: Sandbox, snapshot: Snapshot, path: Path, share: float) -> Path:
    """A download that ends early; what it leaves."""

    def stop(done: int, total: int) -> None:
        if done > share * total:
            raise Interrupted

    with pytest.raises(Interrupted):
        sample.snapshots.download(snapshot.id, path, progress=stop)
    part = path.with_name(path.name + ".part")
    assert not path.exists()
    assert part.exists()
    return part


def finished(sample: Sandbox, snapshot: Snapshot, path: Path) -> list[int]:
    """The rest of the download, whose result must be right; how many bytes were done at each step."""
    steps: list[int] = []
    sample.snapshots.download(snapshot.id, path, progress=lambda done, _: steps.append(done))
    assert read(path) == parts(content_of(sample, snapshot))
    with portable.opened(path) as content:
        portable.verify(content)
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    return steps


@each_format
def test_progress_counts_up_to_all_of_it(sample: Sandbox, snapshot: Snapshot, tmp_path: Path, form: str) -> None:
    path, canister = tmp_path / FORMATS[form], sample.canisters()[0].id
    down: list[tuple[int, int]] = []
    up: list[tuple[int, int]] = []
    sample.snapshots.download(snapshot.id, path, progress=lambda *step: down.append(step))
    with sample.anchor():
        sample.snapshots.upload(canister, path, progress=lambda *step: up.append(step))
    for seen in (down, up):
        done = [step for step, _ in seen]
        assert done == sorted(done)
        assert (done[0], done[-1]) == (0, seen[-1][1])
        assert len({total for _, total in seen}) == 1
        assert len(seen) > WINDOWS


@each_format
@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_it_goes_on_where_it_was(
    sample: Sandbox, snapshot: Snapshot, tmp_path: Path, form: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / FORMATS[form]
    interrupted(sample, snapshot, path, share)
    writer = archive_writer if form == "icsnap" else directory_writer
    written: list[int] = []
    real = writer.write_all

    def counting(fd: int, data: bytes, offset: int) -> None:
        written.append(len(data))
        real(fd, data, offset)

    monkeypatch.setattr(writer, "write_all", counting)
    finished(sample, snapshot, path)
    again = len(written)
    written.clear()
    sample.snapshots.download(snapshot.id, path.with_name("anew" + path.suffix))
    assert again <= (1 - share) * len(written) + 6


@each_format
@pytest.mark.parametrize("seed", range(8))
def test_damage_to_what_was_there_is_repaired(
    sample: Sandbox, snapshot: Snapshot, tmp_path: Path, form: str, seed: int
) -> None:
    path, dice = tmp_path / FORMATS[form], random.Random(seed)
    part = interrupted(sample, snapshot, path, 0.7)
    every = [part] if part.is_file() else [file for file in part.rglob("*") if file.is_file()]
    for file in every:
        size = file.stat().st_size
        with open(file, "r+b") as target:
            if seed % 2 and size:
                target.truncate(dice.randrange(size))
            else:
                for _ in range(3):
                    target.seek(dice.randrange(size + 1))
                    target.write(dice.randbytes(50))
    if part.is_dir():
        (part / "something").write_text("else")
        (part / "wasm_chunk_store" / "0.bin").write_text("else")
        (part / "metadata.json").write_text("{}")
    finished(sample, snapshot, path)


@each_format
def test_a_part_of_another_snapshot_is_not_mixed_in(
    sample: Sandbox, snapshot: Snapshot, tmp_path: Path, form: str
) -> None:
    path = tmp_path / FORMATS[form]
    interrupted(sample, snapshot, path, 0.5)
    canister = sample.canisters()[0]
    with sample.anchor():
        canister.update("inc")
        runtime_of(sample).state_of(canister.id).stable.write(5 * MIB, b"other")
        runtime_of(sample).state_of(canister.id).stable.write(2 * MIB, bytes(MIB))
        finished(sample, canister.take_snapshot("other"), path)


@each_format
def test_two_at_once_are_kept_apart(sample: Sandbox, snapshot: Snapshot, tmp_path: Path, form: str) -> None:
    path = tmp_path / FORMATS[form]
    second: list[BaseException] = []

    def meanwhile(done: int, total: int) -> None:
        if not second:
            with pytest.raises(SnapshotFileError, match="is being written by another process") as caught:
                sample.snapshots.download(snapshot.id, path)
            second.append(caught.value)

    sample.snapshots.download(snapshot.id, path, progress=meanwhile)
    assert second
    assert read(path) == parts(content_of(sample, snapshot))


KILLED = """
import sys
from pathlib import Path
from sandbox.api import runtime_of
from tests.snapshots.portable.test_interrupted import canister_with_everything, new_sandbox, random, MIB, WINDOWS
sandbox = new_sandbox()
canister = canister_with_everything(sandbox)
runtime_of(sandbox).state_of(canister.id).stable.resize(600 * MIB)
piece = random.Random(1).randbytes(MIB)
for window in range(300):
    runtime_of(sandbox).state_of(canister.id).stable.write(window * MIB, piece)
snapshot = canister.take_snapshot("x")
print("ready", flush=True)
sandbox.snapshots.download(snapshot.id, Path(sys.argv[1]))
print("done", flush=True)
"""


@each_format
def test_a_killed_download_leaves_no_file_that_looks_complete(tmp_path: Path, form: str) -> None:
    path = tmp_path / FORMATS[form]
    command = [sys.executable, "-c", KILLED, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    part = path.with_name(path.name + ".part")
    end = time.monotonic() + 60
    while not (part.exists() and _size(part) > 20 * MIB) and time.monotonic() < end:
        time.sleep(0.005)
    process.kill()
    process.wait()
    process.stdout.close()
    assert part.exists()
    assert not path.exists()
    finished = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert finished.stdout == "ready\ndone\n"
    assert not part.exists()
    with portable.opened(path) as content:
        portable.verify(content)
        assert content.stable.read(299 * MIB, MIB) == random.Random(1).randbytes(MIB)


def _size(part: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in ([part] if part.is_file() else part.rglob("*.bin")))
