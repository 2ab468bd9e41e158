"""Runs the command line in this process, on a state directory of the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sandbox.cli import root

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "wasm"


def module(name: str) -> str:
    """The file of a fixture."""
    return str(FIXTURES / f"{name}.wasm")


@dataclass(frozen=True)
class Cli:
    """`cli("canister", "list")`; `code` is the exit code that must come out."""

    state: Path

    def __call__(self, *args: str, code: int = 0) -> str:
        """What was printed on standard output; with another `code` than 0, everything that was printed."""
        result = self.run(*args)
        assert result.exit_code == code, f"{args}: {result.exit_code}\n{result.output}"
        return result.stdout if code == 0 else result.output

    def run(self, *args: str) -> Result:
        result = CliRunner().invoke(root, ["--state", str(self.state), *args])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    def json(self, *args: str, code: int = 0) -> Any:
        """The JSON document on standard output, which is all that is printed."""
        result = self.run("--output", "json", *args)
        assert result.exit_code == code, f"{args}: {result.exit_code}\n{result.output}"
        assert result.stderr == ""
        return json.loads(result.stdout)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command line on an empty state."""
    return Cli(tmp_path / "state")


@pytest.fixture
def with_canister(cli: Cli) -> Callable[..., Cli]:
    """`with_canister("people", "people_v1.enhanced")`: the command line on a state with this canister."""

    def make(name: str, wasm: str, *options: str) -> Cli:
        cli("canister", "create", name)
        cli("canister", "install", name, module(wasm), *options)
        return cli

    return make
