"""A Rust service with ic-cdk: calls, guards, locks, timers, heartbeat, inspection."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox import Canister, ErrorCode, RejectCode, Sandbox
from tests.conftest import everything, fixture, rejected
from tests.real.submit import submit

Pair = tuple[Canister, Canister]
SECOND = 10**9


@pytest.fixture
def sandbox() -> Sandbox:
    """With the platform's own limits."""
    return Sandbox()


@pytest.fixture
def service(install: Callable[..., Canister]) -> Canister:
    return install(fixture("service_rs"))


@pytest.fixture
def pair(install: Callable[..., Canister]) -> Pair:
    """Two canisters with the same code."""
    return install(fixture("service_rs")), install(fixture("service_rs"))


# --- calls


def test_bounded_and_unbounded_calls_are_answered(pair: Pair) -> None:
    one, other = pair
    assert one.call("ask", other.id, 4) == {"ok": 4}
    assert one.call("ask_in_a_loop", other.id, 5) == [5, 7, 10, 14, 19]
    assert one.call("total_of", other.id) == 19
    assert one.call("total") == 0


@pytest.mark.parametrize(
    ("how", "code", "text", "their_total"),
    [
        ("refuse", RejectCode.CANISTER_REJECT, "no", 1),
        ("trap", RejectCode.CANISTER_ERROR, "Canister called `ic0.trap` with message: 'ouch'", 0),
        ("panic", RejectCode.CANISTER_ERROR, "service: on purpose", 0),
        ("missing", RejectCode.CANISTER_ERROR, "Canister has no update method 'missing'", 0),
        ("guarded", RejectCode.CANISTER_REJECT, "{} does not control this canister", 0),
    ],
)
def test_a_failed_call_tells_its_reject_code_and_message(
    how: str, code: RejectCode, text: str, their_total: int, pair: Pair
) -> None:
    one, other = pair
    error = one.call("attempt", other.id, {how: None})["error"]
    assert (error["kind"], error["code"]) == ("rejected", code)
    assert text.format(one.id) in error["message"]
    assert other.call("total") == their_total


def test_a_best_effort_call_is_given_up_at_its_deadline(pair: Pair, sandbox: Sandbox) -> None:
    one, other = pair
    assert one.call("ask_within", other.id, 2, 10) == {"ok": 1}
    answer = submit(sandbox, one, "ask_within", other.id, 5, 10)
    sandbox.tick(rounds=2)
    assert answer() is None
    sandbox.advance_time(seconds=11)
    sandbox.tick()
    assert answer()["error"]["code"] == RejectCode.SYS_UNKNOWN
    sandbox.run_until_idle()
    assert other.call("total") == 2


def test_one_way_calls_arrive_in_order(pair: Pair, sandbox: Sandbox) -> None:
    one, other = pair
    one.call("notify", other.id, 20)
    sandbox.run_until_idle()
    assert other.call("journal") == [f"note {i}" for i in range(20)]
    one.stop()  # no call context is left open
    assert one.status().status == "stopped"


def test_cycles_that_are_not_accepted_come_back(pair: Pair) -> None:
    one, other = pair
    mine, theirs = one.status().cycles, other.status().cycles
    assert one.call("pay", other.id, 1000, 300) == {"accepted": 300, "refunded": 700}
    assert (one.status().cycles, other.status().cycles) == (mine - 300, theirs + 300)
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "insufficient", one.call, "pay", other.id, 2**100, 300)
    assert one.status().cycles == mine - 300


# --- traps


def test_a_panic_says_where_and_undoes_its_message(service: Canister, sandbox: Sandbox) -> None:
    before = everything(sandbox, service)
    error = rejected(ErrorCode.CANISTER_CALLED_TRAP, "service: on purpose", service.call, "panic")
    assert "src/calls.rs:" in error.message
    assert everything(sandbox, service) == before


def test_after_a_trap_behind_an_await_what_lived_across_it_is_dropped(pair: Pair) -> None:
    one, other = pair
    rejected(ErrorCode.CANISTER_CALLED_TRAP, "trap_after_await", one.call, "trap_after_await", other.id)
    assert one.call("journal") == ["before", "dropped"]  # "after" is undone with the message that trapped
    assert other.call("total") == 1


def test_a_lock_lets_one_call_in_at_a_time(service: Canister, sandbox: Sandbox) -> None:
    answers = [submit(sandbox, service, "exclusive") for _ in range(2)]
    sandbox.run_until_idle()
    assert [answer() for answer in answers] == [{"ok": 1}, {"err": "another call is in here"}]
    assert service.call("exclusive") == {"ok": 2}


# --- who may call


def test_guards_reject_all_but_controllers(service: Canister, sandbox: Sandbox) -> None:
    eve = sandbox.identity("eve")
    text = f"{eve} does not control this canister"
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text, service.call, "for_controllers", sender=eve)
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text, service.call, "for_controllers_to_read", sender=eve)
    assert service.call("total") == 0
    [controller] = service.status().settings.controllers
    assert service.call("for_controllers", sender=controller) == "welcome"
    assert service.call("for_controllers_to_read", sender=controller) == "welcome"


def test_inspection_refuses_users_and_is_not_asked_for_queries(service: Canister) -> None:
    assert service.call("inspected", "something to say") == "something to say"
    rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, "rejected the message", service.call, "inspected", "")
    assert service.call("greet", "Bob") == "Hello, Bob!"


# --- tasks


def test_an_interval_fires_a_thousand_times_and_once_for_each_period(service: Canister, sandbox: Sandbox) -> None:
    start = sandbox.time
    number = service.call("start_interval", SECOND)
    for _ in range(1000):
        sandbox.advance_time(seconds=1)
        sandbox.tick()
    sandbox.run_until_idle()
    assert service.call("ticks") == [start + i * SECOND for i in range(1, 1001)]
    service.call("clear_timer", number)
    sandbox.advance_time(seconds=100)
    sandbox.run_until_idle()
    assert len(service.call("ticks")) == 1000


def test_single_timers_fire_once_in_the_order_of_their_time(service: Canister, sandbox: Sandbox) -> None:
    start = sandbox.time
    for seconds in (3, 1, 2):
        service.call("start_timer", seconds * SECOND)
    for _ in range(5):
        sandbox.advance_time(seconds=1)
        sandbox.run_until_idle()
    assert service.call("ticks") == [start + i * SECOND for i in (1, 2, 3)]


def test_a_serial_interval_waits_for_its_last_firing(service: Canister, sandbox: Sandbox) -> None:
    service.call("start_serial", SECOND, 3)
    for _ in range(6):  # a round each: the first firing is not over before the fourth
        sandbox.advance_time(seconds=1)
        sandbox.tick()
    assert 1 <= len(service.call("ticks")) <= 2


def test_the_heart_beats_once_a_round(service: Canister, sandbox: Sandbox) -> None:
    sandbox.tick(rounds=7)
    assert service.call("beats") == 7


def test_an_upgrade_forgets_timers_and_the_heap(service: Canister, sandbox: Sandbox) -> None:
    service.call("start_interval", SECOND)
    sandbox.advance_time(seconds=1)
    sandbox.run_until_idle()
    assert len(service.call("ticks")) == 1
    service.upgrade(fixture("service_rs"))
    sandbox.advance_time(seconds=10)
    sandbox.run_until_idle()
    assert service.call("ticks") == []
