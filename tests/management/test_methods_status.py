"""Status, info with history, metadata, logs, randomness, subnet: what may be known, by whom."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox import Canister, ErrorCode, Principal, Sandbox
from sandbox.api import runtime_of
from sandbox.execution.fees import MAINNET
from sandbox.limits import HISTORY
from tests.conftest import fixture, guest, rejected, with_section
from tests.management.methods import MANAGEMENT, by_canister, by_query, by_user, relay

PRINTER = guest(
    """(memory (export "memory") 1)
    (data (i32.const 0) "hello world")
    (func $print (param i32 i32) (call $debug_print (local.get 0) (local.get 1)) (call $reply64 (i64.const 0)))
    (func (export "canister_update hello") (call $print (i32.const 0) (i32.const 5)))
    (func (export "canister_update world") (call $print (i32.const 6) (i32.const 5)))
    (func (export "canister_update big") (call $print (i32.const 0) (i32.const 3000)))
    (func (export "canister_update trap") unreachable)""",
    memory="",
)
METADATA = with_section(with_section(PRINTER, "icp:public open", b"for all"), "icp:private own", b"for few")
REFUSED = ErrorCode.CANISTER_REJECTED_MESSAGE


@pytest.fixture
def caller(sandbox: Sandbox) -> Canister:
    return relay(sandbox)


@pytest.fixture
def target(sandbox: Sandbox) -> Canister:
    """A canister of alice and bob."""
    canister = sandbox.create_canister(controllers=[sandbox.identity("alice"), sandbox.identity("bob")])
    canister.install(METADATA)
    return canister


def of(target: Canister, **fields: Any) -> dict[str, Any]:
    return {"canister_id": target.id, **fields}


# --- status


def test_the_status_tells_everything(sandbox: Sandbox, target: Canister) -> None:
    target.update("hello")
    snapshot = target.take_snapshot()
    by_user(sandbox, "upload_chunk", of(target, chunk=b"x"), sender="alice")
    state = runtime_of(sandbox).state_of(target.id)
    assert state.code is not None
    status = by_user(sandbox, "canister_status", of(target), sender="bob")
    metrics = status.pop("memory_metrics")
    assert metrics == {
        "wasm_memory_size": 65536,
        "stable_memory_size": 0,
        "global_memory_size": 0,
        "wasm_binary_size": len(METADATA),
        "custom_sections_size": len(b"open" + b"for all" + b"own" + b"for few"),
        "canister_history_size": metrics["canister_history_size"],
        "wasm_chunk_store_size": 1 << 20,
        "snapshots_size": snapshot.total_size,
        "log_memory_store_size": 5,
    }
    assert metrics["canister_history_size"] > 0
    settings = status.pop("settings")
    assert settings["controllers"] == sorted(state.settings.controllers)
    assert settings["log_memory_limit"] == 4096
    assert settings["log_visibility"] == settings["status_visibility"] == {"controllers": None}
    assert status == {
        "status": {"running": None},
        "ready_for_migration": False,
        "version": 2,
        "module_hash": state.code.hash,
        "memory_size": sum(metrics.values()),
        "cycles": state.cycles,
        "reserved_cycles": 0,
        "idle_cycles_burned_per_day": 0,
        "query_stats": {
            "num_calls_total": 0,
            "num_instructions_total": 0,
            "request_payload_bytes_total": 0,
            "response_payload_bytes_total": 0,
        },
    }
    assert target.status().memory_size == status["memory_size"]


def test_a_stopped_canister_is_ready_for_migration(sandbox: Sandbox, target: Canister) -> None:
    target.stop()
    status = by_query(sandbox, "canister_status", of(target), sender="alice")
    assert (status["status"], status["ready_for_migration"]) == ({"stopped": None}, True)
    sandbox.submit(target, "hello")
    target.start()
    sandbox.submit(target, "hello")
    target.stop()
    assert by_query(sandbox, "canister_status", of(target), sender="alice")["ready_for_migration"] is False


def test_what_a_day_costs(sandbox: Sandbox) -> None:
    paying = Sandbox(costs="mainnet")
    canister = paying.create_canister()
    daily = by_user(paying, "canister_status", of(canister))["idle_cycles_burned_per_day"]
    assert daily == MAINNET.idle_per_second(runtime_of(paying).state_of(canister.id)) * 86_400 > 0


def test_who_sees_the_status(sandbox: Sandbox, target: Canister, caller: Canister) -> None:
    def update(visibility: dict[str, Any]) -> None:
        by_user(sandbox, "update_settings", of(target, settings={"status_visibility": visibility}), sender="alice")

    method, code = "canister_status", ErrorCode.CANISTER_STATUS_ACCESS_DENIED
    text = f"Caller {sandbox.identity('eve')} is not allowed to read the canister status"
    rejected(code, text, by_user, sandbox, method, of(target), sender="eve")
    rejected(code, text, by_query, sandbox, method, of(target), sender="eve")
    rejected(REFUSED, "not allowed to read the canister status", by_canister, caller, method, of(target))
    assert by_query(sandbox, method, of(target), sender=target.id)["version"] == 1
    update({"allowed_viewers": [sandbox.identity("eve"), caller.id]})
    by_user(sandbox, method, of(target), sender="eve")
    by_canister(caller, method, of(target))
    rejected(code, "Caller", by_user, sandbox, method, of(target), sender="mallory")
    update({"public": None})
    by_user(sandbox, method, of(target), sender="anonymous")
    by_query(sandbox, method, of(target), sender="anonymous")


# --- info and history


def test_the_history_is_told_oldest_first(sandbox: Sandbox, caller: Canister) -> None:
    target = sandbox.create_canister(controllers=[sandbox.identity("default"), caller.id])
    target.install(PRINTER)
    state = runtime_of(sandbox).state_of(target.id)
    assert state.code is not None
    snapshot = target.take_snapshot()
    version = caller.status().version
    settings = {"controllers": [caller.id, sandbox.identity("default")]}
    by_canister(caller, "update_settings", of(target, settings=settings, sender_canister_version=version))
    by_canister(caller, "uninstall_code", of(target))
    sandbox.advance_time(seconds=1)
    target.load_snapshot(snapshot.id)
    info = by_canister(caller, "canister_info", of(target, num_requested_changes=10))
    user = {"from_user": {"user_id": sandbox.identity("default")}}
    first, now, controllers = sandbox.time - 10**9, sandbox.time, sorted(settings["controllers"])
    assert info["recent_changes"] == [
        change(first, 0, user, "creation", controllers=controllers, environment_variables_hash=None),
        change(first, 1, user, "code_deployment", mode={"install": None}, module_hash=state.code.hash),
        change(
            first,
            2,
            from_canister(caller.id, version),
            "controllers_change",
            controllers=sorted(settings["controllers"]),
        ),
        change(first, 3, from_canister(caller.id, None), "code_uninstall"),
        change(
            now,
            4,
            from_canister(caller.id, None),
            "load_snapshot",
            from_canister_id=None,
            snapshot_id=snapshot.id,
            canister_version=1,
            taken_at_timestamp=first,
            source={"taken_from_canister": None},
        ),
    ]
    assert (info["total_num_changes"], info["module_hash"]) == (5, state.code.hash)
    assert info["controllers"] == settings["controllers"]


def change(time: int, version: int, origin: dict[str, Any], kind: str, **details: Any) -> dict[str, Any]:
    return {
        "timestamp_nanos": time,
        "canister_version": version,
        "origin": origin,
        "details": {kind: details or None},
    }


def from_canister(canister_id: Principal, version: int | None) -> dict[str, Any]:
    return {"from_canister": {"canister_id": canister_id, "canister_version": version}}


def test_the_last_twenty_changes_are_kept(sandbox: Sandbox, caller: Canister, target: Canister) -> None:
    for _ in range(25):
        target.uninstall()
    assert by_canister(caller, "canister_info", of(target))["recent_changes"] == []
    for wanted, got in ((0, 0), (1, 1), (19, 19), (20, 20), (21, 20), ((1 << 64) - 1, 20)):
        info = by_query(sandbox, "canister_info", of(target, num_requested_changes=wanted), sender="eve")
        assert len(info["recent_changes"]) == min(got, HISTORY)
        assert info["total_num_changes"] == 27
        versions = [change["canister_version"] for change in info["recent_changes"]]
        assert versions == list(range(26 - got + 1, 27))


def test_only_some_things_are_changes(sandbox: Sandbox, target: Canister) -> None:
    before = runtime_of(sandbox).state_of(target.id).total_changes
    target.update_settings(freezing_threshold=1)
    target.stop()
    target.start()
    snapshot = target.take_snapshot()
    target.delete_snapshot(snapshot.id)
    assert runtime_of(sandbox).state_of(target.id).total_changes == before


# --- metadata


def test_metadata(sandbox: Sandbox, target: Canister, caller: Canister) -> None:
    method = "canister_metadata"
    assert by_canister(caller, method, of(target, name="open")) == {"value": b"for all"}
    text = f"The canister {target.id} has no metadata section with the name own."
    rejected(REFUSED, text, by_canister, caller, method, of(target, name="own"))
    target.update_settings(controllers=[caller.id])
    assert by_canister(caller, method, of(target, name="own")) == {"value": b"for few"}
    rejected(REFUSED, "section with the name none.", by_canister, caller, method, of(target, name="none"))
    empty = sandbox.create_canister()
    text = f"The canister {empty.id} has no Wasm module and hence no metadata is available."
    rejected(REFUSED, text, by_canister, caller, method, of(empty, name="open"))


def test_metadata_of_a_real_module(sandbox: Sandbox, caller: Canister) -> None:
    motoko = sandbox.create_canister()
    motoko.install(fixture("counter.enhanced"))
    value = by_canister(caller, "canister_metadata", of(motoko, name="candid:service"))["value"]
    assert value == motoko.metadata("candid:service")
    rejected(REFUSED, "no metadata", by_canister, caller, "canister_metadata", of(motoko, name="motoko:stable-types"))


# --- logs


def logs(sandbox: Sandbox, target: Canister, sender: str = "alice", **fields: Any) -> list[bytes]:
    found = by_query(sandbox, "fetch_canister_logs", of(target, **fields), sender=sender)
    return [record["content"] for record in found["canister_log_records"]]


def test_logs_with_filters(sandbox: Sandbox, target: Canister) -> None:
    start = sandbox.time
    for method in ("hello", "world", "hello"):
        target.update(method)
        sandbox.advance_time(nanoseconds=10)
    rejected(ErrorCode.CANISTER_TRAPPED, "", target.update, "trap")
    assert logs(sandbox, target) == [b"hello", b"world", b"hello", b"[TRAP]: unreachable"][: len(logs(sandbox, target))]
    [first, *_] = by_query(sandbox, "fetch_canister_logs", of(target), sender="bob")["canister_log_records"]
    assert first == {"idx": 0, "timestamp_nanos": start, "content": b"hello"}
    assert logs(sandbox, target, filter={"by_idx": {"start": 1, "end": 2}}) == [b"world"]
    assert logs(sandbox, target, filter={"by_idx": {"start": 1, "end": 1}}) == []
    assert logs(sandbox, target, filter={"by_idx": {"start": 2, "end": 1}}) == []
    span = {"start": start + 10, "end": start + 30}
    assert logs(sandbox, target, filter={"by_timestamp_nanos": span}) == [b"world", b"hello"]


def test_who_reads_the_logs(sandbox: Sandbox, target: Canister, caller: Canister) -> None:
    target.update("hello")
    text = f"Caller {sandbox.identity('eve')} is not allowed to access canister logs"
    rejected(REFUSED, text, logs, sandbox, target, sender="eve")
    rejected(REFUSED, "not allowed to access canister logs", by_canister, caller, "fetch_canister_logs", of(target))
    target.update_settings(log_visibility=[sandbox.identity("eve")])
    assert logs(sandbox, target, sender="eve") == [b"hello"]
    rejected(REFUSED, "not allowed", logs, sandbox, target, sender="mallory")
    target.update_settings(log_visibility="public")
    assert logs(sandbox, target, sender="anonymous") == [b"hello"]
    assert len(by_canister(caller, "fetch_canister_logs", of(target))["canister_log_records"]) == 1


def test_the_size_of_the_log_is_a_setting(sandbox: Sandbox, target: Canister) -> None:
    for _ in range(2):
        target.update("big")
    assert len(logs(sandbox, target)) == 1
    target.update_settings(log_memory_limit=9_000)
    for _ in range(3):
        target.update("big")
    assert len(logs(sandbox, target)) == 3
    target.update_settings(log_memory_limit=4_096)
    assert len(logs(sandbox, target)) == 1
    target.update_settings(log_memory_limit=0)
    target.update("hello")
    assert logs(sandbox, target) == []


def test_an_answer_holds_what_fits(sandbox: Sandbox, target: Canister) -> None:
    target.update_settings(log_memory_limit=2 << 20)
    for _ in range(750):
        target.update("big")
    target.update("world")
    records = by_query(sandbox, "fetch_canister_logs", of(target), sender="alice")["canister_log_records"]
    assert 600 < len(records) < len(runtime_of(sandbox).state_of(target.id).logs)
    assert records[-1]["content"] == b"world"
    everything = {"by_idx": {"start": 0, "end": 10_000}}
    filtered = by_query(sandbox, "fetch_canister_logs", of(target, filter=everything), sender="alice")
    assert filtered["canister_log_records"][0]["idx"] == runtime_of(sandbox).state_of(target.id).logs[0].index


# --- randomness and the subnet


def test_randomness_follows_from_the_seed() -> None:
    def draws(seed: int) -> list[bytes]:
        caller = relay(Sandbox(seed=seed))
        return [by_canister(caller, "raw_rand") for _ in range(5)]

    first = draws(1)
    assert first == draws(1)
    assert len({*first, *draws(2)}) == 10
    assert {len(draw) for draw in first} == {32}


def test_randomness_goes_on_after_an_anchor_and_on_disk(tmp_path: Any) -> None:
    sandbox = Sandbox()
    caller = relay(sandbox)
    with sandbox.anchor():
        drawn = by_canister(caller, "raw_rand")
    assert by_canister(caller, "raw_rand") == drawn
    with Sandbox.open(tmp_path) as kept:
        first = by_canister(relay(kept), "raw_rand")
    with Sandbox.open(tmp_path) as kept:
        assert by_canister(kept.canisters()[0], "raw_rand") != first


def test_subnet_info(sandbox: Sandbox, caller: Canister) -> None:
    own = runtime_of(sandbox).management_context(caller.id).subnet_id
    assert by_canister(caller, "subnet_info", {"subnet_id": own})["replica_version"] == "canister-sandbox"
    other = sandbox.identity("eve")
    assert own == MANAGEMENT or own != other
    rejected(REFUSED, f"Subnet {other}", by_canister, caller, "subnet_info", {"subnet_id": other})


def test_the_handle_shows_status_and_log_to_those_who_may_see_them(sandbox: Sandbox) -> None:
    """`sender` is asked as the platform asks; without it, they are shown as to a controller."""
    owner, eve = sandbox.identity("default"), sandbox.identity("eve")
    target = sandbox.create_canister()
    assert target.status() == target.status(owner) == target.status(target.id)
    assert target.logs() == target.logs(owner) == ()
    denied = ErrorCode.CANISTER_STATUS_ACCESS_DENIED
    rejected(denied, f"Caller {eve} is not allowed to read the canister status", target.status, eve)
    rejected(REFUSED, f"Caller {eve} is not allowed to access canister logs", target.logs, eve)
    target.update_settings(status_visibility=[eve], log_visibility="public")
    assert target.status(eve) == target.status()
    assert target.logs(eve) == ()
    nobodys = sandbox.create_canister(controllers=[])
    assert nobodys.status().status == "running"
    rejected(denied, "", nobodys.status, owner)
