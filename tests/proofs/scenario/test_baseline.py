"""Baselines: written when asked to, compared when there, and never compared with what was counted in another way."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.proofs.report.model import ScenarioReport
from sandbox.proofs.scenario.loader import Choices, load
from sandbox.proofs.scenario.runner import Run, RunOptions
from sandbox.proofs.scenario.source import ScenarioError
from tests.conftest import guest
from tests.proofs.scenario.conftest import PEOPLE, failed

TEXT = (
    PEOPLE
    + """
parameters:
  n: [3, 5]
steps:
  - install: v1
  - call: fill
    args: [$n]
  - query: get
    args: [0]
  - repeat: 2
    steps:
      - call: set_age
        args: [0, 50]
  - upgrade: v2
  - call: fill
    args: '(1)'
    as: alice
"""
)


@pytest.fixture
def scenario(place: Path) -> Path:
    (place / "people.yaml").write_text(TEXT)
    return place / "people.yaml"


def run(path: Path, choices: Choices | None = None, **options: Any) -> ScenarioReport:
    [report] = Run([load(path, choices)], RunOptions(**options)).run().scenarios
    return report


def content(path: Path) -> Any:
    return yaml.safe_load(path.with_name("people.baseline.yaml").read_text())


def changed(path: Path, old: str, new: str) -> None:
    """Replace a part of the baseline."""
    file = path.with_name("people.baseline.yaml")
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_without_a_baseline_nothing_is_compared_or_written(scenario: Path) -> None:
    report = run(scenario)
    assert (report.status, report.notes) == ("held", ())
    assert not scenario.with_name("people.baseline.yaml").exists()


def test_a_baseline_keeps_what_every_step_gave_and_holds_the_next_time(scenario: Path) -> None:
    assert run(scenario, update=True).notes == (f"{scenario.with_name('people.baseline.yaml')} was written",)
    kept = content(scenario)["cases"]
    assert list(kept) == ["n=3", "n=5"]
    install, fill, get, repeat, upgrade, _ = kept["n=3"]
    assert fill["step"] == "call people.fill"
    assert fill["reply"] == "(3 : nat)"
    assert fill["instructions"] > 1000
    assert fill["pages"] == {"people": {"heap": 19, "stable": 257}}
    assert fill["changed"]["people"].keys() >= {"stable"}
    assert "changed" not in get
    assert get["reply"].startswith("(\n  opt record {\n    id = 0 : nat;")
    assert repeat["steps"] == [{"step": "call people.set_age", "reply": "(true)"}]
    assert install["changed"]["people"]["module"] != upgrade["changed"]["people"]["module"]
    again = run(scenario)
    assert (again.status, again.notes) == ("held", ())


def test_each_part_that_differs_is_a_failure(scenario: Path) -> None:
    run(scenario, update=True)
    stable = content(scenario)["cases"]["n=3"][1]["changed"]["people"]["stable"]
    changed(scenario, "(3 : nat)", "(4 : nat)")
    changed(scenario, stable, "f" * 16)
    changed(scenario, "stable: 257", "stable: 2")
    report = run(scenario)
    assert [case.status for case in report.cases] == ["failed", "held"]
    assert failed(report.cases[0]) == [
        "baseline reply: expected (4 : nat), got (3 : nat)",
        "baseline pages people.stable: expected 2, got 257",
        f"baseline state people.stable: expected {'f' * 16}, got {stable}",
    ]


def test_only_more_instructions_than_the_tolerance_allows_are_a_failure(scenario: Path) -> None:
    run(scenario, update=True)
    count = content(scenario)["cases"]["n=3"][1]["instructions"]
    original = scenario.with_name("people.baseline.yaml").read_text()

    def against(kept: int, tolerance: str = "") -> ScenarioReport:
        scenario.with_name("people.baseline.yaml").write_text(original)
        changed(scenario, f"instructions: {count}", f"instructions: {kept}")
        scenario.write_text(TEXT.replace("    args: [$n]\n", f"    args: [$n]\n{tolerance}"))
        return run(scenario)

    assert against(round(count / 1.01)).status == "held"
    [text] = failed(against(round(count / 1.1)).cases[0])
    assert text.startswith("baseline instructions: expected at most ")
    assert text.endswith(f"got {count:,} (+10.0%)")
    assert against(round(count / 1.1), "    tolerance: 11 %\n").status == "held"
    fewer = against(count * 2)
    assert fewer.status == "held"
    [note] = fewer.cases[0].steps[1].notes
    assert note.startswith(f"fewer instructions than in the baseline: {count:,}, not {count * 2:,} (-50.0%)")


def test_what_was_counted_or_hashed_in_another_way_is_not_compared_and_the_report_says_so(scenario: Path) -> None:
    run(scenario, update=True)
    kept = content(scenario)
    changed(scenario, kept["counted_by"], "another engine")
    changed(scenario, f"hashed_by: {kept['hashed_by']}", "hashed_by: another")
    changed(scenario, f"instructions: {kept['cases']['n=3'][1]['instructions']}", "instructions: 1")
    changed(scenario, kept["cases"]["n=3"][1]["changed"]["people"]["stable"], "f" * 16)
    report = run(scenario)
    assert report.status == "held"
    assert [note.partition(":")[0] for note in report.notes] == [
        "instructions are not compared",
        "hashes of the state are not compared",
    ]
    changed(scenario, "(3 : nat)", "(4 : nat)")
    assert failed(run(scenario).cases[0]) == ["baseline reply: expected (4 : nat), got (3 : nat)"]


def test_other_steps_than_in_the_baseline_are_a_failure(scenario: Path) -> None:
    run(scenario, update=True)
    scenario.write_text(TEXT.replace("  - upgrade: v2\n", "  - query: size\n  - upgrade: v2\n"))
    assert failed(run(scenario).cases[0]) == ["baseline step 5: expected upgrade people to v2, got query people.size"]
    scenario.write_text(TEXT[: TEXT.index("  - upgrade")])
    assert failed(run(scenario).cases[0]) == ["baseline step 5: expected upgrade people to v2, got no more steps"]


def test_a_new_case_is_a_remark_and_an_update_keeps_the_others(scenario: Path) -> None:
    run(scenario, update=True)
    report = run(scenario, Choices({"n": "[3, 9]"}))
    assert report.status == "held"
    assert report.notes == ("the baseline has no case 'n=9'; --update adds it",)
    before = content(scenario)["cases"]
    run(scenario, update=True, only="n=5")
    assert content(scenario)["cases"] == before


def test_a_failed_scenario_leaves_its_baseline_alone(scenario: Path) -> None:
    run(scenario, update=True)
    before = scenario.with_name("people.baseline.yaml").read_text()
    scenario.write_text(TEXT.replace("args: [$n]\n", "args: [$n]\n    expect: {reply: [3]}\n"))
    report = run(scenario, update=True)
    assert report.status == "failed"
    assert report.notes == (f"{scenario.with_name('people.baseline.yaml')} was not written: something failed",)
    assert scenario.with_name("people.baseline.yaml").read_text() == before
    assert not [name for name in os.listdir(scenario.parent) if name.startswith(".new-")]


def test_a_scenario_chooses_what_its_baseline_keeps(scenario: Path) -> None:
    scenario.write_text(f"baseline: reply\n{TEXT}")
    run(scenario, update=True)
    keys = {key for steps in content(scenario)["cases"].values() for step in steps for key in step}
    assert keys == {"step", "reply", "steps"}
    assert run(scenario).status == "held"


_GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "baseline-1.yaml"
_OF_GOLDEN = """canisters:
  guest:
    versions: {v1: guest.wasm}
steps:
  - install: v1
  - update: inc
    expect: {reply: !hex 0100000000000000}
  - repeat: 2
    steps:
      - update: inc
  - query: missing
    expect: {reject: {error: IC0536}}
"""


def test_a_baseline_of_format_1_is_read_for_ever(scenario: Path) -> None:
    scenario.with_name("guest.wasm").write_bytes(
        guest(
            """(global $count (mut i64) (i64.const 0))
            (func (export "canister_update inc")
              (global.set $count (i64.add (global.get $count) (i64.const 1)))
              (drop (call $stable64_grow (i64.const 1)))
              (i64.store (i32.const 64) (global.get $count))
              (call $stable64_write (i64.const 8) (i64.const 64) (i64.const 8))
              (call $reply64 (global.get $count)))"""
        )
    )
    scenario.write_text(_OF_GOLDEN)
    scenario.with_name("people.baseline.yaml").write_text(_GOLDEN.read_text())
    report = run(scenario)
    assert report.status == "held", failed(report.cases[0])
    assert report.notes[0].startswith("instructions are not compared: the baseline was counted by wasmtime 50.0.1, ")
    scenario.write_text(_OF_GOLDEN.replace("repeat: 2", "repeat: 3"))
    assert failed(run(scenario).cases[0]) == ["baseline step 3: expected repeat 2 times, got repeat 3 times"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cases: {}\n", "1:1: expected a baseline, a mapping with format"),
        ("format: 7\ncases: {}\n", "1:9: a baseline of format 7; this version of canister-sandbox reads 1"),
        ("format: 1\ncases: [a]\n", "2:8: expected cases, each a list of steps"),
        ("format: [\n", "2:1: this is no YAML: "),
    ],
)
def test_a_damaged_baseline_is_refused_before_anything_runs(scenario: Path, text: str, expected: str) -> None:
    scenario.with_name("people.baseline.yaml").write_text(text)
    with pytest.raises(ScenarioError) as caught:
        Run([load(scenario)])
    assert f"people.baseline.yaml:{expected}" in str(caught.value)
