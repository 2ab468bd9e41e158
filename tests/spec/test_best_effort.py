"""Interface specification, "Bounded-wait calls": `ic0.call_with_best_effort_response` and `ic0.msg_deadline`."""

from __future__ import annotations

import pytest

from sandbox import CallRejected, Sandbox
from sandbox.api import runtime_of
from sandbox.execution.rounds import step
from tests.management.methods import MANAGEMENT, encoded
from tests.spec.conftest import CYCLES
from tests.spec.guest import *

SECOND = 1_000_000_000
DEADLINE = reply_number(ic0("msg_deadline"))
TOLD = reply(pack(reject_code()) + reject_message())


def state(canister: Guest) -> int:
    return count(canister.ask(reply_number(get_global())))


@pytest.mark.parametrize(("timeout", "seconds"), [(1, 1), (300, 300), (301, 300), (0xFFFF_FFFF, 300), (0, 0)])
def test_the_callee_sees_the_deadline_which_is_at_most_five_minutes_away(
    timeout: int, seconds: int, a: Guest, b: Guest, sandbox: Sandbox
) -> None:
    answer = a.do(call(b, DEADLINE, timeout=timeout, on_reject=TOLD))
    if seconds:
        assert count(answer) == sandbox.time + seconds * SECOND
    else:
        assert answer[0] == 6


def test_a_guaranteed_call_has_no_deadline(a: Guest, b: Guest) -> None:
    assert count(a.do(call(b, DEADLINE))) == 0


def test_callbacks_see_the_deadline_of_their_own_call_context(a: Guest, b: Guest, sandbox: Sandbox) -> None:
    assert count(a.do(call(b, reply(), timeout=10, on_reply=DEADLINE))) == 0
    inner = call(a, reply(), on_reply=DEADLINE)
    assert count(a.do(call(b, inner, timeout=10))) == sandbox.time + 10 * SECOND


def test_an_answer_in_time_is_delivered(a: Guest, b: Guest) -> None:
    assert a.do(call(b, reply("in time"), timeout=10)) == b"in time"


def test_a_request_whose_deadline_has_passed_is_not_executed(a: Guest, b: Guest, sandbox: Sandbox) -> None:
    number = sandbox.submit(a, "update", code(call(b, set_global(1) + reply(), timeout=10, on_reject=TOLD)))
    assert step(runtime_of(sandbox).environment())
    sandbox.advance_time(11)
    sandbox.run_until_idle()
    answer = sandbox.ingress_status(number)
    assert answer is not None
    assert not isinstance(answer, CallRejected)
    assert (answer.reply or b"")[0] == 6
    assert state(b) == 0


def test_nor_is_one_of_the_management_canister_and_its_cycles_come_back(a: Guest, b: Guest, sandbox: Sandbox) -> None:
    version = b.status().version
    deposit = call(
        MANAGEMENT, encoded("deposit_cycles", {"canister_id": b.id}), method="deposit_cycles", timeout=10, cycles=500
    )
    sandbox.submit(a, "update", code(deposit))
    assert step(runtime_of(sandbox).environment())
    sandbox.advance_time(11)
    sandbox.run_until_idle()
    assert (a.status().cycles, b.status().cycles, b.status().version) == (CYCLES, CYCLES, version)


@pytest.fixture
def late(a: Guest, b: Guest, sandbox: Sandbox) -> bytes:
    """a's call of b, which waits for itself to stop, that is five minutes; b has accepted 100 of 1,000 cycles."""
    b.update_settings(controllers=[b.id, sandbox.identity("default")])
    stop = call(MANAGEMENT, encoded("stop_canister", {"canister_id": b.id}), method="stop_canister", on_reject=reply())
    program = call(b, set_global(1) + evaluate(accept(100)) + stop, timeout=10, cycles=1000, on_reject=TOLD)
    number = sandbox.submit(a, "update", code(program))
    sandbox.run_until_idle()
    assert sandbox.ingress_status(number) is None
    return number


def test_at_the_deadline_the_caller_is_told_that_nothing_is_known(late: bytes, sandbox: Sandbox, b: Guest) -> None:
    sandbox.advance_time(10)
    sandbox.run_until_idle()
    answer = sandbox.ingress_status(late)
    assert answer is not None
    assert not isinstance(answer, CallRejected)
    reply_ = answer.reply or b""
    assert (reply_[0], reply_[8:]) == (6, b"Call deadline has expired.")


def test_a_late_answer_runs_no_callback_and_brings_its_cycles_back(
    late: bytes, sandbox: Sandbox, a: Guest, b: Guest
) -> None:
    sandbox.advance_time(10)
    sandbox.run_until_idle()
    assert a.status().cycles == CYCLES - 1000
    sandbox.advance_time(300)
    sandbox.run_until_idle()
    assert (a.status().cycles, b.status().cycles) == (CYCLES - 100, CYCLES + 100)
    b.start()
    assert state(b) == 1


def test_a_callback_runs_once_even_if_the_answer_comes_with_the_deadline(a: Guest, b: Guest, sandbox: Sandbox) -> None:
    counted = set_global(get_global() + 1) + reply()
    number = sandbox.submit(a, "update", code(call(b, reply(), timeout=10, on_reply=counted, on_reject=counted)))
    env = runtime_of(sandbox).environment()
    assert step(env)
    assert step(env)
    sandbox.advance_time(10)
    sandbox.run_until_idle()
    assert sandbox.ingress_status(number) is not None
    assert state(a) == 1
