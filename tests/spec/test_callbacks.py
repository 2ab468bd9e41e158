"""Interface specification, "Callbacks" and `ic0.call_on_cleanup`: what an answer sets in motion."""

from __future__ import annotations

import pytest

from sandbox import ErrorCode, Sandbox
from sandbox.api import runtime_of
from tests.conftest import FEW_INSTRUCTIONS, rejected, sandbox_of
from tests.spec.conftest import BOTH
from tests.spec.guest import *

pytestmark = BOTH
CALLED_TRAP = ErrorCode.CANISTER_CALLED_TRAP
VIOLATION = ErrorCode.CANISTER_CONTRACT_VIOLATION
REFUSED = ErrorCode.CANISTER_REJECTED_MESSAGE


def state(canister: Guest) -> int:
    return count(canister.ask(reply_number(get_global())))


def test_a_reply_runs_the_reply_callback_alone(a: Guest, b: Guest) -> None:
    assert a.do(call(b, reply(), on_reply=reply("reply"), on_reject=reply("reject"))) == b"reply"


def test_a_reject_runs_the_reject_callback_alone(a: Guest, b: Guest) -> None:
    assert a.do(call(b, reject("x"), on_reply=reply("reply"), on_reject=reply("reject"))) == b"reject"


def test_the_reject_code_of_a_reply_is_zero(a: Guest, b: Guest) -> None:
    assert count(a.do(call(b, reply(), on_reply=reply_number(reject_code())))) == 0


def test_a_reject_callback_has_code_and_text(a: Guest, b: Guest) -> None:
    told = reply(pack(reject_code()) + reject_message())
    assert a.do(call(b, reject("why"), on_reject=told)) == bytes([4]) + bytes(7) + b"why"


def test_a_callback_sees_what_the_message_left(a: Guest, b: Guest) -> None:
    assert count(a.do(set_global(3), call(b, reply(), on_reply=reply_number(get_global())))) == 3


def test_a_callback_sees_what_other_messages_did_meanwhile(a: Guest, b: Guest) -> None:
    meddle = call(a, set_global(8) + reply())
    assert count(a.do(set_global(3), call(b, meddle, on_reply=reply_number(get_global())))) == 8


def test_callbacks_have_their_environments(a: Guest, b: Guest) -> None:
    calls = [call(b, reply(), on_reply=set_slot(6, slot(6) + letter)) for letter in "xyz"]
    a.do(*calls, reply())
    sandbox_of(a).run_until_idle()
    assert a.ask(reply(slot(6))) == b"xyz"


def test_a_callback_may_call_again(a: Guest, b: Guest) -> None:
    assert a.do(call(b, reply(), on_reply=call(b, reply("second")))) == b"second"


def test_a_callback_may_leave_the_answer_to_the_next(a: Guest, b: Guest) -> None:
    program = call(b, reply("first"), on_reply=Do()) + call(b, reply("second"))
    assert a.do(program) == b"second"


def test_a_reply_in_the_message_makes_one_in_the_callback_trap(a: Guest, b: Guest) -> None:
    assert a.do(reply("early"), call(b, reply(), on_reply=set_global(1) + reply("late"))) == b"early"
    sandbox_of(a).run_until_idle()
    assert state(a) == 0


def test_a_callback_may_do_other_things_after_the_answer(a: Guest, b: Guest) -> None:
    assert a.do(reply("early"), call(b, reply(), on_reply=set_global(1))) == b"early"
    sandbox_of(a).run_until_idle()
    assert state(a) == 1


def test_nobody_answering_in_any_callback_is_an_error(a: Guest, b: Guest) -> None:
    program = call(b, reply(), on_reply=set_global(2))
    rejected(ErrorCode.CANISTER_DID_NOT_REPLY, "did not reply", a.do, program)
    assert state(a) == 2


def test_a_trap_in_a_callback_keeps_what_the_message_did(a: Guest, b: Guest) -> None:
    program = set_global(5) + call(b, reply(), on_reply=set_global(6) + trap("callback"))
    rejected(CALLED_TRAP, "with message: 'callback'", a.do, program)
    assert state(a) == 5


def test_a_trap_in_a_callback_keeps_what_the_callee_did(a: Guest, b: Guest) -> None:
    program = call(b, set_global(4) + reply(), on_reply=trap("callback"))
    rejected(CALLED_TRAP, "callback", a.do, program)
    assert state(b) == 4


def test_a_trap_in_one_callback_leaves_the_answer_to_another(a: Guest, b: Guest) -> None:
    program = call(b, reply(), on_reply=trap("first")) + call(b, reply("second"))
    assert a.do(program) == b"second"


def test_a_trap_in_the_last_callback_is_the_answer(a: Guest, b: Guest) -> None:
    program = call(b, reply(), on_reply=Do()) + call(b, reply(), on_reply=trap("last"))
    rejected(CALLED_TRAP, "last", a.do, program)


@pytest.mark.parametrize("answer", ["reply", "reject"])
def test_a_callback_that_is_no_function_of_the_table(answer: str, a: Guest, b: Guest) -> None:
    begun = call_new(b, functions=(1000, 1000)) + do("call_data_append", reply() if answer == "reply" else reject("x"))
    text = "Canister requested to invoke a non-existent Wasm function 1000 from table 0"
    rejected(ErrorCode.CANISTER_FUNCTION_NOT_FOUND, text, a.do, begun, evaluate(call_perform()))


def test_a_callback_of_the_wrong_type(a: Guest, b: Guest) -> None:
    begun = call_new(b, functions=(OTHER_TYPE, OTHER_TYPE)) + do("call_data_append", reply())
    text = "function invocation does not match its signature"
    rejected(VIOLATION, text, a.do, begun, evaluate(call_perform()))


def test_a_callback_that_is_never_needed_is_never_looked_at(a: Guest, b: Guest) -> None:
    begun = call_new(b, functions=(REPLY, 1000), on_reply=reply("fine")) + do("call_data_append", reply())
    assert a.do(begun, evaluate(call_perform())) == b"fine"


# --- cleanup


def test_cleanup_runs_when_a_reply_callback_traps(a: Guest, b: Guest) -> None:
    program = call(b, reply(), on_reply=trap("callback"), on_cleanup=set_global(7))
    rejected(CALLED_TRAP, "callback", a.do, program)
    assert state(a) == 7


def test_cleanup_runs_when_a_reject_callback_traps(a: Guest, b: Guest) -> None:
    program = call(b, reject("x"), on_reject=trap("callback"), on_cleanup=set_global(7))
    rejected(CALLED_TRAP, "callback", a.do, program)
    assert state(a) == 7


def test_cleanup_does_not_run_when_the_callback_returns(a: Guest, b: Guest) -> None:
    assert a.do(call(b, reply(), on_reply=reply("fine"), on_cleanup=set_global(7))) == b"fine"
    assert state(a) == 0


def test_cleanup_does_not_run_when_the_callback_rejects(a: Guest, b: Guest) -> None:
    rejected(REFUSED, "no", a.do, call(b, reply(), on_reply=reject("no"), on_cleanup=set_global(7)))
    assert state(a) == 0


def test_cleanup_starts_from_the_state_before_the_callback(a: Guest, b: Guest) -> None:
    callback = set_global(50) + trap("callback")
    program = set_global(5) + call(b, reply(), on_reply=callback, on_cleanup=set_global(get_global() + 1))
    rejected(CALLED_TRAP, "callback", a.do, program)
    assert state(a) == 6


def test_a_trap_in_cleanup_commits_nothing_and_tells_both(a: Guest, b: Guest) -> None:
    cleanup = set_global(8) + trap("cleanup")
    program = set_global(5) + call(b, reply(), on_reply=trap("callback"), on_cleanup=cleanup)
    error = rejected(CALLED_TRAP, "with message: 'callback'\n\ncall_on_cleanup also failed:\n\n", a.do, program)
    assert "with message: 'cleanup'" in error.message
    assert state(a) == 5


def test_the_code_of_a_trap_in_cleanup_is_that_of_the_callback(a: Guest, b: Guest) -> None:
    program = call(b, reply(), on_reply=unreachable(), on_cleanup=trap("cleanup"))
    rejected(ErrorCode.CANISTER_TRAPPED, "call_on_cleanup also failed", a.do, program)


def test_cleanup_sees_the_reject_code_of_the_response(a: Guest, b: Guest) -> None:
    for answer, expected in ((reply(), 0), (reject("x"), 4), (trap("x"), 5)):
        traps = trap("callback")
        cleanup = set_global(reject_code() + 100)
        program = call(b, answer, on_reply=traps, on_reject=traps, on_cleanup=cleanup)
        rejected(CALLED_TRAP, "callback", a.do, program)
        assert state(a) == 100 + expected


def test_cleanup_sets_timers(a: Guest, b: Guest, sandbox: Sandbox) -> None:
    cleanup = do("global_timer_set", 77)
    rejected(CALLED_TRAP, "callback", a.do, call(b, reply(), on_reply=trap("callback"), on_cleanup=cleanup))
    assert runtime_of(sandbox).state_of(a.id).global_timer == 77


def test_cleanup_writes_to_stable_memory(a: Guest, b: Guest) -> None:
    cleanup = evaluate(stable_grow(1)) + stable_write(0, "cleanup")
    rejected(CALLED_TRAP, "callback", a.do, call(b, reply(), on_reply=trap("callback"), on_cleanup=cleanup))
    assert a.ask(reply(stable_read(0, 7))) == b"cleanup"


@pytest.mark.parametrize("what", ["call_new", "msg_reply", "certified_data_set"])
def test_cleanup_can_neither_call_nor_answer_nor_certify(what: str, a: Guest, b: Guest) -> None:
    cleanup = do(what, *[0] * len(FUNCTIONS[what].params))
    program = call(b, reply(), on_reply=trap("callback"), on_cleanup=set_global(1) + cleanup)
    rejected(CALLED_TRAP, f'"ic0_{what}" cannot be executed in cleanup mode', a.do, program)
    assert state(a) == 0


def test_cleanup_has_the_caller_of_the_original_call(a: Guest, b: Guest, sandbox: Sandbox) -> None:
    alice = sandbox.identity("alice")
    program = call(b, reply(), on_reply=trap("callback"), on_cleanup=set_slot(6, caller()))
    rejected(CALLED_TRAP, "callback", a.do, program, sender=alice)
    assert a.ask(reply(slot(6))) == bytes(alice)


def test_cleanup_also_runs_after_the_context_was_answered(a: Guest, b: Guest) -> None:
    program = reply("early") + call(b, reply(), on_reply=trap("callback"), on_cleanup=set_global(7))
    assert a.do(program) == b"early"
    sandbox_of(a).run_until_idle()
    assert state(a) == 7


def test_after_cleanup_other_callbacks_may_answer(a: Guest, b: Guest) -> None:
    program = call(b, reply(), on_reply=trap("callback"), on_cleanup=set_global(7)) + call(b, reply("second"))
    assert a.do(program) == b"second"


def test_cleanup_runs_when_the_callback_runs_out_of_instructions(a: Guest, b: Guest) -> None:
    program = call(b, reply(), on_reply=spin(), on_cleanup=set_global(7))
    rejected(ErrorCode.CANISTER_INSTRUCTION_LIMIT_EXCEEDED, "exceeded the limit", a.do, program)
    assert state(a) == 7


def test_a_cleanup_that_is_no_function_fails_like_one_that_traps(a: Guest, b: Guest) -> None:
    begun = call_new(b, on_reply=trap("callback")) + do("call_on_cleanup", 1000, 0) + do("call_data_append", reply())
    text = "call_on_cleanup also failed:\n\nCanister requested to invoke a non-existent Wasm function 1000"
    rejected(CALLED_TRAP, text, a.do, begun, evaluate(call_perform()))


def test_a_callback_is_paid_for_although_it_trapped_and_cleanup_returned(bits: int) -> None:
    sandbox = Sandbox(costs="mainnet", instruction_limits=FEW_INSTRUCTIONS)
    a, b = (guest(sandbox, bits=bits, cycles=10_000_000_000_000) for _ in range(2))
    spent = []
    for times in (1, 1_000_000):
        before = a.status().cycles
        program = call(b, reply(), on_reply=spin(times) + trap("no"), on_cleanup=spin(1))
        rejected(CALLED_TRAP, "no", a.do, program)
        spent.append(before - a.status().cycles)
    assert spent[1] - spent[0] > 5_000_000
