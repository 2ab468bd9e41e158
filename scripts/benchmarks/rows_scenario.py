"""Rows about scenarios: 1,000 calls with expectations, against the same calls made in Python."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from sandbox import Sandbox
from sandbox.proofs.scenario.loader import load
from sandbox.proofs.scenario.runner import Run
from scripts.benchmarks.guests import COUNTER
from scripts.benchmarks.measure import compare
from scripts.benchmarks.row import Row, versus

_MODULE = COUNTER.with_name("people_stable_rs_v1.wasm")
_CALLS = 1_000
_HEAD = f"canisters: {{people: {{versions: {{v1: {_MODULE}}}}}}}\nsteps:\n  - install: v1\n"
_REPEATED = f"""{_HEAD}  - repeat: {_CALLS}
    steps:
      - call: add
        args: [{{name: Person $index, email: p$index@example.org, age: $index, tags: [a, b]}}]
        expect: {{reply: [$index]}}
"""
_WRITTEN_OUT = _HEAD + "".join(
    f"  - call: add\n    args: [{{name: Person {n}, email: p{n}@example.org, age: {n}, tags: [a, b]}}]\n"
    f"    expect: {{reply: [{n}]}}\n"
    for n in range(_CALLS)
)


def scenario(seconds: float) -> Iterator[Row]:
    """Read and run scenarios of 1,000 calls, each with arguments and an expected reply of its own."""
    with TemporaryDirectory() as directory:
        for name, text, most in (("repeated", _REPEATED, 1.2), ("each written out in YAML", _WRITTEN_OUT, None)):
            path = Path(directory, f"{name}.yaml")
            path.write_text(text)
            found = compare(partial(_read_and_run, path), _alone, seconds)
            yield versus(f"scenario of 1,000 calls, {name}", found, "the calls alone", most)
            scenarios = [load(path)]
            found = compare(lambda given=scenarios: _held(Run(given)), _alone, seconds)
            yield versus("the same without reading the file", found, "the calls alone", 1.2)


def _read_and_run(path: Path) -> None:
    _held(Run([load(path)]))


def _held(run: Run) -> None:
    assert run.run().held


def _alone() -> None:
    with Sandbox() as sandbox:
        people = sandbox.create_canister()
        people.install(_MODULE)
        for n in range(_CALLS):
            person = {"name": f"Person {n}", "email": f"p{n}@example.org", "age": n, "tags": ["a", "b"]}
            assert people.call("add", person) == n
