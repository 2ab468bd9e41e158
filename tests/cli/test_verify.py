"""`verify`: exit codes, reports, options, and what happens when it is interrupted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from sandbox import Sandbox
from tests.cli.conftest import FIXTURES, Cli

SCENARIOS = FIXTURES.parent / "scenarios"
MATRIX = str(SCENARIOS / "matrix.yaml")
CAUGHT = str(SCENARIOS / "caught" / "drops_rust.yaml")
HELD = str(SCENARIOS / "add_property_rust.yaml")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "wasm").symlink_to(FIXTURES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_holds_is_a_line_for_each_case_and_exit_code_0(cli: Cli) -> None:
    shown = cli("verify", MATRIX, "-k", "count=10,")
    assert shown.splitlines()[0].endswith("matrix.yaml  growing registries")
    assert shown.count("  held    mode=") == 4
    assert shown.splitlines()[-1] == "4 held"


def test_what_fails_is_shown_with_place_and_values_and_exit_code_1(cli: Cli) -> None:
    shown = cli("verify", HELD, CAUGHT, code=1)
    assert f"    {CAUGHT}:9:7 query people.list\n      reply [0].email\n" in shown
    assert '        expected  "person0@example.org"\n        got       ""\n' in shown
    assert shown.splitlines()[-1] == "1 held, 1 failed"


def test_the_problems_of_all_files_are_shown_at_once_with_exit_code_2(cli: Cli, place: Path) -> None:
    (place / "one.yaml").write_text("steps: [{stop: x}]\n")
    (place / "two.yaml").write_text("stepps: []\n")
    assert cli("verify", "one.yaml", "two.yaml", HELD, code=2) == (
        "error: one.yaml:1:16: expected a canister, not the text 'x'; there are: none\n"
        "two.yaml:1:1: a scenario has no key 'stepps'; did you mean 'steps'?; it has: scenario, uses, canisters, "
        "parameters, seed, time, costs, limits, baseline, tolerance, steps\n"
    )


def test_json_has_everything_whole(cli: Cli) -> None:
    facts = cli.json("verify", CAUGHT, code=1)
    assert (facts["held"], facts["interrupted"]) == (False, False)
    [scenario] = facts["scenarios"]
    assert (scenario["status"], scenario["scenario"]) == ("failed", "forgotten addresses, Rust")
    [case] = scenario["cases"]
    steps = {step["step"]: step for step in case["steps"]}
    assert len(steps["query people.list"]["reply_hex"]) > 150
    assert steps["call people.fill"]["reply"] == "(100 : nat)"
    assert steps["upgrade people to drops"]["pages"]["people"]["stable"] > 0
    failures = [failure for step in case["steps"] for failure in step["failures"]]
    assert failures[0] == {
        "what": "reply",
        "path": "[0].email",
        "expected": '"person0@example.org"',
        "got": '""',
        "place": f"{CAUGHT}:9:7",
    }


def test_a_huge_reply_is_cut_on_the_terminal_and_whole_in_json(cli: Cli, place: Path) -> None:
    (place / "scenario.yaml").write_text(
        "canisters: {people: {versions: {v1: wasm/people_stable_rs_v1.wasm}}}\nsteps:\n  - install: v1\n"
        "  - call: fill\n    args: [2000]\n  - query: list\n    args: [0, 2000]\n    expect: {reply: [[]]}\n"
    )
    shown = cli("verify", "scenario.yaml", code=1)
    assert len(shown) < 3_000
    [case] = cli.json("verify", "scenario.yaml", code=1)["scenarios"][0]["cases"]
    assert "person1999@example.org" in case["steps"][2]["reply"]


def test_junit_has_a_suite_for_each_file_and_a_test_for_each_case(cli: Cli, place: Path) -> None:
    cli("verify", HELD, CAUGHT, "--junit", "report.xml", code=1)
    suites = ET.parse(place / "report.xml").getroot()
    assert [(suite.get("tests"), suite.get("failures")) for suite in suites] == [("1", "0"), ("1", "1")]
    [test] = suites[1]
    [failure] = test
    assert failure.get("message") == 'reply [0].email: expected "person0@example.org", got ""'
    assert f"{CAUGHT}:9:7 query people.list" in (failure.text or "")


def test_the_page_has_every_case_step_failure_plot_and_picture(cli: Cli, place: Path) -> None:
    cli("verify", HELD, CAUGHT, "--html", "report.html", code=1)
    page = (place / "report.html").read_text()
    assert page.count("<summary>Memory at the end</summary>") == 2
    assert page.count("data:image/png;base64,") == 4
    assert page.count("<svg") == 4
    assert "person0@example.org" in page
    assert "<script" not in page


@pytest.mark.parametrize("option", ["--junit", "--html"])
def test_a_report_that_cannot_be_written_is_refused_before_anything_runs(cli: Cli, place: Path, option: str) -> None:
    shown = cli("verify", HELD, option, str(place / "missing" / "report"), "--update", code=2)
    assert f"{place / 'missing' / 'report'} cannot be written: there is no directory {place / 'missing'}" in shown
    assert not list(SCENARIOS.glob("*.baseline.yaml"))


def test_a_baseline_is_updated_compared_and_exceeded(cli: Cli, place: Path) -> None:
    (place / "scenario.yaml").write_text(
        "canisters: {people: {versions: {v1: wasm/people_stable_rs_v1.wasm}}}\n"
        "steps:\n  - install: v1\n  - call: fill\n    args: [10]\n"
    )
    assert cli("verify", "scenario.yaml", "--update").splitlines()[-2] == "  scenario.baseline.yaml was written"
    cli("verify", "scenario.yaml")
    (place / "scenario.yaml").write_text((place / "scenario.yaml").read_text().replace("[10]", "[20]"))
    shown = cli("verify", "scenario.yaml", code=1)
    assert "      baseline reply\n        expected  (10 : nat)\n        got       (20 : nat)\n" in shown
    assert "      baseline instructions\n" in shown


def test_parameters_and_seed_are_given_on_the_command_line(cli: Cli) -> None:
    facts = cli.json("verify", MATRIX, "--param", "count=[2, 3]", "--param", "mode=classical", "--seed", "5")
    cases = facts["scenarios"][0]["cases"]
    assert [(case["case"], case["seed"]) for case in cases] == [("count=2", 5), ("count=3", 5)]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((), "give the files of scenarios"),
        ((MATRIX, "--param", "count"), "--param takes NAME=VALUE, not 'count'"),
        ((MATRIX, "--param", "cuont=1"), "no parameter 'cuont' to be set; there are: mode, count"),
        ((MATRIX, "--param", "count=["), "--param count:2:1: this is no YAML"),
        ((MATRIX, "-k", "nothing"), "no case has 'nothing' in its 'FILE [CASE]'"),
        (("-o", "x.yaml"), "--from-record RECORD and -o FILE belong together"),
        (("missing.yaml",), "missing.yaml"),
    ],
)
def test_misuse_is_named(cli: Cli, args: tuple[str, ...], expected: str) -> None:
    assert expected in cli("verify", *args, code=2)


def test_the_schema_knows_every_step_and_the_examples_keep_to_it(cli: Cli) -> None:
    schema = json.loads(cli("verify", "--schema"))
    steps = {step["required"][0]: step for step in schema["$defs"]["steps"]["items"]["anyOf"]}
    assert {"call", "query", "upgrade", "rollback", "repeat", "expect"} <= steps.keys()
    for path in SCENARIOS.rglob("*.yaml"):
        document = yaml.load(path.read_text(), _Loader)
        assert document.keys() <= schema["properties"].keys(), path
        for step in document.get("steps", []):
            kind = next(
                name for name in step if name in steps and (name != "expect" or len(step.keys() & steps.keys()) == 1)
            )
            assert step.keys() <= steps[kind]["properties"].keys(), (path, step)


class _Loader(yaml.SafeLoader):
    """Reads any tag as nothing."""


_Loader.add_multi_constructor("!", lambda *_: None)


def test_a_record_becomes_a_scenario(cli: Cli, place: Path) -> None:
    sandbox = Sandbox()
    with sandbox.record(place / "session.record"):
        counter = sandbox.create_canister()
        counter.install(FIXTURES / "counter.classical.wasm")
        counter.call("inc")
    shown = cli("verify", "--from-record", "session.record", "-o", "session.yaml")
    assert shown.splitlines()[-1] == "wrote session.yaml"
    assert cli("verify", "session.yaml").splitlines()[-1] == "1 held"


_INTERRUPTED = """
import os, signal, threading, time
import sandbox.cli.verify as verify
from sandbox.cli import main

class Observed(verify.Run):
    def run(self):
        threading.Thread(target=self.interrupt, daemon=True).start()
        return super().run()

    def interrupt(self):
        while self.progress.step != "call counter.spin":
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

verify.Run = Observed
main()
"""


def test_an_interrupt_within_a_message_reports_what_was_done(place: Path) -> None:
    (place / "long.yaml").write_text(
        "canisters: {counter: {versions: {v1: wasm/counter.classical.wasm}}}\n"
        "steps:\n  - install: v1\n  - call: inc\n    expect: {reply: [2]}\n  - call: spin\n  - call: inc\n"
    )
    command = [sys.executable, "-c", _INTERRUPTED, "--output", "json", "verify", "long.yaml"]
    environment = {**os.environ, "PYTHONPATH": str(FIXTURES.parents[1])}
    done = subprocess.run(
        [*command, "--junit", "report.xml", "--update"], stdout=subprocess.PIPE, text=True, env=environment, check=False
    )
    assert done.returncode == 130
    facts = json.loads(done.stdout)
    assert facts["interrupted"]
    [case] = facts["scenarios"][0]["cases"]
    assert [step["status"] for step in case["steps"]] == ["held", "failed", "not run", "not run"]
    assert ET.parse(place / "report.xml").getroot()[0].get("tests") == "1"
    assert sorted(os.listdir(place)) == ["long.yaml", "report.xml", "wasm"]
