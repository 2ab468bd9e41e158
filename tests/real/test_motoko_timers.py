"""Timers of Motoko's runtime."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox import Canister, Sandbox
from tests.conftest import fixture

SECOND = 10**9


@pytest.fixture
def sandbox() -> Sandbox:
    """With the platform's own limits."""
    return Sandbox()


@pytest.fixture(params=["enhanced", "classical"])
def timers(request: pytest.FixtureRequest, install: Callable[..., Canister]) -> Canister:
    return install(fixture(f"timers.{request.param}"))


def times(canister: Canister, name: str) -> list[int]:
    return [firing["at"] for firing in canister.call("list") if firing["name"] == name]


def test_a_recurring_timer_fires_a_thousand_times_and_once_for_each_period(timers: Canister, sandbox: Sandbox) -> None:
    start = sandbox.time
    timers.call("recurring", "r", SECOND)
    for _ in range(1000):
        sandbox.advance_time(seconds=1)
        sandbox.tick()
    assert times(timers, "r") == [start + i * SECOND for i in range(1, 1001)]


def test_a_thousand_single_timers_that_are_overdue_fire_in_the_order_of_their_time(
    timers: Canister, sandbox: Sandbox
) -> None:
    timers.call("many", 1000)
    sandbox.advance_time(seconds=500)
    sandbox.run_until_idle()
    assert timers.call("fired") == 500
    sandbox.advance_time(seconds=501)
    sandbox.run_until_idle()
    assert [firing["name"] for firing in timers.call("list")] == [str(i) for i in range(1000)]


def test_a_cancelled_timer_fires_no_more(timers: Canister, sandbox: Sandbox) -> None:
    number, single = timers.call("recurring", "r", SECOND), timers.call("once", "s", 5 * SECOND)
    for _ in range(3):
        sandbox.advance_time(seconds=1)
        sandbox.run_until_idle()
    timers.call("cancel", number)
    timers.call("cancel", single)
    sandbox.advance_time(seconds=100)
    sandbox.run_until_idle()
    assert len(times(timers, "r")) == 3
    assert times(timers, "s") == []


def test_a_timer_that_traps_undoes_itself_and_leaves_the_others_alone(timers: Canister, sandbox: Sandbox) -> None:
    timers.call("once", "before", SECOND)
    timers.call("trapping", "bad", SECOND)
    timers.call("recurring", "after", SECOND)
    for _ in range(2):
        sandbox.advance_time(seconds=1)
        sandbox.run_until_idle()
    assert [firing["name"] for firing in timers.call("list")] == ["before", "after", "after"]
    assert b"timers: on purpose" in b"".join(record.content for record in timers.logs())


def test_a_timer_may_wait_for_calls_and_set_the_next_timer(timers: Canister, sandbox: Sandbox) -> None:
    start = sandbox.time
    timers.call("awaiting", "w", SECOND)
    timers.call("chain", "c", SECOND, 4)
    for _ in range(6):
        sandbox.advance_time(seconds=1)
        sandbox.run_until_idle()
    assert times(timers, "c") == [start + i * SECOND for i in range(1, 5)]
    assert times(timers, "w") == [start + SECOND]
    assert timers.call("touched") == 2


def test_an_upgrade_forgets_timers_and_keeps_what_they_did(timers: Canister, sandbox: Sandbox) -> None:
    timers.call("recurring", "r", SECOND)
    sandbox.advance_time(seconds=1)
    sandbox.run_until_idle()
    module = sandbox.raw_state(timers).module
    assert module is not None
    timers.upgrade(module)
    sandbox.advance_time(seconds=10)
    sandbox.run_until_idle()
    assert len(times(timers, "r")) == 1
