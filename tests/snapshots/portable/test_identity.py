"""Download, upload and new canisters bring back every byte, in both formats and on modules of every language."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import Canister, ErrorCode, Principal, RawState, Sandbox, UnknownName
from sandbox.api import runtime_of
from sandbox.errors import CallRejected, SnapshotFileError
from sandbox.replay.replay import replay
from sandbox.snapshots import portable
from tests.conftest import everything, fixture, number, rejected, sandbox_of
from tests.management.methods import by_user
from tests.snapshots.portable.samples import CHUNKS, FORMATS, canister_with_everything, content_of, new_sandbox, parts

REAL = ("people_v1.enhanced", "people_v1.classical", "people_stable_rs_v1", "people_heap_rs_v1")
each_format = pytest.mark.parametrize("form", FORMATS)


@pytest.fixture
def canister(sandbox: Sandbox) -> Canister:
    return canister_with_everything(sandbox)


@pytest.mark.parametrize("name", REAL)
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(0, 60), max_size=3), st.sampled_from(sorted(FORMATS)))
def test_real_canisters_come_back_byte_for_byte_and_answer_as_before(name: str, fills: list[int], form: str) -> None:
    source, other = Sandbox(), Sandbox()
    people = source.create_canister()
    people.install(fixture(name))
    for count in fills:
        people.call("fill", count)
    snapshot, raw, answer = people.take_snapshot("x"), people.raw_state(), people.call("checksum")
    with tempfile.TemporaryDirectory() as place:
        path = source.snapshots.download(snapshot.id, Path(place) / FORMATS[form])
        made = other.snapshots.create_canister(path)
        people.call("fill", 7)
        uploaded = source.snapshots.upload(people.id, path)
    people.load_snapshot(uploaded.id)
    for copy in (made, people):
        assert copy.raw_state() == raw
        assert copy.call("checksum") == answer
        copy.call("fill", 3)


@each_format
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    writes=st.lists(
        st.tuples(st.booleans(), st.integers(0, 2_600_000), st.integers(1, 9000), st.booleans()), max_size=8
    ),
    pages=st.tuples(st.integers(40, 90), st.integers(40, 60)),
)
def test_whatever_the_memories_hold_comes_back(
    form: str, writes: list[tuple[bool, int, int, bool]], pages: tuple[int, int]
) -> None:
    """Any pattern of written, zeroed and untouched bytes, at any place of a window."""
    sandbox = new_sandbox()
    canister = canister_with_everything(sandbox)
    state = runtime_of(sandbox).state_of(canister.id)
    state.heap.resize(pages[0] * 65536)
    state.stable.resize(pages[1] * 65536)
    for in_heap, offset, length, zeros in writes:
        (state.heap if in_heap else state.stable).write(offset, (b"\0" if zeros else b"x") * length)
    snapshot, raw = canister.take_snapshot(), canister.raw_state()
    with tempfile.TemporaryDirectory() as place:
        path = sandbox.snapshots.download(snapshot.id, Path(place) / FORMATS[form])
        assert sandbox.snapshots.create_canister(path).raw_state() == raw
        with portable.opened(path) as content:
            assert content.heap.read(0, content.heap.size) == raw.heap
            assert content.stable.read(0, content.stable.size) == raw.stable
            portable.verify(content)


@each_format
def test_every_field_is_kept(sandbox: Sandbox, canister: Canister, tmp_path: Path, form: str) -> None:
    sandbox.advance_time(seconds=5)
    snapshot = canister.take_snapshot("before v2: é")
    content = content_of(sandbox, snapshot)
    path = sandbox.snapshots.download(snapshot.id.hex(), tmp_path / FORMATS[form])
    with portable.opened(path) as found:
        assert found.fields == content.fields
        assert parts(found) == parts(content)
    fields = content.fields
    assert (fields.id, fields.canister_id, fields.label) == (snapshot.id, canister.id, "before v2: é")
    assert fields.checksum == bytes.fromhex(snapshot.checksum)
    assert (fields.taken_at, fields.source) == (snapshot.taken_on, "taken_from_canister")
    assert fields.global_timer == 2 * 10**18
    assert fields.certified_data == bytes.fromhex("8877665544332211")
    assert [kind for kind, _ in fields.globals] == list("lilfddv")


@each_format
def test_an_upload_is_a_new_snapshot_with_the_same_label_and_is_loaded_as_an_uploaded_one(
    sandbox: Sandbox, canister: Canister, tmp_path: Path, form: str
) -> None:
    snapshot, raw = canister.take_snapshot("mine"), canister.raw_state()
    path = sandbox.snapshots.download(snapshot.id, tmp_path / FORMATS[form])
    other = new_sandbox()
    target = other.create_canister()
    before = everything(other, target)[0]
    other.advance_time(seconds=9)
    made = other.snapshots.upload(target.id, path)
    assert (made.label, made.taken_on, made.canister_id) == ("mine", other.time, target.id)
    assert made.id == bytes(8) + bytes(target.id)
    assert everything(other, target)[0] == before
    assert target.list_snapshots() == [made]
    target.load_snapshot(made.id)
    assert target.raw_state() == raw
    state = runtime_of(other).state_of(target.id)
    assert state.global_timer == 2 * 10**18, "SPECIFICATION 6.5: the timer of an uploaded snapshot is set"
    assert sorted(state.chunks.values()) == sorted(CHUNKS)
    assert state.certified_data == bytes.fromhex("8877665544332211")
    assert state.history[-1].kind == "load_snapshot"
    assert number(target.update("inc").reply) == 100


def test_a_round_trip_may_go_on_for_ever(sandbox: Sandbox, canister: Canister, tmp_path: Path) -> None:
    raw, snapshot = canister.raw_state(), canister.take_snapshot("x")
    for turn, name in enumerate(("a.icsnap", "b", "c", "d.icsnap")):
        path = sandbox.snapshots.download(snapshot.id, tmp_path / name)
        snapshot = sandbox.snapshots.upload(canister.id, path)
        assert len(canister.list_snapshots()) == turn + 2
    canister.update("inc")
    canister.load_snapshot(snapshot.id)
    assert canister.raw_state() == raw


@pytest.mark.parametrize("source", ["icsnap", "dir", "id", "hex"])
def test_a_new_canister_has_the_state_and_nothing_else(
    sandbox: Sandbox, canister: Canister, tmp_path: Path, source: str
) -> None:
    snapshot, raw = canister.take_snapshot("x"), canister.raw_state()
    canister.update("inc")
    place: Any = {"id": snapshot.id, "hex": snapshot.id.hex()}.get(source)
    if place is None:
        place = sandbox.snapshots.download(snapshot.id, tmp_path / FORMATS[source])
    alice, wanted = sandbox.identity("alice"), Principal.from_text("rrkah-fqaaa-aaaaa-aaaaq-cai")
    made = sandbox.snapshots.create_canister(
        place, controllers=[alice], canister_id=wanted, cycles=5 * 10**12, settings={"freezing_threshold": 7}
    )
    assert made.raw_state() == raw
    status = made.status()
    assert (made.id, status.settings.controllers, status.settings.freezing_threshold) == (wanted, (alice,), 7)
    assert (status.cycles, made.list_snapshots(alice)) == (5 * 10**12, [])
    assert runtime_of(sandbox).state_of(made.id).global_timer == 2 * 10**18
    assert canister.list_snapshots() == [snapshot]
    assert number(made.update("inc").reply) == 100
    assert number(canister.query("get").reply) == 100
    assert made.raw_state() == canister.raw_state()


def test_a_new_canister_that_cannot_be_made_leaves_nothing(
    sandbox: Sandbox, canister: Canister, tmp_path: Path
) -> None:
    path = sandbox.snapshots.download(canister.take_snapshot().id, tmp_path / "s.icsnap")
    before = [everything(sandbox, c) for c in sandbox.canisters()]
    failures: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"canister_id": canister.id}, CallRejected),
        ({"settings": {"freezing_threshold": -1}}, Exception),
    ]
    for how, kind in failures:
        with pytest.raises(kind):
            sandbox.snapshots.create_canister(path, **how)
        assert [everything(sandbox, c) for c in sandbox.canisters()] == before

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sandbox.snapshots.create_canister(path, progress=stop)
    assert [everything(sandbox, c) for c in sandbox.canisters()] == before
    made = sandbox.snapshots.create_canister(path)
    assert made.id not in {canister.id}


def test_on_disk_a_new_canister_stays(tmp_path: Path) -> None:
    raw: RawState
    with Sandbox.open(tmp_path / "one") as one:
        snapshot, raw = (canister := canister_with_everything(one)).take_snapshot("kept"), canister.raw_state()
        for form in FORMATS.values():
            one.snapshots.download(snapshot.id, tmp_path / form)
    with Sandbox.open(tmp_path / "two") as two:
        ids = [two.snapshots.create_canister(tmp_path / form).id for form in FORMATS.values()]
        two.snapshots.upload(ids[0], tmp_path / "s")
    with Sandbox.open(tmp_path / "two") as two:
        assert [two.raw_state(each) for each in ids] == [raw, raw]
        [kept] = two.canister(ids[0]).list_snapshots()
        assert kept.label == "kept"
        two.canister(ids[0]).update("inc")
        two.canister(ids[0]).load_snapshot(kept.id)
        assert two.raw_state(ids[0]) == raw


def test_only_who_may(sandbox: Sandbox, canister: Canister, tmp_path: Path) -> None:
    snapshot, bob = canister.take_snapshot(), sandbox.identity("bob")
    denied = ErrorCode.CANISTER_INVALID_CONTROLLER
    path = tmp_path / "s.icsnap"
    rejected(denied, "", sandbox.snapshots.download, snapshot.id, path, sender=bob)
    rejected(denied, "", sandbox.snapshots.create_canister, snapshot.id, sender=bob)
    assert list(tmp_path.iterdir()) == []
    sandbox.snapshots.download(snapshot.id, path)
    rejected(denied, "", sandbox.snapshots.upload, canister.id, path, sender=bob)
    canister.update_settings(snapshot_visibility="public")
    sandbox.snapshots.download(snapshot.id, tmp_path / "seen", sender=bob)
    rejected(denied, "", sandbox.snapshots.upload, canister.id, path, sender=bob)
    missing = ErrorCode.CANISTER_SNAPSHOT_NOT_FOUND
    rejected(missing, "", sandbox.snapshots.download, "00" * 18, tmp_path / "x")
    rejected(missing, "", sandbox.snapshots.create_canister, bytes(18))
    rejected(missing, "", sandbox.snapshots.download, "ff" * 8, tmp_path / "x")
    with pytest.raises(UnknownName, match="neither the id nor the label of a snapshot"):
        sandbox.snapshots.download("what?", tmp_path / "x")


def test_ten_snapshots_and_no_more(sandbox: Sandbox, canister: Canister, tmp_path: Path) -> None:
    path = sandbox.snapshots.download(canister.take_snapshot().id, tmp_path / "s.icsnap")
    for _ in range(9):
        sandbox.snapshots.upload(canister.id, path)
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, "maximum number", sandbox.snapshots.upload, canister.id, path)


def test_a_half_uploaded_snapshot_can_be_carried_too(sandbox: Sandbox, canister: Canister, tmp_path: Path) -> None:
    """One made by the platform's slices: its module is not checked before it is loaded, nor when it is downloaded."""
    made = by_user(
        sandbox,
        "upload_canister_snapshot_metadata",
        {
            "canister_id": canister.id,
            "wasm_module_size": 100,
            "globals": [{"v128": 1 << 100}],
            "wasm_memory_size": 65536,
            "stable_memory_size": 0,
            "certified_data": b"",
        },
    )["snapshot_id"]
    [snapshot] = [s for s in canister.list_snapshots() if s.id == made]
    for name in FORMATS.values():
        path = sandbox.snapshots.download(made, tmp_path / name)
        with portable.opened(path) as content:
            assert content.fields == content_of(sandbox, snapshot).fields
            assert parts(content) == parts(content_of(sandbox, snapshot))
        with pytest.raises(SnapshotFileError, match="its module is none that runs here"):
            sandbox.snapshots.upload(canister.id, path)


@pytest.mark.parametrize(("form", "name"), [("dir", "x.icsnap"), ("icsnap", "x")])
def test_the_format_can_be_chosen_against_the_name(
    sandbox: Sandbox, canister: Canister, tmp_path: Path, form: str, name: str
) -> None:
    path = sandbox.snapshots.download(canister.take_snapshot().id, tmp_path / name, format=form)
    assert path.is_dir() == (form == "dir")
    assert sandbox.snapshots.create_canister(path).raw_state() == canister.raw_state()
    with pytest.raises(ValueError, match="a format is one of"):
        sandbox.snapshots.download(canister.take_snapshot().id, tmp_path / "y", format="zip")


@each_format
def test_nothing_is_overwritten(sandbox: Sandbox, canister: Canister, tmp_path: Path, form: str) -> None:
    snapshot, path = canister.take_snapshot(), tmp_path / FORMATS[form]
    sandbox.snapshots.download(snapshot.id, path)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(SnapshotFileError, match="there already"):
        sandbox.snapshots.download(snapshot.id, path)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
    with pytest.raises(SnapshotFileError, match="cannot be written: No such file"):
        sandbox.snapshots.download(snapshot.id, tmp_path / "no" / "such" / FORMATS[form])


def test_an_empty_directory_may_be_there(sandbox: Sandbox, canister: Canister, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    sandbox.snapshots.download(canister.take_snapshot().id, tmp_path / "s")
    assert (tmp_path / "s" / "metadata.json").exists()


@each_format
def test_a_snapshot_via_hooks_stays_one(tmp_path: Path, form: str) -> None:
    source, other = Sandbox(), Sandbox()
    people = source.create_canister()
    people.install(fixture("people_stable_rs_v1"))
    people.call("fill", 50)
    snapshot = people.take_snapshot("hooks", via_hooks=True)
    path = source.snapshots.download(snapshot.id, tmp_path / FORMATS[form])
    with pytest.raises(SnapshotFileError, match="holds only stable memory"):
        other.snapshots.create_canister(path)
    target = other.create_canister()
    made = other.snapshots.upload(target.id, path)
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, "", target.load_snapshot, made.id)
    target.load_snapshot(made.id, via_hooks=True)
    assert target.call("checksum") == people.call("checksum")


@each_format
def test_a_record_has_uploads_in_it(tmp_path: Path, form: str) -> None:
    """Replaying needs no file: what was uploaded is in the record."""
    source = new_sandbox()
    canister = canister_with_everything(source)
    path = source.snapshots.download(canister.take_snapshot("x").id, tmp_path / FORMATS[form])
    with new_sandbox() as recorded, recorded.record(tmp_path / "record") as recording:
        made = recorded.snapshots.create_canister(path)
        uploaded = recorded.snapshots.upload(made.id, path)
        made.update("inc")
        made.load_snapshot(uploaded.id)
        state, steps = recorded.state_hash(), recording.steps
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    again = replay(tmp_path / "record")
    assert (again.difference, again.steps, again.state_hash) == (None, steps, state)


def test_whoever_may_read_one_file_of_a_snapshot_may_read_all(canister: Canister, tmp_path: Path) -> None:
    snapshot, sandbox = canister.take_snapshot("x"), sandbox_of(canister)
    made = [sandbox.snapshots.download(snapshot.id, tmp_path / name) for name in FORMATS.values()]
    files = [file for path in made for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()]
    assert len(files) >= 7
    assert {file.stat().st_mode & 0o777 for file in files} == {0o644 & ~umask()}


def umask() -> int:
    was = os.umask(0)
    os.umask(was)
    return was
