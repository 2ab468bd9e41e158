"""Records as files: torn, damaged, of another kind; and what cannot be recorded at all."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sandbox import Principal, Sandbox
from sandbox.errors import RecordError
from sandbox.record import End, read
from sandbox.replay import replay
from tests.api.life import fresh
from tests.spec.guest import (
    debug_print,
    guest,
    reply,
    set_slot,
)

ROOT = Path(__file__).parents[2]


# --- files that are not whole, or none of ours


@pytest.mark.parametrize("content", [b"", b"\0asm", b"canister-sandbox record 1", b"canister-sandbox state 1\n"])
def test_other_files_are_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(RecordError, match="is not a record"):
        replay(path)


def test_another_format_is_refused_by_name(record: Path, path: Path) -> None:
    path.write_bytes(record.read_bytes().replace(b"record 1\n", b"record 2\n", 1))
    with pytest.raises(RecordError, match="of format 2; this version of canister-sandbox reads 1"):
        replay(path)


def test_a_file_that_is_not_there(path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be read"):
        replay(path)


def test_a_torn_record_is_good_up_to_its_last_whole_step(record: Path, path: Path) -> None:
    whole, content = record.read_bytes(), list(read(record))
    steps = 0
    for length in sorted({*range(20, len(whole), 401), *range(len(whole) - 100, len(whole))}):
        path.write_bytes(whole[:length])
        try:
            found = list(read(path))
        except RecordError as error:
            assert "torn record" in str(error) or "is not a record" in str(error)  # noqa: PT017
            continue
        assert found[:-1] == content[: len(found) - 1]
        assert isinstance(found[-1], End)
        assert not found[-1].whole
        steps = max(steps, len(found))
    assert steps == len(content)


def test_a_torn_record_replays(record: Path, path: Path) -> None:
    whole = record.read_bytes()
    for length in (len(whole) - 1, len(whole) - 500, len(whole) * 2 // 3):
        path.write_bytes(whole[:length])
        found = replay(path)
        assert found.difference is None
        assert found.steps > 3
        assert found.end is not None
        assert not found.end.whole


def test_damage_is_refused_or_seen_as_the_end_never_replayed(record: Path, path: Path) -> None:
    whole, content = record.read_bytes(), list(read(record))
    random.seed(3)
    for place in random.sample(range(len(b"canister-sandbox record 1\n"), len(whole)), 200):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            found = list(read(path))
        except RecordError:
            continue
        assert found[:-1] == content[: len(found) - 1]
        assert isinstance(found[-1], End)
        assert not found[-1].whole


def test_a_process_that_dies_leaves_a_record_that_ends_there(path: Path) -> None:
    script = f"""
import os
from tests.api.life import fresh, live
sandbox = fresh()
sandbox.record({str(path)!r})
live(sandbox)
os._exit(3)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=_environment(), check=False, timeout=120)
    assert done.returncode == 3
    found = replay(path)
    assert found.difference is None
    assert found.steps > 40
    assert found.end == End(False, "the recording was not ended: its process died, or goes on")


def test_the_step_in_which_a_process_died_is_named(path: Path) -> None:
    script = f"""
from sandbox import Sandbox
from tests.spec.guest import guest, spin
sandbox = Sandbox()
sandbox.record({str(path)!r})
guest(sandbox).do(spin())
"""
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, env=_environment()) as process:
        while _items(path) < 7:  # header, two steps with their outcomes, the third's input, the end
            time.sleep(0.05)
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
    found = replay(path)
    assert (found.steps, found.difference) == (2, None)
    assert found.unfinished is not None
    assert found.unfinished.startswith("update update of rwlgt-iiaaa-aaaaa-aaaaa-cai")


def _items(path: Path) -> int:
    try:
        return sum(1 for _ in read(path))
    except RecordError:
        return 0  # there is not even a beginning yet


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


# --- what cannot be recorded


def test_only_a_fresh_sandbox_can_be_recorded(path: Path) -> None:
    sandbox = fresh()
    sandbox.create_canister()
    with pytest.raises(RecordError, match="nothing was done yet"):
        sandbox.record(path)
    assert not path.exists()


def test_a_saved_state_with_canisters_cannot_be_recorded(path: Path, tmp_path: Path) -> None:
    with Sandbox.open(tmp_path / "state") as sandbox:
        sandbox.create_canister()
    with Sandbox.open(tmp_path / "state") as sandbox, pytest.raises(RecordError, match="nothing was done yet"):
        sandbox.record(path)


def test_an_existing_file_is_left_alone(path: Path) -> None:
    path.write_bytes(b"mine")
    with pytest.raises(RecordError, match="cannot be written"):
        fresh().record(path)
    assert path.read_bytes() == b"mine"


def test_one_record_at_a_time(path: Path) -> None:
    sandbox = fresh()
    with sandbox.record(path):
        with pytest.raises(RecordError, match="already"):
            sandbox.record(path.with_name("other"))
        guest(sandbox)
    assert replay(path).steps == 2


@pytest.mark.parametrize("value", [object(), {1, 2}, {3: 4}, 1j, "\ud800"])
def test_what_cannot_be_recorded_does_not_happen(path: Path, value: Any) -> None:
    sandbox = fresh()
    with sandbox.record(path):
        canister = guest(sandbox)
        before = sandbox.state_hash()
        with pytest.raises(RecordError, match="recorded"):
            canister.update_settings(freezing_threshold=value)
        assert sandbox.state_hash() == before
        canister.do(set_slot(6, "on"), reply())
    assert (replay(path).steps, replay(path).difference) == (3, None)


def test_an_interrupted_step_is_not_in_the_record(path: Path) -> None:
    def interrupt(_canister_id: Principal, text: str) -> None:
        if text == "now":
            raise KeyboardInterrupt

    sandbox = fresh(on_log=interrupt)
    with sandbox.record(path) as recording:
        canister = guest(sandbox)
        steps, size = recording.steps, path.stat().st_size
        with pytest.raises(KeyboardInterrupt):
            canister.do(set_slot(6, b"changed") + debug_print("now"), reply(b"x" * 5000))
        assert (recording.steps, path.stat().st_size) == (steps, size)
        canister.do(debug_print("later"), reply(b"x" * 5000))
        state = sandbox.state_hash()
    again = replay(path)
    assert (again.steps, again.difference, again.state_hash) == (steps + 1, None, state)
    assert again.end == End(True, "closed")


def test_undoing_an_anchor_from_before_ends_the_record(path: Path) -> None:
    sandbox = fresh()
    with sandbox.anchor():
        sandbox.record(path)
        guest(sandbox)
    guest(sandbox)
    found = replay(path)
    assert found.end == End(True, "an anchor that began before the recording was undone")
    assert found.steps == 2


def test_a_record_may_end_within_an_anchor(path: Path) -> None:
    sandbox = fresh()
    recording = sandbox.record(path)
    with sandbox.anchor():
        guest(sandbox)
        recording.close()
    assert (replay(path).steps, replay(path).difference) == (3, None)


def test_a_disk_that_is_full_is_an_error_at_once(path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    sandbox = fresh()
    recording = sandbox.record(path)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, recording._writer._file)
    os.close(full)
    for _ in range(2):
        with pytest.raises(RecordError, match="cannot be written"):
            sandbox.create_canister()
    assert sandbox.canisters() == []
    recording.close()
    sandbox.create_canister()
