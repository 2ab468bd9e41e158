"""Interface specification, "The IC management canister", as canisters call it and as queries see it."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox import ErrorCode, Sandbox
from sandbox.api import runtime_of
from tests.conftest import rejected
from tests.management.methods import MANAGEMENT, NOBODY, decoded, encoded
from tests.spec.conftest import BOTH, CYCLES
from tests.spec.guest import *

TOLD = reply(pack(reject_code()) + reject_message())


def manage(canister: Guest, method: str, *args: Any, cycles: int = 0, **options: Any) -> Any:
    """What the management canister answers to this canister."""
    program = call(MANAGEMENT, encoded(method, *args), method=method, cycles=cycles, **options)
    return decoded(method, canister.do(program))


def refused(canister: Guest, method: str, *args: Any) -> tuple[int, str]:
    answer = canister.do(call(MANAGEMENT, encoded(method, *args), method=method, on_reject=TOLD))
    return answer[0], answer[8:].decode()


# --- by canisters


@BOTH
def test_random_bytes(a: Guest) -> None:
    first, second = manage(a, "raw_rand"), manage(a, "raw_rand")
    assert (len(first), len(second), first == second) == (32, 32, False)


def test_deposited_cycles_are_kept(a: Guest, b: Guest) -> None:
    manage(a, "deposit_cycles", {"canister_id": b.id}, cycles=500)
    assert (a.status().cycles, b.status().cycles) == (CYCLES - 500, CYCLES + 500)


def test_cycles_deposited_in_no_canister_come_back(a: Guest) -> None:
    arg = encoded("deposit_cycles", {"canister_id": NOBODY})
    program = call(MANAGEMENT, arg, method="deposit_cycles", cycles=500, on_reject=reply(refunded()))
    assert count(a.do(program)) == 500
    assert a.status().cycles == CYCLES


def test_cycles_that_a_method_does_not_take_come_back(a: Guest) -> None:
    arg = encoded("raw_rand")
    program = call(MANAGEMENT, arg, method="raw_rand", cycles=500, on_reply=reply(refunded()))
    assert count(a.do(program)) == 500


def test_a_canister_reads_its_own_status_without_being_a_controller(a: Guest) -> None:
    status = manage(a, "canister_status", {"canister_id": a.id})
    assert (status["status"], status["version"]) == ({"running": None}, a.status().version - 1)


def test_a_canister_does_not_read_the_status_of_others(a: Guest, b: Guest) -> None:
    text = f"Caller {a.id} is not allowed to read the canister status"
    assert refused(a, "canister_status", {"canister_id": b.id}) == (5, text)


def test_everybody_reads_canister_info(a: Guest, b: Guest) -> None:
    info = manage(a, "canister_info", {"canister_id": b.id, "num_requested_changes": 10})
    assert (info["module_hash"], info["total_num_changes"]) == (b.status().module_hash, 2)
    assert [set(change["details"]) for change in info["recent_changes"]] == [{"creation"}, {"code_deployment"}]


def test_a_controller_changes_settings_and_the_history_says_so(a: Guest, b: Guest, sandbox: Sandbox) -> None:
    b.update_settings(controllers=[a.id])
    manage(a, "update_settings", {"canister_id": b.id, "settings": {"controllers": [a.id, b.id]}})
    assert runtime_of(sandbox).state_of(b.id).settings.controllers == (a.id, b.id)
    last = runtime_of(sandbox).state_of(b.id).history[-1]
    assert (last.kind, last.user, last.by_canister) == ("controllers_change", a.id, True)


def test_who_is_no_controller_is_told_who_is(a: Guest, b: Guest, sandbox: Sandbox) -> None:
    code_, text = refused(a, "start_canister", {"canister_id": b.id})
    assert code_ == 5
    assert f"Only the controllers of the canister {b.id} can control it." in text
    assert f"Canister's controllers: {sandbox.identity('default')}" in text
    assert f"Sender's ID: {a.id}" in text


@pytest.mark.parametrize("right", [True, False])
def test_a_canister_that_tells_its_version_must_tell_the_right_one(right: bool, a: Guest, b: Guest) -> None:
    b.update_settings(controllers=[a.id])
    version = a.status().version + (0 if right else 1)
    arg = {"canister_id": b.id, "settings": {}, "sender_canister_version": version}
    if right:
        manage(a, "update_settings", arg)
    else:
        reject_, text = refused(a, "update_settings", arg)
        assert (reject_, f"does not match the actual sender canister version {version - 1}" in text) == (5, True)


def test_a_canister_may_not_call_what_is_for_others(a: Guest) -> None:
    assert refused(a, "canister_info", {"canister_id": NOBODY})[0] == 3


def test_garbage_is_no_argument(a: Guest) -> None:
    answer = a.do(call(MANAGEMENT, b"garbage", method="canister_status", on_reject=TOLD))
    assert (answer[0], answer[8:].startswith(b"Error decoding candid: ")) == (4, True)


@BOTH
def test_a_canister_upgrades_itself(a: Guest, bits: int) -> None:
    a.update_settings(controllers=[a.id])
    arg = {"mode": {"upgrade": None}, "canister_id": a.id, "wasm_module": module(bits), "arg": set_global(8).code}
    install = call(MANAGEMENT, encoded("install_code", arg), method="install_code")
    rejected(ErrorCode.CANISTER_DID_NOT_REPLY, "did not reply", a.do, install)
    assert count(a.ask(reply_number(get_global()))) == 8


def test_a_canister_may_snapshot_and_restore_another(a: Guest, b: Guest) -> None:
    b.update_settings(controllers=[a.id])
    b.do(set_global(1), reply())
    snapshot = manage(a, "take_canister_snapshot", {"canister_id": b.id})
    b.do(set_global(2), reply())
    manage(a, "load_canister_snapshot", {"canister_id": b.id, "snapshot_id": snapshot["id"]})
    assert count(b.ask(reply_number(get_global()))) == 1


def test_a_callback_runs_against_a_restored_heap(a: Guest, b: Guest, sandbox: Sandbox) -> None:
    b.update_settings(controllers=[a.id, sandbox.identity("default")])
    b.do(set_global(1), reply())
    snapshot = b.take_snapshot()
    arg = {"canister_id": b.id, "snapshot_id": snapshot.id}
    restore = call(MANAGEMENT, encoded("load_canister_snapshot", arg), method="load_canister_snapshot")
    # The restored heap has no program for the callback: it runs and finds nothing to do.
    rejected(ErrorCode.CANISTER_DID_NOT_REPLY, "did not reply", b.do, set_global(2), call(a, restore))
    assert count(b.ask(reply_number(get_global()))) == 1


# --- in queries


def test_users_query_status_and_logs(a: Guest, sandbox: Sandbox) -> None:
    a.do(debug_print("hello"), reply())
    controller = sandbox.identity("default")
    for method in ("canister_status", "fetch_canister_logs"):
        arg = encoded(method, {"canister_id": a.id})
        answer = sandbox.query(MANAGEMENT, method, arg, sender=controller)
        assert answer.or_raise().reply
        assert sandbox.query(MANAGEMENT, method, arg).reject is not None


def test_users_query_nothing_else(sandbox: Sandbox) -> None:
    for method in ("raw_rand", "start_canister", "nothing"):
        assert sandbox.query(MANAGEMENT, method, b"DIDL\0\0").reject is not None


@pytest.fixture
def deep() -> tuple[Guest, Guest]:
    sandbox = Sandbox()
    return guest(sandbox), guest(sandbox)


def asked(canister: Guest, method: str, *args: Any) -> Any:
    program = call(MANAGEMENT, encoded(method, *args), method=method)
    return decoded(method, canister.ask_composite(program))


def test_a_composite_query_reads_its_own_status(deep: tuple[Guest, Guest]) -> None:
    a, _ = deep
    assert asked(a, "canister_status", {"canister_id": a.id})["status"] == {"running": None}


def test_a_composite_query_reads_logs_as_the_calling_canister(deep: tuple[Guest, Guest]) -> None:
    a, b = deep
    b.do(debug_print("hello"), reply())
    program = call(MANAGEMENT, encoded("fetch_canister_logs", {"canister_id": b.id}), method="fetch_canister_logs")
    text = f"Caller {a.id} is not allowed to access canister logs"
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text, a.ask_composite, program)
    b.update_settings(controllers=[a.id])
    [record] = asked(a, "fetch_canister_logs", {"canister_id": b.id})["canister_log_records"]
    assert record["content"] == b"hello"


def test_a_composite_query_calls_no_other_management_method(deep: tuple[Guest, Guest]) -> None:
    a, _ = deep
    for method, args in (("raw_rand", ()), ("start_canister", ({"canister_id": a.id},))):
        program = call(MANAGEMENT, encoded(method, *args), method=method, on_reject=TOLD)
        answer = a.ask_composite(program)
        assert (answer[0], answer[8:].decode()) == (5, f"IC0536: Query method {method} not found.")
