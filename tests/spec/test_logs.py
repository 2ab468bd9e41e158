"""Interface specification, "Debugging aids" and "Canister logs"; what trapping tells whom."""

from __future__ import annotations

import pytest

from sandbox import ErrorCode, Sandbox
from sandbox.api import runtime_of
from tests.conftest import rejected
from tests.spec.conftest import BOTH
from tests.spec.guest import *

TRAPPED, CALLED_TRAP = ErrorCode.CANISTER_TRAPPED, ErrorCode.CANISTER_CALLED_TRAP


def log(canister: Guest) -> list[str]:
    return [record.content.decode() for record in canister.logs()]


@BOTH
def test_prints_are_logged_in_order(a: Guest) -> None:
    a.do(debug_print("one"), debug_print("two"), reply())
    assert log(a) == ["one", "two"]


def test_records_are_numbered_and_dated(a: Guest, sandbox: Sandbox) -> None:
    a.do(debug_print("one"), reply())
    sandbox.advance_time(1)
    a.do(debug_print("two"), reply())
    first, second = a.logs()
    assert (first.index + 1, first.timestamp + 1_000_000_000) == (second.index, second.timestamp)


def test_prints_of_a_message_that_traps_are_logged_with_the_trap(a: Guest) -> None:
    rejected(CALLED_TRAP, "no", a.do, debug_print("before"), trap("no"))
    assert log(a) == ["before", "[TRAP]: no"]


def test_prints_of_callbacks_and_cleanups_are_logged(a: Guest, b: Guest) -> None:
    callback = debug_print("callback") + trap("no")
    program = call(b, reply(), on_reply=callback, on_cleanup=debug_print("cleanup"))
    rejected(CALLED_TRAP, "no", a.do, program)
    assert log(a) == ["callback", "[TRAP]: no", "cleanup"]


def test_prints_of_replicated_queries_are_logged(a: Guest) -> None:
    a.ask_replicated(debug_print("query"), reply())
    assert log(a) == ["query"]


@pytest.mark.parametrize("composite", [False, True])
def test_prints_of_queries_are_not_logged(composite: bool, a: Guest) -> None:
    (a.ask_composite if composite else a.ask)(debug_print("query"), reply())
    assert log(a) == []


def test_prints_of_init_and_upgrades_are_logged(sandbox: Sandbox) -> None:
    c = guest(sandbox, debug_print("init"))
    c.do(on_pre_upgrade(debug_print("pre")), reply())
    c.upgrade(module(start=debug_print("start")), code(debug_print("post")))
    assert log(c) == ["init", "pre", "start", "post"]


def test_the_log_holds_4_kib_and_the_oldest_give_way(a: Guest) -> None:
    a.do(repeat(50, debug_print("x" * 100)), debug_print("last"), reply())
    assert log(a)[-1] == "last"
    assert sum(map(len, log(a))) <= 4096


def test_logs_survive_upgrades_and_restart_with_a_reinstallation(a: Guest) -> None:
    a.do(debug_print("kept"), reply())
    a.upgrade(module())
    assert log(a) == ["kept"]
    a.install(module(), mode="reinstall")
    assert log(a) == []


def test_a_print_that_is_not_utf8_is_kept_as_it_is(a: Guest) -> None:
    a.do(debug_print(b"\xff"), reply())
    assert a.logs()[0].content == b"\xff"


# --- traps


@BOTH
def test_a_called_trap_is_told_with_its_text(a: Guest) -> None:
    error = rejected(CALLED_TRAP, "with message: 'the text ✗'", a.do, trap("the text ✗"))
    start = f"Error from Canister {a.id}: Canister called `ic0.trap` with message: 'the text ✗'.\nConsider gracefully"
    assert error.message.startswith(start)


def test_what_the_caller_is_told_is_cut_at_8_kib_and_the_log_at_4(a: Guest) -> None:
    error = rejected(CALLED_TRAP, "xxx", a.do, trap("x" * 20_000))
    assert len(error.message) == 8192
    assert len(a.logs()[0].content) == 4096


def test_a_trap_text_that_is_not_utf8_is_mended(a: Guest) -> None:
    rejected(CALLED_TRAP, "with message: 'a\N{REPLACEMENT CHARACTER}b'", a.do, trap(b"a\xffb"))


@BOTH
@pytest.mark.parametrize(
    ("what", "text"),
    [
        (unreachable(), "unreachable"),
        (evaluate(number(1) // 0), "integer division by 0"),
        (evaluate(load(0xFFFF_FFFF)), "heap out of bounds"),
        (store(0xFFFF_FFFF, 1), "heap out of bounds"),
        (jump(1000), "table out of bounds"),
        (recurse(), "stack overflow"),
    ],
    ids=["unreachable", "division", "load", "store", "table", "recursion"],
)
def test_every_trap_of_wasm_has_its_text(what: Do, text: str, a: Guest) -> None:
    error = rejected(TRAPPED, f"Error from Canister {a.id}: Canister trapped: {text}", a.do, what)
    assert error.reject_code == 5


@BOTH
def test_an_indirect_call_of_another_type_is_a_contract_violation(a: Guest) -> None:
    text = "function invocation does not match its signature"
    rejected(ErrorCode.CANISTER_CONTRACT_VIOLATION, text, a.do, jump(REPLY))


@BOTH
def test_too_many_instructions(a: Guest, sandbox: Sandbox) -> None:
    limit = runtime_of(sandbox).subnet.instruction_limits.update
    text = f"Canister exceeded the limit of {limit} instructions for single message execution."
    rejected(ErrorCode.CANISTER_INSTRUCTION_LIMIT_EXCEEDED, text, a.do, spin())


# --- performance counter


def counter(kind: int) -> Number:
    return ic0("performance_counter", kind)


@BOTH
def test_the_counter_grows_with_the_work(a: Guest) -> None:
    few = count(a.do(spin(10), reply_number(counter(0))))
    many = count(a.do(spin(10_000), reply_number(counter(0))))
    assert many - few > 9_000


def test_the_counter_starts_anew_with_every_message(a: Guest, b: Guest) -> None:
    program = spin(100_000) + call(b, reply(), on_reply=reply_number(counter(0)))
    assert 0 < count(a.do(program)) < 100_000


def test_the_second_counter_counts_the_call_context(a: Guest, b: Guest) -> None:
    program = spin(100_000) + call(b, reply(), on_reply=reply_number(counter(1)))
    assert count(a.do(program)) > 100_000


def test_in_the_first_message_both_counters_agree(a: Guest) -> None:
    answer = a.do(set_global(counter(0)), reply_number(counter(1) - get_global()))
    assert 0 < count(answer) < 10_000


def test_the_callees_work_does_not_count(a: Guest, b: Guest) -> None:
    program = call(b, spin(100_000) + reply(), on_reply=reply_number(counter(1)))
    assert count(a.do(program)) < 100_000


def test_there_is_no_third_counter(a: Guest) -> None:
    text = "Error getting performance counter type 2"
    rejected(ErrorCode.CANISTER_CONTRACT_VIOLATION, text, a.do, reply_number(counter(2)))


def test_the_same_message_costs_the_same(a: Guest, b: Guest) -> None:
    program = spin(50) + reply_number(counter(0))
    assert len({a.do(program), a.do(program), b.do(program)}) == 1
