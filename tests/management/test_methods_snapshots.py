"""Snapshots by the platform's eight methods, and by the four of the proposal of 2023."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from sandbox import Canister, ErrorCode, Sandbox
from sandbox.api import runtime_of
from sandbox.candid import decode
from sandbox.errors import CandidTypeError
from sandbox.limits import CHUNK_SIZE, SNAPSHOT_SLICE, WASM_PAGE
from sandbox.management.table import METHODS, PROPOSAL, signature
from sandbox.store.checksum import snapshot_checksum
from tests.conftest import fixture, guest, number, rejected
from tests.management.methods import MANAGEMENT, NOBODY, by_canister, by_user, encoded, relay

COUNTER = guest(
    """(global $n (mut i32) (i32.const 5)) (global (export "four") i64 (i64.const 4))
    (global (export "f") (mut f64) (f64.const 1.5)) (global $g (mut f32) (f32.const -0.25))
    (func (export "canister_update inc")
      (global.set $n (i32.add (global.get $n) (i32.const 1)))
      (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const 1)))
      (drop (call $stable64_grow (i64.const 1))) (call $stable64_write (i64.const 0) (i64.const 0) (i64.const 8))
      (call $certified_data_set (i32.const 0) (i32.const 8))
      (drop (call $global_timer_set (i64.const 99)))
      (call $reply64 (i64.load (i32.const 0))))
    (func (export "canister_query get") (call $reply64 (i64.load (i32.const 0))))
    (func (export "canister_query n") (call $reply64 (i64.extend_i32_u (global.get $n))))"""
)
REFUSED, PAYLOAD = ErrorCode.CANISTER_REJECTED_MESSAGE, ErrorCode.INVALID_MANAGEMENT_PAYLOAD
SIZES: dict[str, Any] = {
    "wasm_module_size": len(COUNTER),
    "globals": [{"i64": 4}, {"f64": 2.5}, {"i32": 41}, {"f32": 0.5}],
    "wasm_memory_size": WASM_PAGE,
    "stable_memory_size": WASM_PAGE,
    "certified_data": b"certified",
}


@pytest.fixture
def caller(sandbox: Sandbox) -> Canister:
    return relay(sandbox)


@pytest.fixture
def target(sandbox: Sandbox, caller: Canister) -> Canister:
    """A canister of user `default` and the relay that was called once."""
    canister = sandbox.create_canister(controllers=[sandbox.identity("default"), caller.id])
    canister.install(COUNTER)
    canister.update("inc")
    return canister


def of(target: Canister, **fields: Any) -> dict[str, Any]:
    return {"canister_id": target.id, **fields}


def take(sandbox: Sandbox, target: Canister, sender: str = "default", **fields: Any) -> bytes:
    taken = by_user(sandbox, "take_canister_snapshot", of(target, **fields), sender=sender)["id"]
    assert isinstance(taken, bytes)
    return taken


def listed(sandbox: Sandbox, target: Canister, sender: str = "default") -> list[bytes]:
    return [s["id"] for s in by_user(sandbox, "list_canister_snapshots", of(target), sender=sender)]


# --- take, load, list, delete


def test_take_and_load(sandbox: Sandbox, caller: Canister, target: Canister) -> None:
    raw, version = target.raw_state(), target.status().version
    taken = by_canister(caller, "take_canister_snapshot", of(target))
    assert taken["id"] == bytes(8) + bytes(target.id)
    assert taken["taken_at_timestamp"] == sandbox.time
    assert taken["total_size"] == len(COUNTER) + len(raw.globals) + 2 * WASM_PAGE + 8
    assert by_user(sandbox, "list_canister_snapshots", of(target)) == [taken]
    assert target.status().version == version
    target.update("inc")
    by_canister(caller, "load_canister_snapshot", of(target, snapshot_id=taken["id"]))
    assert target.raw_state() == raw
    assert target.status().version == version + 2
    by_user(sandbox, "delete_canister_snapshot", of(target, snapshot_id=taken["id"]))
    assert listed(sandbox, target) == []


def test_ten_snapshots_whatever_the_sandbox_keeps_of_its_own() -> None:
    sandbox = Sandbox()
    target = sandbox.create_canister()
    target.install(COUNTER)
    ids = [take(sandbox, target) for _ in range(10)]
    assert listed(sandbox, target) == ids == [k.to_bytes(8, "big") + bytes(target.id) for k in range(10)]
    text = f"Canister {target.id} has reached the maximum number of snapshots allowed: 10."
    before = runtime_of(sandbox).state_of(target.id)
    rejected(REFUSED, text, by_user, sandbox, "take_canister_snapshot", of(target))
    rejected(REFUSED, text, by_user, sandbox, "upload_canister_snapshot_metadata", of(target, **SIZES))
    assert runtime_of(sandbox).state_of(target.id) == before
    eleventh = take(sandbox, target, replace_snapshot=ids[3])
    assert listed(sandbox, target) == [*ids[:3], *ids[4:], eleventh]


def test_replacing_names_a_snapshot_of_the_same_canister(sandbox: Sandbox, target: Canister) -> None:
    other = sandbox.create_canister()
    other.install(COUNTER)
    foreign = take(sandbox, other)
    before = runtime_of(sandbox).state_of(target.id)
    text = (
        f"The snapshot {foreign.hex()} does not belong to canister {target.id}.\nUse the `list_canister_snapshot` API"
    )
    for method in ("take_canister_snapshot", "upload_canister_snapshot_metadata"):
        fields = SIZES if method.startswith("upload") else {}
        arg = of(target, replace_snapshot=foreign, **fields)
        rejected(REFUSED, text, by_user, sandbox, method, arg)
        missing = {**arg, "replace_snapshot": b"nothing"}
        not_found = "Could not find the snapshot ID 6e6f7468696e67 for canister"
        rejected(ErrorCode.CANISTER_SNAPSHOT_NOT_FOUND, not_found, by_user, sandbox, method, missing)
    rejected(REFUSED, text, by_user, sandbox, "delete_canister_snapshot", of(target, snapshot_id=foreign))
    rejected(REFUSED, text, by_user, sandbox, "read_canister_snapshot_metadata", of(target, snapshot_id=foreign))
    assert runtime_of(sandbox).state_of(target.id) == before


def test_taking_may_uninstall(sandbox: Sandbox, target: Canister) -> None:
    version = target.status().version
    taken = take(sandbox, target, uninstall_code=True)
    state = runtime_of(sandbox).state_of(target.id)
    assert (state.code, state.version, state.history[-1].kind) == (None, version + 1, "code_uninstall")
    assert listed(sandbox, target) == [taken]
    by_user(sandbox, "load_canister_snapshot", of(target, snapshot_id=taken))
    assert number(target.query_raw("get").reply) == 1
    again = take(sandbox, target, uninstall_code=True, replace_snapshot=taken)
    assert listed(sandbox, target) == [again]


def test_an_empty_canister_has_nothing_to_take(sandbox: Sandbox) -> None:
    empty = sandbox.create_canister()
    text = f"Failed to create snapshot for empty canister {empty.id}:"
    rejected(REFUSED, text, by_user, sandbox, "take_canister_snapshot", of(empty))


def test_an_empty_canister_is_found_last(sandbox: Sandbox, target: Canister) -> None:
    """As in the replica: who asks, then what is to be replaced or how many there are, then whether there is code."""
    for _ in range(9):
        take(sandbox, target)
    last = take(sandbox, target, uninstall_code=True)
    text = "maximum number of snapshots allowed: 10.\nConsider deleting an unnecessary snapshot"
    rejected(REFUSED, text, by_user, sandbox, "take_canister_snapshot", of(target))
    code, unknown = ErrorCode.CANISTER_SNAPSHOT_NOT_FOUND, of(target, replace_snapshot=b"none")
    rejected(code, "6e6f6e65", by_user, sandbox, "take_canister_snapshot", unknown)
    rejected(ErrorCode.CANISTER_INVALID_CONTROLLER, "", take, sandbox, target, sender="eve")
    known = of(target, replace_snapshot=last)
    rejected(REFUSED, "for empty canister", by_user, sandbox, "take_canister_snapshot", known)


def test_loading_onto_another_canister_needs_both(sandbox: Sandbox, caller: Canister, target: Canister) -> None:
    own = sandbox.create_canister(controllers=[sandbox.identity("alice"), caller.id])
    taken = take(sandbox, target)
    arg = of(own, snapshot_id=taken)
    text = (
        f"Only a controller of the canister that snapshot {taken.hex()} belongs to can load it on canister {own.id}. "
        f"Sender: {sandbox.identity('alice')}.\nMake sure you are a controller of the canister that the snapshot "
        "belongs to. See documentation: canister-snapshot-not-controller"
    )
    rejected(REFUSED, text, by_user, sandbox, "load_canister_snapshot", arg, sender="alice")
    by_canister(caller, "load_canister_snapshot", arg)
    assert number(own.query_raw("get").reply) == 1
    details = dict(runtime_of(sandbox).state_of(own.id).history[-1].details)
    assert details["from_canister_id"] == target.id
    own.update("inc")
    assert number(target.query_raw("get").reply) == 1


def test_the_chunk_store_is_part_of_a_snapshot(sandbox: Sandbox, target: Canister) -> None:
    by_user(sandbox, "upload_chunk", of(target, chunk=b"first"))
    taken = take(sandbox, target)
    assert by_user(sandbox, "list_canister_snapshots", of(target))[0]["total_size"] > CHUNK_SIZE
    by_user(sandbox, "clear_chunk_store", of(target))
    by_user(sandbox, "upload_chunk", of(target, chunk=b"second"))
    by_user(sandbox, "load_canister_snapshot", of(target, snapshot_id=taken))
    digest = hashlib.sha256(b"first").digest()
    assert by_user(sandbox, "stored_chunks", of(target)) == [{"hash": digest}]
    kind = {"wasm_chunk": {"hash": digest}}
    data = by_user(sandbox, "read_canister_snapshot_data", of(target, snapshot_id=taken, kind=kind))
    assert data == {"chunk": b"first"}


def test_who_sees_snapshots(sandbox: Sandbox, target: Canister) -> None:
    taken = take(sandbox, target)
    eve, code = sandbox.identity("eve"), ErrorCode.CANISTER_INVALID_CONTROLLER
    rejected(code, "", listed, sandbox, target, sender="eve")
    target.update_settings(snapshot_visibility=[eve])
    assert listed(sandbox, target, sender="eve") == [taken]
    arg = of(target, snapshot_id=taken)
    by_user(sandbox, "read_canister_snapshot_metadata", arg, sender="eve")
    kind = {"wasm_memory": {"offset": 0, "size": 8}}
    by_user(sandbox, "read_canister_snapshot_data", {**arg, "kind": kind}, sender="eve")
    for method in ("load_canister_snapshot", "delete_canister_snapshot"):
        rejected(code, "Only the controllers", by_user, sandbox, method, arg, sender="eve")
    rejected(code, "", listed, sandbox, target, sender="mallory")
    target.update_settings(snapshot_visibility="public")
    assert listed(sandbox, target, sender="anonymous") == [taken]


# --- reading


def test_metadata_of_a_taken_snapshot(sandbox: Sandbox, caller: Canister, target: Canister) -> None:
    taken = take(sandbox, target)
    target.update("inc")
    metadata = by_canister(caller, "read_canister_snapshot_metadata", of(target, snapshot_id=taken))
    assert metadata == {
        "source": {"taken_from_canister": None},
        "taken_at_timestamp": sandbox.time,
        "wasm_module_size": len(COUNTER),
        "globals": [{"i64": 4}, {"f64": 1.5}, {"i32": 6}, {"f32": -0.25}],
        "wasm_memory_size": WASM_PAGE,
        "stable_memory_size": WASM_PAGE,
        "wasm_chunk_store": [],
        "canister_version": 2,
        "certified_data": (1).to_bytes(8, "little"),
        "global_timer": {"active": 99},
        "on_low_wasm_memory_hook_status": {"condition_not_satisfied": None},
    }


def read(sandbox: Sandbox, target: Canister, snapshot: bytes, kind: str, offset: int, size: int) -> bytes:
    arg = of(target, snapshot_id=snapshot, kind={kind: {"offset": offset, "size": size}})
    chunk = by_user(sandbox, "read_canister_snapshot_data", arg)["chunk"]
    assert isinstance(chunk, bytes)
    return chunk


def test_slices_of_a_taken_snapshot(sandbox: Sandbox, target: Canister) -> None:
    raw, taken = target.raw_state(), take(sandbox, target)
    target.update("inc")
    for kind, whole in (("wasm_module", COUNTER), ("wasm_memory", raw.heap), ("stable_memory", raw.stable)):
        assert read(sandbox, target, taken, kind, 0, len(whole)) == whole
        assert read(sandbox, target, taken, kind, 3, 5) == whole[3:8]
        assert read(sandbox, target, taken, kind, len(whole), 0) == b""
        for offset, size in ((len(whole), 1), (0, len(whole) + 1), ((1 << 64) - 1, 1), ((1 << 64) - 1, 0)):
            text = f"Invalid subslice into wasm module / main memory / stable memory: offset: {offset}, size: {size}"
            rejected(PAYLOAD, text, read, sandbox, target, taken, kind, offset, size)
        large = SNAPSHOT_SLICE + 1
        rejected(PAYLOAD, f"too large: {large} > {SNAPSHOT_SLICE}", read, sandbox, target, taken, kind, 0, large)


@pytest.mark.parametrize(
    ("digest", "text"),
    [
        (b"\1\xab", "Bytes [01, ab] are not a valid WasmChunkHash.."),
        (bytes(32), f"WasmChunkHash [{', '.join(['00'] * 32)}] not found.."),
    ],
)
def test_a_chunk_that_is_not_there(digest: bytes, text: str, sandbox: Sandbox, target: Canister) -> None:
    arg = of(target, snapshot_id=take(sandbox, target), kind={"wasm_chunk": {"hash": digest}})
    code = ErrorCode.CANISTER_CONTRACT_VIOLATION
    rejected(code, f"Error from Wasm chunk store: {text}", by_user, sandbox, "read_canister_snapshot_data", arg)


@pytest.mark.parametrize(
    "method",
    [
        "load_canister_snapshot",
        "delete_canister_snapshot",
        "read_canister_snapshot_metadata",
        "read_canister_snapshot_data",
        "upload_canister_snapshot_data",
    ],
)
@pytest.mark.parametrize("snapshot", [b"", b"x", bytes(18), bytes(8) + bytes(NOBODY), bytes(60)])
def test_a_snapshot_that_is_not_there(method: str, snapshot: bytes, sandbox: Sandbox, target: Canister) -> None:
    extra: dict[str, dict[str, Any]] = {
        "read_canister_snapshot_data": {"kind": {"wasm_module": {"offset": 0, "size": 1}}},
        "upload_canister_snapshot_data": {"kind": {"wasm_module": {"offset": 0}}, "chunk": b""},
    }
    before = runtime_of(sandbox).state_of(target.id)
    text = f"Could not find the snapshot ID {snapshot.hex()} for canister {target.id}.\nUse the"
    arg = of(target, snapshot_id=snapshot, **extra.get(method, {}))
    rejected(ErrorCode.CANISTER_SNAPSHOT_NOT_FOUND, text, by_user, sandbox, method, arg)
    assert runtime_of(sandbox).state_of(target.id) == before


# --- the proposal of 2023


def proposal(sandbox: Sandbox, method: str, *args: Any, sender: str = "default") -> Any:
    return sandbox.management.call(method, *args, sender=sandbox.identity(sender))


def test_the_proposals_methods() -> None:
    sandbox = Sandbox()
    target = sandbox.create_canister()
    target.install(COUNTER)
    first = proposal(sandbox, "take_snapshot", target.id, "before")
    [state] = runtime_of(sandbox).state_of(target.id).snapshots
    assert first == {
        "id": state.id,
        "taken_on": sandbox.time,
        "label": "before",
        "total_size": target.list_snapshots()[0].total_size,
        "checksum": snapshot_checksum(state).hex(),
    }
    target.update("inc")
    proposal(sandbox, "load_snapshot", first["id"], target.id)
    assert number(target.query_raw("get").reply) == 0
    second = proposal(sandbox, "take_snapshot", target.id, None)
    assert proposal(sandbox, "list_snapshots", target.id) == [second]
    code = ErrorCode.CANISTER_INVALID_CONTROLLER
    rejected(code, "", proposal, sandbox, "take_snapshot", target.id, None, sender="eve")
    rejected(code, "", proposal, sandbox, "delete_snapshot", second["id"], sender="eve")
    rejected(code, "", proposal, sandbox, "list_snapshots", target.id, sender="eve")
    rejected(code, "", proposal, sandbox, "load_snapshot", second["id"], target.id, sender="eve")
    proposal(sandbox, "delete_snapshot", second["id"])
    assert proposal(sandbox, "list_snapshots", target.id) == []
    rejected(ErrorCode.CANISTER_SNAPSHOT_NOT_FOUND, "", proposal, sandbox, "delete_snapshot", second["id"])


def test_every_method_of_both_interfaces_can_be_called() -> None:
    sandbox = Sandbox()
    methods = sandbox.management.interface.methods
    assert set(methods) == {*METHODS, *PROPOSAL}
    assert all(str(methods[name]) == str(signature(name)) for name in methods)
    with pytest.raises(CandidTypeError, match="no method take; it has: canister_info"):
        sandbox.management.call("take")
    target = sandbox.create_canister()
    asked = {"canister_id": target.id}
    owner = sandbox.identity("default")
    assert sandbox.management.call("canister_status", asked, sender=owner)["status"] == {"running": None}
    rejected(ErrorCode.CANISTER_STATUS_ACCESS_DENIED, "", sandbox.management.call, "canister_status", asked)
    assert sandbox.management.call("fetch_canister_logs", asked, sender=owner) == {"canister_log_records": []}


def test_a_canister_calls_the_proposals_methods(sandbox: Sandbox) -> None:
    motoko = sandbox.create_canister()
    motoko.install(fixture("counter.enhanced"))
    target = sandbox.create_canister(controllers=[motoko.id])
    target.install(COUNTER)
    reply = motoko.call("forward", MANAGEMENT, "take_snapshot", encoded("take_snapshot", target.id, "x"))
    [record] = decode(signature("take_snapshot").results, reply)
    assert (record["label"], record["id"]) == ("x", target.list_snapshots()[0].id)
