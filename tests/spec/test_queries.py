"""Interface specification, "Query call" and "Composite queries": nothing remains, and who may call whom."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox import ErrorCode, InstructionLimits, Principal, Sandbox
from sandbox.api import runtime_of
from tests.conftest import everything, rejected
from tests.spec.conftest import BOTH
from tests.spec.guest import *

VIOLATION = ErrorCode.CANISTER_CONTRACT_VIOLATION
KINDS = ["query", "composite_query"]
CHANGE = (
    set_global(9)
    + set_slot(6, "changed")
    + evaluate(memory_grow(1))
    + evaluate(stable_grow(1))
    + stable_write(0, "changed")
)


def ask(canister: Guest, kind: str, *program: Do) -> bytes:
    return (canister.ask if kind == "query" else canister.ask_composite)(*program)


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_a_query_sees_its_own_changes_and_leaves_none(kind: str, a: Guest, sandbox: Sandbox) -> None:
    before = everything(sandbox, a)
    assert ask(a, kind, CHANGE, reply(slot(6) + stable_read(0, 7))) == b"changedchanged"
    assert everything(sandbox, a) == before


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_a_query_that_traps_leaves_nothing(kind: str, a: Guest, sandbox: Sandbox) -> None:
    before = everything(sandbox, a)
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "'no'", ask, a, kind, CHANGE, trap("no"))
    assert everything(sandbox, a) == before


@BOTH
def test_a_replicated_query_leaves_nothing(a: Guest, sandbox: Sandbox) -> None:
    before = sandbox.raw_state(a)
    assert a.ask_replicated(CHANGE, reply(slot(6))) == b"changed"
    assert sandbox.raw_state(a) == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_query_without_an_answer_is_an_error(kind: str, a: Guest) -> None:
    text = f"Canister {a.id} did not produce a response"
    assert rejected(ErrorCode.CANISTER_DID_NOT_REPLY, text, ask, a, kind).message == text


@pytest.mark.parametrize("kind", KINDS)
def test_a_query_may_reject(kind: str, a: Guest) -> None:
    error = rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, "no", ask, a, kind, reject("no"))
    assert (error.message, error.reject_code) == ("no", 4)


def test_an_update_method_cannot_be_called_as_a_query(a: Guest) -> None:
    text = "Canister has no query method 'update'."
    rejected(ErrorCode.CANISTER_METHOD_NOT_FOUND, text, a.query_raw, "update", code(reply()))


def test_a_composite_query_cannot_be_called_as_an_update(a: Guest) -> None:
    code_ = ErrorCode.COMPOSITE_QUERY_CALLED_IN_REPLICATED_MODE
    rejected(code_, "Composite query cannot be called in replicated mode", a.update, "composite_query", code(reply()))


@pytest.mark.parametrize("kind", KINDS)
def test_only_replicated_execution_says_so(kind: str, a: Guest) -> None:
    assert count(ask(a, kind, reply_number(ic0("in_replicated_execution")))) == 0
    assert count(a.ask_replicated(reply_number(ic0("in_replicated_execution")))) == 1


def test_a_query_cannot_call(a: Guest, b: Guest) -> None:
    program = call(b, reply(), method="query")
    rejected(VIOLATION, '"ic0_call_new" cannot be executed in non replicated query mode', a.ask, program)
    rejected(VIOLATION, '"ic0_call_new" cannot be executed in replicated query mode', a.ask_replicated, program)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_canister_answers_no_queries(kind: str, a: Guest) -> None:
    a.stop()
    rejected(ErrorCode.CANISTER_STOPPED, f"Canister {a.id} is stopped and therefore", ask, a, kind, reply())


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_canister_answers_no_queries(kind: str, a: Guest) -> None:
    a.uninstall()
    code_ = ErrorCode.CANISTER_WASM_MODULE_NOT_FOUND
    rejected(code_, "the canister contains no Wasm module", ask, a, kind, reply())


def test_a_query_does_not_change_the_version(a: Guest) -> None:
    version = count(a.ask(reply_number(ic0("canister_version"))))
    assert count(a.ask(reply_number(ic0("canister_version")))) == version


def test_queries_print_to_the_listener_and_not_to_the_log(a: Guest) -> None:
    result = a.query_raw("query", code(debug_print("hello"), reply()))
    assert result.logs == ("hello",)
    assert a.logs() == ()


def test_a_query_has_its_own_instruction_limit(a: Guest) -> None:
    limit = runtime_of(a).subnet.instruction_limits.query
    text = f"Canister exceeded the limit of {limit} instructions for single message execution."
    rejected(ErrorCode.CANISTER_INSTRUCTION_LIMIT_EXCEEDED, text, a.ask, spin())


# --- composite queries


@pytest.fixture
def deep(bits: int) -> tuple[Guest, Guest]:
    """Two canisters with room for the 50 million instructions that each call of a composite query counts for."""
    sandbox = Sandbox()
    return guest(sandbox, bits=bits), guest(sandbox, bits=bits)


def query(callee: B, program: Do, method: str = "query", **options: Any) -> Do:
    return call(callee, program, method=method, **options)


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_a_composite_query_calls_queries_of_others(kind: str, deep: tuple[Guest, Guest]) -> None:
    a, b = deep
    assert a.ask_composite(query(b, reply(caller() + self_id()), kind)) == bytes(a.id) + bytes(b.id)


def test_a_composite_query_calls_itself(deep: tuple[Guest, Guest]) -> None:
    a, _ = deep
    assert a.ask_composite(query(a, reply(caller()))) == bytes(a.id)


def test_a_composite_query_cannot_call_updates(deep: tuple[Guest, Guest]) -> None:
    a, b = deep
    told = reply(pack(reject_code()) + reject_message())
    answer = a.ask_composite(query(b, reply(), "update", on_reject=told))
    assert (answer[0], b"Canister has no query method 'update'." in answer) == (5, True)


def test_callbacks_see_what_the_composite_query_did(deep: tuple[Guest, Guest]) -> None:
    a, b = deep
    callback = reply_number(get_global())
    assert count(a.ask_composite(set_global(4), query(b, reply(), on_reply=callback))) == 4
    assert count(a.ask(reply_number(get_global()))) == 0


def test_each_callback_sees_what_the_one_before_left(deep: tuple[Guest, Guest]) -> None:
    a, b = deep
    first = query(b, reply(), on_reply=set_global(get_global() + 1))
    last = query(b, reply(), on_reply=reply_number(get_global()))
    assert count(a.ask_composite(first, first, first, last)) == 3


def test_a_callee_starts_from_the_committed_state_each_time(deep: tuple[Guest, Guest]) -> None:
    a, b = deep
    b.do(set_global(1), reply())
    counts = set_global(get_global() + 1) + reply_number(get_global())
    again = query(b, counts, on_reply=append(arg()) + query(b, counts, on_reply=append(arg()) + do("msg_reply")))
    assert count(a.ask_composite(again)) == 2


def test_a_called_canister_rejects_the_composite_query_with_its_text(deep: tuple[Guest, Guest]) -> None:
    a, b = deep
    told = reply(pack(reject_code()) + reject_message())
    assert a.ask_composite(query(b, reject("no"), on_reject=told)) == bytes([4]) + bytes(7) + b"no"


def test_a_called_canister_that_traps_rejects_with_code_5(deep: tuple[Guest, Guest]) -> None:
    a, b = deep
    assert count(a.ask_composite(query(b, trap("no"), on_reject=reply_number(reject_code())))) == 5


def test_a_called_canister_that_does_not_exist_rejects_with_code_3(deep: tuple[Guest, Guest]) -> None:
    a, _ = deep
    nobody = Principal.from_text("lxzze-o7777-77777-aaaaa-cai")
    assert count(a.ask_composite(query(nobody, reply(), on_reject=reply_number(reject_code())))) == 3


def test_no_cycles_travel_with_queries(deep: tuple[Guest, Guest]) -> None:
    a, b = deep
    text = '"ic0_call_cycles_add128" cannot be executed in composite query mode'
    rejected(VIOLATION, text, a.ask_composite, query(b, reply(), cycles=1))


def test_a_trap_in_a_callback_without_cleanup_rejects_the_query(deep: tuple[Guest, Guest]) -> None:
    a, b = deep
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "callback", a.ask_composite, query(b, reply(), on_reply=trap("callback")))


def test_after_a_successful_cleanup_the_query_goes_on(deep: tuple[Guest, Guest]) -> None:
    a, b = deep
    failing = query(b, reply(), on_reply=trap("callback"), on_cleanup=set_global(6))
    assert count(a.ask_composite(failing, query(b, reply(), on_reply=reply_number(get_global())))) == 6


def test_after_cleanup_nobody_may_be_left_to_answer(deep: tuple[Guest, Guest]) -> None:
    a, b = deep
    failing = query(b, reply(), on_reply=trap("callback"), on_cleanup=set_global(6))
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "callback", a.ask_composite, failing)
    text = f"Canister {a.id} did not produce a response"
    rejected(ErrorCode.CANISTER_DID_NOT_REPLY, text, a.ask_composite, failing, query(b, reply(), on_reply=NOTHING))


def test_cleanup_that_traps_as_well_is_told_with_the_callbacks_trap(deep: tuple[Guest, Guest]) -> None:
    a, b = deep
    failing = query(b, reply(), on_reply=unreachable(), on_cleanup=trap("cleanup"))
    text = "unreachable\n\ncall_on_cleanup also failed:\n\nCanister called `ic0.trap` with message: 'cleanup'"
    rejected(ErrorCode.CANISTER_TRAPPED, text, a.ask_composite, failing)


@BOTH
def test_cleanup_runs_from_the_state_before_the_callback(deep: tuple[Guest, Guest]) -> None:
    a, b = deep
    seen = pack(get_global()) + pack(load(9000)) + pack(memory_size()) + stable_read(0, 1)
    before = set_global(1) + store(9000, 2) + evaluate(stable_grow(1)) + stable_write(0, "3")
    before += evaluate(memory_grow(1)) + append(pack(memory_size()))
    wrong = set_global(7) + store(9000, 8) + stable_write(0, "9") + evaluate(memory_grow(5)) + evaluate(stable_grow(3))
    failing = query(b, reply(), on_reply=wrong + trap("no"), on_cleanup=set_global(get_global() + 10))
    again = query(b, reply(), on_reply=wrong + trap("no"), on_cleanup=set_global(get_global() + 10))
    answer = a.ask_composite(before, failing, again, query(b, reply(), on_reply=reply(seen)))
    pages = count(a.ask(reply_number(memory_size()))) + 1
    assert [count(answer[k : k + 8]) for k in (0, 8, 16)] == [21, 2, pages]
    assert answer[24:] == b"3"
    assert count(a.ask(reply_number(get_global()))) == 0


def test_a_graph_of_queries_is_at_most_six_calls_deep(deep: tuple[Guest, Guest]) -> None:
    a, b = deep
    told = reply(reject_message())

    def nested(depth: int) -> Do:
        program = reply("bottom")
        for level in range(depth - 1):
            callee = (a, b)[(depth - level) % 2]
            program = query(callee, program, "query" if level == 0 else "composite_query", on_reject=told)
        return program

    assert a.ask_composite(nested(7)) == b"bottom"
    text = "Composite query calls exceeded the maximum call depth."
    rejected(ErrorCode.QUERY_CALL_GRAPH_TOO_DEEP, text, a.ask_composite, nested(8))


def test_a_graph_of_queries_has_one_budget_of_instructions() -> None:
    sandbox = Sandbox(instruction_limits=InstructionLimits(query=20_000_000))
    a, b = guest(sandbox), guest(sandbox)
    text = "Composite query calls exceeded the instruction limit."
    code_ = ErrorCode.QUERY_CALL_GRAPH_TOTAL_INSTRUCTION_LIMIT_EXCEEDED
    program = query(b, reply(), on_reply=reply("too late"), on_reject=reply("too late"))
    rejected(code_, text, a.ask_composite, program)


def test_the_first_answer_ends_a_composite_query(deep: tuple[Guest, Guest]) -> None:
    a, b = deep
    late = query(b, reply(), on_reply=trap("late"))
    assert a.ask_composite(reply("early"), late) == b"early"
    assert a.ask_composite(query(b, reply("first")), late) == b"first"
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, "no", a.ask_composite, reject("no"), late)


def test_callbacks_count_the_instructions_of_the_whole_composite_query(deep: tuple[Guest, Guest]) -> None:
    a, b = deep
    counted = reply(pack(ic0("performance_counter", 0)) + pack(ic0("performance_counter", 1)))
    answer = a.ask_composite(spin(1000), query(b, reply(), on_reply=counted))
    assert count(answer[:8]) + 4000 < count(answer[8:]) < 50_000_000


def test_the_trap_of_a_callee_is_not_the_backtrace_of_a_query_that_answers(deep: tuple[Guest, Guest]) -> None:
    a, b = deep
    result = a.query_raw("composite_query", code(query(b, unreachable(), on_reject=reply("went on"))))
    assert (result.reply, result.backtrace) == (b"went on", ())


def test_there_is_no_certificate_in_updates_and_callbacks(deep: tuple[Guest, Guest]) -> None:
    a, b = deep
    present = reply_number(ic0("data_certificate_present"))
    assert count(a.do(present)) == 0
    assert count(a.ask_replicated(present)) == 0
    assert count(a.ask_composite(query(b, reply(), on_reply=present))) == 0


def test_there_is_no_certificate_in_other_canisters_of_the_graph(deep: tuple[Guest, Guest]) -> None:
    a, b = deep
    assert count(a.ask_composite(query(b, reply_number(ic0("data_certificate_present"))))) == 0
