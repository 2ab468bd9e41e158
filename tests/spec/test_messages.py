"""Interface specification, "Method arguments" and "Responding": what a message brings and how it is answered."""

from __future__ import annotations

import pytest

from sandbox import ErrorCode, RejectCode, Sandbox
from sandbox.api import runtime_of
from sandbox.limits import REPLY_QUERY, REPLY_REPLICATED
from tests.conftest import rejected
from tests.spec.conftest import BOTH
from tests.spec.guest import *

pytestmark = BOTH
VIOLATION = ErrorCode.CANISTER_CONTRACT_VIOLATION


def test_the_argument_is_what_was_sent(a: Guest) -> None:
    program = reply(arg())
    assert a.do(program) == program.code


def test_parts_of_the_argument_can_be_copied(a: Guest) -> None:
    program = do("msg_arg_data_copy", 0, 1, 3) + reply(at(0, 3))
    assert a.do(program) == program.code[1:4]


def test_an_empty_argument_has_size_zero_and_answers_nothing(a: Guest) -> None:
    rejected(ErrorCode.CANISTER_DID_NOT_REPLY, "did not reply", a.update, "update", b"")


def test_the_caller_of_an_update_is_the_user(a: Guest, sandbox: Sandbox) -> None:
    alice = sandbox.identity("alice")
    assert a.do(reply(caller()), sender=alice) == bytes(alice)


def test_the_caller_of_a_query_is_the_user(a: Guest, sandbox: Sandbox) -> None:
    alice = sandbox.identity("alice")
    assert a.ask(reply(caller()), sender=alice) == bytes(alice)
    assert a.ask_composite(reply(caller()), sender=alice) == bytes(alice)


def test_the_anonymous_caller_is_one_byte(a: Guest) -> None:
    assert a.do(reply(caller())) == b"\x04"


def test_the_caller_of_a_called_canister_is_the_calling_one(a: Guest, b: Guest) -> None:
    assert a.do(call(b, reply(caller()))) == bytes(a.id)


@pytest.mark.parametrize("refuses", [False, True])
def test_in_callbacks_the_caller_is_that_of_the_original_call(
    refuses: bool, a: Guest, b: Guest, sandbox: Sandbox
) -> None:
    alice = sandbox.identity("alice")
    answer = reject("no") if refuses else reply()
    program = call(b, answer, on_reply=reply(caller()), on_reject=reply(caller()))
    assert a.do(program, sender=alice) == bytes(alice)


def test_the_caller_of_init_and_post_upgrade_is_who_asked_for_it(a: Guest, sandbox: Sandbox, bits: int) -> None:
    alice = sandbox.identity("alice")
    c = sandbox.create_canister(controllers=[alice])
    c.install(module(bits), code(set_slot(6, caller())), sender=alice)
    c = Guest(runtime_of(sandbox), c.id)
    assert c.ask(reply(slot(6))) == bytes(alice)
    c.upgrade(module(bits), code(set_slot(7, caller())), sender=alice)
    assert c.ask(reply(slot(7))) == bytes(alice)


def test_users_without_a_canister_signature_have_no_caller_info(a: Guest) -> None:
    both = copied("msg_caller_info_data") + copied("msg_caller_info_signer")
    assert a.do(reply(both)) == b""


def test_a_reply_is_made_of_its_parts(a: Guest) -> None:
    assert a.do(append("one "), append("two "), append(""), append("three"), do("msg_reply")) == b"one two three"


def test_a_reply_may_be_empty(a: Guest) -> None:
    assert a.do(do("msg_reply")) == b""


def test_what_is_appended_without_a_reply_is_lost(a: Guest, b: Guest) -> None:
    program = append("lost") + call(b, reply("x"), on_reply=append("kept") + do("msg_reply"))
    assert a.do(program) == b"kept"


def test_a_second_reply_traps(a: Guest) -> None:
    rejected(VIOLATION, "ic0.msg_reply: the call is already replied", a.do, reply(), do("msg_reply"))


def test_a_reject_after_a_reply_traps(a: Guest) -> None:
    rejected(VIOLATION, "ic0.msg_reject: the call is already replied", a.do, reply(), reject("no"))


def test_a_reply_after_a_reject_traps(a: Guest) -> None:
    rejected(VIOLATION, "ic0.msg_reply: the call is already replied", a.do, reject("no"), do("msg_reply"))


def test_appending_after_a_reply_traps(a: Guest) -> None:
    rejected(VIOLATION, "ic0.msg_reply_data_append: the call is already replied", a.do, reply(), append(""))


def test_a_canister_rejects_with_code_4_and_its_own_text(a: Guest) -> None:
    error = rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, "no, thanks ✗", a.do, reject("no, thanks ✗"))
    assert (error.message, error.reject_code) == ("no, thanks ✗", RejectCode.CANISTER_REJECT)


def test_a_reject_commits(a: Guest) -> None:
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, "no", a.do, set_global(3), reject("no"))
    assert count(a.ask(reply_number(get_global()))) == 3


def test_a_reject_drops_the_reply_buffer(a: Guest) -> None:
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, "no", a.do, append("x"), reject("no"))


def test_a_reject_may_be_empty(a: Guest) -> None:
    assert rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, "", a.do, reject("")).message == ""


def test_a_reject_must_be_utf8(a: Guest) -> None:
    rejected(VIOLATION, "ic0.msg_reject: invalid UTF-8 string provided", a.do, reject(b"\xff"))


def test_returning_without_an_answer_is_an_error_and_commits(a: Guest) -> None:
    text = f"Canister {a.id} did not reply to the call"
    assert rejected(ErrorCode.CANISTER_DID_NOT_REPLY, text, a.do, set_global(4)).message == text
    assert count(a.ask(reply_number(get_global()))) == 4


def big(size: int) -> Do:
    """Appends so many zeros."""
    pages = -(-size // 65536)
    first = memory_size() * 65536
    return evaluate(memory_grow(pages)) + append(at(first - pages * 65536, size))


def test_a_reply_has_at_most_2_mib(a: Guest) -> None:
    assert len(a.do(big(REPLY_REPLICATED), do("msg_reply"))) == REPLY_REPLICATED
    text = f"ic0.msg_reply_data_append: application payload size ({REPLY_REPLICATED + 1}) cannot be larger than "
    rejected(VIOLATION, f"{text}{REPLY_REPLICATED}.", a.do, big(REPLY_REPLICATED), append("x"))


@pytest.mark.parametrize("composite", [False, True])
def test_the_reply_of_a_query_call_has_at_most_3_mib(composite: bool, a: Guest) -> None:
    ask = a.ask_composite if composite else a.ask
    assert len(ask(big(REPLY_QUERY), do("msg_reply"))) == REPLY_QUERY
    rejected(VIOLATION, f"cannot be larger than {REPLY_QUERY}.", ask, big(REPLY_QUERY), append("x"))


def test_a_replicated_query_replies_with_at_most_2_mib(a: Guest) -> None:
    rejected(VIOLATION, "cannot be larger than", a.ask_replicated, big(REPLY_REPLICATED), append("x"))


def test_there_is_no_reject_code_without_a_response(a: Guest) -> None:
    text = '"ic0_msg_reject_code" cannot be executed in update mode'
    rejected(VIOLATION, text, a.do, reply_number(reject_code()))


def test_the_deadline_of_a_users_call_is_zero(a: Guest) -> None:
    assert count(a.do(reply_number(ic0("msg_deadline")))) == 0
    assert count(a.ask(reply_number(ic0("msg_deadline")))) == 0
    assert count(a.ask_replicated(reply_number(ic0("msg_deadline")))) == 0
