"""What stays is what restic's `forget` would keep; pinned labels stay whatever else."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import Canister, Keep, Sandbox
from sandbox.management.retention import judge
from sandbox.memory import Pool
from sandbox.state import SnapshotState
from tests.conftest import FIXTURES, sandbox_of

COUNTER = FIXTURES / "counter.classical.wasm"
HOUR, DAY = 3600, 86400


def at(text: str, number: int = 0) -> SnapshotState:
    """A snapshot of this moment (UTC), labelled by it."""
    from sandbox import Principal

    taken = int(datetime.fromisoformat(f"{text}+00:00").timestamp()) * 1_000_000_000
    empty = Pool().memory().image()
    identity = number.to_bytes(8, "big") + b"\1"
    return SnapshotState(identity, Principal(b"\1"), text, taken, 0, None, b"", empty, empty, b"", global_timer=0)


def labels(times: list[str], keep: Keep, now: str = "2026-06-30T00:00") -> list[str]:
    judged = judge([at(text, number) for number, text in enumerate(times)], keep, at(now).taken_at)
    return [j.snapshot.label or "" for j in judged if j.reasons]


TIMES = [
    "2025-12-31T23:00",
    "2026-01-01T01:00",
    "2026-02-10T08:00",
    "2026-02-10T09:10",
    "2026-02-10T09:50",
    "2026-02-11T00:00",
    "2026-03-01T12:00",
]


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ({"last": 2}, [6, 5]),
        ({"hourly": 3}, [6, 5, 4]),
        ({"hourly": 4}, [6, 5, 4, 2]),
        ({"daily": 3}, [6, 5, 4]),
        ({"weekly": 2}, [6, 5]),
        ({"weekly": 3}, [6, 5, 1]),
        ({"monthly": 2}, [6, 5]),
        ({"monthly": 4}, [6, 5, 1, 0]),
        ({"monthly": 9}, [6, 5, 1, 0]),
        ({"hourly": 99}, [6, 5, 4, 2, 1, 0]),
        ({"last": 1, "pinned": ("2026-02-10*",)}, [6, 4, 3, 2]),
        ({"pinned": "2025-*"}, [0]),
        ({"within": 121 * DAY}, [6]),
    ],
)
def test_what_stays(keep: dict[str, Any], expected: list[int]) -> None:
    assert labels(TIMES, Keep(**keep)) == [TIMES[number] for number in expected]


def test_while_a_rule_is_not_used_up_the_oldest_stays_too() -> None:
    assert labels(["2026-01-01T01:00", "2026-01-01T01:10", "2026-01-01T01:20"], Keep(hourly=2)) == [
        "2026-01-01T01:20",
        "2026-01-01T01:00",
    ]


@given(
    hours=st.lists(st.integers(0, 24 * 400), max_size=40),
    rules=st.fixed_dictionaries({n: st.integers(0, 5) for n in ("last", "hourly", "daily", "weekly", "monthly")}),
)
def test_laws(hours: list[int], rules: dict[str, Any]) -> None:
    """The newest stays; what stays by rules together is what stays by each of them; no rule keeps more than it says."""
    if not any(rules.values()):
        return
    start = datetime(2026, 1, 1)
    times = [(start + timedelta(hours=hour)).isoformat() for hour in hours]
    kept = labels(times, Keep(**rules))
    assert len(kept) <= sum(rules.values())
    if times:
        assert max(times) in kept
    single = [set(labels(times, Keep(**{name: rules[name]}))) for name in rules if rules[name]]
    assert set(kept) == set().union(*single)
    assert kept == sorted(kept, reverse=True)


@pytest.mark.parametrize("rules", [{}, {"last": 0}, {"last": -1}, {"daily": 1.5}, {"last": True}, {"pinned": ()}])
def test_rules_that_make_no_sense(rules: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Keep needs a rule|is a number from 0 on"):
        Keep(**rules)


def test_one_that_is_damaged_is_left_to_whoever_looks_at_it() -> None:
    damaged = replace(at("2020-01-01T00:00"), damage="torn", label=None)
    judged = judge([damaged, at("2026-01-01T00:00", 1)], Keep(last=1), 0)
    assert [j.reasons for j in judged] == [("last",), ("damaged",)]


@pytest.fixture
def canister() -> Canister:
    canister = Sandbox(max_snapshots=50).create_canister()
    canister.install(COUNTER)
    return canister


def test_retain_deletes_by_the_sandboxes_own_time(canister: Canister) -> None:
    sandbox = sandbox_of(canister)
    for number in range(30):
        canister.call("inc")
        canister.take_snapshot("release 1" if number == 3 else None)
        sandbox.advance_time(12 * HOUR)
    before = canister.list_snapshots()
    keep = Keep(last=2, daily=4, pinned=("release *",))
    planned = sandbox.snapshots.retain(canister.id, keep, dry_run=True)
    assert canister.list_snapshots() == before
    done = sandbox.snapshots.retain(canister.id, keep)
    assert planned == done
    assert [s for s, _ in reversed(done.kept)] == canister.list_snapshots()
    rules = [reasons for _, reasons in done.kept]
    assert rules == [("last", "daily"), ("last", "daily"), ("daily",), ("daily",), ("pinned",)]
    canister.load_snapshot(done.kept[-1][0].id)
    assert canister.call("get") == 4


def test_only_controllers_may(canister: Canister) -> None:
    from sandbox import CallRejected

    canister.take_snapshot()
    sandbox = sandbox_of(canister)
    for dry_run in (True, False):
        with pytest.raises(CallRejected, match="IC0512"):
            sandbox.snapshots.retain(canister.id, Keep(last=1), dry_run, sender=sandbox.identity("bob"))


def test_prune_gives_back_packs_and_modules_and_nothing_that_is_needed(tmp_path: Path) -> None:
    def size() -> int:
        return sum(f.stat().st_size for part in ("packs", "modules") for f in (tmp_path / part).iterdir())

    with Sandbox.open(tmp_path, max_snapshots=99) as sandbox:
        canister = sandbox.create_canister()
        canister.install(FIXTURES / "people_v1.enhanced.wasm")
        canister.call("fill", 3000)
        canister.take_snapshot("old")
        canister.install(COUNTER, mode="reinstall")
        canister.take_snapshot("new")
    with Sandbox.open(tmp_path) as sandbox:
        before = size()
        assert sandbox.snapshots.prune().freed == 0, "nothing is garbage yet"
        sandbox.snapshots.retain(canister.id, Keep(last=1))
        assert sandbox.snapshots.prune().freed == 0, "what was not saved did not happen"
        sandbox.save()
        done = sandbox.snapshots.prune()
        assert done.modules == 1
        assert sandbox.snapshots.verify(sandbox.snapshots.list()[0].id).intact
        assert before - done.freed == size() < before / 2
        canister = sandbox.canister(canister.id)
        canister.install(FIXTURES / "people_v1.enhanced.wasm", mode="reinstall")
    with Sandbox.open(tmp_path) as sandbox:
        assert sandbox.canister(canister.id).call("size") == 0, "a module that was pruned is kept again"
        [snapshot] = sandbox.snapshots.list()
        assert sandbox.snapshots.verify(snapshot.id).intact


def test_in_memory_there_is_nothing_to_prune(canister: Canister) -> None:
    assert sandbox_of(canister).snapshots.prune().before == 0


def test_prune_leaves_the_module_that_only_the_saved_canister_needs(tmp_path: Path) -> None:
    """Even while the sandbox in use has gone on to another module, which is not saved."""
    with Sandbox.open(tmp_path) as sandbox:
        canister = sandbox.create_canister()
        canister.install(COUNTER)
        canister.call("inc")
    sandbox = Sandbox.open(tmp_path)
    sandbox.snapshots.prune()
    sandbox.canister(canister.id).install(FIXTURES / "people_v1.enhanced.wasm", mode="reinstall")
    sandbox.snapshots.prune()
    sandbox.close()
    with Sandbox.open(tmp_path) as sandbox:
        assert sandbox.canister(canister.id).call("get") == 1
