"""Rows about growth: the same operation at two sizes; work that does not concern the rest must not cost its number."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from sandbox import Canister, Sandbox
from scripts.benchmarks import guests
from scripts.benchmarks.measure import once
from scripts.benchmarks.row import Row, alone_within

_FEW, _MANY = 100, 1_000


def growth(seconds: float) -> Iterator[Row]:
    """All rows of this file."""
    with tempfile.TemporaryDirectory() as place:
        for count in (_FEW, _MANY):
            yield from _on_disk(Path(place, str(count)), count, seconds)


def _on_disk(path: Path, count: int, seconds: float) -> Iterator[Row]:
    """Open a state directory of `count` canisters."""
    with Sandbox.open(path) as sandbox:
        _counters(sandbox, count)
    opened: list[Sandbox] = []
    yield alone_within(
        f"open a state directory of {count:,} canisters",
        once(lambda: opened.append(Sandbox.open(path))),
        0.4 if count == _MANY else None,
    )
    opened[0].close()


def _counters(sandbox: Sandbox, count: int) -> list[Canister]:
    return [guests.counter(sandbox) for _ in range(count)]
