"""Edited snapshots: a new one that is what was asked for, says so, and runs; its parent stays what it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import Canister, ErrorCode, Sandbox, Snapshot
from sandbox.api import runtime_of
from sandbox.limits import WASM_PAGE
from sandbox.replay import replay
from sandbox.state import SnapshotState
from sandbox.store.checksum import snapshot_checksum
from tests.conftest import FEW_INSTRUCTIONS, guest, number, rejected
from tests.management.methods import by_user

Install = Callable[..., Canister]
GUEST = """
(global $constant (export "constant") i32 (i32.const 5))
(global $n (export "n") (mut i64) (i64.const 3))
(global $f (mut f32) (f32.const 0.5))
(global $v (mut v128) (v128.const i64x2 1 2))
(data (i32.const 8) "{data}")
(func (export "canister_update set")
  (call $msg_arg_data_copy (i32.const 16) (i32.const 0) (i32.const 8))
  (if (i64.eqz (call $stable64_size)) (then (drop (call $stable64_grow (i64.const 1)))))
  (call $stable64_write (i64.const 100) (i64.const 16) (i64.const 8)) (call $reply64 (i64.const 0)))
(func (export "canister_query n") (call $reply64 (global.get $n)))
(func (export "canister_query f") (call $reply64 (i64.extend_i32_u (i32.reinterpret_f32 (global.get $f)))))
(func (export "canister_query heap") (call $reply64 (i64.load (i32.const 8))))
(func (export "canister_query pages") (call $reply64 (i64.extend_i32_u (memory.size))))
(func (export "canister_pre_upgrade"))
(func (export "canister_query stable")
  (call $stable64_read (i64.const 24) (i64.const 100) (i64.const 8)) (call $reply64 (i64.load (i32.const 24))))
"""
PLAIN, OTHER = guest(GUEST.format(data="12345678")), guest(GUEST.format(data="other!!!"), "(memory 1 5)")


@pytest.fixture
def canister(install: Install) -> Canister:
    made = install(PLAIN)
    made.update("set", (77).to_bytes(8, "little"))
    return made


def state_of(sandbox: Sandbox, snapshot: Snapshot) -> SnapshotState:
    return next(s for s in runtime_of(sandbox).state_of(snapshot.canister_id).snapshots if s.id == snapshot.id)


def content(sandbox: Sandbox, snapshot: Snapshot) -> tuple[Any, ...]:
    state = state_of(sandbox, snapshot)
    memories = [memory.read(0, memory.size) for memory in (state.heap, state.stable)]
    return state, snapshot_checksum(state), memories


def ask(canister: Canister, method: str) -> int:
    return number(canister.query_raw(method).reply)


def test_every_edit_is_there_when_it_is_loaded(sandbox: Sandbox, canister: Canister) -> None:
    parent = canister.take_snapshot("as it was")
    edited = sandbox.snapshots.edit(
        parent.id,
        "as it should be",
        heap={8: (99).to_bytes(8, "little"), 3 * WASM_PAGE - 1: b"\7"},
        stable=[(100, b"\0" * 8), (100, b"\5")],
        heap_size=3 * WASM_PAGE,
        stable_size=2 * WASM_PAGE,
        globals={"n": -1, "f": 1.5, 3: 1 << 127},
        certified_data=b"certified",
    )
    canister.load_snapshot(edited.id)
    answers = {name: ask(canister, name) for name in ("n", "f", "heap", "pages", "stable")}
    assert answers == {"n": 2**64 - 1, "f": 0x3FC00000, "heap": 99, "pages": 3, "stable": 5}
    raw = canister.raw_state()
    assert (raw.heap[-1], len(raw.stable), raw.globals[-1]) == (7, 2 * WASM_PAGE, 0x80)
    assert runtime_of(sandbox).state_of(canister.id).certified_data == b"certified"
    assert edited.label == "as it should be"


def test_it_says_what_it_was_derived_from_and_how(sandbox: Sandbox, canister: Canister) -> None:
    parent = canister.take_snapshot()
    sandbox.advance_time(seconds=5)
    one = sandbox.snapshots.edit(parent.id, globals={"n": 8}, stable={0x40: b"\0\xff"})
    two = sandbox.snapshots.edit(one.id, "two", heap_size=2 * WASM_PAGE, heap={0: bytes(200)})
    assert parent.derived == ()
    [first] = one.derived
    assert (first.parent, first.checksum.hex(), first.at) == (parent.id, parent.checksum, sandbox.time)
    assert first.edits == ("patch stable:0x40 00ff", "global n = 8")
    assert two.derived[0] == first
    assert two.derived[1].parent == one.id
    assert two.derived[1].checksum.hex() == one.checksum
    assert two.derived[1].edits[0] == "resize heap to 131072 bytes"
    assert two.derived[1].edits[1].startswith("patch heap:0x0 200 bytes, SHA-256 ")
    assert canister.list_snapshots() == [parent, one, two]
    assert (one.taken_on, parent.taken_on) == (sandbox.time, sandbox.time - 5_000_000_000)


def test_the_checksum_covers_the_history(sandbox: Sandbox, canister: Canister) -> None:
    parent = canister.take_snapshot()
    edited = state_of(sandbox, sandbox.snapshots.edit(parent.id, "label"))
    [step] = edited.derived
    others = [
        (),
        (replace(step, parent=b"other"),),
        (replace(step, checksum=bytes(32)),),
        (replace(step, at=1),),
        (replace(step, edits=()),),
        (replace(step, edits=(*step.edits, "more")),),
        (step, step),
    ]
    sums = {snapshot_checksum(replace(edited, derived=history)) for history in others}
    assert len(sums | {snapshot_checksum(edited)}) == len(others) + 1


EDITS = st.fixed_dictionaries(
    {},
    optional={
        "heap": st.lists(st.tuples(st.integers(0, WASM_PAGE - 8), st.binary(max_size=8)), max_size=4),
        "stable": st.lists(st.tuples(st.integers(0, WASM_PAGE - 8), st.binary(max_size=8)), max_size=4),
        "heap_size": st.sampled_from([WASM_PAGE, 2 * WASM_PAGE]),
        "stable_size": st.sampled_from([WASM_PAGE, 40 * WASM_PAGE]),
        "globals": st.dictionaries(st.sampled_from(["n", 1]), st.integers(-(1 << 63), (1 << 64) - 1)),
        "certified_data": st.binary(max_size=32),
        "wasm": st.just(OTHER),
    },
)


@given(edits=EDITS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_parent_stays_and_the_bytes_are_those_that_were_asked_for(edits: dict[str, Any]) -> None:
    sandbox = Sandbox(max_snapshots=10, instruction_limits=FEW_INSTRUCTIONS)
    canister = sandbox.create_canister()
    canister.install(PLAIN)
    canister.update("set", (77).to_bytes(8, "little"))
    parent, before_all = canister.take_snapshot(), canister.raw_state()
    before = content(sandbox, parent)
    edited = sandbox.snapshots.edit(parent.id, "edited", **edits)
    assert content(sandbox, parent) == before
    assert canister.raw_state() == before_all
    for name, old in (("heap", before_all.heap), ("stable", before_all.stable)):
        expected = bytearray(old.ljust(edits.get(f"{name}_size", len(old)), b"\0"))
        for offset, data in edits.get(name, []):
            expected[offset : offset + len(data)] = data
        assert getattr(state_of(sandbox, edited), name).read(0, len(expected)) == expected
    canister.load_snapshot(edited.id)
    assert canister.raw_state().module == edits.get("wasm", PLAIN)
    fresh = sandbox.create_canister()
    fresh.load_snapshot(edited.id)
    assert ask(fresh, "n") == list(edits.get("globals", {"n": 3}).values() or [3])[-1] % 2**64


def test_another_module_with_the_same_globals_runs_on_the_same_bytes(sandbox: Sandbox, canister: Canister) -> None:
    edited = sandbox.snapshots.edit(canister.take_snapshot().id, wasm=OTHER)
    canister.load_snapshot(edited.id)
    assert canister.raw_state().module == OTHER
    assert ask(canister, "heap") == int.from_bytes(b"12345678", "little")
    assert ask(canister, "stable") == 77


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "there is nothing to edit"),
    "past the end": ({"stable": {WASM_PAGE - 1: b"12"}}, "2 bytes at 0xffff are not inside the 65536 bytes of stable"),
    "before the start": ({"heap": {-1: b"12"}}, "not inside"),
    "past the new end": ({"stable_size": 0, "stable": {0: b"1"}}, "not inside the 0 bytes"),
    "half a page": ({"heap_size": 70000}, "70000 bytes of the heap are not whole pages of 65536 bytes"),
    "too small": ({"heap_size": 0}, "the heap of 0 bytes, the module allows 65536 to"),
    "too large": ({"heap_size": 4 * 2**30 + WASM_PAGE}, "the module allows 65536 to 4294967296"),
    "negative": ({"stable_size": -WASM_PAGE}, "stable memory of -65536 bytes"),
    "more than a stable memory": ({"stable_size": 2**40}, "stable memory of"),
    "no such global": ({"globals": {"m": 1}}, "the module has no global m"),
    "no such index": ({"globals": {9: 1}}, "the module has no global 9"),
    "an immutable global": ({"globals": {"constant": 1}}, "global constant is immutable"),
    "too large a value": ({"globals": {"n": 1 << 64}}, "global 1 is an i64, which 18446744073709551616 is not"),
    "a fraction": ({"globals": {"n": 0.5}}, "global 1 is an i64, which 0.5 is not"),
    "too large a float": ({"globals": {2: 1e300}}, "global 2 is an f32, which 1e+300 is not"),
    "certified data": ({"certified_data": bytes(33)}, "33 bytes, at most 32"),
    "no module": ({"wasm": b"not wasm"}, "Canister's Wasm module is not valid"),
    "other globals": (
        {"wasm": guest('(global (mut i32) (i32.const 0)) (func (export "canister_query n"))')},
        "the module's globals are [i32], those of the snapshot [i64 f32 v128]",
    ),
    "a module with a larger heap": (
        {"wasm": guest(GUEST.format(data="12345678"), "(memory 2)")},
        "the heap of 65536 bytes, the module allows 131072 to",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_with_the_reason(sandbox: Sandbox, canister: Canister, name: str) -> None:
    edits, reason = REFUSED[name]
    parent = canister.take_snapshot()
    before = sandbox.state_hash()
    code = ErrorCode.CANISTER_INVALID_WASM if name == "no module" else ErrorCode.INVALID_MANAGEMENT_PAYLOAD
    rejected(code, reason, sandbox.snapshots.edit, parent.id, **edits)
    assert sandbox.state_hash() == before


def test_only_controllers_may_edit(sandbox: Sandbox, canister: Canister) -> None:
    parent = canister.take_snapshot()
    stranger = sandbox.identity("stranger")
    rejected(
        ErrorCode.CANISTER_INVALID_CONTROLLER,
        "Only the controllers",
        sandbox.snapshots.edit,
        parent.id,
        sender=stranger,
        globals={"n": 1},
    )
    rejected(
        ErrorCode.CANISTER_SNAPSHOT_NOT_FOUND, "Could not find", sandbox.snapshots.edit, "ff" * 8, globals={"n": 1}
    )


def test_it_never_takes_the_place_of_its_parent() -> None:
    sandbox = Sandbox()
    canister = sandbox.create_canister()
    canister.install(PLAIN)
    parent = canister.take_snapshot()
    text = "reached the maximum number of snapshots allowed: 1"
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text, sandbox.snapshots.edit, parent.id, globals={"n": 1})
    assert canister.list_snapshots() == [parent]


def test_of_a_snapshot_via_hooks_only_stable_memory_can_be_edited(sandbox: Sandbox, canister: Canister) -> None:
    parent = canister.take_snapshot(via_hooks=True)
    code, text = ErrorCode.INVALID_MANAGEMENT_PAYLOAD, "taken via hooks and has neither heap nor globals"
    rejected(code, text, sandbox.snapshots.edit, parent.id, heap={0: b"1"})
    rejected(code, text, sandbox.snapshots.edit, parent.id, globals={"n": 1})
    edited = sandbox.snapshots.edit(parent.id, stable={100: b"\x05"})
    canister.load_snapshot(edited.id, via_hooks=True)
    assert ask(canister, "stable") == 5


def uploaded(sandbox: Sandbox, canister: Canister) -> Snapshot:
    """PLAIN as an uploaded snapshot with an active timer."""
    arg = {
        "canister_id": canister.id,
        "wasm_module_size": len(PLAIN),
        "globals": [{"i32": 5}, {"i64": 3}, {"f32": 0.5}, {"v128": 1}],
        "wasm_memory_size": WASM_PAGE,
        "stable_memory_size": 0,
        "certified_data": b"",
        "global_timer": {"active": 9},
    }
    made = by_user(sandbox, "upload_canister_snapshot_metadata", arg)["snapshot_id"]
    piece = {"canister_id": canister.id, "snapshot_id": made, "kind": {"wasm_module": {"offset": 0}}, "chunk": PLAIN}
    by_user(sandbox, "upload_canister_snapshot_data", piece)
    return canister.list_snapshots()[-1]


def test_an_uploaded_snapshot_stays_one(sandbox: Sandbox, canister: Canister) -> None:
    parent = uploaded(sandbox, canister)
    before = content(sandbox, parent)
    edited = sandbox.snapshots.edit(parent.id, globals={"n": 8}, heap={8: b"\5"}, stable_size=WASM_PAGE, wasm=OTHER)
    assert content(sandbox, parent) == before
    refusal = "global constant is immutable"
    rejected(ErrorCode.INVALID_MANAGEMENT_PAYLOAD, refusal, sandbox.snapshots.edit, edited.id, globals={"constant": 7})
    canister.load_snapshot(edited.id)
    assert canister.raw_state().module == OTHER
    assert (ask(canister, "n"), ask(canister, "heap"), ask(canister, "stable")) == (8, 5, 0)
    assert runtime_of(sandbox).state_of(canister.id).global_timer == 9
    canister.load_snapshot(parent.id)
    assert (ask(canister, "n"), ask(canister, "heap")) == (3, 0)


def test_an_upload_without_its_module_cannot_be_edited(sandbox: Sandbox, canister: Canister) -> None:
    arg = {"canister_id": canister.id, "wasm_module_size": 8, "globals": [], "certified_data": b""}
    sizes = {"wasm_memory_size": 0, "stable_memory_size": WASM_PAGE}
    made = by_user(sandbox, "upload_canister_snapshot_metadata", arg | sizes)["snapshot_id"]
    code = ErrorCode.CANISTER_INVALID_WASM
    rejected(code, "Wasm module is not valid", sandbox.snapshots.edit, made, stable={0: b"1"})


def test_it_is_kept_on_disk_with_its_history(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path / "state", max_snapshots=10) as sandbox:
        canister = sandbox.create_canister()
        canister.install(PLAIN)
        canister.update("set", (77).to_bytes(8, "little"))
        parent = canister.take_snapshot()
        sandbox.save()
        edited = sandbox.snapshots.edit(parent.id, "edited", stable={100: b"\x05"})
        checksum, history = edited.checksum, edited.derived
    with Sandbox.open(tmp_path / "state") as sandbox:
        [canister] = sandbox.canisters()
        _, edited = canister.list_snapshots()
        assert (edited.checksum, edited.derived) == (checksum, history)
        again = sandbox.snapshots.edit(edited.id, stable={101: b"\x01"})
        canister.load_snapshot(again.id)
        assert ask(canister, "stable") == 0x105
        assert [step.parent for step in again.derived] == [parent.id, edited.id]


@pytest.mark.parametrize("name", ["edited.icsnap", "edited"])
def test_a_file_carries_its_history(sandbox: Sandbox, canister: Canister, tmp_path: Path, name: str) -> None:
    parent = canister.take_snapshot()
    edited = sandbox.snapshots.edit(parent.id, "edited", stable={100: b"\x05"}, globals={"n": 8})
    sandbox.snapshots.download(edited.id, tmp_path / name)
    other = Sandbox(max_snapshots=10)
    target = other.create_canister()
    again = other.snapshots.upload(target.id, tmp_path / name)
    assert again.derived == edited.derived
    target.load_snapshot(again.id)
    assert (ask(target, "stable"), ask(target, "n")) == (5, 8)
    more = other.snapshots.edit(again.id, stable={101: b"\x01"})
    assert [step.parent for step in more.derived] == [parent.id, again.id]


def test_a_record_of_it_can_be_replayed(tmp_path: Path) -> None:
    sandbox = Sandbox(max_snapshots=10)
    with sandbox.record(tmp_path / "edit.record"):
        canister = sandbox.create_canister()
        canister.install(PLAIN)
        canister.update("set", (77).to_bytes(8, "little"))
        parent = canister.take_snapshot()
        edits: dict[str, Any] = {"heap": [(8, b"y" * 5000)], "globals": {"n": 5, 2: 0.25}, "stable_size": 2 * WASM_PAGE}
        edited = sandbox.snapshots.edit(parent.id, "label", **edits)
        sandbox.snapshots.edit(edited.id, wasm=OTHER)
        canister.load_snapshot(edited.id)
    found = replay(tmp_path / "edit.record")
    assert (found.difference, found.state_hash) == (None, sandbox.state_hash())
