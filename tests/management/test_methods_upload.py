"""Uploaded snapshots: downloads come back byte for byte, what does not fit is refused when it is loaded."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from sandbox import Canister, ErrorCode, Sandbox
from sandbox.api import runtime_of
from sandbox.limits import CHUNK_SIZE, GIB, GLOBALS, WASM_PAGE
from sandbox.store.checksum import snapshot_checksum
from tests.conftest import fixture, guest, number, rejected, wat
from tests.management.methods import by_canister, by_user, relay

COUNTER = guest(
    """(global $n (mut i32) (i32.const 5)) (global (export "four") i64 (i64.const 4))
    (func (export "canister_update inc")
      (global.set $n (i32.add (global.get $n) (i32.const 1)))
      (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const 1)))
      (call $reply64 (i64.load (i32.const 0))))
    (func (export "canister_query get") (call $reply64 (i64.load (i32.const 0))))
    (func (export "canister_query n") (call $reply64 (i64.extend_i32_u (global.get $n))))
    (func (export "canister_global_timer"))"""
)
PAYLOAD = ErrorCode.INVALID_MANAGEMENT_PAYLOAD
SIZES: dict[str, Any] = {
    "wasm_module_size": len(COUNTER),
    "globals": [{"i64": 4}, {"i32": 41}],
    "wasm_memory_size": WASM_PAGE,
    "stable_memory_size": 2 * WASM_PAGE,
    "certified_data": b"certified",
}
LISTS = ("source", "taken_at_timestamp", "wasm_chunk_store", "canister_version")


def of(target: Canister, **fields: Any) -> dict[str, Any]:
    return {"canister_id": target.id, **fields}


@pytest.fixture
def target(sandbox: Sandbox) -> Canister:
    return sandbox.create_canister()


def upload(sandbox: Sandbox, target: Canister, **fields: Any) -> bytes:
    """Metadata alone; everything is zero."""
    made = by_user(sandbox, "upload_canister_snapshot_metadata", of(target, **{**SIZES, **fields}))["snapshot_id"]
    assert isinstance(made, bytes)
    return made


def put(sandbox: Sandbox, target: Canister, snapshot: bytes, kind: str, offset: int, chunk: bytes) -> None:
    arg = of(target, snapshot_id=snapshot, kind={kind: {"offset": offset}}, chunk=chunk)
    by_user(sandbox, "upload_canister_snapshot_data", arg)


def put_chunk(sandbox: Sandbox, target: Canister, snapshot: bytes, chunk: bytes) -> None:
    arg = of(target, snapshot_id=snapshot, kind={"wasm_chunk": None}, chunk=chunk)
    by_user(sandbox, "upload_canister_snapshot_data", arg)


def load(sandbox: Sandbox, target: Canister, snapshot: bytes) -> None:
    by_user(sandbox, "load_canister_snapshot", of(target, snapshot_id=snapshot))


def complete(sandbox: Sandbox, target: Canister, **fields: Any) -> bytes:
    """An uploaded snapshot of COUNTER whose heap begins with 7."""
    made = upload(sandbox, target, **fields)
    put(sandbox, target, made, "wasm_module", 0, COUNTER)
    put(sandbox, target, made, "wasm_memory", 0, b"\7")
    return made


def copied(sandbox: Sandbox, source: Canister, snapshot: bytes, target: Canister, step: int = 1_000_000) -> bytes:
    """Download a snapshot by slices and upload it to another canister, as the command-line tools do."""
    metadata = by_user(sandbox, "read_canister_snapshot_metadata", of(source, snapshot_id=snapshot))
    chunks = metadata["wasm_chunk_store"]
    fields = {name: value for name, value in metadata.items() if name not in LISTS}
    made = upload(sandbox, target, **fields)
    for part in ("wasm_module", "wasm_memory", "stable_memory"):
        size = metadata[f"{part}_size"]
        for offset in range(0, size, step):
            kind = {part: {"offset": offset, "size": min(step, size - offset)}}
            arg = of(source, snapshot_id=snapshot, kind=kind)
            piece = by_user(sandbox, "read_canister_snapshot_data", arg)["chunk"]
            if piece.strip(b"\0"):
                put(sandbox, target, made, part, offset, piece)
    for chunk in chunks:
        arg = of(source, snapshot_id=snapshot, kind={"wasm_chunk": chunk})
        put_chunk(sandbox, target, made, by_user(sandbox, "read_canister_snapshot_data", arg)["chunk"])
    return made


@pytest.mark.parametrize("name", ["counter.classical", "counter.enhanced", "people_stable_rs_v1"])
def test_a_downloaded_snapshot_runs_elsewhere(name: str, sandbox: Sandbox, target: Canister) -> None:
    source = sandbox.create_canister()
    source.install(fixture(name))
    if name.startswith("counter"):
        source.call("inc")
    by_user(sandbox, "upload_chunk", of(source, chunk=b"chunk"))
    original = source.take_snapshot()
    made = copied(sandbox, source, original.id, target)
    load(sandbox, target, made)
    assert target.raw_state() == source.raw_state()
    assert by_user(sandbox, "stored_chunks", of(target)) == by_user(sandbox, "stored_chunks", of(source))
    assert (
        runtime_of(sandbox).state_of(target.id).certified_data == runtime_of(sandbox).state_of(source.id).certified_data
    )
    if name.startswith("counter"):
        assert target.call("get") == 1
        target.call("inc")
        assert (target.call("get"), source.call("get")) == (2, 1)


def test_an_uploaded_snapshot_in_other_eyes(sandbox: Sandbox, target: Canister) -> None:
    made = complete(sandbox, target, global_timer={"active": 5}, on_low_wasm_memory_hook_status=None)
    put_chunk(sandbox, target, made, b"chunk")
    [listed] = by_user(sandbox, "list_canister_snapshots", of(target))
    total = len(COUNTER) + 3 * WASM_PAGE + 2 * 16 + len(b"certified") + CHUNK_SIZE
    assert listed == {"id": made, "taken_at_timestamp": sandbox.time, "total_size": total}
    metadata = by_user(sandbox, "read_canister_snapshot_metadata", of(target, snapshot_id=made))
    assert metadata == {
        **SIZES,
        "source": {"metadata_upload": None},
        "taken_at_timestamp": sandbox.time,
        "wasm_chunk_store": [{"hash": hashlib.sha256(b"chunk").digest()}],
        "canister_version": 0,
        "global_timer": {"active": 5},
        "on_low_wasm_memory_hook_status": None,
    }
    kind = {"wasm_module": {"offset": 1, "size": 3}}
    arg = of(target, snapshot_id=made, kind=kind)
    assert by_user(sandbox, "read_canister_snapshot_data", arg) == {"chunk": b"asm"}


def test_loading_an_upload(sandbox: Sandbox, target: Canister) -> None:
    made = complete(sandbox, target, global_timer={"active": 77})
    load(sandbox, target, made)
    assert (number(target.query_raw("get").reply), number(target.query_raw("n").reply)) == (7, 41)
    state = runtime_of(sandbox).state_of(target.id)
    assert (state.certified_data, state.global_timer, state.version) == (b"certified", 77, 1)
    assert dict(state.history[-1].details)["source"] == "metadata_upload"
    target.update("inc")
    load(sandbox, target, made)
    assert (number(target.query_raw("get").reply), number(target.query_raw("n").reply)) == (7, 41)


@pytest.mark.parametrize(("timer", "after"), [(None, 55), ({"inactive": None}, 0), ({"active": 9}, 9)])
def test_the_timer_of_an_upload(timer: Any, after: int, sandbox: Sandbox, target: Canister) -> None:
    target.install(guest('(func (export "canister_init") (drop (call $global_timer_set (i64.const 55))))'))
    load(sandbox, target, complete(sandbox, target, global_timer=timer))
    assert runtime_of(sandbox).state_of(target.id).global_timer == after


@pytest.mark.parametrize(
    ("hook", "threshold", "good"),
    [
        ("condition_not_satisfied", 0, True),
        ("ready", 0, False),
        ("executed", 0, False),
        ("executed", 1 << 32, True),
        ("ready", 1 << 32, True),
        ("condition_not_satisfied", 1 << 32, False),
    ],
)
def test_the_hook_of_an_upload_must_agree_with_its_condition(
    hook: str, threshold: int, good: bool, sandbox: Sandbox, target: Canister
) -> None:
    target.update_settings(wasm_memory_threshold=threshold)
    made = complete(sandbox, target, on_low_wasm_memory_hook_status={hook: None})
    before = runtime_of(sandbox).state_of(target.id)
    if good:
        load(sandbox, target, made)
        assert runtime_of(sandbox).state_of(target.id).low_memory_hook == hook
    else:
        text = f"is inconsistent with the canister's state (hook condition satisfied: {str(threshold > 0).lower()})."
        rejected(PAYLOAD, text, load, sandbox, target, made)
        assert runtime_of(sandbox).state_of(target.id) == before


def test_a_hook_that_is_ready_runs(sandbox: Sandbox, target: Canister) -> None:
    module = guest('(func (export "canister_on_low_wasm_memory") (call $debug_print (i32.const 0) (i32.const 1)))')
    target.update_settings(wasm_memory_threshold=1 << 32)
    for status, runs in (("ready", 1), ("executed", 0)):
        hook = {status: None}
        made = upload(sandbox, target, globals=[], wasm_module_size=len(module), on_low_wasm_memory_hook_status=hook)
        put(sandbox, target, made, "wasm_module", 0, module)
        load(sandbox, target, made)
        before = len(target.logs())
        sandbox.run_until_idle()
        assert len(target.logs()) - before == runs
        assert runtime_of(sandbox).state_of(target.id).low_memory_hook == "executed"


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"wasm_module_size": 0}, "WasmModuleEmpty"),
        ({"wasm_module_size": 100 * 2**20 + 1}, "WasmModuleTooLarge"),
        ({"wasm_memory_size": 1}, "WasmMemoryNotPageAligned"),
        ({"wasm_memory_size": 500 * GIB + WASM_PAGE}, "WasmMemoryTooLarge"),
        ({"stable_memory_size": WASM_PAGE - 1}, "StableMemoryNotPageAligned"),
        ({"stable_memory_size": 500 * GIB + WASM_PAGE}, "StableMemoryTooLarge"),
        ({"globals": [{"i32": 0}] * (GLOBALS + 1)}, "ExportedGlobalsTooLarge"),
        ({"certified_data": bytes(33)}, "CertifiedDataTooLarge"),
    ],
)
def test_metadata_out_of_bounds(fields: dict[str, Any], what: str, sandbox: Sandbox, target: Canister) -> None:
    before = runtime_of(sandbox).state_of(target.id)
    rejected(PAYLOAD, f"Snapshot Metadata contains invalid data: {what}", upload, sandbox, target, **fields)
    assert runtime_of(sandbox).state_of(target.id) == before


def test_the_largest_upload_costs_nothing_until_written(sandbox: Sandbox, target: Canister) -> None:
    target.install(wat("(module (memory i64 1))"))
    sizes = {"wasm_memory_size": 6 * GIB, "stable_memory_size": 500 * GIB, "wasm_module_size": 100 * 2**20}
    made = upload(sandbox, target, **sizes)
    put(sandbox, target, made, "stable_memory", 500 * GIB - 3, b"end")
    kind = {"stable_memory": {"offset": 500 * GIB - 4, "size": 4}}
    arg = of(target, snapshot_id=made, kind=kind)
    assert by_user(sandbox, "read_canister_snapshot_data", arg) == {"chunk": b"\0end"}


def test_slices_outside(sandbox: Sandbox, target: Canister) -> None:
    made = upload(sandbox, target)
    before = runtime_of(sandbox).state_of(target.id)
    for kind, size in (("wasm_module", len(COUNTER)), ("wasm_memory", WASM_PAGE), ("stable_memory", 2 * WASM_PAGE)):
        put(sandbox, target, made, kind, size, b"")
        for offset in (size, size - 1, (1 << 64) - 1):
            text = f"Invalid subslice into wasm module / main memory / stable memory: offset: {offset}, size: 2"
            rejected(PAYLOAD, text, put, sandbox, target, made, kind, offset, b"xx")
    large = bytes(CHUNK_SIZE + 1)
    text = "exceeds the maximum chunk size"
    rejected(ErrorCode.CANISTER_CONTRACT_VIOLATION, text, put_chunk, sandbox, target, made, large)
    after = runtime_of(sandbox).state_of(target.id)
    assert [snapshot_checksum(s) for s in after.snapshots] == [snapshot_checksum(s) for s in before.snapshots]


def test_a_taken_snapshot_cannot_be_written_to(sandbox: Sandbox, target: Canister) -> None:
    target.install(COUNTER)
    taken, before = target.take_snapshot(), runtime_of(sandbox).state_of(target.id)
    text, code = (
        "Only canister snapshots created by metadata upload can be mutated.",
        ErrorCode.CANISTER_SNAPSHOT_IMMUTABLE,
    )
    rejected(code, text, put, sandbox, target, taken.id, "wasm_memory", 0, b"x")
    rejected(code, text, put_chunk, sandbox, target, taken.id, b"x")
    assert runtime_of(sandbox).state_of(target.id).snapshots == before.snapshots


@pytest.mark.parametrize(
    "wrong",
    [[], [{"i64": 4}], [{"i32": 41}, {"i64": 4}], [{"i64": 4}, {"f32": 1.0}], [{"i64": 4}, {"i32": 1}, {"i32": 1}]],
)
def test_globals_must_be_those_of_the_module(wrong: Any, sandbox: Sandbox, target: Canister) -> None:
    made = complete(sandbox, target, globals=wrong)
    before = runtime_of(sandbox).state_of(target.id)
    text = "Wasm exported globals of canister module and snapshot metadata do not match."
    rejected(PAYLOAD, text, load, sandbox, target, made)
    assert runtime_of(sandbox).state_of(target.id) == before


def test_the_module_is_checked_when_it_is_loaded(sandbox: Sandbox, target: Canister) -> None:
    made = upload(sandbox, target)
    text = "Canister's Wasm module is not valid"
    rejected(ErrorCode.CANISTER_INVALID_WASM, text, load, sandbox, target, made)
    put(sandbox, target, made, "wasm_module", 0, COUNTER[:50])
    rejected(ErrorCode.CANISTER_INVALID_WASM, text, load, sandbox, target, made)
    put(sandbox, target, made, "wasm_module", 50, COUNTER[50:])
    load(sandbox, target, made)
    target.update("inc")


def test_writing_to_a_loaded_upload_leaves_the_canister_alone(sandbox: Sandbox, target: Canister) -> None:
    other = sandbox.create_canister()
    made = complete(sandbox, target)
    load(sandbox, target, made)
    load(sandbox, other, made)
    put(sandbox, target, made, "wasm_memory", 0, b"\11")
    assert (number(target.query_raw("get").reply), number(other.query_raw("get").reply)) == (7, 7)
    target.update("inc")
    load(sandbox, other, made)
    assert (number(target.query_raw("get").reply), number(other.query_raw("get").reply)) == (8, 9)
    target.install(COUNTER, mode="reinstall")
    put(sandbox, target, made, "wasm_memory", 1, b"\1")
    load(sandbox, target, made)
    assert number(target.query_raw("get").reply) == 256 + 9


def test_an_anchor_undoes_slices(sandbox: Sandbox, target: Canister) -> None:
    made = complete(sandbox, target)
    before = snapshot_checksum(runtime_of(sandbox).state_of(target.id).snapshots[0])
    with sandbox.anchor():
        put(sandbox, target, made, "wasm_memory", 0, b"\11")
        put(sandbox, target, made, "wasm_module", 0, b"xxxx")
    assert snapshot_checksum(runtime_of(sandbox).state_of(target.id).snapshots[0]) == before
    load(sandbox, target, made)
    assert number(target.query_raw("get").reply) == 7


def test_a_canister_uploads(sandbox: Sandbox) -> None:
    caller = relay(sandbox)
    target = sandbox.create_canister(controllers=[caller.id])
    made = by_canister(caller, "upload_canister_snapshot_metadata", of(target, **SIZES))["snapshot_id"]
    arg = of(target, snapshot_id=made, kind={"wasm_module": {"offset": 0}}, chunk=COUNTER)
    by_canister(caller, "upload_canister_snapshot_data", arg)
    by_canister(caller, "load_canister_snapshot", of(target, snapshot_id=made))
    assert number(target.query_raw("n").reply) == 41


GLOBALS_OF_EVERY_TYPE = wat(
    """(module (global (mut i32) (i32.const 0)) (global (mut i64) (i64.const 0)) (global (mut f32) (f32.const 0))
    (global (mut f64) (f64.const 0)) (global (mut v128) (v128.const i64x2 0 0))
    (global (export "c") i32 (i32.const -7)))"""
)


def test_globals_of_every_type_come_back(sandbox: Sandbox, target: Canister) -> None:
    values = [
        {"i32": -7},
        {"i32": -1},
        {"i64": -(1 << 63)},
        {"f32": float("-inf")},
        {"f64": 1e300},
        {"v128": (1 << 128) - 2},
    ]
    module = GLOBALS_OF_EVERY_TYPE
    made = upload(sandbox, target, globals=values, wasm_module_size=len(module), wasm_memory_size=0)
    put(sandbox, target, made, "wasm_module", 0, module)
    load(sandbox, target, made)
    again = target.take_snapshot()
    metadata = by_user(sandbox, "read_canister_snapshot_metadata", of(target, snapshot_id=again.id))
    assert metadata["globals"] == values
    text = "does not fit into 128 bits"
    rejected(PAYLOAD, text, upload, sandbox, target, globals=[{"v128": 1 << 128}])


def test_uploads_survive_on_disk(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path, max_snapshots=10) as sandbox:
        target = sandbox.create_canister()
        made = complete(sandbox, target, global_timer={"inactive": None})
        put_chunk(sandbox, target, made, b"chunk")
        checksum = snapshot_checksum(runtime_of(sandbox).state_of(target.id).snapshots[0])
    with Sandbox.open(tmp_path) as sandbox:
        [snapshot] = runtime_of(sandbox).state_of(target.id).snapshots
        assert snapshot_checksum(snapshot) == checksum
        target = sandbox.canister(target.id)
        put(sandbox, target, made, "wasm_memory", 0, b"\10")
        load(sandbox, target, made)
        put(sandbox, target, made, "wasm_memory", 0, b"\11")
    with Sandbox.open(tmp_path) as sandbox:
        target = sandbox.canister(target.id)
        assert number(target.query_raw("get").reply) == 8
        load(sandbox, target, made)
        assert number(target.query_raw("get").reply) == 9
        assert len(by_user(sandbox, "stored_chunks", of(target))) == 1


HOOKED = guest(
    """(global $n (mut i64) (i64.const 0))
    (func (export "canister_pre_upgrade") (drop (call $stable64_grow (i64.const 1)))
      (i64.store (i32.const 0) (global.get $n)) (call $stable64_write (i64.const 0) (i64.const 0) (i64.const 8)))
    (func (export "canister_post_upgrade") (call $stable64_read (i64.const 0) (i64.const 0) (i64.const 8))
      (global.set $n (i64.load (i32.const 0))))
    (func (export "canister_update inc")
      (global.set $n (i64.add (global.get $n) (i64.const 1))) (call $reply64 (global.get $n)))
    (func (export "canister_query get") (call $reply64 (global.get $n)))"""
)


def test_an_uploaded_snapshot_can_be_loaded_via_hooks(sandbox: Sandbox, target: Canister) -> None:
    source = sandbox.create_canister()
    source.install(HOOKED)
    source.update("inc")
    uploaded = copied(sandbox, source, source.take_snapshot().id, target)
    target.load_snapshot(uploaded, via_hooks=True)
    assert number(target.query_raw("get").reply) == 1


def test_the_argument_of_a_load_via_hooks_is_typed_by_the_uploaded_module(sandbox: Sandbox, target: Canister) -> None:
    source = sandbox.create_canister()
    source.install(fixture("people_stable_rs_v1"))
    uploaded = copied(sandbox, source, source.take_snapshot().id, target)
    target.load_snapshot(uploaded, via_hooks=True, arg={"title": "new", "max_people": None})
    assert target.call("config")["title"] == "new"


def test_a_snapshot_via_hooks_travels_as_stable_memory_and_module(sandbox: Sandbox, target: Canister) -> None:
    source = sandbox.create_canister()
    source.install(HOOKED)
    source.update("inc")
    taken = source.take_snapshot(via_hooks=True)
    metadata = by_user(sandbox, "read_canister_snapshot_metadata", of(source, snapshot_id=taken.id))
    assert (metadata["globals"], metadata["wasm_memory_size"]) == ([], 0)
    rejected(
        ErrorCode.CANISTER_REJECTED_MESSAGE,
        "only stable memory",
        by_user,
        sandbox,
        "load_canister_snapshot",
        of(source, snapshot_id=taken.id),
    )
    uploaded = copied(sandbox, source, taken.id, target)
    code, text = ErrorCode.CANISTER_INVALID_WASM, "the Wasm memory (0 bytes) is smaller than the minimum"
    rejected(code, text, load, sandbox, target, uploaded)
    rejected(code, text, target.load_snapshot, uploaded, via_hooks=True)
    target.load_snapshot(uploaded, via_hooks=True, skip_pre_upgrade=True)
    assert number(target.query_raw("get").reply) == 1
