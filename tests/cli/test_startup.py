"""Start-up: `--help` and `--version` import click alone; every other command imports what it needs."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys

import click
import pytest

import sandbox.cli
from sandbox.cli.root import COMMANDS, root

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
    assert {"rich", "sandbox.cli.app", "sandbox.api"} <= modules_after("identity")


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
