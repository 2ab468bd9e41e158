"""Interface specification, "Ingress message inspection" and the ways a user's call is refused before it is let in."""

from __future__ import annotations

import pytest

from sandbox import ErrorCode, Sandbox
from sandbox.api import runtime_of
from tests.conftest import everything, rejected
from tests.spec.conftest import BOTH
from tests.spec.guest import *

pytestmark = BOTH
REFUSED = ErrorCode.CANISTER_REJECTED_MESSAGE


@pytest.fixture
def inspected(sandbox: Sandbox, bits: int) -> Guest:
    return guest(sandbox, wasm=module(bits, hooks=("inspect_message",)))


def inspect(canister: Guest, *program: Do) -> None:
    """Sets what inspection does; the canister accepts everything until then."""
    canister.do(on_inspect(Do(code(*program))), reply())


ACCEPT = do("accept_message")


def test_what_is_accepted_is_executed(inspected: Guest) -> None:
    inspect(inspected, ACCEPT)
    assert inspected.do(reply("in")) == b"in"


def test_what_is_not_accepted_is_refused(inspected: Guest, sandbox: Sandbox) -> None:
    inspect(inspected)
    before = everything(sandbox, inspected)
    text = f"Error from Canister {inspected.id}: Canister rejected the message"
    assert rejected(REFUSED, text, inspected.do, reply()).message == text
    assert everything(sandbox, inspected) == before


def test_a_trap_refuses_with_its_own_code(inspected: Guest) -> None:
    inspect(inspected, ACCEPT, trap("no entry"))
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "'no entry'", inspected.do, reply())


def test_accepting_twice_traps(inspected: Guest) -> None:
    inspect(inspected, ACCEPT, ACCEPT)
    text = "ic0.accept_message: the function was already called."
    rejected(ErrorCode.CANISTER_CONTRACT_VIOLATION, text, inspected.do, reply())


def test_inspection_sees_method_argument_and_caller(inspected: Guest, sandbox: Sandbox) -> None:
    alice = sandbox.identity("alice")
    wanted = blob("update").equals(copied("msg_method_name")) * caller().equals(alice) * arg().equals(reply("in").code)
    inspect(inspected, when(wanted, ACCEPT))
    assert inspected.do(reply("in"), sender=alice) == b"in"
    rejected(REFUSED, "rejected", inspected.do, reply("in"))
    rejected(REFUSED, "rejected", inspected.do, reply("on"), sender=alice)
    rejected(REFUSED, "rejected", inspected.ask_replicated, reply("in"), sender=alice)


def test_what_inspection_changes_is_forgotten(inspected: Guest) -> None:
    inspect(inspected, set_global(9), ACCEPT)
    assert count(inspected.do(reply_number(get_global()))) == 0


def test_inspection_is_not_replicated(inspected: Guest) -> None:
    inspect(inspected, when(ic0("in_replicated_execution"), trap("replicated")), ACCEPT)
    assert inspected.do(reply("in")) == b"in"


def test_queries_are_not_inspected(inspected: Guest) -> None:
    inspect(inspected, trap("no entry"))
    assert inspected.ask(reply("in")) == b"in"
    assert inspected.ask_composite(reply("in")) == b"in"


def test_queries_as_updates_are_inspected(inspected: Guest) -> None:
    inspect(inspected, trap("no entry"))
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "no entry", inspected.ask_replicated, reply())


def test_calls_of_canisters_are_not_inspected(inspected: Guest, a: Guest) -> None:
    inspect(inspected, trap("no entry"))
    assert a.do(call(inspected, reply("in"))) == b"in"


def test_management_is_not_inspected(inspected: Guest) -> None:
    inspect(inspected, trap("no entry"))
    inspected.stop()
    inspected.start()
    inspected.update_settings(freezing_threshold=1)


def test_inspection_has_its_own_instruction_limit(inspected: Guest, sandbox: Sandbox) -> None:
    inspect(inspected, spin())
    text = f"Canister exceeded the limit of {runtime_of(sandbox).subnet.instruction_limits.inspect} instructions"
    rejected(ErrorCode.CANISTER_INSTRUCTION_LIMIT_EXCEEDED, text, inspected.do, reply())


def test_inspection_cannot_call_or_answer(inspected: Guest) -> None:
    for name in ("msg_reply", "call_perform"):
        inspect(inspected, do(name))
        text = f'"ic0_{name}" cannot be executed in inspect message mode'
        rejected(ErrorCode.CANISTER_CONTRACT_VIOLATION, text, inspected.do, reply())
        inspected.install(module(hooks=("inspect_message",)), mode="reinstall")


def test_without_inspection_everything_is_let_in(a: Guest) -> None:
    assert a.do(reply("in")) == b"in"


def test_a_stopped_canister_refuses(a: Guest) -> None:
    a.stop()
    rejected(ErrorCode.CANISTER_STOPPED, f"Canister {a.id} is stopped", a.do, reply())


def test_an_empty_canister_refuses(a: Guest) -> None:
    a.uninstall()
    rejected(ErrorCode.CANISTER_WASM_MODULE_NOT_FOUND, "Requested canister has no wasm module", a.do, reply())


def test_a_canister_that_does_not_exist_refuses(a: Guest) -> None:
    a.stop()
    a.delete()
    rejected(ErrorCode.CANISTER_NOT_FOUND, f"Canister {a.id} not found", a.do, reply())


def test_an_unknown_method_is_named(a: Guest) -> None:
    text = "Canister has no update method 'nothing'."
    rejected(ErrorCode.CANISTER_METHOD_NOT_FOUND, text, a.update, "nothing", b"")
