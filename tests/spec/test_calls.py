"""Interface specification, "Inter-canister calls": making calls, and what becomes of them."""

from __future__ import annotations

import pytest

from sandbox import ErrorCode, Principal, Sandbox
from sandbox.limits import INTER_CANISTER_PAYLOAD, METHOD_NAME
from tests.conftest import rejected, sandbox_of
from tests.spec.conftest import BOTH
from tests.spec.guest import *

VIOLATION = ErrorCode.CANISTER_CONTRACT_VIOLATION
REFUSED = ErrorCode.CANISTER_REJECTED_MESSAGE
TOLD = reply(pack(reject_code()) + reject_message())
"""Tells how a call was rejected."""


def code_and_text(answer: bytes) -> tuple[int, str]:
    return count(answer[:8]), answer[8:].decode()


def outcome(a: Guest, callee: B, program: B = b"", method: B = "update") -> tuple[int, str]:
    """How a's call was rejected."""
    return code_and_text(a.do(call(callee, program, method=method, on_reject=TOLD)))


# --- making a call


@BOTH
def test_a_call_executes_the_method_and_the_callback_gets_its_reply(a: Guest, b: Guest) -> None:
    assert a.do(call(b, reply("answer"), on_reply=reply(blob("got ") + arg()))) == b"got answer"


@BOTH
def test_the_argument_is_what_was_appended(a: Guest, b: Guest) -> None:
    begun = call_new(b, on_reply=reply(arg()))
    parts = do("call_data_append", reply("in ").code[:3]) + do("call_data_append", reply("in ").code[3:])
    assert a.do(begun, parts, evaluate(call_perform())) == b"in "


@BOTH
def test_a_canister_calls_itself(a: Guest) -> None:
    assert a.do(call(a, reply(caller()))) == bytes(a.id)


def test_a_call_to_itself_is_executed_after_the_message_that_makes_it(a: Guest) -> None:
    assert a.do(call(a, reply_number(get_global())), set_global(7)) == (7).to_bytes(8, "little")


def test_calls_leave_only_when_the_message_succeeds(a: Guest, b: Guest) -> None:
    program = call(b, set_global(1) + reply()) + trap("after the call")
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "after the call", a.do, program)
    assert count(b.ask(reply_number(get_global()))) == 0


def test_calls_to_one_canister_are_executed_in_order(a: Guest, b: Guest) -> None:
    steps = [call(b, set_slot(6, slot(6) + letter) + reply(), on_reply=Do()) for letter in "abcdef"]
    assert a.do(*steps, call(b, reply(slot(6)))) == b"abcdef"


@BOTH
def test_an_unfinished_call_is_dropped(a: Guest, b: Guest) -> None:
    program = call_new(b) + do("call_data_append", set_global(1) + reply())
    assert a.do(program, reply("done")) == b"done"
    assert count(b.ask(reply_number(get_global()))) == 0


def test_a_new_call_replaces_an_unfinished_one(a: Guest, b: Guest) -> None:
    program = call_new(b) + do("call_data_append", reply("first")) + call(b, reply("second"))
    assert a.do(program) == b"second"


@pytest.mark.parametrize("count_", [1, 10, 500])
def test_a_message_may_make_many_calls(count_: int, a: Guest, b: Guest) -> None:
    each = call(b, reply("x"), on_reply=set_global(get_global() + 1))
    assert a.do(repeat(count_, each), reply()) == b""
    sandbox_of(a).run_until_idle()
    assert count(a.ask(reply_number(get_global()))) == count_


def test_the_queue_to_a_canister_takes_500_calls(a: Guest, b: Guest) -> None:
    begun = call_new(b) + do("call_data_append", reply())
    results = repeat(502, begun + append(pack(call_perform())))
    answer = a.do(results, do("msg_reply"))
    assert [count(answer[k : k + 8]) for k in range(0, len(answer), 8)] == [0] * 500 + [2] * 2


def test_a_call_that_is_not_queued_never_calls_back(a: Guest, b: Guest) -> None:
    counted = set_global(get_global() + 1)
    program = repeat(510, call(b, reply(), on_reply=counted, on_reject=counted, refused=Do()))
    a.do(program, reply())
    sandbox_of(a).run_until_idle()
    assert count(a.ask(reply_number(get_global()))) == 500


def test_queues_to_different_canisters_are_different(a: Guest, b: Guest) -> None:
    full = repeat(500, call(b, reply(), on_reply=Do()))
    assert a.do(full, call(a, reply("still"))) == b"still"


def test_a_place_in_the_queue_is_free_again_after_the_answer(a: Guest, b: Guest) -> None:
    for _ in range(2):
        a.do(repeat(500, call(b, reply(), on_reply=Do())), reply())
        sandbox_of(a).run_until_idle()
    assert a.do(call(b, reply("free"))) == b"free"


# --- call_* out of order


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("call_on_cleanup", (0, 0)),
        ("call_data_append", (0, 0)),
        ("call_cycles_add", (0,)),
        ("call_cycles_add128", (0, 0)),
        ("call_with_best_effort_response", (1,)),
        ("call_perform", ()),
    ],
)
@pytest.mark.parametrize("performed", [False, True])
def test_a_call_must_be_under_construction(performed: bool, name: str, arguments: tuple[int, ...], a: Guest) -> None:
    before = call_new(a) + evaluate(call_perform()) if performed else Do()
    text = "called when no call is under construction."
    rejected(VIOLATION, text, a.do, before, do(name, *arguments))


@BOTH
def test_a_cleanup_is_set_once(a: Guest, b: Guest) -> None:
    program = call_new(b, on_cleanup=Do()) + do("call_on_cleanup", CLEANUP, 0)
    rejected(VIOLATION, "ic0.call_on_cleanup can be called at most once", a.do, program)


def test_a_timeout_is_set_once(a: Guest, b: Guest) -> None:
    timeout = do("call_with_best_effort_response", 10)
    rejected(VIOLATION, "timeout is already set", a.do, call_new(b), timeout, timeout)


@BOTH
def test_the_name_of_a_method_has_a_limit(a: Guest, b: Guest) -> None:
    longest = at(0, METHOD_NAME)
    assert a.do(call_new(b, longest), reply()) == b""
    text = f"Size of method_name {METHOD_NAME + 1} exceeds the allowed limit of {METHOD_NAME}."
    rejected(VIOLATION, text, a.do, call_new(b, at(0, METHOD_NAME + 1)))


@BOTH
def test_the_payload_of_a_call_has_a_limit(a: Guest, b: Guest) -> None:
    room = evaluate(memory_grow(200))
    size = INTER_CANISTER_PAYLOAD - len("update")
    assert a.do(room, call_new(b), do("call_data_append", at(0, size)), reply()) == b""
    text = (
        f"Request to {b.id}:update has a payload size of {INTER_CANISTER_PAYLOAD + 1}, which exceeds the allowed limit"
    )
    rejected(VIOLATION, text, a.do, room, call_new(b), do("call_data_append", at(0, size + 1)))


# --- rejects by what the callee is


@BOTH
def test_a_canister_that_rejects(a: Guest, b: Guest) -> None:
    assert outcome(a, b, reject("no")) == (4, "no")


def test_a_canister_that_traps(a: Guest, b: Guest) -> None:
    reject_, text = outcome(a, b, trap("no"))
    assert (reject_, text.startswith(f"IC0503: Error from Canister {b.id}: Canister called `ic0.trap`")) == (5, True)


def test_a_canister_that_does_not_answer(a: Guest, b: Guest) -> None:
    assert outcome(a, b, set_global(1)) == (5, "No response")
    assert count(b.ask(reply_number(get_global()))) == 1


def test_a_canister_that_does_not_exist(a: Guest) -> None:
    nobody = Principal.from_text("lxzze-o7777-77777-aaaaa-cai")
    assert outcome(a, nobody) == (3, f"Canister {nobody} not found")


def test_a_principal_that_can_be_no_canister(a: Guest, sandbox: Sandbox) -> None:
    alice = sandbox.identity("alice")
    reject_, text = outcome(a, alice)
    assert (reject_, str(alice) in text) == (3, True)


def test_a_method_that_does_not_exist(a: Guest, b: Guest) -> None:
    reject_, text = outcome(a, b, method="nothing")
    assert (reject_, "IC0536" in text, "Canister has no update method 'nothing'." in text) == (5, True, True)


def test_a_method_name_that_is_not_utf8(a: Guest, b: Guest) -> None:
    reject_, text = outcome(a, b, method=b"\xff")
    assert (reject_, "IC0536" in text) == (5, True)


def test_a_canister_without_code(a: Guest, sandbox: Sandbox) -> None:
    reject_, text = outcome(a, sandbox.create_canister())
    assert (reject_, "IC0537" in text, "contains no Wasm module" in text) == (5, True, True)


def test_a_stopped_canister(a: Guest, b: Guest) -> None:
    b.stop()
    reject_, text = outcome(a, b)
    assert (reject_, text) == (5, f"Canister {b.id} is stopped")


def test_a_deleted_canister(a: Guest, b: Guest) -> None:
    b.stop()
    b.delete()
    assert outcome(a, b.id) == (3, f"Canister {b.id} not found")


def test_a_composite_query_called_by_an_update(a: Guest, b: Guest) -> None:
    reject_, text = outcome(a, b, reply(), method="composite_query")
    assert (reject_, text) == (5, "IC0527: Composite query cannot be called in replicated mode")


def test_a_query_called_by_an_update_runs_replicated_and_changes_nothing(a: Guest, b: Guest) -> None:
    program = set_global(9) + reply_number(ic0("in_replicated_execution"))
    assert count(a.do(call(b, program, method="query"))) == 1
    assert count(b.ask(reply_number(get_global()))) == 0


def test_a_method_of_the_management_canister_that_does_not_exist(a: Guest) -> None:
    reject_, text = outcome(a, Principal.management(), method="nothing")
    assert (reject_, text) == (5, "Management canister has no method 'nothing'")


def test_an_explicit_reject_reaches_the_user_verbatim(a: Guest, b: Guest) -> None:
    assert rejected(REFUSED, "no", a.do, call(b, reject("no"))).message == "no"


def test_a_chain_of_calls(a: Guest, b: Guest) -> None:
    program = reply("end")
    for callee in [b, a] * 10:
        program = call(callee, program)
    assert a.do(program) == b"end"


def test_canisters_call_each_other_in_a_circle(a: Guest, b: Guest) -> None:
    inner = call(a, reply_number(get_global()))
    assert count(a.do(set_global(5), call(b, inner))) == 5


def test_wide_and_narrow_canisters_call_each_other(a: Guest, sandbox: Sandbox) -> None:
    c = guest(sandbox, bits=64)
    assert a.do(call(c, call(a, reply(caller())))) == bytes(c.id)
    assert c.do(call(a, call(c, reply(caller())))) == bytes(a.id)
