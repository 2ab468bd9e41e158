"""Completion in the shell, as bash asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def counters(with_canister: Callable[..., Cli]) -> Cli:
    cli = with_canister("counter", "counter.classical")
    cli("canister", "create", "other")
    cli("snapshot", "take", "counter", "--label", "before v2")
    return cli


def completed(cli: Cli, *words: str) -> list[str]:
    """What bash offers for the last word."""
    line = " ".join(["canister-sandbox", "--state", str(cli.state), *words])
    environment = {
        "_CANISTER_SANDBOX_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) + 2),
        "PYTHONPATH": str(ROOT),
    }
    script = "import sys; sys.argv[0] = 'canister-sandbox'; from sandbox.__main__ import main; main()"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_names_labels_and_commands(counters: Cli) -> None:
    assert completed(counters, "canister", "call", "") == ["counter", "other"]
    assert completed(counters, "deploy", "co") == ["counter"]
    assert completed(counters, "snapshot", "load", "counter", "") == ["counter:0", "before v2"]
    assert completed(counters, "snapshot", "inspect", "be") == ["before v2"]
    assert completed(counters, "canister", "cre") == ["create"]


def test_without_a_state_there_are_no_names(cli: Cli) -> None:
    assert completed(cli, "canister", "call", "") == []
    assert completed(cli, "snapshot", "load", "x", "") == []
    assert not cli.state.exists()
