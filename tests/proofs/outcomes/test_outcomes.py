"""Real outcomes of upgrades between versions of stable structures: refused, dead, lost, wrong or kept, and always a way
back. What a proof has to tell apart; how `verify-upgrade` does it is in `test_verdicts.py`."""

from __future__ import annotations

import pytest

from sandbox import Sandbox
from tests.conftest import fixture
from tests.proofs.outcomes.cases import CASES, EACH, Case
from tests.proofs.outcomes.observe import Outcome, observe, outcome

SECOND = 10**9


@pytest.mark.parametrize("case", EACH)
def test_an_upgrade_comes_out_as_the_table_says_and_the_snapshot_brings_everything_back(case: Case) -> None:
    seen = observe(case.start(), case.module(case.new), case.arg, case.arg if case.arg is True else None)
    assert outcome(seen) is case.outcome
    assert case.says in seen.texts
    assert seen.rolled_back


def test_every_outcome_has_a_case_in_every_run() -> None:
    assert {case.outcome for case in CASES if case.quick} == set(Outcome)


def test_after_an_upgrade_without_timers_a_rollback_has_none_either() -> None:
    sandbox = Sandbox()
    canister = sandbox.create_canister()
    canister.install(fixture("service_rs"))
    canister.call("start_interval", SECOND)

    def ticks() -> int:
        sandbox.advance_time(seconds=1)
        sandbox.run_until_idle()
        return len(canister.call("ticks"))

    assert [ticks(), ticks()] == [1, 2]
    snapshot = canister.take_snapshot()
    canister.load_snapshot(snapshot)
    assert ticks() == 3
    canister.upgrade(fixture("service_rs"))
    canister.load_snapshot(snapshot)
    assert [ticks(), ticks()] == [2, 2]
