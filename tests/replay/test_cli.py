"""`canister-sandbox drun`: streams, exit codes, JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sandbox.cli import root
from tests.conftest import FIXTURES
from tests.spec import guest as u

SCRIPT = 'install $ID counter.classical.wasm ""\ningress $ID inc 0x4449444c0000\nquery $ID no 0x\n'


def drun(script: str, *options: str, modules: Path = FIXTURES) -> Result:
    return CliRunner().invoke(root, ["drun", "-", "--modules", str(modules), *options], input=script)


def test_answers_are_printed_line_by_line_and_rejects_are_no_failure() -> None:
    result = drun(SCRIPT)
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[2] == "ingress Completed: Reply: 0x4449444c00017d01"
    assert lines[3].startswith("Err: IC0536: ")


def test_a_script_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.drun"
    path.write_text(SCRIPT)
    result = CliRunner().invoke(root, ["drun", str(path), "--modules", str(FIXTURES)])
    assert (result.exit_code, result.stdout) == (0, drun(SCRIPT).stdout)


def test_json_has_every_answer() -> None:
    result = drun(SCRIPT, "--output", "json")
    created, installed, called, missing = json.loads(result.stdout)
    assert (created["command"], created["line"]) == ("create", 1)
    assert installed["answer"] == "ingress Completed: Reply: 0x4449444c0000"
    assert called["instructions"] > 0
    assert (missing["line"], missing["error_code"], missing["reply"]) == (3, "IC0536", None)


def test_id_is_what_the_user_says() -> None:
    other = "22ajg-aqaaa-aaaap-adukq-cai"
    result = drun(SCRIPT, "--id", other)
    assert f"Error from Canister {other}: " in result.stdout
    assert drun(SCRIPT, "--id", "x").exit_code == 2


@pytest.mark.parametrize(("subnet_type", "charged"), [("system", False), ("application", True)])
def test_canisters_pay_on_an_application_subnet_only(subnet_type: str, charged: bool) -> None:
    balance = f"ingress $ID update 0x{u.reply(u.balance()).code.hex()}\n"
    script = 'install $ID universal.wasm32.wasm ""\n' + balance * 2
    before, after = drun(script, "--subnet-type", subnet_type).stdout.splitlines()[2:]
    assert (before != after) is charged


def test_an_unknown_command_is_misuse_and_named_with_its_line() -> None:
    result = drun("create\nwait 5\n")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "error: line 2: unknown command 'wait'" in result.stderr


def test_a_missing_module_is_misuse_and_nothing_runs(tmp_path: Path) -> None:
    result = drun(SCRIPT, modules=tmp_path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "error: line 1: there is no module 'counter.classical.wasm'" in result.stderr


def test_a_script_that_is_no_text_is_misuse() -> None:
    result = CliRunner().invoke(root, ["drun", "-"], input=b"\xff\xfe")
    assert result.exit_code == 2
    assert "not UTF-8" in result.stderr
