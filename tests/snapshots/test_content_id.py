"""The content id: equal content has the same one, however it came about; other content has another one."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from sandbox import Canister, Sandbox, Snapshot
from sandbox.snapshots import portable
from sandbox.snapshots.content_id import content_id
from tests.conftest import fixture, wat

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
PINNED = "1e35bc33cfe3f6e57a6749289245fdc8af3e69b71c7ed3696daeec7583a71cd1"
GUEST = wat("""(module
  (import "ic0" "stable64_grow" (func $grow (param i64) (result i64)))
  (import "ic0" "stable64_write" (func $write (param i64 i64 i64)))
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "certified_data_set" (func $certify (param i32 i32)))
  (memory 2)
  (global $count (export "count") (mut i32) (i32.const 0))
  (global (export "constant") f64 (f64.const 1.5))
  (func (export "canister_update count") (global.set $count (i32.const 1)) (call $reply))
  (func (export "canister_update back") (global.set $count (i32.const 0)) (call $reply))
  (func (export "canister_update one") (i32.store (i32.const 70000) (i32.const 1)) (call $reply))
  (func (export "canister_update zero") (i32.store (i32.const 70000) (i32.const 0)) (call $reply))
  (func (export "canister_update grow") (drop (call $grow (i64.const 1))) (call $reply))
  (func (export "canister_update write") (call $write (i64.const 5) (i64.const 70000) (i64.const 4)) (call $reply))
  (func (export "canister_update certify") (call $certify (i32.const 0) (i32.const 4)) (call $reply)))""")


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(max_snapshots=50)


@pytest.fixture
def canister(sandbox: Sandbox) -> Canister:
    made = sandbox.create_canister()
    made.install(GUEST)
    return made


def taken(canister: Canister, *methods: str) -> Snapshot:
    for method in methods:
        canister.update(method)
    return canister.take_snapshot()


def test_an_unchanged_canister_has_the_same_id(canister: Canister) -> None:
    one = taken(canister)
    canister.stop()
    canister.start()
    two = canister.take_snapshot("another label")
    assert one.content_id == two.content_id
    assert one.checksum != two.checksum
    assert len(bytes.fromhex(one.content_id)) == 32


@pytest.mark.parametrize("method", ["count", "one", "grow", "certify"])
def test_each_part_counts(canister: Canister, method: str) -> None:
    assert taken(canister).content_id != taken(canister, method).content_id


def test_the_module_counts(sandbox: Sandbox, canister: Canister) -> None:
    other = sandbox.create_canister()
    other.install(GUEST + b"\0\2\1a")
    assert taken(other).content_id != taken(canister).content_id


def test_written_zeros_are_zeros(canister: Canister) -> None:
    assert taken(canister).content_id == taken(canister, "one", "zero", "count", "back").content_id
    assert taken(canister, "grow").content_id == taken(canister, "write").content_id
    assert taken(canister).content_id != taken(canister, "one", "write").content_id


@pytest.mark.parametrize("name", ["file.icsnap", "directory"])
def test_it_is_the_same_elsewhere(sandbox: Sandbox, canister: Canister, tmp_path: Path, name: str) -> None:
    snapshot = taken(canister, "one", "grow", "write", "count", "certify")
    path = sandbox.snapshots.download(snapshot, tmp_path / name)
    with portable.opened(path) as content:
        assert content_id(content) == snapshot.content_id
    with Sandbox.open(tmp_path / "state", max_snapshots=5) as other:
        other.create_canister()
        home = other.snapshots.create_canister(path)
        assert home.take_snapshot().content_id == snapshot.content_id
        uploaded = other.snapshots.upload(home, path)
        assert uploaded.content_id == snapshot.content_id
    with Sandbox.open(tmp_path / "state", read_only=True) as other:
        assert {each.content_id for each in other.snapshots.list()} == {snapshot.content_id}
        assert {each.content_id for each in other.snapshots.verify_all()} == {snapshot.content_id}
    assert pickle.loads(pickle.dumps(snapshot)).content_id == snapshot.content_id


def test_a_canister_has_that_of_its_next_snapshot(sandbox: Sandbox, canister: Canister) -> None:
    one = taken(canister, "one", "count")
    assert sandbox.snapshots.diff(one, canister).new.content_id == one.content_id
    canister.update("zero")
    difference = sandbox.snapshots.diff(one, canister)
    assert difference.old.content_id != difference.new.content_id == taken(canister).content_id


def test_motoko_and_rust(sandbox: Sandbox, tmp_path: Path) -> None:
    for number, module in enumerate(("people_v1.enhanced", "people_v1.classical", "people_stable_rs_v1")):
        made = sandbox.create_canister()
        made.install(fixture(module))
        made.call("fill", 20)
        snapshot = made.take_snapshot()
        copy = sandbox.snapshots.create_canister(sandbox.snapshots.download(snapshot, tmp_path / str(number)))
        assert copy.take_snapshot().content_id == snapshot.content_id


@pytest.mark.parametrize("name", ["snapshot-1.icsnap", "snapshot-1"])
def test_it_is_the_same_in_every_version(sandbox: Sandbox, name: str) -> None:
    with portable.opened(GOLDEN / name) as content:
        assert content_id(content) == PINNED
    assert sandbox.snapshots.create_canister(GOLDEN / name).take_snapshot().content_id == PINNED
