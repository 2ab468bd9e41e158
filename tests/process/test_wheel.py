"""The wheel alone, in a fresh virtual environment: what a user has who never saw the repository."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
QUIET = ["-q", "--disable-pip-version-check"]


@pytest.mark.slow
def test_the_demo_runs_from_a_wheel(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def run(*command: str | Path) -> str:
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(sys.executable, "-m", "pip", "wheel", *QUIET, "--no-deps", "-w", tmp_path, ROOT)
    run(sys.executable, "-m", "venv", tmp_path / "fresh")
    [wheel] = tmp_path.glob("*.whl")
    run(tmp_path / "fresh" / "bin" / "python", "-m", "pip", "install", *QUIET, wheel)
    shown = run(tmp_path / "fresh" / "bin" / "canister-sandbox", "demo")
    assert "All 20 proofs hold." in shown
    assert not list(tmp_path.glob(".canister-sandbox"))
