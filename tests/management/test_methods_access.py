"""Every method of `aaaaa-aa`: who may call it, from where, and that a refused call leaves everything as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sandbox import CallRejected, Canister, ErrorCode, Principal, RawState, Sandbox
from sandbox.api import runtime_of
from sandbox.candid import encode
from sandbox.management import dispatch
from sandbox.management.table import METHODS, PROPOSAL, QUERIES, interface, signature
from sandbox.management.unsupported import NOT_INGRESS, UNSUPPORTED
from sandbox.state import CanisterState
from tests.conftest import fixture, guest, rejected
from tests.management.methods import (
    MANAGEMENT,
    NOBODY,
    by_canister,
    by_user,
    encoded,
    raw_by_canister,
    raw_by_user,
    relay,
)

MODULE = guest('(func (export "canister_query q"))')
NO_SNAPSHOT = bytes(8) + bytes(NOBODY)
METADATA = {
    "wasm_module_size": 8,
    "globals": [],
    "wasm_memory_size": 65536,
    "stable_memory_size": 0,
    "certified_data": b"",
}


def arguments(target: Principal, snapshot: bytes = NO_SNAPSHOT) -> dict[str, dict[str, Any]]:
    """A good argument for every method that names a canister and that not everybody may call."""
    of = {"canister_id": target}
    taken = {**of, "snapshot_id": snapshot}
    return {
        "update_settings": {**of, "settings": {"freezing_threshold": 1}},
        "upload_chunk": {**of, "chunk": b"chunk"},
        "clear_chunk_store": of,
        "stored_chunks": of,
        "install_code": {**of, "mode": {"reinstall": None}, "wasm_module": MODULE, "arg": b""},
        "install_chunked_code": {
            "mode": {"reinstall": None},
            "target_canister": target,
            "chunk_hashes_list": [],
            "wasm_module_hash": b"",
            "arg": b"",
        },
        "uninstall_code": of,
        "start_canister": of,
        "stop_canister": of,
        "canister_status": of,
        "delete_canister": of,
        "take_canister_snapshot": of,
        "load_canister_snapshot": taken,
        "read_canister_snapshot_metadata": taken,
        "read_canister_snapshot_data": {**taken, "kind": {"wasm_module": {"offset": 0, "size": 1}}},
        "upload_canister_snapshot_metadata": {**of, **METADATA},
        "upload_canister_snapshot_data": {**taken, "kind": {"wasm_module": {"offset": 0}}, "chunk": b"x"},
        "list_canister_snapshots": of,
        "delete_canister_snapshot": taken,
    }


GUARDED = sorted(arguments(NOBODY))
OPEN = {
    "deposit_cycles": {"canister_id": NOBODY},
    "canister_info": {"canister_id": NOBODY},
    "canister_metadata": {"canister_id": NOBODY, "name": "x"},
    "fetch_canister_logs": {"canister_id": NOBODY},
    "provisional_top_up_canister": {"canister_id": NOBODY, "amount": 1},
}
"""Methods that name a canister and that everybody may call, or whose access is not the controllers'."""
CANISTERS_ONLY = {
    "create_canister",
    "deposit_cycles",
    "raw_rand",
    "http_request",
    "flexible_http_request",
    "canister_info",
    "canister_metadata",
    "ecdsa_public_key",
    "sign_with_ecdsa",
    "schnorr_public_key",
    "sign_with_schnorr",
    "vetkd_public_key",
    "vetkd_derive_key",
    "subnet_info",
    "fetch_canister_logs",
}
DENIED = {"canister_status": ErrorCode.CANISTER_STATUS_ACCESS_DENIED}


def whole(sandbox: Sandbox, canister: Canister) -> tuple[CanisterState, RawState]:
    return runtime_of(sandbox).state_of(canister.id), sandbox.raw_state(canister)


@pytest.fixture
def target(sandbox: Sandbox) -> Canister:
    """A canister of alice and bob, with code, a chunk and a snapshot."""
    canister = sandbox.create_canister(controllers=[sandbox.identity("alice"), sandbox.identity("bob")])
    canister.install(MODULE)
    by_user(sandbox, "upload_chunk", {"canister_id": canister.id, "chunk": b"kept"}, sender="alice")
    canister.take_snapshot("kept")
    return canister


def argument(method: str, target: Canister) -> dict[str, Any]:
    return arguments(target.id, target.list_snapshots()[0].id)[method]


@pytest.mark.parametrize("method", GUARDED)
def test_a_user_who_is_no_controller_is_refused(method: str, sandbox: Sandbox, target: Canister) -> None:
    before = whole(sandbox, target)
    code = DENIED.get(method, ErrorCode.CANISTER_INVALID_CONTROLLER)
    arg = argument(method, target)
    rejected(code, str(sandbox.identity("eve")), by_user, sandbox, method, arg, sender="eve")
    assert whole(sandbox, target) == before


@pytest.mark.parametrize("method", GUARDED)
def test_a_canister_that_is_no_controller_is_refused(method: str, sandbox: Sandbox, target: Canister) -> None:
    caller, before = relay(sandbox), whole(sandbox, target)
    arg = argument(method, target)
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, str(caller.id), by_canister, caller, method, arg)
    assert whole(sandbox, target) == before


@pytest.mark.parametrize("method", sorted({*GUARDED, *OPEN}))
def test_a_canister_that_does_not_exist_is_not_found(method: str, sandbox: Sandbox) -> None:
    arg, caller = (arguments(NOBODY) | OPEN)[method], relay(sandbox)
    text = f"Canister {NOBODY} not found.\nCheck the ICP dashboard to ensure the canister exists. See"
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text, by_canister, caller, method, arg)
    if method not in CANISTERS_ONLY:
        rejected(ErrorCode.CANISTER_NOT_FOUND, text, by_user, sandbox, method, arg)


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("arg", [b"", b"\x01\x02\x03", b"DIDL\x00\x01\x7d\x05", b"DIDL\x00\x01\x71\x80"])
def test_what_is_not_the_argument_is_refused(method: str, arg: bytes, sandbox: Sandbox, target: Canister) -> None:
    before, canisters = whole(sandbox, target), len(sandbox.canisters())
    caller = relay(sandbox)
    expected = "Error decoding candid: "
    if method == "raw_rand" and arg == b"DIDL\x00\x01\x7d\x05":
        return  # superfluous arguments are not looked at
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, expected, raw_by_canister, caller, method, arg)
    if method not in CANISTERS_ONLY:
        code = ErrorCode.INVALID_MANAGEMENT_PAYLOAD
        rejected(code, "Error decoding candid: ", raw_by_user, sandbox, method, arg, "alice")
    assert whole(sandbox, target) == before
    assert len(sandbox.canisters()) == canisters + 1


@pytest.mark.parametrize("method", sorted(CANISTERS_ONLY))
def test_users_may_not_call_it(method: str, sandbox: Sandbox) -> None:
    text = f"ic00 method {method} can not be called via ingress messages"
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text, raw_by_user, sandbox, method, b"DIDL\0\0")


def test_the_table_says_who_may_call_what() -> None:
    assert {name for name, row in METHODS.items() if not row.ingress} == CANISTERS_ONLY
    assert set(QUERIES) == {"canister_status", "canister_info", "fetch_canister_logs"}


def test_every_method_of_the_interfaces_has_a_row_and_the_other_way_round() -> None:
    assert set(interface().methods) == set(METHODS)
    assert set(interface("proposal.did").methods) == set(PROPOSAL)
    assert not set(METHODS) & set(PROPOSAL)
    assert not {*METHODS, *PROPOSAL} & set(UNSUPPORTED)
    assert {name for name, kind in interface().methods.items() if "query" in kind.modes} == set(QUERIES)
    assert all(signature(name) for name in {*METHODS, *PROPOSAL})


@pytest.mark.parametrize("method", ["canister_statuss", "", "http", "__proto__", "a b"])
def test_what_is_no_method_is_refused(method: str, sandbox: Sandbox) -> None:
    code = ErrorCode.CANISTER_METHOD_NOT_FOUND
    send = lambda: sandbox.update(MANAGEMENT, method, b"DIDL\0\0").or_raise()  # noqa: E731
    rejected(code, f"ic00 interface does not expose method {method}", send)
    text = f"Management canister has no method '{method}'"
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text, raw_by_canister, relay(sandbox), method, b"DIDL\0\0")


@pytest.mark.parametrize("method", sorted(UNSUPPORTED))
def test_what_is_not_supported_is_refused_by_name(method: str, sandbox: Sandbox) -> None:
    refused = f"does not support {method}: {UNSUPPORTED[method]}"
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, refused, raw_by_canister, relay(sandbox), method, b"DIDL\0\0")
    text = f"ic00 method {method} can not be called" if method in NOT_INGRESS else refused
    send = lambda: sandbox.update(MANAGEMENT, method, b"DIDL\0\0").or_raise()  # noqa: E731
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text, send)


@pytest.mark.parametrize("method", sorted({*METHODS, "nothing", "list_canisters"} - set(QUERIES)))
def test_only_queries_answer_queries(method: str, sandbox: Sandbox) -> None:
    def ask() -> bytes:
        return dispatch.query(runtime_of(sandbox).management_context(sandbox.identity("eve")), method, b"DIDL\0\0")

    if method in UNSUPPORTED:
        rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, f"does not support {method}", ask)
    else:
        rejected(ErrorCode.CANISTER_METHOD_NOT_FOUND, f"Query method {method} not found.", ask)


# --- a canister may do some things to itself


@pytest.mark.parametrize("method", ["canister_status", "upload_chunk", "stored_chunks", "clear_chunk_store"])
def test_a_canister_may_do_it_to_itself(method: str, sandbox: Sandbox) -> None:
    itself = relay(sandbox)
    by_canister(itself, method, arguments(itself.id)[method])


@pytest.mark.parametrize(
    "method", sorted(set(GUARDED) - {"canister_status", "upload_chunk", "stored_chunks", "clear_chunk_store"})
)
def test_a_canister_may_not_do_it_to_itself(method: str, sandbox: Sandbox) -> None:
    itself = relay(sandbox)
    itself.take_snapshot()
    state = runtime_of(sandbox).state_of(itself.id)
    arg = arguments(itself.id, itself.list_snapshots()[0].id)[method]
    text = "cannot delete itself" if method == "delete_canister" else "Only the controllers"
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text, by_canister, itself, method, arg)
    after = runtime_of(sandbox).state_of(itself.id)
    assert (after.code, after.settings, after.status, after.snapshots, after.history) == (
        state.code,
        state.settings,
        state.status,
        state.snapshots,
        state.history,
    )


# --- the version of the caller

VERSIONED: dict[str, Callable[[Principal, bytes], dict[str, Any]]] = {
    "create_canister": lambda target, _: {},
    "provisional_create_canister_with_cycles": lambda target, _: {},
    "update_settings": lambda target, _: arguments(target)["update_settings"],
    "install_code": lambda target, _: arguments(target)["install_code"],
    "uninstall_code": lambda target, _: arguments(target)["uninstall_code"],
    "take_canister_snapshot": lambda target, _: arguments(target)["take_canister_snapshot"],
    "load_canister_snapshot": lambda target, snapshot: arguments(target, snapshot)["load_canister_snapshot"],
}


@pytest.mark.parametrize("method", sorted(VERSIONED))
def test_a_canister_that_says_its_version_must_say_the_right_one(method: str, sandbox: Sandbox) -> None:
    caller = relay(sandbox)
    target = sandbox.create_canister(controllers=[caller.id])
    target.install(MODULE)
    snapshot = target.take_snapshot()
    arg, version = VERSIONED[method](target.id, snapshot.id), caller.status().version
    before, canisters = whole(sandbox, target), len(sandbox.canisters())
    text = (
        f"Management canister call payload includes sender canister version 666 that does not match the actual "
        f"sender canister version {version}."
    )
    wrong = {**arg, "sender_canister_version": 666}
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text, by_canister, caller, method, wrong)
    assert whole(sandbox, target) == before
    assert len(sandbox.canisters()) == canisters
    by_canister(caller, method, {**arg, "sender_canister_version": caller.status().version})


def test_a_user_may_say_any_version(sandbox: Sandbox, target: Canister) -> None:
    arg = {**argument("uninstall_code", target), "sender_canister_version": 666}
    by_user(sandbox, "uninstall_code", arg, sender="alice")
    change = runtime_of(sandbox).state_of(target.id).history[-1]
    assert (change.by_canister, change.sender_version) == (False, None)


# --- through a real canister


def test_a_motoko_canister_calls_every_kind_of_method(sandbox: Sandbox) -> None:
    motoko = sandbox.create_canister()
    motoko.install(fixture("counter.enhanced"))

    def forward(method: str, *args: Any) -> bytes:
        answer = motoko.call("forward", MANAGEMENT, method, encoded(method, *args))
        assert isinstance(answer, bytes)
        return answer

    assert forward("stop_canister", {"canister_id": other(sandbox, motoko).id}) == encode("()", [])
    assert len(forward("raw_rand")) > 32
    with pytest.raises(CallRejected, match="Canister lxzze-o7777-77777-aaaaa-cai not found"):
        forward("start_canister", {"canister_id": NOBODY})


def other(sandbox: Sandbox, controller: Canister) -> Canister:
    return sandbox.create_canister(controllers=[controller.id])
