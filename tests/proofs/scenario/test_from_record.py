"""A record of a session becomes a scenario that holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import CallRejected, InstructionLimits, Sandbox, Unsupported
from sandbox.proofs.scenario.from_record import write_scenario
from sandbox.proofs.scenario.loader import load
from sandbox.proofs.scenario.runner import Run
from tests.conftest import fixture
from tests.proofs.scenario.conftest import failed


def test_a_session_becomes_a_scenario_with_its_modules_and_holds(tmp_path: Path) -> None:
    sandbox = Sandbox(seed=7, max_snapshots=5, instruction_limits=InstructionLimits(update=100_000_000))
    sandbox.advance_time(seconds=5)
    alice = sandbox.identity("alice")
    with sandbox.record(tmp_path / "session.record"):
        people = sandbox.create_canister(controllers=[alice])
        counter = sandbox.create_canister(cycles=5_000_000_000_000)
        people.install(fixture("people_v1.enhanced"))
        counter.install(fixture("counter.classical"))
        people.call("add", {"name": 'Ada "$5" $n', "email": "a@b", "age": 36, "tags": ["x"]}, sender=alice)
        people.call("fill", 20)
        with sandbox.anchor():
            people.upgrade(fixture("people_v2_drops.enhanced"))
            sandbox.create_canister().install(fixture("counter.classical"))
        snapshot = people.take_snapshot("twenty")
        people.upgrade(fixture("people_v2_good.enhanced"))
        for attempt in (lambda: counter.call("boom"), lambda: counter.stop(sender=alice)):
            with pytest.raises(CallRejected):
                attempt()
        people.call("get", 0)
        people.load_snapshot(snapshot.id)
        people.query_raw("checksum")
        counter.call("tick_after", 60)
        sandbox.advance_time(seconds=61)
        sandbox.run_until_idle()
        sandbox.tick()
        counter.stop()
        counter.start()
        counter.call("random")
    files = write_scenario(tmp_path / "session.record", tmp_path / "session.yaml")
    assert files[-1] == tmp_path / "session.yaml"
    assert len(files) == 4
    assert all(path.suffix == ".wasm" for path in files[:-1])
    scenario = load(tmp_path / "session.yaml")
    [report] = Run([scenario]).run().scenarios
    [case] = report.cases
    assert failed(case) == []
    assert case.status == "held"
    assert case.seed == 7
    titles = [step.title for step in case.steps]
    assert titles[:3] == ["install canister1 of v1", "install canister2 of v1", "update canister1.add"]
    assert "upgrade canister1 to v2" in titles
    assert "rollback twenty" in titles
    assert not any("drops" in title for title in titles)
    assert sum(step.reject is not None for step in case.steps) == 2


def test_what_no_step_can_express_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    sandbox = Sandbox()
    with sandbox.record(tmp_path / "session.record"):
        canister = sandbox.create_canister()
        canister.update_settings(freezing_threshold=100)
    with pytest.raises(Unsupported, match=r"session\.record: step 2 cannot be a step of a scenario: update_settings"):
        write_scenario(tmp_path / "session.record", tmp_path / "session.yaml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["session.record"]
