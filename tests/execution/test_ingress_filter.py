"""How users' calls and queries are refused by the platform itself, in its own words.

Sources: `dfinity/ic` `rs/execution_environment/src/execution_environment.rs` (`should_accept_ingress_message`),
`execution/inspect_message.rs`, `execution/common.rs` (`validate_canister`), and `get_active_canister` of
`rs/replicated_state/src/replicated_state.rs`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox import Canister, ErrorCode, Sandbox
from sandbox.errors import Reject, StillWaiting
from tests.conftest import everything, guest, rejected, sandbox_of

# `wait` waits for random bytes, which the next round gives: until then the canister cannot stop.
GUEST = """
(table funcref (elem $answered))
(data (i32.const 0) "raw_randDIDL\\00\\00")
(func $answered (param i32) (call $msg_reply))
(func (export "canister_update x") (call $msg_reply))
(func (export "canister_query q") (call $msg_reply))
(func (export "canister_update wait")
  (call $call_new (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 8)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
  (call $call_data_append (i32.const 8) (i32.const 6))
  (drop (call $call_perform)))
{}
"""
REFUSES, TRAPS = (f'(func (export "canister_inspect_message") {body})' for body in ("", "unreachable"))


def empty(canister: Canister) -> None:
    canister.uninstall()


def stopped(canister: Canister) -> None:
    canister.stop()


def stopping(canister: Canister) -> None:
    sandbox = sandbox_of(canister)
    sandbox.submit(canister, "wait")
    sandbox.tick()
    with pytest.raises(StillWaiting):
        canister.stop(max_rounds=0)
    assert canister.status().status == "stopping"


def deleted(canister: Canister) -> None:
    canister.stop()
    canister.delete()


def emptied_and_stopped(canister: Canister) -> None:
    canister.uninstall()
    canister.stop()


def refusing(canister: Canister) -> None:
    canister.install(guest(GUEST.format(REFUSES)), mode="upgrade")


def trapping(canister: Canister) -> None:
    canister.install(guest(GUEST.format(TRAPS)), mode="upgrade")


def stopped_and_refusing(canister: Canister) -> None:
    refusing(canister)
    canister.stop()


E = ErrorCode
ERROR = "Error from Canister {}: "
HELP = "See documentation: https://internetcomputer.org/docs/current/references/execution-errors#"
UPDATES = [
    (deleted, E.CANISTER_NOT_FOUND, "Canister {} not found"),
    (stopping, E.CANISTER_STOPPING, "Canister {} is stopping"),
    (stopped, E.CANISTER_STOPPED, "Canister {} is stopped"),
    (empty, E.CANISTER_WASM_MODULE_NOT_FOUND, "Requested canister has no wasm module"),
    (emptied_and_stopped, E.CANISTER_STOPPED, "Canister {} is stopped"),
    (refusing, E.CANISTER_REJECTED_MESSAGE, ERROR + "Canister rejected the message"),
    (stopped_and_refusing, E.CANISTER_STOPPED, "Canister {} is stopped"),
    (
        trapping,
        E.CANISTER_TRAPPED,
        f"{ERROR}Canister trapped: unreachable.\n"
        "Consider gracefully handling failures from this canister or altering the canister to handle exceptions. "
        f"{HELP}trapped",
    ),
]
QUERIES = [
    (deleted, E.CANISTER_NOT_FOUND, "Canister {} not found"),
    (stopping, E.CANISTER_STOPPING, "Canister {} is not running"),
    (stopped, E.CANISTER_STOPPED, "Canister {} is stopped and therefore does not have a CallContextManager"),
    (
        empty,
        E.CANISTER_WASM_MODULE_NOT_FOUND,
        f"{ERROR}Attempted to execute a message, but the canister contains no Wasm module..\n"
        f"Please install code to this canister before calling it. {HELP}wasm-module-not-found",
    ),
]


@pytest.fixture
def canister(install: Callable[..., Canister]) -> Canister:
    return install(guest(GUEST.format("")))


def answer(sandbox: Sandbox, canister: Canister) -> Reject:
    """Of a call that is submitted: it is refused at once."""
    request = sandbox.submit(canister, "x")
    found = sandbox.ingress_status(request)
    assert found is not None
    assert found.reject is not None
    return found.reject


@pytest.mark.parametrize(("prepare", "code", "text"), UPDATES)
def test_an_update_call_is_refused(
    prepare: Callable[[Canister], None], code: ErrorCode, text: str, canister: Canister, sandbox: Sandbox
) -> None:
    prepare(canister)
    expected = text.format(canister.id)
    before = None if prepare is deleted else everything(sandbox, canister)
    error = rejected(code, expected, canister.update, "x")
    assert error.message == expected
    assert answer(sandbox, canister) == error.reject
    assert before is None or everything(sandbox, canister) == before


@pytest.mark.parametrize(("prepare", "code", "text"), QUERIES)
def test_a_query_call_is_refused(
    prepare: Callable[[Canister], None], code: ErrorCode, text: str, canister: Canister
) -> None:
    prepare(canister)
    expected = text.format(canister.id)
    assert rejected(code, expected, canister.query_raw, "q").message == expected


def test_what_is_missing_is_for_controllers_to_know() -> None:
    sandbox = Sandbox(costs="mainnet")
    canister = sandbox.create_canister()
    canister.install(guest(GUEST.format(REFUSES)))
    canister.update_settings(freezing_threshold=1 << 60)
    owner, text = sandbox.identity("default"), f"Canister {canister.id} is out of cycles"
    code = ErrorCode.CANISTER_OUT_OF_CYCLES
    assert rejected(code, text, canister.update, "x").message == text
    more = f"{text}: please top up the canister with at least "
    assert rejected(code, more, canister.update, "x", sender=owner).message.endswith(" additional cycles")
    canister.stop()
    assert rejected(code, text, canister.update, "x").message == text
