"""Start-up: `--help` and `--version` import click alone; every other command imports what it needs."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

import sandbox.cli
from sandbox import Sandbox
from sandbox.cli.root import COMMANDS, root
from tests.conftest import FIXTURES

LOADED = """
import json, sys
from sandbox.cli import main
sys.argv = ["canister-sandbox", *{arguments}]
try:
    main()
except SystemExit as end:
    assert end.code == 0
print(json.dumps(sorted(sys.modules)))
"""
OWN = {
    "sandbox",
    "sandbox.cli",
    "sandbox.cli.completion",
    "sandbox.cli.interrupt",
    "sandbox.cli.options",
    "sandbox.cli.root",
}
FOREIGN = {"wasmtime", "yaml", "zstandard", "rich", "blake3", "cbor2", "cffi", "cryptography", "nacl", "PIL"}


def modules_after(*arguments: str) -> set[str]:
    """The names of all modules that a process has imported when the command has ended."""
    script = LOADED.format(arguments=list(arguments))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    names: list[str] = json.loads(done.stdout.splitlines()[-1])
    return set(names)


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_imports_click_alone(option: str) -> None:
    loaded = modules_after(option)
    assert "click" in loaded
    assert {name for name in loaded if name.split(".")[0] == "sandbox"} - OWN == set()
    assert FOREIGN & loaded == set()


def test_a_command_imports_what_it_needs() -> None:
    loaded = modules_after("identity")
    assert {"rich", "sandbox.cli.app", "sandbox.api.identity"} <= loaded
    assert not {"wasmtime", "cbor2", "zstandard", "PIL", "sandbox.engine", "sandbox.state"} & loaded


def test_a_call_imports_no_inspection_and_no_parser_of_c(tmp_path: Path) -> None:
    state = ["--state", str(tmp_path / "state")]
    with Sandbox.open(tmp_path / "state") as sandbox:
        canister = sandbox.create_canister()
        canister.install(FIXTURES / "counter.classical.wasm")
    loaded = modules_after(*state, "canister", "call", str(canister.id), "inc")
    assert "sandbox.engine" in loaded
    unneeded = {"sandbox.snapshots.inspect", "sandbox.snapshots.diff", "sandbox.proofs", "PIL", "rich.progress"}
    assert not (unneeded | {"pycparser", "cffi", "importlib.metadata", "email"}) & loaded


def test_table_of_commands_agrees_with_the_commands() -> None:
    context = click.Context(root)
    for name, entry in COMMANDS.items():
        command = root.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.get_short_help_str(limit=200) == entry.help
        assert not entry.help.endswith("...")


def test_every_command_of_the_package_is_in_a_group() -> None:
    reachable = set(map(id, commands_below(root)))
    for module in pkgutil.walk_packages(sandbox.cli.__path__, "sandbox.cli."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, click.Command):
                assert id(value) in reachable, f"{module.name}.{name}"


def commands_below(command: click.Command) -> list[click.Command]:
    """The command and, in a group, all commands below it."""
    below = [command]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            below += commands_below(child)
    return below


def test_public_names_are_imported_on_first_use() -> None:
    for name in sandbox.__all__:
        assert getattr(sandbox, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Sandboxes'"):
        _ = sandbox.Sandboxes
