"""Creating, settings, code, cycles: the methods of `aaaaa-aa` by their Candid arguments, for users and canisters."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from sandbox import CallRejected, Canister, ErrorCode, Principal, Sandbox, Visibility
from sandbox.api import runtime_of
from sandbox.execution.fees import MAINNET
from sandbox.limits import CHUNK_SIZE, CHUNKS, MODULE_SIZE, PROVISIONAL_BALANCE
from sandbox.state import Status
from tests.conftest import fixture, guest, number, rejected, wat
from tests.management.methods import NOBODY, by_canister, by_user, refunded, relay, total_cycles

COUNTER = guest(
    """(func (export "canister_init") (i64.store (i32.const 0) (i64.const 10)))
    (func (export "canister_post_upgrade") (i64.store (i32.const 0) (i64.const 20)))
    (func (export "canister_update trap") unreachable)
    (func (export "canister_query get") (call $reply64 (i64.load (i32.const 0))))"""
)
TRAPS = guest('(func (export "canister_init") unreachable)')
TRILLION = 10**12
REFUSED = ErrorCode.CANISTER_REJECTED_MESSAGE


@pytest.fixture
def caller(sandbox: Sandbox) -> Canister:
    return relay(sandbox)


@pytest.fixture
def target(sandbox: Sandbox, caller: Canister) -> Canister:
    """An empty canister of user `default` and the relay."""
    return sandbox.create_canister(controllers=[sandbox.identity("default"), caller.id])


def of(target: Canister, **fields: Any) -> dict[str, Any]:
    return {"canister_id": target.id, **fields}


# --- creation


def test_a_canister_creates_a_canister_with_the_cycles_of_the_call(sandbox: Sandbox, caller: Canister) -> None:
    before, version = total_cycles(sandbox), caller.status().version
    arg = {"settings": {"compute_allocation": 3}, "sender_canister_version": version}
    made = sandbox.canister(by_canister(caller, "create_canister", arg, cycles=TRILLION)["canister_id"])
    status = made.status()
    assert (status.cycles, status.settings.controllers, status.settings.compute_allocation) == (
        TRILLION,
        (caller.id,),
        3,
    )
    assert (status.status, status.version, status.module_hash) == ("running", 0, None)
    assert total_cycles(sandbox) == before
    [change] = runtime_of(sandbox).state_of(made.id).history
    assert (change.kind, change.user, change.by_canister, change.sender_version) == (
        "creation",
        caller.id,
        True,
        version,
    )


def test_creation_costs_its_fee() -> None:
    sandbox = Sandbox(costs="mainnet")
    caller = relay(sandbox)
    made = by_canister(caller, "create_canister", {}, cycles=TRILLION)["canister_id"]
    assert sandbox.canister(made).status().cycles == TRILLION - MAINNET.creation
    text = (
        f"Creating a canister requires a fee of {MAINNET.creation} that is deducted from the canister's "
        f"initial balance but only {MAINNET.creation - 1} cycles were received with the create_canister request.\n"
    )
    rejected(REFUSED, text, by_canister, caller, "create_canister", {}, cycles=MAINNET.creation - 1)
    assert refunded(caller) == MAINNET.creation - 1
    assert len(sandbox.canisters()) == 2


def test_a_creation_that_is_refused_gives_the_cycles_back(sandbox: Sandbox, caller: Canister) -> None:
    settings = {"compute_allocation": 101}
    text = "Could not validate the settings: Invalid settings: 'compute_allocation'"
    rejected(REFUSED, text, by_canister, caller, "create_canister", {"settings": settings}, cycles=5)
    assert refunded(caller) == 5
    assert len(sandbox.canisters()) == 1


def test_a_provisional_canister_has_cycles_out_of_nothing(sandbox: Sandbox, caller: Canister) -> None:
    method = "provisional_create_canister_with_cycles"
    first = sandbox.canister(by_user(sandbox, method, {}, sender="alice")["canister_id"])
    assert first.status().cycles == PROVISIONAL_BALANCE
    assert first.status().settings.controllers == (sandbox.identity("alice"),)
    second = by_canister(caller, method, {"amount": 7, "specified_id": NOBODY}, cycles=3)["canister_id"]
    assert (second, refunded(caller)) == (NOBODY, 3)
    assert sandbox.canister(NOBODY).status().cycles == 7
    text = f"canister id {NOBODY} already exists"
    rejected(ErrorCode.CANISTER_ID_ALREADY_EXISTS, text, by_user, sandbox, method, {"specified_id": NOBODY})
    huge = {"amount": 1 << 128}
    rejected(ErrorCode.INVALID_MANAGEMENT_PAYLOAD, "128 bits", by_user, sandbox, method, huge)


def test_the_history_holds_the_hash_of_the_first_environment_variables(sandbox: Sandbox) -> None:
    settings = {"environment_variables": [{"name": "b", "value": "2"}, {"name": "a", "value": "1"}]}
    made = by_user(sandbox, "provisional_create_canister_with_cycles", {"settings": settings})["canister_id"]
    parts = [b"".join(hashlib.sha256(text).digest() for text in pair) for pair in ((b"a", b"1"), (b"b", b"2"))]
    [change] = runtime_of(sandbox).state_of(made).history
    assert dict(change.details)["environment_variables_hash"] == hashlib.sha256(b"".join(sorted(parts))).digest()


# --- cycles


def test_deposited_cycles_are_the_canisters(sandbox: Sandbox, caller: Canister) -> None:
    target, before = sandbox.create_canister(), total_cycles(sandbox)
    by_canister(caller, "deposit_cycles", of(target), cycles=TRILLION)
    assert target.status().cycles == PROVISIONAL_BALANCE + TRILLION
    assert (refunded(caller), total_cycles(sandbox)) == (0, before)
    by_canister(caller, "deposit_cycles", of(caller), cycles=TRILLION)
    assert total_cycles(sandbox) == before
    rejected(REFUSED, "not found", by_canister, caller, "deposit_cycles", {"canister_id": NOBODY}, cycles=9)
    assert (refunded(caller), total_cycles(sandbox)) == (9, before)


def test_a_method_that_takes_no_cycles_gives_them_back(sandbox: Sandbox, caller: Canister) -> None:
    before = total_cycles(sandbox)
    by_canister(caller, "raw_rand", cycles=123)
    assert (refunded(caller), total_cycles(sandbox)) == (123, before)


def test_anybody_tops_up_any_canister(sandbox: Sandbox, caller: Canister) -> None:
    target = sandbox.create_canister(cycles=0)
    by_user(sandbox, "provisional_top_up_canister", of(target, amount=5), sender="eve")
    by_canister(caller, "provisional_top_up_canister", of(target, amount=6))
    assert target.status().cycles == 11
    by_user(sandbox, "provisional_top_up_canister", of(target, amount=(1 << 128) - 1))
    assert target.status().cycles == (1 << 128) - 1


# --- settings


def test_every_setting_is_set_and_told(sandbox: Sandbox, target: Canister) -> None:
    eve = sandbox.identity("eve")
    given: dict[str, Any] = {
        "controllers": [sandbox.identity("default"), eve],
        "compute_allocation": 1,
        "memory_allocation": 2,
        "freezing_threshold": 3,
        "reserved_cycles_limit": 4,
        "minimum_incoming_canister_call_cycles": 5,
        "log_visibility": {"public": None},
        "log_memory_limit": 5_000,
        "snapshot_visibility": {"allowed_viewers": [eve]},
        "status_visibility": {"controllers": None},
        "wasm_memory_limit": 6,
        "wasm_memory_threshold": 7,
        "environment_variables": [{"name": "a", "value": "x"}, {"name": "b", "value": ""}],
    }
    by_user(sandbox, "update_settings", of(target, settings=given))
    assert by_user(sandbox, "canister_status", of(target))["settings"] == given
    assert target.status().settings.snapshot_visibility == Visibility(allowed_viewers=(eve,))
    by_user(sandbox, "update_settings", of(target, settings={}))
    assert by_user(sandbox, "canister_status", of(target))["settings"] == given


@pytest.mark.parametrize(
    ("settings", "code", "text"),
    [
        ({"controllers": [Principal.from_index(k) for k in range(11)]}, 504, "'controllers' length exceeds maximum"),
        ({"compute_allocation": 101}, 504, "'compute_allocation' must be between 0 and 100"),
        ({"memory_allocation": 1 << 64}, 504, "'memory_allocation'"),
        ({"freezing_threshold": 1 << 64}, 504, "'freezing_threshold'"),
        ({"reserved_cycles_limit": 1 << 128}, 504, "'reserved_cycles_limit'"),
        ({"minimum_incoming_canister_call_cycles": 1 << 128}, 504, "'minimum_incoming_canister_call_cycles'"),
        ({"wasm_memory_limit": (1 << 48) + 1}, 504, "'wasm_memory_limit'"),
        ({"wasm_memory_threshold": (1 << 48) + 1}, 504, "'wasm_memory_threshold'"),
        ({"log_memory_limit": 1}, 406, "The canister log memory limit 1 is too low. It must be at least 4096."),
        ({"log_memory_limit": 4095}, 406, "log memory limit 4095 is too low"),
        ({"log_memory_limit": (2 << 20) + 1}, 406, "is too high. It must be at most 2097152."),
        ({"log_visibility": {"allowed_viewers": [NOBODY] * 11}}, 504, "'log_visibility' length exceeds maximum"),
        ({"snapshot_visibility": {"allowed_viewers": [NOBODY] * 11}}, 504, "'snapshot_visibility' length"),
        ({"status_visibility": {"allowed_viewers": [NOBODY] * 11}}, 504, "'status_visibility' length"),
        (
            {"environment_variables": [{"name": f"{k}", "value": ""} for k in range(21)]},
            408,
            "Too many environment variables: 21 (max: 20)",
        ),
        (
            {"environment_variables": [{"name": "é" * 65, "value": ""}]},
            408,
            "exceeds the maximum allowed length of 128.",
        ),
        ({"environment_variables": [{"name": "x", "value": "v" * 129}]}, 408, "Environment variable value"),
        ({"environment_variables": [{"name": "x", "value": ""}] * 2}, 408, "Duplicate"),
    ],
)
def test_a_setting_out_of_bounds_changes_nothing(
    settings: dict[str, Any], code: int, text: str, sandbox: Sandbox, caller: Canister, target: Canister
) -> None:
    before, error = runtime_of(sandbox).state_of(target.id), ErrorCode(code)
    arg = of(target, settings={"freezing_threshold": 1, **settings})
    rejected(error, text, by_user, sandbox, "update_settings", arg)
    rejected(REFUSED, text, by_canister, caller, "update_settings", arg)
    creation = {"settings": settings}
    rejected(error, text, by_user, sandbox, "provisional_create_canister_with_cycles", creation)
    assert runtime_of(sandbox).state_of(target.id) == before
    assert len(sandbox.canisters()) == 2


def test_a_memory_limit_below_what_is_used_is_refused(sandbox: Sandbox, target: Canister) -> None:
    target.install(COUNTER)
    arg = of(target, settings={"wasm_memory_limit": 65_535})
    rejected(ErrorCode.CANISTER_CONTRACT_VIOLATION, "65536", by_user, sandbox, "update_settings", arg)
    by_user(sandbox, "update_settings", of(target, settings={"wasm_memory_limit": 65_536}))


# --- code


def test_install_upgrade_reinstall_uninstall(sandbox: Sandbox, caller: Canister, target: Canister) -> None:
    install = of(target, mode={"install": None}, wasm_module=COUNTER, arg=b"")
    by_canister(caller, "install_code", {**install, "sender_canister_version": caller.status().version})
    assert number(target.query_raw("get").reply) == 10
    by_canister(caller, "install_code", {**install, "mode": {"upgrade": None}})
    assert number(target.query_raw("get").reply) == 20
    rejected(ErrorCode.CANISTER_NON_EMPTY, "cannot be installed", by_user, sandbox, "install_code", install)
    by_user(sandbox, "install_code", {**install, "mode": {"reinstall": None}})
    assert number(target.query_raw("get").reply) == 10
    by_canister(caller, "uninstall_code", of(target))
    assert target.status().module_hash is None
    assert target.status().version == 4


@pytest.mark.parametrize("mode", ["install", "reinstall"])
def test_an_installation_that_traps_changes_nothing(
    mode: str, sandbox: Sandbox, caller: Canister, target: Canister
) -> None:
    before = runtime_of(sandbox).state_of(target.id)
    arg = of(target, mode={mode: None}, wasm_module=TRAPS, arg=b"")
    text = f"Error from Canister {target.id}: Canister trapped: unreachable"
    rejected(REFUSED, text, by_canister, caller, "install_code", arg)
    bad = {**arg, "wasm_module": b"\0asm"}
    rejected(ErrorCode.CANISTER_INVALID_WASM, "not valid", by_user, sandbox, "install_code", bad)
    after = runtime_of(sandbox).state_of(target.id)
    assert (after.code, after.version, after.history, after.cycles) == (None, 0, before.history, before.cycles)


def test_upgrade_options(sandbox: Sandbox, target: Canister) -> None:
    target.install(guest('(func (export "canister_pre_upgrade") unreachable)'))
    arg = of(target, mode={"upgrade": None}, wasm_module=COUNTER, arg=b"")
    rejected(ErrorCode.CANISTER_TRAPPED, "unreachable", by_user, sandbox, "install_code", arg)
    by_user(sandbox, "install_code", {**arg, "mode": {"upgrade": {"skip_pre_upgrade": True}}})
    keep = {"upgrade": {"wasm_memory_persistence": {"keep": None}}}
    rejected(
        ErrorCode.CANISTER_CONTRACT_VIOLATION,
        "Invalid upgrade option",
        by_user,
        sandbox,
        "install_code",
        {**arg, "mode": keep},
    )


# --- chunks


def test_a_module_is_installed_from_chunks(sandbox: Sandbox, caller: Canister, target: Canister) -> None:
    module = fixture("counter.enhanced")
    pieces = [module[k : k + 100_000] for k in range(0, len(module), 100_000)]
    hashes = [by_user(sandbox, "upload_chunk", of(target, chunk=piece)) for piece in pieces]
    assert [h["hash"] for h in hashes] == [hashlib.sha256(piece).digest() for piece in pieces]
    assert by_canister(caller, "upload_chunk", of(target, chunk=pieces[0])) == hashes[0]
    stored = by_canister(caller, "stored_chunks", of(target))
    assert sorted(stored, key=lambda h: h["hash"]) == sorted(hashes, key=lambda h: h["hash"])
    metrics = by_user(sandbox, "canister_status", of(target))["memory_metrics"]
    assert metrics["wasm_chunk_store_size"] == len(pieces) * CHUNK_SIZE
    arg = {
        "mode": {"install": None},
        "target_canister": target.id,
        "chunk_hashes_list": hashes,
        "wasm_module_hash": hashlib.sha256(module).digest(),
        "arg": b"DIDL\0\0",
    }
    by_canister(caller, "install_chunked_code", arg)
    assert target.call("get") == 0
    assert target.status().module_hash == hashlib.sha256(module).digest()
    by_user(sandbox, "clear_chunk_store", of(target))
    assert by_user(sandbox, "stored_chunks", of(target)) == []


def chunked(target: Canister, store: Canister, parts: list[bytes], module: bytes) -> dict[str, Any]:
    return {
        "mode": {"install": None},
        "target_canister": target.id,
        "store_canister": store.id,
        "chunk_hashes_list": [{"hash": part} for part in parts],
        "wasm_module_hash": hashlib.sha256(module).digest(),
        "arg": b"",
    }


def test_chunks_may_lie_in_another_canister(sandbox: Sandbox, caller: Canister, target: Canister) -> None:
    digest = by_canister(caller, "upload_chunk", of(caller, chunk=COUNTER))["hash"]
    arg = chunked(target, caller, [digest], COUNTER)
    by_canister(caller, "install_chunked_code", arg)
    assert number(target.query_raw("get").reply) == 10
    strangers = relay(sandbox)
    state = runtime_of(sandbox).state_of(strangers.id)
    other = chunked(target, sandbox.create_canister(controllers=["aaaaa-aa"]), [digest], COUNTER)
    code = ErrorCode.CANISTER_INVALID_CONTROLLER
    rejected(code, "Only the controllers", by_user, sandbox, "install_chunked_code", other)
    assert runtime_of(sandbox).state_of(strangers.id) == state


def test_what_is_wrong_with_chunks_is_said(sandbox: Sandbox, target: Canister) -> None:
    digest = by_user(sandbox, "upload_chunk", of(target, chunk=COUNTER))["hash"]
    before, code = runtime_of(sandbox).state_of(target.id), ErrorCode.CANISTER_CONTRACT_VIOLATION
    for parts, module, text in (
        ([b"short"], COUNTER, "Error from Wasm chunk store: Chunk hash is invalid. The length is not 32."),
        ([bytes(32)], COUNTER, f"Chunk hash {[0] * 32} was not found."),
        ([digest, digest], COUNTER, f"does not match given hash {list(hashlib.sha256(COUNTER).digest())}."),
        ([], COUNTER, "Wasm module hash"),
    ):
        arg = chunked(target, target, parts, module)
        rejected(code, text, by_user, sandbox, "install_chunked_code", arg)
    large = of(target, chunk=bytes(CHUNK_SIZE + 1))
    text = f"Wasm chunk size {CHUNK_SIZE + 1} exceeds the maximum chunk size of {CHUNK_SIZE}."
    rejected(code, text, by_user, sandbox, "upload_chunk", large)
    assert runtime_of(sandbox).state_of(target.id) == before
    digest = by_user(sandbox, "upload_chunk", of(target, chunk=bytes(CHUNK_SIZE)))["hash"]
    many = MODULE_SIZE // CHUNK_SIZE + 1
    text = f"Wasm module size of {many * CHUNK_SIZE} exceeds the maximum allowed size of {MODULE_SIZE}"
    arg = chunked(target, target, [digest] * many, COUNTER)
    rejected(ErrorCode.CANISTER_INVALID_WASM, text, by_user, sandbox, "install_chunked_code", arg)


def test_a_chunk_store_holds_a_hundred_chunks(sandbox: Sandbox, target: Canister) -> None:
    for k in range(CHUNKS):
        by_user(sandbox, "upload_chunk", of(target, chunk=b"%d" % k))
    text = "has already reached maximum capacity of 104857600 bytes or the maximum number of entries, 100."
    code = ErrorCode.CANISTER_CONTRACT_VIOLATION
    rejected(code, text, by_user, sandbox, "upload_chunk", of(target, chunk=b"more"))
    by_user(sandbox, "upload_chunk", of(target, chunk=b"7"))


def test_the_chunk_store_stays_with_a_reinstall_and_goes_with_an_uninstall(sandbox: Sandbox, target: Canister) -> None:
    by_user(sandbox, "upload_chunk", of(target, chunk=b"chunk"))
    target.install(COUNTER)
    target.upgrade(COUNTER)
    target.install(COUNTER, mode="reinstall")
    assert len(by_user(sandbox, "stored_chunks", of(target))) == 1
    target.uninstall()
    assert by_user(sandbox, "stored_chunks", of(target)) == []


def test_chunks_survive_on_disk(tmp_path: Any) -> None:
    with Sandbox.open(tmp_path) as sandbox:
        target = sandbox.create_canister()
        by_user(sandbox, "upload_chunk", of(target, chunk=b"chunk"))
        caller = relay(sandbox)
        made = by_canister(caller, "create_canister", {"sender_canister_version": 1})["canister_id"]
        history = runtime_of(sandbox).state_of(made).history
    with Sandbox.open(tmp_path) as sandbox:
        assert dict(runtime_of(sandbox).state_of(target.id).chunks) == {hashlib.sha256(b"chunk").digest(): b"chunk"}
        assert runtime_of(sandbox).state_of(made).history == history


# --- start, stop, delete


def test_stop_start_delete(sandbox: Sandbox, caller: Canister, target: Canister) -> None:
    code = ErrorCode.CANISTER_NOT_STOPPED
    rejected(code, "must be stopped before it is deleted", by_user, sandbox, "delete_canister", of(target))
    by_canister(caller, "stop_canister", of(target))
    assert runtime_of(sandbox).state_of(target.id).status is Status.STOPPED
    by_canister(caller, "start_canister", of(target))
    by_user(sandbox, "stop_canister", of(target))
    by_canister(caller, "delete_canister", of(target))
    with pytest.raises(CallRejected, match="IC0301"):
        sandbox.canister(target.id)


def test_a_canister_with_messages_on_their_way_is_not_deleted(sandbox: Sandbox, target: Canister) -> None:
    target.stop()
    target.start()
    target.install(COUNTER)
    sandbox.submit(target, "trap")
    target.stop()
    text = "has messages in its queues and cannot be deleted now. Please retry after some time."
    rejected(ErrorCode.CANISTER_QUEUE_NOT_EMPTY, text, target.delete)
    sandbox.run_until_idle()
    target.delete()


def test_a_module_without_memory_is_fine(sandbox: Sandbox, target: Canister) -> None:
    arg = of(target, mode={"install": None}, wasm_module=wat("(module)"), arg=b"")
    by_user(sandbox, "install_code", arg)
    assert target.status().heap_size == 0
