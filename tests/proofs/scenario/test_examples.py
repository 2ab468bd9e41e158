"""The example scenarios in `fixtures/scenarios`: those that hold, and those whose failure is the point."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.proofs.report.model import ScenarioReport
from sandbox.proofs.scenario.loader import load
from sandbox.proofs.scenario.runner import Run
from tests.conftest import FIXTURES
from tests.proofs.scenario.conftest import failed

SCENARIOS = FIXTURES.parent / "scenarios"
HOLD = {
    "add_property_motoko": 2,
    "add_property_rust": 1,
    "matrix": 12,
    "refused_motoko": 2,
    "refused_rust": 1,
    "two_canisters": 2,
    "variables": 2,
}
"""The examples that hold, and how many cases each has."""


def run(path: Path) -> ScenarioReport:
    [scenario] = Run([load(path)]).run().scenarios
    return scenario


def test_every_example_is_run_here() -> None:
    assert {path.stem for path in SCENARIOS.glob("*.yaml")} == HOLD.keys()


@pytest.mark.parametrize("name", HOLD)
def test_an_example_holds_in_all_its_cases(name: str) -> None:
    report = run(SCENARIOS / f"{name}.yaml")
    assert report.status == "held", [failed(case) for case in report.cases]
    assert len(report.cases) == HOLD[name]
    assert all(case.instructions > 0 for case in report.cases)


@pytest.mark.parametrize(("name", "cases"), [("drops_motoko", 2), ("drops_rust", 1)])
def test_a_lossy_upgrade_is_caught(name: str, cases: int) -> None:
    report = run(SCENARIOS / "caught" / f"{name}.yaml")
    assert len(report.cases) == cases
    for case in report.cases:
        emails, checksum = failed(case)[:2], failed(case)[2:]
        assert emails == [f'reply [{n}].email: expected "person{n}@example.org", got ""' for n in range(2)]
        assert [text.partition(":")[0] for text in checksum] == ["same_as"]


def test_every_wrong_expectation_is_caught_with_what_came() -> None:
    [case] = run(SCENARIOS / "caught" / "wrong_expectation.yaml").cases
    texts = failed(case)
    assert texts[:3] == [
        "reply: expected 4, got 3",
        "heap_pages: expected at most 1, got 19",
        "stable_pages: expected at least 1,000, got 257",
    ]
    assert "unchanged_since stable: expected as in 'three', got 16,842,752 -> 25,231,360 bytes" in texts[3]
    assert texts[4:9] == [
        "reply age: expected 45, got 44",
        'reply tags: expected [], got ["group-0", "even"]',
        "reject: expected a reject, got no reject",
        "state structure memory 0, count: expected exactly 3, got 4",
        "state structure memory 0, key 0.age: expected 45, got 44",
    ]
    assert texts[9] == "state structure memory 0, key 9: expected any value, got no such key"
    assert texts[10].startswith("outcome: expected no reject, got CANISTER_ERROR (5, IC0522)")
    assert len(texts) == 11
    assert [step.status for step in case.steps][-2:] == ["failed", "not run"]
