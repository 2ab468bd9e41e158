"""Take, load, list, delete (SPECIFICATION 6): what a snapshot holds, who may, and that a load brings back every
byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import Canister, ErrorCode, Sandbox, Snapshot
from sandbox.api import runtime_of
from sandbox.errors import CandidTypeError
from tests.conftest import FEW_INSTRUCTIONS, everything, fixture, guest, number, rejected

Install = Callable[..., Canister]
GUEST = """
(global $g (mut i64) (i64.const {seed}))
(global $f (mut f64) (f64.const nan:0xdeadbeef))
(global $v (mut v128) (v128.const i64x2 1 2))
(data (i32.const 8) "{seed}")
(start $s) (func $s (i32.store (i32.const 60) (i32.add (i32.load (i32.const 60)) (i32.const 1))))
(func (export "canister_update bump")
  (global.set $g (i64.add (global.get $g) (i64.const 1))) (i64.store (i32.const 100) (global.get $g))
  (global.set $v (i64x2.add (global.get $v) (v128.const i64x2 1 1)))
  (call $certified_data_set (i32.const 100) (i32.const 8)) (drop (call $global_timer_set (global.get $g)))
  (call $reply64 (global.get $g)))
(func (export "canister_update grow") (local $old i32)
  (local.set $old (memory.grow (i32.const 2)))
  (i32.store (i32.mul (local.get $old) (i32.const 65536)) (i32.const 77))
  (drop (call $stable64_grow (i64.const 3)))
  (call $stable64_write
    (i64.sub (i64.mul (call $stable64_size) (i64.const 65536)) (i64.const 8)) (i64.const 100) (i64.const 8))
  (call $reply64 (i64.extend_i32_u (local.get $old))))
(func (export "canister_update wipe")
  (memory.fill (i32.const 0) (i32.const 0) (i32.mul (memory.size) (i32.const 65536))) (call $reply64 (i64.const 0)))
(func (export "canister_query get") (call $reply64 (global.get $g)))
(func (export "canister_query starts") (call $reply64 (i64.load32_u (i32.const 60))))"""
ONE, TWO = guest(GUEST.format(seed=100)), guest(GUEST.format(seed=200), '(memory (export "memory") 2)')


@pytest.fixture
def canister(install: Install) -> Canister:
    made = install(ONE)
    made.update("bump")
    made.update("grow")
    return made


def test_a_snapshot_says_what_it_is(canister: Canister, sandbox: Sandbox) -> None:
    sandbox.advance_time(seconds=7)
    snapshot = canister.take_snapshot("before v2")
    raw = canister.raw_state()
    assert snapshot.id == bytes(8) + bytes(canister.id)
    assert (snapshot.canister_id, snapshot.taken_on, snapshot.label) == (canister.id, sandbox.time, "before v2")
    assert raw.module is not None
    assert snapshot.total_size == len(raw.module) + len(raw.globals) + len(raw.heap) + len(raw.stable) + 8
    assert len(bytes.fromhex(snapshot.checksum)) == 32
    assert canister.list_snapshots() == [snapshot]
    assert canister.take_snapshot().id == (1).to_bytes(8, "big") + bytes(canister.id)


def test_taking_changes_nothing_but_the_list(canister: Canister, sandbox: Sandbox) -> None:
    raw, before = canister.raw_state(), runtime_of(sandbox).state_of(canister.id)
    canister.take_snapshot()
    after = runtime_of(sandbox).state_of(canister.id)
    assert canister.raw_state() == raw
    assert (after.version, after.history, after.global_timer) == (before.version, before.history, before.global_timer)


def test_a_load_restores_what_belongs_to_the_snapshot_and_nothing_else(canister: Canister, sandbox: Sandbox) -> None:
    snapshot, raw, taken = canister.take_snapshot("x"), canister.raw_state(), runtime_of(sandbox).state_of(canister.id)
    canister.update("bump")
    canister.update("grow")
    canister.update_settings(freezing_threshold=11)
    canister.stop()
    before = runtime_of(sandbox).state_of(canister.id)
    sandbox.advance_time(seconds=3)
    canister.load_snapshot(snapshot.id.hex())
    after = runtime_of(sandbox).state_of(canister.id)
    assert canister.raw_state() == raw
    assert after.certified_data == taken.certified_data != before.certified_data
    for kept in ("global_timer", "status", "settings", "cycles", "logs", "snapshots", "created_at"):
        assert getattr(after, kept) == getattr(before, kept), kept
    assert after.version == before.version + 1
    assert after.last_installed_at == sandbox.time
    change = after.history[-1]
    assert (change.kind, change.version, change.timestamp) == ("load_snapshot", after.version, sandbox.time)
    assert dict(change.details) == {
        "from_canister_id": None,
        "snapshot_id": snapshot.id,
        "canister_version": taken.version,
        "taken_at_timestamp": snapshot.taken_on,
        "source": "taken_from_canister",
    }
    canister.start()
    assert number(canister.query_raw("get").reply) == 101
    assert number(canister.query_raw("starts").reply) == 1


CHANGES: dict[str, Callable[[Any], object]] = {
    "nothing": lambda c: None,
    "a message": lambda c: c.update("bump"),
    "growth": lambda c: [c.update("grow") for _ in range(3)],
    "wiping": lambda c: c.update("wipe"),
    "an upgrade": lambda c: c.install(TWO, mode="upgrade"),
    "a reinstallation": lambda c: c.install(TWO, mode="reinstall"),
    "an uninstallation": lambda c: c.uninstall(),
    "uninstallation and installation": lambda c: (c.uninstall(), c.install(TWO), c.update("bump")),
    "a load of itself": lambda c: c.load_snapshot(c.list_snapshots()[0].id),
    "another snapshot": lambda c: (c.update("grow"), c.take_snapshot(), c.update("bump")),
}


@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_a_load_after_anything_gives_back_what_was_taken(change: str, stopped: bool, canister: Canister) -> None:
    if stopped:
        canister.stop()
    snapshot, raw = canister.take_snapshot(), canister.raw_state()
    checksum = snapshot.checksum
    if stopped:
        canister.start()
    for _ in range(2):
        CHANGES[change](canister)
        canister.load_snapshot(snapshot.id)
        assert canister.raw_state() == raw
        assert canister.list_snapshots()[0].checksum == checksum
        assert number(canister.update("bump").reply) == 102
        assert canister.raw_state() != raw


def test_a_load_after_the_memory_shrank(canister: Canister) -> None:
    small = canister.take_snapshot()
    raw_small = canister.raw_state()
    canister.update("grow")
    large = canister.take_snapshot()
    raw_large = canister.raw_state()
    for _ in range(3):
        canister.load_snapshot(small.id)
        assert canister.raw_state() == raw_small
        canister.load_snapshot(large.id)
        assert canister.raw_state() == raw_large
    canister.load_snapshot(small.id)
    canister.update("grow")
    assert canister.raw_state() == raw_large


def test_a_load_onto_another_canister_makes_an_independent_copy(canister: Canister, sandbox: Sandbox) -> None:
    snapshot, raw = canister.take_snapshot(), canister.raw_state()
    other = sandbox.create_canister()
    other.load_snapshot(snapshot.id)
    assert other.raw_state() == raw
    assert dict(runtime_of(sandbox).state_of(other.id).history[-1].details)["from_canister_id"] == canister.id
    other.update("bump")
    other.update("grow")
    changed = other.raw_state()
    assert canister.raw_state() == raw
    canister.update("wipe")
    assert other.raw_state() == changed
    canister.load_snapshot(snapshot.id)
    assert (canister.raw_state(), other.raw_state()) == (raw, changed)


def test_two_canisters_may_live_on_one_snapshot_whose_owner_moved_on(canister: Canister, sandbox: Sandbox) -> None:
    snapshot, raw = canister.take_snapshot(), canister.raw_state()
    canister.install(TWO, mode="reinstall")
    others = [sandbox.create_canister() for _ in range(2)]
    for other in others:
        other.load_snapshot(snapshot.id)
        other.update("bump")
    canister.load_snapshot(snapshot.id)
    assert canister.raw_state() == raw
    canister.update("wipe")
    assert [number(other.query_raw("get").reply) for other in others] == [102, 102]
    assert others[0].raw_state() == others[1].raw_state()
    canister.delete_snapshot(snapshot.id)
    canister.uninstall()
    assert number(others[0].update("bump").reply) == 103


def test_who_loads_must_control_both_canisters(canister: Canister, sandbox: Sandbox) -> None:
    snapshot = canister.take_snapshot()
    eve = sandbox.identity("eve")
    other = sandbox.create_canister(controllers=[eve])
    text = (
        f"Only a controller of the canister that snapshot {snapshot.id.hex()} belongs to can load it on canister "
        f"{other.id}. Sender: {eve}."
    )
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text, other.load_snapshot, snapshot.id)
    rejected(ErrorCode.CANISTER_INVALID_CONTROLLER, "", sandbox.snapshots.load, snapshot.id, canister.id, sender=eve)
    assert other.status().module_hash is None


def test_by_default_a_new_snapshot_replaces_the_old_one() -> None:
    sandbox = Sandbox(instruction_limits=FEW_INSTRUCTIONS)
    canister = sandbox.create_canister()
    canister.install(ONE)
    first = canister.take_snapshot()
    second = canister.take_snapshot()
    assert canister.list_snapshots() == [second]
    code = ErrorCode.CANISTER_SNAPSHOT_NOT_FOUND
    rejected(code, first.id.hex(), canister.load_snapshot, first.id)


def test_a_new_snapshot_never_replaces_several(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path, max_snapshots=3) as sandbox:
        canister = sandbox.create_canister()
        canister.install(ONE)
        kept = [canister.take_snapshot(label) for label in "ab"]
    with Sandbox.open(tmp_path, max_snapshots=1) as sandbox:
        canister = sandbox.canister(canister.id)
        text = "maximum number of snapshots allowed: 1.\nConsider deleting an unnecessary snapshot"
        for via_hooks in (False, True):
            rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text, canister.take_snapshot, via_hooks=via_hooks)
        assert canister.list_snapshots() == kept
        canister.delete_snapshot(kept[0].id)
        canister.take_snapshot("c")
        assert [s.label for s in canister.list_snapshots()] == ["c"]


@pytest.mark.parametrize("most", [2, 3, 10, 23])
def test_the_number_of_snapshots_is_limited(most: int) -> None:
    sandbox = Sandbox(max_snapshots=most)
    canister = sandbox.create_canister()
    canister.install(ONE)
    taken = [canister.take_snapshot(str(k)) for k in range(most)]
    text = f"Canister {canister.id} has reached the maximum number of snapshots allowed: {most}."
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text, canister.take_snapshot)
    assert canister.list_snapshots() == taken
    canister.delete_snapshot(taken[0].id)
    assert [s.label for s in [*canister.list_snapshots(), canister.take_snapshot("new")]][-2:] == [str(most - 1), "new"]


@pytest.mark.parametrize("most", [0, -1])
def test_the_limit_itself_has_bounds(most: int) -> None:
    with pytest.raises(ValueError, match="max_snapshots is at least 1"):
        Sandbox(max_snapshots=most)


@pytest.mark.parametrize("snapshot_id", [b"", b"1234567", b"12345678", bytes(18), b"x" * 50, "00" * 18])
def test_an_unknown_snapshot_is_named(snapshot_id: bytes | str, canister: Canister) -> None:
    canister.take_snapshot()
    code = ErrorCode.CANISTER_SNAPSHOT_NOT_FOUND
    for action in (canister.load_snapshot, canister.delete_snapshot):
        rejected(code, "Could not find the snapshot ID", action, snapshot_id)


def test_an_empty_canister_has_nothing_to_take(sandbox: Sandbox) -> None:
    canister = sandbox.create_canister()
    text = f"Failed to create snapshot for empty canister {canister.id}:"
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text, canister.take_snapshot)


def test_snapshots_are_seen_by_whom_the_setting_admits(canister: Canister, sandbox: Sandbox) -> None:
    canister.take_snapshot()
    eve = sandbox.identity("eve")
    rejected(ErrorCode.CANISTER_INVALID_CONTROLLER, "", canister.list_snapshots, sender=eve)
    canister.update_settings(snapshot_visibility=[eve])
    assert len(canister.list_snapshots(sender=eve)) == 1
    canister.update_settings(snapshot_visibility="public")
    assert len(canister.list_snapshots(sender="2vxsx-fae")) == 1
    assert len(sandbox.snapshots.list()) == 1


def test_a_snapshot_outlives_what_happens_in_anchors_around_and_inside(canister: Canister, sandbox: Sandbox) -> None:
    outer, raw = canister.take_snapshot("outer"), canister.raw_state()
    outer_sum = outer.checksum
    before = everything(sandbox, canister)
    inner: Snapshot | None = None
    with sandbox.anchor():
        canister.update("bump")
        inner, inner_raw = canister.take_snapshot("inner"), canister.raw_state()
        with sandbox.anchor():
            canister.update("grow")
            canister.load_snapshot(outer.id)
            canister.delete_snapshot(outer.id)
            canister.install(TWO, mode="reinstall")
            canister.load_snapshot(inner.id)
            canister.update("grow")
        assert canister.raw_state() == inner_raw
        canister.load_snapshot(outer.id)
        assert canister.raw_state() == raw
        canister.load_snapshot(inner.id)
        assert canister.raw_state() == inner_raw
        canister.stop()
        canister.delete()
    assert everything(sandbox, canister) == before
    assert canister.list_snapshots()[0].checksum == outer_sum
    rejected(ErrorCode.CANISTER_SNAPSHOT_NOT_FOUND, "", canister.load_snapshot, inner.id)
    canister.update("grow")
    canister.load_snapshot(outer.id)
    assert canister.raw_state() == raw


def test_an_anchor_is_undone_after_an_error_too(canister: Canister, sandbox: Sandbox) -> None:
    before = everything(sandbox, canister)

    def fail() -> None:
        with sandbox.anchor():
            canister.update("grow")
            sandbox.create_canister()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert everything(sandbox, canister) == before
    assert sandbox.canisters() == [canister]


@pytest.mark.parametrize("label", [123, b"bytes", "half of a pair: \ud83d"])
@pytest.mark.parametrize("act", ["take", "take via hooks", "edit"])
def test_a_label_that_could_not_be_kept_is_refused_at_once(
    label: Any, act: str, canister: Canister, sandbox: Sandbox
) -> None:
    before = canister.take_snapshot("as it was \u202e\0\n\U0001f600")
    acts: dict[str, Callable[[], Snapshot]] = {
        "take": lambda: canister.take_snapshot(label),
        "take via hooks": lambda: canister.take_snapshot(label, via_hooks=True),
        "edit": lambda: sandbox.snapshots.edit(before.id, label, certified_data=b"x"),
    }
    with pytest.raises(CandidTypeError, match="a label is a text"):
        acts[act]()
    assert canister.list_snapshots() == [before]
    assert before.checksum


def test_snapshots_of_a_canister_that_nobody_controls_any_more_are_seen_and_hide_no_others(sandbox: Sandbox) -> None:
    lost, other = sandbox.create_canister(), sandbox.create_canister()
    for canister in (lost, other):
        canister.install(fixture("counter.classical"))
        canister.take_snapshot("kept")
    lost.update_settings(controllers=[])
    found = sandbox.snapshots.list()
    assert [s.canister_id for s in found] == [lost.id, other.id]
    assert sandbox.snapshots.list(lost.id) == found[:1]
    assert [v.intact for v in sandbox.snapshots.verify_all()] == [True, True]
    assert sandbox.snapshots.create_canister(found[0].id).raw_state() == lost.raw_state()
    code, eve = ErrorCode.CANISTER_INVALID_CONTROLLER, sandbox.identity("eve")
    for action in (sandbox.snapshots.list, sandbox.snapshots.take):
        rejected(code, "Only the controllers", action, lost.id, sender=eve)
    rejected(code, "Only the controllers", sandbox.snapshots.take, lost.id)
    rejected(code, "Only the controllers", sandbox.snapshots.delete, found[0].id)
