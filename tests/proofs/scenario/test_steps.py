"""Every kind of step and of expectation, on real canisters."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sandbox import Sandbox
from sandbox.proofs.scenario.expectation_kinds import EXPECTATIONS
from sandbox.proofs.scenario.loader import Choices, load
from sandbox.proofs.scenario.runner import Run, RunOptions
from sandbox.proofs.scenario.step_kinds import STEPS
from tests.conftest import fixture
from tests.proofs.scenario.conftest import COUNTER, PEOPLE, Ran, failed

HERE = Path(__file__).parent


def test_every_kind_occurs_in_a_scenario_that_is_run() -> None:
    examples = (HERE.parents[2] / "fixtures" / "scenarios").rglob("*.yaml")
    text = Path(__file__).read_text() + "".join(path.read_text() for path in examples)
    for kind in STEPS:
        assert re.search(rf"- {kind.name}: ", text) or kind.name == "expect", kind.name
    for expectation in EXPECTATIONS:
        assert re.search(rf"\b{expectation.name}: ", text), expectation.name


def test_calls_queries_and_updates_are_told_apart(ran: Ran) -> None:
    case = ran(
        COUNTER
        + """
steps:
  - install: v1
  - call: inc
    expect: {reply: [1], instructions: {min: 1, max: 1_000_000}}
  - query: inc
    expect:
      reject: {error: IC0536}
  - call: get
    expect: {reply: [1]}
  - update: get
    expect: {reply: '(1)'}
  - call: whoami
    as: alice
    expect: {reply: [$user.alice]}
  - call: whoami
    expect: {reply: [2vxsx-fae]}
  - call: inc
    args: !hex 4449444c0000
    expect: {reply: !hex 4449444c00017d02}
"""
    )
    assert failed(case) == []
    assert [step.title for step in case.steps][:3] == ["install counter of v1", "call counter.inc", "query counter.inc"]


def test_an_unexpected_reject_ends_the_case(ran: Ran) -> None:
    case = ran(COUNTER + "steps:\n  - install: v1\n  - call: boom\n  - call: inc\n")
    [text] = failed(case)
    assert text.startswith("outcome: expected no reject, got CANISTER_ERROR (5, IC0503)")
    assert [step.status for step in case.steps] == ["held", "failed", "not run"]
    assert case.status == "failed"
    assert case.steps[1].backtrace


def test_an_expected_reject_is_checked_in_every_part(ran: Ran) -> None:
    text = "steps:\n  - install: v1\n  - call: boom\n    expect:\n      reject: {}\n"
    right = "{code: CANISTER_ERROR, error: CANISTER_CALLED_TRAP, text: on purpose}"
    assert failed(ran(COUNTER + text.format(right))) == []
    [code, error, message] = failed(ran(COUNTER + text.format("{code: 4, error: IC0502, text: by chance}")))
    assert code == "reject code: expected CANISTER_REJECT, got CANISTER_ERROR"
    assert error == "reject error: expected IC0502, got IC0503"
    assert message.startswith("reject text: expected a message with 'by chance', got ")
    assert failed(ran(COUNTER + text.format("by chance")))[0].startswith("reject text: ")


def test_a_module_that_hangs_ends_at_its_limit(ran: Ran) -> None:
    case = ran(
        COUNTER + "steps:\n  - install: v1\n  - call: spin\n    expect: {reject: {error: IC0522}}\n  - call: inc\n"
    )
    assert failed(case) == []


def test_time_rounds_and_timers(ran: Ran) -> None:
    case = ran(
        COUNTER
        + """
steps:
  - install: v1
  - call: tick_after
    args: [60]
  - advance: 30s
  - tick: idle
  - query: get_ticks
    expect: {reply: [0]}
  - advance: 31
  - tick: 2
  - tick: idle
    max_rounds: 10
  - query: get_ticks
    expect: {reply: [1]}
"""
    )
    assert failed(case) == []


def test_stop_and_start(ran: Ran) -> None:
    case = ran(
        COUNTER
        + """
steps:
  - install: v1
  - stop: counter
    as: mallory
    expect: {reject: {error: IC0512}}
  - stop: counter
  - call: inc
    expect: {reject: {error: IC0508}}
  - start: counter
  - call: inc
    expect: {reply: [1]}
  - reinstall: v1
  - query: get
    expect: {reply: [0]}
"""
    )
    assert failed(case) == []


def test_snapshots_keep_every_part_and_say_which_changed(ran: Ran) -> None:
    case = ran(
        COUNTER
        + """
steps:
  - install: v1
  - snapshot: empty
  - query: get
    expect: {unchanged_since: empty}
  - call: set_certified
    args: [abc]
    expect: {unchanged_since: empty}
  - rollback: empty
    expect: {unchanged_since: {label: empty, parts: [module, globals, heap, stable, certified]}}
  - expect: {unchanged_since: empty, reject: nothing}
"""
    )
    changes = failed(case)
    assert "unchanged_since certified: expected as in 'empty', got none -> 616263" in changes
    assert changes[-1] == "reject: expected a reject, got no reject"
    assert not any(text.startswith("unchanged_since module") for text in changes)
    assert [step.status for step in case.steps] == ["held", "held", "held", "failed", "held", "failed"]


def test_logs_of_a_step(ran: Ran) -> None:
    case = ran(
        COUNTER
        + """
steps:
  - install: v1
  - call: print
    args: [hello]
    expect: {logs: "[counter] hello"}
  - call: inc
    expect: {logs: hello}
"""
    )
    assert failed(case) == ["logs: expected a line with 'hello', got no lines"]
    assert case.steps[1].logs == ("[counter] hello",)


def test_an_upgrade_may_be_told_how(ran: Ran) -> None:
    text = """
canisters:
  people:
    versions: {v1: wasm/people_v1.enhanced.wasm, v2: wasm/people_v2_good.enhanced.wasm}
steps:
  - install: v1
  - call: fill
    args: [3]
  - upgrade: v2
    skip_pre_upgrade: true
    persistence: replace
  - query: size
    expect: {reply: [0]}
"""
    assert failed(ran(text)) == []
    kept = text.replace("    skip_pre_upgrade: true\n", "").replace("replace", "keep")
    assert failed(ran(kept)) == ["reply: expected 0, got 3"]


def test_a_repetition_has_the_number_of_the_round(ran: Ran) -> None:
    case = ran(
        PEOPLE
        + """
steps:
  - install: v1
  - repeat: 3
    expect:
      stable_pages: {min: 1}
      instructions: {max: 10}
    steps:
      - call: add
        args: [{name: Person $index, email: "", age: $index, tags: []}]
        expect: {reply: [$index]}
      - repeat: 2
        steps:
          - query: size
  - query: get
    args: [2]
    expect: {reply: [{name: Person 2, age: 2}]}
"""
    )
    repeat = case.steps[1]
    assert failed(case) == [f"instructions: expected at most 10, got {repeat.instructions:,}"]
    assert [(step.title, step.times) for step in repeat.steps] == [("call people.add", 3), ("repeat 2 times", 3)]
    assert repeat.instructions == sum(step.instructions for step in repeat.steps)
    assert sum(repeat.steps[0].series) == repeat.steps[0].instructions > 0


def test_a_repetition_stops_at_the_first_round_that_fails(ran: Ran) -> None:
    case = ran(
        PEOPLE
        + """
steps:
  - install: v1
  - repeat: 1000
    steps:
      - call: fill
        args: [1]
        expect: {reply: [!between [1, 7]]}
  - query: size
"""
    )
    assert failed(case) == [
        "round: expected 1,000 rounds as expected, got round 7 (from 0), call people.fill: "
        "reply: expected 1 to 7, got 8",
        "reply: expected 1 to 7, got 8",
    ]
    assert [step.status for step in case.steps] == ["held", "failed", "not run"]
    assert case.steps[1].steps[0].times == 8


def test_versions_may_change_within_a_repetition(ran: Ran) -> None:
    case = ran(
        PEOPLE
        + """
steps:
  - install: v1
  - call: fill
    args: [5]
  - snapshot: five
  - repeat: 3
    steps:
      - upgrade: v2
      - query: active_count
        expect: {reply: [5]}
      - rollback: five
  - query: size
    expect: {reply: [5], unchanged_since: five}
"""
    )
    assert failed(case) == []


@pytest.mark.parametrize("form", ["icsnap", "dir"])
def test_a_canister_may_begin_with_a_snapshot(place: Path, ran: Ran, form: str) -> None:
    name = "people.icsnap" if form == "icsnap" else "people-snapshot"
    _downloaded(place / name)
    case = ran(
        f"""
canisters:
  people:
    versions: {{v2: wasm/people_stable_rs_v2_good.wasm}}
    snapshot: {name}
    controllers: alice
steps:
  - query: size
    expect: {{reply: [12]}}
  - upgrade: v2
    as: mallory
    expect: {{reject: {{error: IC0512}}}}
  - upgrade: v2
  - query: active_count
    expect: {{reply: [12]}}
"""
    )
    assert failed(case) == []


def _downloaded(path: Path) -> None:
    with Sandbox() as sandbox:
        people = sandbox.create_canister()
        people.install(fixture("people_stable_rs_v1"))
        people.call("fill", 12)
        sandbox.snapshots.download(people.take_snapshot().id, path)


def test_a_canister_may_begin_with_a_stable_memory(place: Path, ran: Ran) -> None:
    with Sandbox() as sandbox:
        people = sandbox.create_canister()
        people.install(fixture("people_stable_rs_v1"))
        people.call("fill", 12)
        (place / "stable.bin").write_bytes(people.raw_state().stable)
    text = """
canisters:
  people:
    versions: {v2: wasm/VERSION.wasm}
    stable_image: {file: stable.bin, version: v2, arg: '(null)'}
steps:
  - query: active_count
    expect: {reply: [12]}
"""
    assert failed(ran(text.replace("VERSION", "people_stable_rs_v2_good"))) == []
    case = ran(text.replace("VERSION", "people_stable_rs_v2_traps").replace("active_count", "size"))
    [problem] = failed(case)
    assert problem.startswith("start: expected canisters with what they hold at first, got CANISTER_ERROR")
    assert [step.status for step in case.steps] == ["not run"]


def test_an_interface_may_be_given_beside_the_module(place: Path, ran: Ran) -> None:
    (place / "universal.did").write_text("service : { update : (blob) -> () }")
    case = ran(
        """
canisters:
  bare:
    versions: {v1: {module: wasm/universal.wasm32.wasm, did: universal.did}}
    cycles: 5_000_000_000_000
steps:
  - install: v1
    arg: !hex ""
"""
    )
    assert failed(case) == []


def test_decoded_state_is_what_an_upgrade_would_find(ran: Ran) -> None:
    text = """
canisters:
  people:
    versions: {v1: wasm/MODULE.wasm}
steps:
  - install: v1
  - call: fill
    args: [2]
  - expect:
      state:
        - PREDICATE
"""

    def found(module: str, predicate: str) -> list[str]:
        return failed(ran(text.replace("MODULE", module).replace("PREDICATE", predicate)))

    assert found("people_v1.classical", "{variable: edits, is: 0}") == []
    assert found("people_v1.enhanced", "{variable: edits, is: 0}") == []
    assert found("people_v1.classical", "{variable: edits, is: 5}") == ["state variable edits: expected 5, got 0"]
    [missing] = found("people_v1.classical", "{variable: edit, is: 0}")
    assert missing.startswith("state: expected a variable edit, got none; there are: edits, people")
    [beyond] = found("people_v1.classical", "{variable: people.block, is: 0}")
    assert beyond.startswith("state people: expected something at 'block', got {")
    assert found("people_heap_rs_v1", "{structure: values, entries: {1: 0}}") == []
    [none] = found("people_stable_rs_v1", "{structure: memory 7, count: 1}")
    assert none == "state: expected structure memory 7, got none; there are: memory 0, memory 1"


def test_a_state_that_cannot_be_saved_fails_the_expectation(ran: Ran) -> None:
    case = ran(
        """
canisters:
  people:
    versions: {v1: wasm/people_v1_pretraps.classical.wasm}
steps:
  - install: v1
  - call: fill
    args: [2]
  - expect:
      state: [{variable: edits, is: 0}]
  - query: size
    expect: {reply: [2]}
"""
    )
    [text] = failed(case)
    assert text.startswith("state: expected a state that can be saved, got pre_upgrade failed: ")


def test_a_wait_without_end_is_reported(ran: Ran) -> None:
    case = ran(
        """
canisters:
  a: {versions: {v1: wasm/calls.classical.wasm}}
steps:
  - install: v1
  - update: slow
    args: [1000]
"""
    )
    [text] = failed(case)
    assert text.startswith("outcome: expected an answer, got ")


def test_cases_are_every_combination_and_differ(place: Path) -> None:
    text = (
        PEOPLE
        + "parameters: {n: [1, 2], word: x}\nseed: [3, 4]\nsteps:\n  - install: v1\n  - call: fill\n    args: [$n]\n"
    )
    (place / "scenario.yaml").write_text(text)
    path = place / "scenario.yaml"
    assert [case.name for case in load(path).cases] == ["n=1, seed=3", "n=1, seed=4", "n=2, seed=3", "n=2, seed=4"]
    chosen = load(path, Choices({"n": "[5, 6, 7]", "word": "[y, z]"}, seed=9))
    assert len(chosen.cases) == 6
    assert chosen.cases[0].name == "n=5, word=y"
    [report] = Run([chosen], RunOptions(only="n=6")).run().scenarios
    assert [case.name for case in report.cases] == ["n=6, word=y", "n=6, word=z"]
    assert {case.seed for case in report.cases} == {9}


def test_the_same_seed_gives_the_same_and_another_one_another(place: Path) -> None:
    text = f"seed: [1, 1, 2]\ntime: 1_700_000_000_000_000_000{COUNTER}steps:\n  - install: v1\n  - call: random\n"
    (place / "scenario.yaml").write_text(text)
    [report] = Run([load(place / "scenario.yaml")]).run().scenarios
    first, again, other = (case.steps[-1].answer for case in report.cases)
    assert first is not None
    assert first == again != other
