"""Misuse ends with 2 and one clear message; shared options may stand anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import Sandbox
from sandbox.cli.canister import canister
from tests.cli.conftest import Cli, module


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["nope"], "No such command 'nope'"),
        (["canister", "nope"], "No such command 'nope'"),
        (["canister", "list", "--nope"], "No such option '--nope'"),
        (["canister", "call", "x"], "Missing argument 'METHOD'"),
        (["canister", "install", "x", "/no/such/file.wasm"], "does not exist"),
        (["canister", "install", "x", module("counter.classical"), "--mode", "replace"], "'replace' is not one of"),
        (["canister", "call", "x", "inc"], "neither the name of a canister nor a principal"),
        (["canister", "create", "--cycles", "-1"], "not in the range"),
        (["canister", "settings", "x", "--wasm-memory-limit", "many"], "is not a size, such as 10MiB"),
        (["snapshot", "take", "x", "--keep", "0"], "not in the range"),
        (["snapshot", "load", "rwlgt-iiaaa-aaaaa-aaaaa-caj"], "neither"),
        (["canister", "create", "--cycles", str(1 << 128)], "not in the range"),
        (["canister", "call", "x", "\udcff"], "is not UTF-8"),
        (["--as", "", "canister", "create"], "cannot be empty"),
        (["identity", ""], "cannot be empty"),
        (["--output", "yaml", "canister", "list"], "'yaml' is not one of"),
    ],
)
def test_misuse(cli: Cli, args: list[str], reason: str) -> None:
    result = cli.run(*args)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "error: " in result.stderr
    assert reason in result.stderr
    assert not cli.state.exists()


def test_misuse_as_json(cli: Cli) -> None:
    error = cli.json("canister", "call", "x", "inc", code=2)["error"]
    assert error["kind"] == "misuse"
    assert "neither the name" in error["message"]
    assert cli.json("canister", "list", "--nope", code=2)["error"]["kind"] == "misuse"


@pytest.mark.parametrize("args", [["canister", "list", "--output", "json"], ["canister", "--output", "json", "list"]])
def test_shared_options_may_stand_anywhere(cli: Cli, args: list[str]) -> None:
    assert cli(*args) == "[]\n"


def test_help_lists_every_command_and_shared_option(cli: Cli) -> None:
    text = cli("--help")
    for word in ("demo", "canister", "snapshot", "wasm", "identity", "--state", "--as", "--output", "--lock-timeout"):
        assert word in text
    assert "--lock-timeout" not in cli("canister", "list", "--help")
    for name in canister.commands:
        assert f"  {name} " in cli("canister", "--help")
        assert "CANISTER" in cli("canister", name, "--help").upper()


def test_version(cli: Cli) -> None:
    assert cli("--version").split()[-1] == "0.1.0"


def test_a_state_in_use(cli: Cli) -> None:
    with Sandbox.open(cli.state):
        text = cli("--lock-timeout", "0.1", "canister", "list", code=2)
    assert "in use by another process" in text
    assert cli.json("canister", "list") == []


def test_a_damaged_state(cli: Cli) -> None:
    cli("canister", "create", "x")
    for name in ("manifest", "manifest.copy"):
        content = bytearray((cli.state / name).read_bytes())
        content[-1] ^= 1
        (cli.state / name).write_bytes(content)
    assert "contradicts its checksum" in cli("canister", "list", code=2)


def test_a_state_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "is a file" in Cli(tmp_path / "file")("canister", "list", code=2)
    assert "error: " in Cli(tmp_path / "file" / "below")("canister", "create", code=2)
