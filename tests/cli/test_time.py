"""`time`, `tick` and `run`: virtual time on the command line, with timers and policies."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox import Sandbox
from tests.cli.conftest import Cli

Make = Callable[..., Cli]
HOUR = 3_600_000_000_000


@pytest.fixture
def timers(with_canister: Make) -> Cli:
    """A canister whose timer is due every hour."""
    cli = with_canister("timers", "timers.enhanced")
    cli("canister", "call", "timers", "recurring", f'("hourly", {HOUR})')
    return cli


def fired(cli: Cli) -> list[int]:
    return [firing["at"] for firing in cli.json("canister", "query", "timers", "list")["reply"][0]]


def test_time_is_shown_and_moves_forward_only(timers: Cli) -> None:
    begun = timers.json("time", "show")
    assert begun == {
        "time": 1_620_328_630_000_000_000,
        "date": "2021-05-06 19:17:10",
        "next_due": 1_620_328_630_000_000_000 + HOUR,
        "next_due_date": "2021-05-06 20:17:10",
    }
    assert timers.json("time", "advance", "1.5h")["time"] == begun["time"] + 3 * HOUR // 2
    assert "run: canister-sandbox run" in timers("time", "show")
    assert fired(timers) == []
    assert timers.json("time", "set", "2026-07-01T12:00:00")["date"] == "2026-07-01 12:00:00"
    assert timers.json("time", "set", "2026-07-01T14:00:01+02:00")["date"] == "2026-07-01 12:00:01"
    assert timers.json("time", "set", str(1_900_000_000_000_000_000))["time"] == 1_900_000_000_000_000_000
    assert "time never goes back" in timers("time", "set", "2026-07-01", code=2)
    assert timers.json("time", "show")["time"] == 1_900_000_000_000_000_000


@pytest.mark.parametrize("words", [("set", "tomorrow"), ("advance", "5"), ("advance", "-1s"), ("set", "2026-13-01")])
def test_what_is_no_time_is_misuse(cli: Cli, words: tuple[str, str]) -> None:
    assert repr(words[1]) in cli("time", *words, code=2) or "No such option" in cli("time", *words, code=2)
    assert not cli.state.exists()


def test_rounds_run_what_is_due(timers: Cli) -> None:
    timers("time", "advance", "1h")
    assert timers("tick").startswith("executed 1 round")
    assert len(fired(timers)) == 1
    timers("time", "advance", "1h")
    assert timers("run").startswith("idle after ")
    assert len(fired(timers)) == 2


def test_a_span_of_time_runs_each_timer_at_its_own_time(timers: Cli) -> None:
    begun = timers.json("time", "show")["time"]
    done = timers.json("run", "--for", "5h")
    assert done["time"] == begun + 5 * HOUR
    assert fired(timers) == [begun + hours * HOUR for hours in range(1, 6)]
    assert timers.json("time", "show")["time"] == begun + 5 * HOUR


def test_policies_take_snapshots_in_a_span_of_time(timers: Cli) -> None:
    begun = timers.json("time", "show")["time"]
    timers("snapshot", "policy", "timers", "--every", "2h")
    timers("run", "--for", "6h")
    taken = [snapshot["taken_on"] - begun for snapshot in timers.json("snapshot", "list")]
    assert taken == [0, 2 * HOUR, 4 * HOUR, 6 * HOUR]


def test_heartbeats_run_once_a_step(with_canister: Make) -> None:
    cli = with_canister("beats", "calls.enhanced")
    before = cli.json("run", "--for", "10s")["rounds"]
    assert cli.json("run", "--for", "10s", "--step", "1s")["rounds"] == before + 9
    assert "--step is longer than nothing" in cli("run", "--for", "1s", "--step", "0s", code=2)


def test_calls_that_still_wait_are_saved(with_canister: Make) -> None:
    cli = with_canister("timers", "timers.enhanced")
    cli("canister", "call", "timers", "chain", '("always", 0, 9)')
    assert "still not idle after 3 rounds" in cli("run", "--max-rounds", "3", code=1)
    assert 0 < len(fired(cli)) < 9
    cli("run")
    assert len(fired(cli)) == 9


def test_no_time_passes_in_a_span_of_nothing() -> None:
    with Sandbox() as sandbox:
        begun = sandbox.time
        assert sandbox.next_due is None
        assert sandbox.run_for(0) == 1
        assert sandbox.time == begun
        for seconds, step in ((-1, None), (1, 0)):
            with pytest.raises(ValueError, match="time never goes back"):
                sandbox.run_for(seconds, step=step)
