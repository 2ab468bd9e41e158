"""Whatever happens to canisters, snapshots and the directory that keeps them: every state comes back as it was."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.snapshots.mixing import Step, play

ALWAYS = ("poke", "take", "load", "reopen")
SOMETIMES = (
    "stable_poke", "grow", "stable_grow", "upgrade", "reinstall", "uninstall", "create", "remove", "take_via_hooks",
    "load_via_hooks", "delete", "edit", "move", "create_from", "slice", "save", "crash", "prune", "anchor", "undo",
)  # fmt: skip


def sequences(least: int, most: int) -> st.SearchStrategy[list[Step]]:
    """Each of some kinds of steps only: that leads to rarer places than all kinds mixed evenly."""

    def of(kinds: list[str]) -> st.SearchStrategy[list[Step]]:
        number = st.one_of(st.just(0), st.integers(0, 63))
        steps = st.tuples(st.sampled_from(kinds), number, st.integers(0, 4000), st.integers(0, 11))
        return st.lists(steps, min_size=least, max_size=most)

    some = st.lists(st.sampled_from(SOMETIMES), min_size=1, max_size=6, unique=True)
    return some.map(lambda kinds: [*ALWAYS, *kinds]).flatmap(of)


# has everything, so that no lucky draw is needed
ALL: list[Step] = [
    ("poke", 0, 5, 3), ("stable_grow", 0, 2, 0), ("stable_poke", 0, 9, 2), ("take", 0, 0, 1), ("grow", 1, 10, 0),
    ("poke", 1, 900, 7), ("take", 1, 1, 0), ("load", 1, 0, 0), ("save", 0, 0, 0), ("poke", 28, 7, 1),
    ("crash", 1, 0, 0), ("take_via_hooks", 0, 0, 0), ("move", 0, 1, 1), ("slice", 0, 3, 1), ("reopen", 1, 0, 0),
    ("slice", 0, 8, 5),
    ("edit", 1, 40, 2), ("anchor", 0, 0, 0), ("load", 0, 2, 0), ("delete", 0, 0, 0), ("reinstall", 0, 1, 0),
    ("save", 0, 0, 0), ("prune", 0, 0, 0), ("take", 0, 3, 1), ("undo", 0, 0, 0), ("create_from", 1, 0, 0),
    ("poke", 2, 77, 2), ("move", 1, 2, 0), ("reopen", 0, 0, 0), ("upgrade", 0, 1, 0), ("load_via_hooks", 1, 0, 0),
    ("delete", 1, 0, 0), ("uninstall", 1, 0, 0), ("save", 0, 0, 0), ("prune", 0, 0, 0), ("load", 1, 1, 0),
    ("remove", 2, 0, 0), ("create", 1, 0, 0), ("take", 1, 0, 1),
]  # fmt: skip


def played(steps: list[Step], most: int, strategy: str | None = None) -> None:
    path = Path(tempfile.mkdtemp(prefix="mix-"))
    try:
        play(path, steps, most, strategy)
    finally:
        shutil.rmtree(path)


@pytest.mark.parametrize("most", [1, 4])
def test_every_snapshot_brings_back_what_was_whatever_happened_since(most: int) -> None:
    played(ALL, most)


@given(steps=sequences(16, 40), most=st.sampled_from([1, 4]))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_so_it_is_for_random_sequences(steps: list[Step], most: int) -> None:
    played(steps, most)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["scan", "compare"])
@given(steps=sequences(40, 120), most=st.sampled_from([1, 4, 4]))
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_so_it_is_for_long_random_sequences(steps: list[Step], most: int, strategy: str) -> None:
    played(steps, most, strategy)
