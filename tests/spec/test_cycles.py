"""Interface specification, "Cycles": balances, and cycles that travel with calls."""

from __future__ import annotations

import pytest

from sandbox import ErrorCode, Sandbox
from tests.conftest import rejected
from tests.spec.conftest import BOTH, CYCLES
from tests.spec.guest import *

pytestmark = BOTH
VIOLATION = ErrorCode.CANISTER_CONTRACT_VIOLATION
MINTER = "rkp4c-7iaaa-aaaaa-aaaca-cai"
ATTACHED = 5_000_000


def cycles(canister: Guest) -> int:
    return canister.status().cycles


def test_a_canister_knows_its_balance(a: Guest) -> None:
    assert count(a.do(reply(balance()))) == cycles(a) == CYCLES


def test_without_fees_all_of_the_balance_may_be_spent(a: Guest) -> None:
    assert count(a.do(reply(wide("canister_liquid_cycle_balance128")))) == CYCLES


def test_a_users_call_carries_no_cycles(a: Guest) -> None:
    assert count(a.do(reply(available()))) == 0
    assert count(a.do(reply(accept()))) == 0


def test_cycles_on_a_call_are_available_to_the_callee(a: Guest, b: Guest) -> None:
    assert count(a.do(call(b, reply(available()), cycles=ATTACHED))) == ATTACHED


def test_what_is_not_accepted_comes_back(a: Guest, b: Guest) -> None:
    program = call(b, evaluate(accept(1000)) + reply(), cycles=ATTACHED, on_reply=reply(refunded()))
    assert count(a.do(program)) == ATTACHED - 1000
    assert (cycles(a), cycles(b)) == (CYCLES - 1000, CYCLES + 1000)


def test_all_that_is_available_can_be_accepted(a: Guest, b: Guest) -> None:
    assert count(a.do(call(b, reply(accept()), cycles=ATTACHED))) == ATTACHED
    assert (cycles(a), cycles(b)) == (CYCLES - ATTACHED, CYCLES + ATTACHED)


def test_accepting_counts_at_once(a: Guest, b: Guest) -> None:
    program = evaluate(accept(1000)) + reply(available() + balance())
    answer = a.do(call(b, program, cycles=ATTACHED))
    assert (count(answer[:16]), count(answer[16:])) == (ATTACHED - 1000, CYCLES + 1000)


def test_accepting_twice_takes_both(a: Guest, b: Guest) -> None:
    program = evaluate(accept(1000)) + evaluate(accept(500)) + reply()
    a.do(call(b, program, cycles=ATTACHED))
    assert cycles(b) == CYCLES + 1500


def test_cycles_can_be_accepted_in_a_callback_before_the_answer(a: Guest, b: Guest) -> None:
    inner = call(a, reply(), on_reply=evaluate(accept(700)) + reply())
    a.do(call(b, inner, cycles=ATTACHED))
    assert cycles(b) == CYCLES + 700


LOOK_AND_ACCEPT = set_slot(6, available()) + set_slot(7, accept(1000))


@pytest.mark.parametrize(
    ("program", "seen", "accepted"),
    [
        (reply() + LOOK_AND_ACCEPT, ATTACHED, 1000),
        (reject("no") + LOOK_AND_ACCEPT, ATTACHED, 1000),
        (evaluate(accept(300)) + reply() + LOOK_AND_ACCEPT, ATTACHED - 300, 1300),
        (reply() + set_slot(6, available()) + set_slot(7, accept()), ATTACHED, ATTACHED),
        (LOOK_AND_ACCEPT + reply() + evaluate(accept(50)), ATTACHED, 1050),
    ],
    ids=["reply", "reject", "accepted before too", "all", "accepted again"],
)
def test_the_execution_that_has_answered_may_still_accept(
    program: Do, seen: int, accepted: int, a: Guest, b: Guest
) -> None:
    came_back = reply(refunded())
    program = call(b, program, cycles=ATTACHED, on_reply=came_back, on_reject=came_back)
    assert count(a.do(program)) == ATTACHED - accepted
    assert count(b.ask(reply(slot(6)))) == seen
    assert (cycles(a), cycles(b)) == (CYCLES - accepted, CYCLES + accepted)


def test_a_trap_after_the_answer_and_accepting_gives_all_back(a: Guest, b: Guest) -> None:
    program = reply() + evaluate(accept()) + trap("no")
    assert count(a.do(call(b, program, cycles=ATTACHED, on_reject=reply(refunded())))) == ATTACHED
    assert (cycles(a), cycles(b)) == (CYCLES, CYCLES)


@pytest.mark.parametrize("taken", [0, 300])
def test_later_executions_of_an_answered_call_have_nothing(taken: int, sandbox: Sandbox, a: Guest, b: Guest) -> None:
    program = reply() + evaluate(accept(taken)) + call(a, reply(), on_reply=LOOK_AND_ACCEPT)
    assert count(a.do(call(b, program, cycles=ATTACHED, on_reply=reply(refunded())))) == ATTACHED - taken
    sandbox.run_until_idle()
    assert (count(b.ask(reply(slot(6)))), count(b.ask(reply(slot(7))))) == (0, 0)
    assert (cycles(a), cycles(b)) == (CYCLES - taken, CYCLES + taken)


@pytest.mark.parametrize("how", ["reject", "trap", "silence"])
def test_cycles_come_back_with_every_kind_of_failure(how: str, a: Guest, b: Guest) -> None:
    program = {"reject": reject("no"), "trap": evaluate(accept()) + trap("no"), "silence": Do()}[how]
    answer = a.do(call(b, program, cycles=ATTACHED, on_reject=reply(refunded())))
    assert count(answer) == ATTACHED
    assert (cycles(a), cycles(b)) == (CYCLES, CYCLES)


def test_a_reject_keeps_what_was_accepted(a: Guest, b: Guest) -> None:
    program = evaluate(accept(100)) + reject("no")
    assert count(a.do(call(b, program, cycles=ATTACHED, on_reject=reply(refunded())))) == ATTACHED - 100


def test_cycles_for_nobody_come_back(a: Guest, b: Guest) -> None:
    b.stop()
    assert count(a.do(call(b, reply(), cycles=ATTACHED, on_reject=reply(refunded())))) == ATTACHED
    assert cycles(a) == CYCLES


def test_a_query_method_that_is_called_may_accept_cycles(a: Guest, b: Guest) -> None:
    a.do(call(b, evaluate(accept(300)) + reply(), method="query", cycles=ATTACHED))
    assert (cycles(a), cycles(b)) == (CYCLES - 300, CYCLES + 300)


def test_attaching_takes_from_the_balance_at_once(a: Guest, b: Guest) -> None:
    program = call_new(b) + do("call_cycles_add128", 0, ATTACHED)
    assert count(a.do(program, reply(balance()))) == CYCLES - ATTACHED
    assert cycles(a) == CYCLES


def test_attaching_repeatedly_adds_up(a: Guest, b: Guest) -> None:
    program = call_new(b, on_reply=reply(arg())) + do("call_data_append", reply(available()))
    program += repeat(3, do("call_cycles_add128", 0, 10))
    assert count(a.do(program, evaluate(call_perform()))) == 30


def test_a_new_call_gives_back_what_the_unfinished_one_had(a: Guest, b: Guest) -> None:
    program = call_new(b) + do("call_cycles_add128", 0, ATTACHED) + call_new(b)
    assert count(a.do(program, reply(balance()))) == CYCLES


def test_more_than_there_is_cannot_be_attached(a: Guest, b: Guest) -> None:
    text = f"Canister {a.id} is out of cycles"
    rejected(VIOLATION, text, a.do, call(b, reply(), cycles=CYCLES + 1))
    a.do(call(b, reply(), cycles=CYCLES))


def test_a_trap_takes_back_what_was_attached(a: Guest, b: Guest) -> None:
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "no", a.do, call(b, evaluate(accept()) + reply(), cycles=9), trap("no"))
    assert (cycles(a), cycles(b)) == (CYCLES, CYCLES)


def test_a_trap_in_a_callback_does_not_take_back_the_refund(a: Guest, b: Guest) -> None:
    program = call(b, evaluate(accept(1)) + reply(), cycles=ATTACHED, on_reply=trap("no"))
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "no", a.do, program)
    assert cycles(a) == CYCLES - 1


def test_a_refund_is_credited_before_the_callback_runs(a: Guest, b: Guest) -> None:
    assert count(a.do(call(b, reply(), cycles=ATTACHED, on_reply=reply(balance())))) == CYCLES


def test_cycles_to_oneself_are_not_lost(a: Guest) -> None:
    assert count(a.do(call(a, reply(balance()), cycles=ATTACHED))) == CYCLES - ATTACHED
    assert count(a.do(call(a, reply(accept()), cycles=ATTACHED))) == ATTACHED
    assert cycles(a) == CYCLES


def test_burning_destroys(a: Guest) -> None:
    assert count(a.do(reply(burn(1234)))) == 1234
    assert cycles(a) == CYCLES - 1234


def test_no_more_is_burned_than_there_is(a: Guest) -> None:
    assert count(a.do(reply(burn(1 << 100)))) == CYCLES
    assert cycles(a) == 0


def test_a_replicated_query_burns_for_good(a: Guest) -> None:
    a.ask_replicated(evaluate(burn(10)), reply())
    assert cycles(a) == CYCLES - 10


def test_a_trap_burns_nothing(a: Guest) -> None:
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "no", a.do, evaluate(burn(10)), trap("no"))
    assert cycles(a) == CYCLES


def test_only_the_minting_canister_mints(a: Guest) -> None:
    text = f"ic0.mint_cycles128 cannot be executed on non Cycles Minting Canister: {a.id} != {MINTER}"
    rejected(VIOLATION, text, a.do, reply(wide("mint_cycles128", 0, 5)))


def test_the_minting_canister_mints(sandbox: Sandbox, bits: int) -> None:
    minter = guest(sandbox, bits=bits, canister_id=MINTER, cycles=0)
    assert count(minter.do(reply(wide("mint_cycles128", 1, 5)))) == (1 << 64) + 5
    assert cycles(minter) == (1 << 64) + 5


def test_amounts_beyond_64_bits(sandbox: Sandbox, bits: int, b: Guest) -> None:
    rich = guest(sandbox, bits=bits, cycles=1 << 90)
    assert count(rich.do(reply(balance()))) == 1 << 90
    assert count(rich.do(call(b, reply(accept(1 << 70)), cycles=1 << 80))) == 1 << 70
    assert cycles(rich) == (1 << 90) - (1 << 70)


def test_a_balance_has_at_most_128_bits(sandbox: Sandbox, bits: int) -> None:
    most = (1 << 128) - 1
    rich, richer = (guest(sandbox, bits=bits, cycles=most) for _ in range(2))
    assert count(rich.do(call(richer, evaluate(accept(10)) + reply(balance()), cycles=10))) == most
    assert (cycles(rich), cycles(richer)) == (most - 10, most)
