"""`--profile` and `--coverage` of the commands that execute a canister."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.conftest import Cli, module
from tests.conftest import guest

Make = Callable[..., Cli]
BODY = """
  (func $work (drop (i32.const 1)))
  (func $other nop)
  (func (export "canister_query look") (call $work) (call $msg_reply))
  (func (export "canister_update go") (call $work) (call $work) (call $msg_reply))
  (func (export "canister_update fail") (call $work) unreachable)"""


@pytest.fixture
def small(cli: Cli, tmp_path: Path) -> Cli:
    """A state with the canister `small`."""
    file = tmp_path / "small.wasm"
    file.write_bytes(guest(BODY))
    cli("canister", "create", "small")
    cli("canister", "install", "small", str(file))
    return cli


def test_a_table_follows_the_reply_and_the_file_has_the_same_total(small: Cli, tmp_path: Path) -> None:
    file = tmp_path / "go.svg"
    lines = small("canister", "call", "small", "go", "--raw", "--profile", str(file)).splitlines()
    assert [line.split() for line in lines] == [
        [],
        [],
        ["522", "instructions"],
        ["update", "go:", "522"],
        ["self", "self", "%", "with", "children", "%", "calls", "function"],
        ["500", "95.8", "500", "95.8", "1", "[ic0.msg_reply]"],
        ["16", "3.1", "522", "100.0", "1", "canister_update", "go"],
        ["6", "1.1", "6", "1.1", "2", "work"],
    ]
    assert "522 instructions" in file.read_text()
    assert ElementTree.parse(file).getroot().tag.endswith("svg")


@pytest.mark.parametrize("method", ["go", "look"])
def test_folded_lines_add_up_to_the_instructions_of_the_answer(small: Cli, tmp_path: Path, method: str) -> None:
    file = tmp_path / "x.folded"
    facts = small.json("canister", "call", "small", method, "--raw", "--update", "--profile", str(file))
    profile = facts["profile"]
    assert profile["instructions"] == facts["instructions"] == sum(item["self"] for item in profile["functions"])
    assert sum(int(line.rpartition(" ")[2]) for line in file.read_text().splitlines()) == facts["instructions"]


def test_a_query_and_an_installation_are_profiled(small: Cli, tmp_path: Path) -> None:
    facts = small.json("canister", "query", "small", "look", "--raw", "--profile", "-")
    assert [item["name"] for item in facts["profile"]["entry_points"]] == ["query look"]
    small("canister", "create", "counter")
    file = tmp_path / "install.speedscope.json"
    facts = small.json("canister", "install", "counter", module("counter.classical"), "--profile", str(file))
    assert facts["profile"]["instructions"] == facts["instructions"]
    assert json.loads(file.read_text())["profiles"][0]["endValue"] == facts["instructions"]


def test_a_call_that_traps_is_profiled_too(small: Cli, tmp_path: Path) -> None:
    file = tmp_path / "fail.folded"
    text = small("canister", "call", "small", "fail", "--raw", "--profile", str(file), code=1)
    assert "IC0502" in text
    assert file.read_text() == "update fail;canister_update fail 7\nupdate fail;canister_update fail;work 3\n"
    assert "10 instructions" in text


def test_coverage_lists_the_executed_functions(small: Cli) -> None:
    lines = small("canister", "call", "small", "go", "--raw", "--coverage").splitlines()
    assert lines[2].startswith("2 of 5 functions of ")
    assert [line.strip() for line in lines[3:]] == ["canister_update go", "work"]
    (facts,) = small.json("canister", "call", "small", "go", "--raw", "--coverage")["coverage"]
    assert facts["executed"] == ["work", "canister_update go"]
    assert facts["missed"] == ["other", "canister_query look", "canister_update fail"]


def test_timers_are_profiled_where_time_passes(cli: Cli, tmp_path: Path) -> None:
    cli("canister", "create", "timers")
    cli("canister", "install", "timers", module("counter.classical"))
    cli("canister", "call", "timers", "tick_after", "(60 : nat)")
    file = tmp_path / "run.folded"
    facts = cli.json("run", "--for", "2m", "--profile", str(file), "--coverage")
    entries = {item["name"]: item["with_children"] for item in facts["profile"]["entry_points"]}
    assert entries["global_timer"] > 0
    assert sum(entries.values()) == facts["profile"]["instructions"]
    assert {line.partition(";")[0] for line in file.read_text().splitlines()} == set(entries)
    assert facts["coverage"][0]["executed"]
    assert cli.json("tick", "--profile", "-")["profile"]["instructions"] == 0


@pytest.mark.parametrize(("new", "code"), [("people_v2_good", 0), ("people_v2_traps", 1)])
def test_the_hooks_of_a_proof_are_profiled(cli: Cli, tmp_path: Path, new: str, code: int) -> None:
    versions = (module("people_v1.classical"), module(f"{new}.classical"))
    file = tmp_path / "hooks.folded"
    facts = cli.json("verify-upgrade", *versions, "--profile", str(file), code=code)
    (hooks,) = [check["hooks"] for check in facts["checks"] if check["name"] == "hooks"]
    by_hook = {hook["hook"].removeprefix("canister_"): hook["instructions"] for hook in hooks}
    assert {item["name"]: item["with_children"] for item in facts["profile"]["entry_points"]} == by_hook
    assert {line.partition(";")[0] for line in file.read_text().splitlines()} == set(by_hook)
    text = cli("verify-upgrade", *versions, "--profile", "-", "--explore", "3", code=2)
    assert "give --profile or --explore, not both" in text


def test_a_file_of_another_kind_is_refused_before_the_call(small: Cli, tmp_path: Path) -> None:
    text = small("canister", "call", "small", "go", "--raw", "--profile", str(tmp_path / "a.png"), code=2)
    assert "the file of --profile ends in .svg, .folded, .speedscope.json, or is -" in text
    assert small.json("canister", "status", "small")["version"] == 1
