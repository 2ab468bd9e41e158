"""What is wrong with a scenario is said before anything runs: file, line, column, and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.proofs.scenario.loader import Choices, load
from sandbox.proofs.scenario.source import ScenarioError
from tests.proofs.scenario.conftest import PEOPLE, problems

START = "\n" + PEOPLE + "steps:\n  - install: v1\n"
"""Seven lines."""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("- cal: fill", "8:5: no step 'cal'; did you mean 'call'?; steps: call, query, update, install"),
        ("- call: fil\n    args: [1]", "8:11: people has no method 'fil'; did you mean 'fill'?; it has: "),
        ("- call: poeple.fill", "8:11: people has no method 'poeple.fill'; it has: "),
        ("- call: fill\n    arg: [1]", "9:5: a step 'call' has no key 'arg'; did you mean 'args'?; it has: call, args"),
        ("- call: fill", "8:11: expected 1 value (nat), not 0"),
        ("- call: fill\n    args: [1, 2]", "9:11: expected 1 value (nat), not 2"),
        ("- call: fill\n    args: [ten]", "9:12: expected nat, not the text 'ten'"),
        ("- call: fill\n    args: [-1]", "9:12: wrong Candid value: argument 0: expected nat"),
        ("- call: fill\n    args: [1.5]", "9:12: expected nat, not 1.5"),
        ("- call: fill\n    args: 7", "9:11: expected a Candid text such as '(1, \"x\")', or a list"),
        ("- call: fill\n    args: '(1'", "9:11: wrong Candid value: line 1, column 3: "),
        ("- call: fill\n    args: '(-1)'", "9:11: wrong Candid value: line 1, column 2: argument 0: "),
        ("- call: fill\n    args: !hex 0x", "9:11: expected bytes in hexadecimal"),
        ("- call: add\n    args: [{name: A}]", "9:12: the field age : nat is missing"),
        (
            "- call: add\n    args: [{name: A, mail: B, age: 1, tags: []}]",
            "9:22: no field 'mail'; did you mean 'email'?; there are: ",
        ),
        ("- call: fill\n    args: [1]\n    as: ''", "10:9: expected the name of a user, or a principal"),
        ("- upgrade: v3", "8:14: people has no version 'v3'; it has: v1, v2"),
        ("- upgrade: v2\n    persistence: kept", "9:18: expected one of keep, replace, not the text 'kept'; did you"),
        ("- upgrade: v2\n    skip_pre_upgrade: 1", "9:23: expected true or false, not 1"),
        ("- advance: soon", "8:14: expected seconds, or a duration such as 500ms, 90s"),
        ("- tick: often", "8:11: expected a whole number from 1, not the text 'often'"),
        (
            "- stop: poeple",
            "8:11: expected a canister, not the text 'poeple'; did you mean 'people'?; there are: people",
        ),
        ("- rollback: before", "8:15: no snapshot of people is labelled 'before' by then; there are: none"),
        ("- call: fill\n    query: size", "8:5: a step does one thing, not call and query"),
        ("- fill", "8:5: expected a step, a mapping with one of call, query"),
        ("- repeat: 0\n    steps: [{query: size}]", "8:13: expected a whole number from 1 to 1,000,000, not 0"),
        ("- repeat: 2", "8:5: a step 'repeat' needs the key 'steps': a list of steps"),
        ("- query: size\n    expect: {replay: [1]}", "9:14: expect has no key 'replay'; did you mean 'reply'?"),
        ("- query: size\n    expect: {reply: [!some 1, 2]}", "9:21: expected 1 value (nat), not 2"),
        ("- query: size\n    expect: {reply: [!most 1]}", "9:22: no tag !most; there are: !among, !any, !between, "),
        ("- query: size\n    expect: {reply: [!!binary AAAA]}", "9:22: no tag binary; there are: "),
        ("- call: fill\n    args: [!any 1]", "9:12: !any cannot stand for a value of type nat"),
        ("- call: fill\n    args: [!hex 01]", "9:12: !hex cannot stand for a value of type nat"),
        ("- repeat: 1_000_001\n    steps: [{query: size}]", "8:13: expected a whole number from 1 to 1,000,000, not"),
        ("- query: size\n    expect: {reply: [!match '(']}", "9:22: this is no regular expression: "),
        ("- query: size\n    expect: {same_as: then}", "9:23: no reply is kept as 'then' by then; there are: none"),
        ("- query: size\n    expect: {reject: {error: IC0999}}", "9:30: expected an error code such as IC0503, not"),
        ("- query: size\n    expect: {reject: {code: 7}}", "9:29: expected a reject code, SYS_FATAL"),
        ("- query: size\n    expect: {instructions: few}", "9:28: expected a number, or a mapping with min and max"),
        ("- query: size\n    expect: {instructions: {most: 1}}", "9:29: a bound has no key 'most'; it has: min, max"),
        ("- snapshot: a\n  - expect: {unchanged_since: b}", "9:31: no snapshot of people is labelled 'b' by then"),
        ("- expect: {reply: [1]}", "8:13: this step has no reply; only call, query and update have"),
        ("- expect: {state: [{structure: a}]}", "8:22: expected one of count, entries, lacks beside structure"),
        ("- expect: {state: [{variable: a, is: 1, count: 1}]}", "8:22: count belongs to a predicate with structure"),
        ("- query: size\n    tolerance: 2", "9:16: expected a percentage such as 2 %, not 2"),
        ("- call: fill\n    args: [$n]", "9:12: no parameter 'n'; there are: canister.people; $$ is a dollar"),
        ("- call: fill\n    args: [$index]", "9:12: no parameter 'index'"),
    ],
)
def test_a_wrong_step_is_named_with_its_place(place: Path, line: str, expected: str) -> None:
    [problem, *_] = problems(place, f"{START}  {line}\n")
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: the file is empty; expected a scenario"),
        ("- a\n", "1:1: expected a scenario, a mapping, not a list"),
        ("a: [\n", "2:1: this is no YAML: "),
        ("steps: [\x07]\n", "1:1: this is no YAML: "),
        ("a: b: c\n", "1:5: this is no YAML: mapping values are not allowed in this context"),
        ("steps: []\nsteps: []\n", "2:1: the key 'steps' is given twice"),
        ("steps: &a [*a]\n", "1:8: an anchor that contains itself"),
        ("[" * 150, "2:1: this is no YAML: "),
        ("[" * 150 + "]" * 150, "1:102: this is nested more than 100 levels"),
        ("scenaro: x\n", "1:1: a scenario has no key 'scenaro'; did you mean 'scenario'?; it has: scenario, uses"),
        ("scenario: x\n", "1:1: a scenario needs the key 'steps': a list of steps"),
        ("steps: {}\n", "1:8: expected a list of steps, not a mapping"),
        ("steps: []\nseed: many\n", "2:7: expected a whole number from 0, not the text 'many'"),
        ("steps: []\ncosts: some\n", "2:8: expected one of free, mainnet, not the text 'some'"),
        ("steps: []\nlimits: {updates: 1}\n", "2:10: limits has no key 'updates'; did you mean 'update'?"),
        (
            "steps: []\nbaseline: [replies]\n",
            "2:12: expected one of reply, instructions, pages, state, not the text 'replies'",
        ),
        ("steps: []\nuses: nothing.yaml\n", "2:7: there is no file "),
        ("steps: []\nparameters: [1]\n", "2:13: expected a mapping from names to values, not a list"),
        ("steps: []\nparameters: {a: []}\n", "1:1: the parameters make 0 cases; expected 1 to 10,000"),
        ("steps: []\ncanisters: [a]\n", "2:12: expected a mapping from names to canisters, not a list"),
        ("steps: []\ncanisters: {a.b: {}}\n", "2:13: expected the name of a canister, without dots"),
        (
            "steps: []\ncanisters:\n  a: {version: {}}\n",
            "3:7: a canister has no key 'version'; did you mean 'versions'?",
        ),
        ("steps: []\ncanisters:\n  a:\n    versions: {v1: wasm/counter.wasm}\n", "4:20: there is no file "),
        ("steps: []\ncanisters:\n  a:\n    snapshot: scenario.yaml\n", "4:15: this is no snapshot: "),
        ("steps: []\ncanisters:\n  a: {id: aaaaa-aa}\n", "3:11: expected the id of a canister: "),
        (
            "steps: []\ncanisters:\n  a: {}\n  b: {id: rwlgt-iiaaa-aaaaa-aaaaa-cai}\n",
            "4:6: the canisters a and b have one id, rwlgt-iiaaa-aaaaa-aaaaa-cai",
        ),
        (
            "steps: []\ncanisters:\n  a:\n"
            "    versions: {v1: {module: wasm/regions.classical.wasm, did: scenario.yaml}}\n",
            "4:63: ",
        ),
        (
            "steps: []\ncanisters:\n  a:\n    stable_image: {file: scenario.yaml, version: v1}\n",
            "4:50: no version 'v1'; there are: none",
        ),
    ],
)
def test_a_wrong_document_is_named_with_its_place(place: Path, text: str, expected: str) -> None:
    assert problems(place, text)[0].startswith(expected)


def test_the_nearest_file_is_suggested(place: Path) -> None:
    text = "canisters:\n  a:\n    versions: {v1: wasm/people_v1.clasical.wasm}\nsteps: []\n"
    [problem] = problems(place, text)
    assert problem.endswith("people_v1.clasical.wasm; did you mean 'people_v1.classical.wasm'?")


def test_all_problems_are_listed_at_once_in_the_order_of_the_file(place: Path) -> None:
    found = problems(place, f"{START}  - cal: x\n  - call: fill\n    args: [x]\n  - stop: y\n")
    assert [text.partition(" ")[0] for text in found] == ["8:5:", "10:12:", "11:11:"]


def test_a_problem_of_every_case_is_listed_once(place: Path) -> None:
    assert len(problems(place, f"parameters: {{a: [1, 2, 3]}}{START}  - stop: y\n")) == 1


def test_a_cycle_in_uses_is_refused_where_it_closes(place: Path) -> None:
    (place / "a.yaml").write_text("uses: [b.yaml]\nsteps: []\n")
    (place / "b.yaml").write_text("uses:\n  - a.yaml\nsteps: []\n")
    with pytest.raises(ScenarioError) as caught:
        load(place / "a.yaml")
    a, b = place / "a.yaml", place / "b.yaml"
    assert str(caught.value) == f"{b}:2:5: a cycle in uses: {a} -> {b} -> {a}"


def test_a_file_may_be_used_twice_but_not_declare_a_canister_again(place: Path) -> None:
    (place / "base.yaml").write_text(PEOPLE + "steps: []\n")
    (place / "one.yaml").write_text("uses: base.yaml\nsteps: []\n")
    (place / "two.yaml").write_text("uses: [base.yaml, one.yaml]\nsteps: [{install: v1}]\n")
    assert len(load(place / "two.yaml").cases) == 1
    found = problems(place, f"uses: base.yaml\n{START}")
    assert found == [f"5:3: the canister 'people' is declared at {place / 'base.yaml'}:3:3 already"]


def test_unknown_canisters_are_named_where_there_are_several(place: Path) -> None:
    text = "canisters: {one: {}, two: {}}\nsteps:\n  - call: tow.go\n  - call: go\n  - expect: {heap_pages: 1}\n"
    assert problems(place, text) == [
        "3:11: expected CANISTER.METHOD, not the text 'tow.go'; did you mean 'two'?; canisters: one, two",
        "4:11: expected CANISTER.METHOD, not the text 'go'; canisters: one, two",
        "5:13: which canister? Use a step `expect` with `canister`",
    ]


def test_values_without_a_known_interface_are_candid_text_or_bytes(place: Path) -> None:
    text = "canisters:\n  bare: {versions: {v1: wasm/universal.wasm32.wasm}}\nsteps:\n  - install: v1\n"
    assert problems(place, f"{text}  - call: anything\n    args: [1]\n") == [
        "6:11: no interface says the types of these values; write them as Candid text, or give the version a did"
    ]
    (place / "scenario.yaml").write_text(f"{text}  - call: anything\n    args: '(1)'\n  - call: x\n    args: !hex 00\n")
    assert len(load(place / "scenario.yaml").cases[0].steps) == 3


def test_parameters_of_the_command_line_must_exist(place: Path) -> None:
    text = f"parameters: {{n: 1}}{START}"
    assert problems(place, text, Choices({"m": "2"})) == ["1:1: no parameter 'm' to be set; there are: n"]


def test_a_file_that_cannot_be_read_is_a_problem(place: Path) -> None:
    (place / "folder.yaml").mkdir()
    with pytest.raises(ScenarioError, match=r"folder\.yaml:1:1: the file cannot be read: Is a directory"):
        load(place / "folder.yaml")
