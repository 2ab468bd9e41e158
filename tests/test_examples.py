"""The examples that Hypothesis draws are the same in every run, but for those that ask for new ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PRINTING = """
from hypothesis import given, strategies as st

@given(st.binary(min_size=16))
def test_drawn(raw):
    print("drawn", raw.hex())
"""


def drawn(folder: Path, *options: str) -> list[str]:
    """The examples of a fresh process that has the configuration of these tests."""
    file = folder / "test_printing.py"
    file.write_text(PRINTING)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        "pyproject.toml",
        "-p",
        "tests.conftest",
        "-s",
        *options,
        str(file),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if "drawn" in line]


def test_the_same_examples_are_drawn_in_every_run(tmp_path: Path) -> None:
    first = drawn(tmp_path)
    assert len(first) == 100
    assert drawn(tmp_path) == first


def test_new_examples_are_drawn_on_request(tmp_path: Path) -> None:
    one, other = (drawn(tmp_path, "--hypothesis-profile=fresh") for _ in range(2))
    assert one != other
