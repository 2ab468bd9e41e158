"""Scenarios from text, beside the modules of the fixtures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.proofs.report.model import CaseReport, Failure
from sandbox.proofs.scenario.loader import Choices, load
from sandbox.proofs.scenario.runner import Run
from sandbox.proofs.scenario.source import ScenarioError
from tests.conftest import FIXTURES

Ran = Callable[[str], CaseReport]

PEOPLE = """
canisters:
  people:
    versions: {v1: wasm/people_stable_rs_v1.wasm, v2: wasm/people_stable_rs_v2_good.wasm}
"""
COUNTER = """
canisters:
  counter:
    versions: {v1: wasm/counter.classical.wasm}
limits: {update: 50_000_000, query: 20_000_000, install: 50_000_000}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory in which `wasm/` holds the fixtures."""
    (tmp_path / "wasm").symlink_to(FIXTURES)
    return tmp_path


@pytest.fixture
def ran(place: Path) -> Ran:
    """`ran(text)`: the report of the only case of a scenario."""

    def run(text: str) -> CaseReport:
        (place / "scenario.yaml").write_text(text)
        [scenario] = Run([load(place / "scenario.yaml")]).run().scenarios
        [case] = scenario.cases
        return case

    return run


def problems(place: Path, text: str, choices: Choices | None = None) -> list[str]:
    """Return the problems of a scenario that cannot be used, with places as `LINE:COLUMN`."""
    (place / "scenario.yaml").write_text(text)
    with pytest.raises(ScenarioError) as caught:
        load(place / "scenario.yaml", choices)
    prefix = f"{place / 'scenario.yaml'}:"
    assert all(str(problem).startswith(prefix) for problem in caught.value.problems), caught.value
    return [str(problem).removeprefix(prefix) for problem in caught.value.problems]


def failed(case: CaseReport) -> list[str]:
    """Return everything that failed in a case."""
    return [str(failure) for _, failure in case.all_failures()]


def failures(case: CaseReport) -> list[Failure]:
    """Return the failures of a case."""
    return [failure for _, failure in case.all_failures()]
