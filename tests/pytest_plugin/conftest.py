"""Runs pytest with the plugin, as it is installed, on test files of a directory of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import hypothesis.stateful
import pytest

import sandbox.api
import sandbox.cli.render.diff
import sandbox.pytest_plugin.kept
import sandbox.pytest_plugin.page
import sandbox.pytest_plugin.stateful

IMPORTED = hypothesis.stateful, sandbox
"""Imported once: a run in this process would import what is missing anew, and forget it."""
FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "wasm"

HEAD = """
import pytest
from hypothesis import given, settings, strategies as st
from sandbox import *
from sandbox.pytest_plugin import *

def counter_in(sandbox, name=None):
    counter = sandbox.create_canister(name=name)
    counter.install("wasm/counter.classical.wasm")
    return counter
"""
Run = Callable[..., pytest.RunResult]


@pytest.fixture(autouse=True)
def ini(pytester: pytest.Pytester) -> None:
    """Options of all runs. A run in this process that had a `faulthandler` would disable it at its end, which puts back
    the signal handlers from before this process enabled it, and so takes away those of wasmtime."""
    options = "-p no:cacheprovider -p no:faulthandler --strict-markers"
    pytester.makeini(f"[pytest]\naddopts = {options}\nfilterwarnings = error\n")


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """`run(text, *options)`: the result of pytest on a file `test_it.py`, which may use `counter_in(sandbox)`; further
    files by their names, as `conftest=text`; with `process`, in a process of its own."""
    (pytester.path / "wasm").symlink_to(FIXTURES)

    def run(text: str, *options: str, process: bool = False, **files: str) -> pytest.RunResult:
        for name, content in {"test_it": text, **files}.items():
            (pytester.path / f"{name}.py").write_text(HEAD + content)
        return (pytester.runpytest_subprocess if process else pytester.runpytest_inprocess)(*options)

    return run
