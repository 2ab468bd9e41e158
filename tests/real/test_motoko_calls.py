"""Motoko between canisters: await, try/catch/finally, throw, one-way calls, cycles, timeouts, composite queries.

What is journalled was committed, so the journal tells which messages counted.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox import CallRejected, Canister, ErrorCode, RejectCode, Sandbox
from tests.conftest import everything, fixture, rejected
from tests.real.submit import submit

Pair = tuple[Canister, Canister]
MODES = ["enhanced", "classical"]
HOW = {"add": {"add": 3}, "refuse": {"refuse": "no"}, "trap": {"trap": "ouch"}, "missing": {"missing": None}}


@pytest.fixture
def sandbox() -> Sandbox:
    """With the platform's own limits."""
    return Sandbox()


@pytest.fixture(params=MODES)
def pair(request: pytest.FixtureRequest, install: Callable[..., Canister]) -> Pair:
    """Two canisters with the same code."""
    module = fixture(f"calls.{request.param}")
    return install(module), install(module)


def test_awaits_in_a_loop_and_all_at_once_reach_the_other_in_order(pair: Pair) -> None:
    one, other = pair
    assert one.call("ask", other.id, 4) == 4
    assert one.call("ask_in_a_loop", other.id, 5) == [5, 7, 10, 14, 19]
    assert one.call("ask_all_at_once", other.id, 40)[-1] == 19 + sum(range(41))
    assert (one.call("get_total"), other.call("get_total")) == (0, 839)


def test_a_canister_calls_itself_deeply(pair: Pair) -> None:
    assert pair[0].call("nest", 200) == 200
    assert pair[0].call("get_total") == 200


def test_between_read_and_write_across_an_await_another_call_gets_in(pair: Pair, sandbox: Sandbox) -> None:
    answers = [submit(sandbox, pair[0], "careless_inc") for _ in range(2)]
    sandbox.run_until_idle()
    assert [answer() for answer in answers] == [1, 1]
    assert pair[0].call("get_total") == 1


def test_await_star_without_a_call_is_no_commit_point(pair: Pair, sandbox: Sandbox) -> None:
    before = everything(sandbox, pair[0])
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "star_then_trap: on purpose", pair[0].call, "star_then_trap")
    assert everything(sandbox, pair[0]) == before


@pytest.mark.parametrize(
    ("how", "code", "message", "their_total"),
    [
        ("refuse", "canister_reject", "no", 1),
        (
            "trap",
            "canister_error",
            "IC0503: Error from Canister {}: Canister called `ic0.trap` with message: 'ouch'",
            0,
        ),
        ("missing", "canister_error", "IC0536: Error from Canister {}: Canister has no update method 'missing'", 0),
    ],
)
def test_catch_gets_code_and_message_and_finally_runs_after_it(
    how: str, code: str, message: str, their_total: int, pair: Pair
) -> None:
    one, other = pair
    error = one.call("attempt", other.id, HOW[how])["error"]
    assert error["code"] == code
    assert error["message"].startswith(message.format(other.id))
    assert one.call("journal") == ["before", "catch", "finally"]
    assert other.call("get_total") == their_total  # a throw commits, a trap does not


def test_without_an_error_finally_runs_and_catch_does_not(pair: Pair) -> None:
    assert pair[0].call("attempt", pair[1].id, HOW["add"]) == {"ok": 3}
    assert pair[0].call("journal") == ["before", "after", "finally"]


def test_a_call_to_nobody_is_caught_as_an_invalid_destination(pair: Pair) -> None:
    error = pair[0].call("attempt", "2vxsx-fae", HOW["add"])["error"]
    assert error["code"] == "destination_invalid"


def test_a_throw_without_a_call_is_caught_too(pair: Pair) -> None:
    assert pair[0].call("local_throw", "x") == {"error": {"code": "canister_reject", "message": "x"}}
    assert pair[0].call("journal") == ["catch", "finally"]


def test_errors_that_pass_or_are_thrown_anew_reject_the_call_with_their_message(pair: Pair) -> None:
    one, other = pair
    with pytest.raises(CallRejected) as passed:
        one.call("uncaught", other.id, HOW["refuse"])
    assert (passed.value.reject_code, passed.value.message) == (RejectCode.CANISTER_REJECT, "no")
    with pytest.raises(CallRejected) as anew:
        one.call("rethrow", other.id, HOW["trap"])
    assert anew.value.reject_code is RejectCode.CANISTER_REJECT
    assert anew.value.message.startswith(f"rethrown: IC0503: Error from Canister {other.id}")
    assert one.call("journal") == ["finally", "catch", "finally"]


def test_a_trap_after_an_await_skips_catch_and_runs_finally_in_the_cleanup(pair: Pair) -> None:
    one, other = pair
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "trap_after_await", one.call, "trap_after_await", other.id)
    assert one.call("journal") == ["before", "finally"]  # "after" is undone with the message that trapped
    assert other.call("get_total") == 1


def test_a_trap_before_the_first_await_leaves_nothing_and_calls_nobody(pair: Pair, sandbox: Sandbox) -> None:
    one, other = pair
    before = everything(sandbox, one), everything(sandbox, other)
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "trap_before_await", one.call, "trap_before_await", other.id)
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "send_note_then_trap", one.call, "send_note_then_trap", other.id)
    sandbox.run_until_idle()
    assert (everything(sandbox, one), everything(sandbox, other)) == before


def test_one_way_calls_arrive_in_order_and_nobody_hears_of_their_traps(pair: Pair, sandbox: Sandbox) -> None:
    one, other = pair
    one.call("send_notes", other.id, 20)
    one.call("send_trapping_note", other.id)
    sandbox.run_until_idle()
    assert other.call("journal") == [f"note {i}" for i in range(20)]
    assert b"nobody hears" in other.logs()[-1].content
    one.stop()  # no call context is left open
    assert one.status().status == "stopped"


def test_cycles_that_are_not_accepted_come_back(pair: Pair, sandbox: Sandbox) -> None:
    one, other = pair
    mine, theirs = one.status().cycles, other.status().cycles
    assert one.call("pay", other.id, 1000, 300) == {"accepted": 300, "refunded": 700}
    assert one.call("pay", other.id, 200, 300) == {"accepted": 200, "refunded": 0}
    assert one.call("pay_in_vain", other.id, 5000) == {"attached": 5000, "lost": 0}
    assert (one.status().cycles, other.status().cycles) == (mine - 500, theirs + 500)
    rejected(ErrorCode.CANISTER_CONTRACT_VIOLATION, "is out of cycles", one.call, "pay", other.id, 2**127, 300)
    assert one.status().cycles == mine - 500


def test_a_call_with_a_timeout_is_answered_in_time_or_given_up(pair: Pair, sandbox: Sandbox) -> None:
    one, other = pair
    assert one.call("ask_within", other.id, 2, 10) == {"ok": 1}
    answer = submit(sandbox, one, "ask_within", other.id, 5, 10)
    sandbox.tick(rounds=2)
    assert answer() is None
    sandbox.advance_time(seconds=11)
    sandbox.tick()
    assert answer() == {"error": {"code": "system_unknown", "message": "Call deadline has expired."}}
    sandbox.run_until_idle()
    assert other.call("get_total") == 2  # it was done all the same, only nobody was told


def test_a_composite_query_asks_other_canisters_and_changes_nothing(pair: Pair, sandbox: Sandbox) -> None:
    one, other = pair
    other.call("add", 5)
    one.call("add", 1)
    before = everything(sandbox, one), everything(sandbox, other)
    assert one.call("total_of", other.id) == 5
    assert one.call("sum_of", [other.id, one.id, other.id]) == 11
    assert one.call("totals_along", [other.id, one.id, other.id]) == [1, 5, 1, 5]
    assert one.call("add_in_composite", other.id, 100) == 106
    assert "missing_query" in one.call("catch_in_composite", other.id)["error"]["message"]
    assert (everything(sandbox, one), everything(sandbox, other)) == before
    code = ErrorCode.COMPOSITE_QUERY_CALLED_IN_REPLICATED_MODE
    rejected(code, "cannot be called in replicated mode", one.update, "total_of")
