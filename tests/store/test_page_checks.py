"""The checks of live memories follow every change of their bytes, and a save reads only what it changes."""

from __future__ import annotations

import random
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest

from sandbox import CallRejected, Canister, Sandbox
from sandbox.api import runtime_of
from sandbox.errors import StateCorrupt
from tests.snapshots.writer import WASM, tell
from tests.store.live import (
    PAGE,
    Live,
    bytes_read,
    canister,
    flip,
    live_state,
    opened,
    raw,
    whole,
)
from tests.store.test_golden import GOLDEN


@pytest.fixture
def live(tmp_path: Path) -> Live:
    return live_state(tmp_path / "state")


def random_step(sandbox: Sandbox, victim: Canister, dice: random.Random) -> None:
    state = runtime_of(sandbox).state_of(victim.id)
    heap, stable = state.heap.size, state.stable.size
    length = dice.choice([1, 100, PAGE, 9 * PAGE, 3 * WASM])
    kind = dice.randrange(10)
    if kind < 3:
        tell(victim, "poke", dice.randrange(max(heap - length, 1)), min(length, heap), dice.choice([0, 0, 7, 200]))
    elif kind < 5 and stable:
        length = min(length, WASM)
        tell(victim, "stable_poke", dice.randrange(max(stable - length, 1)), length, dice.choice([0, 7, 200]))
    elif kind == 5:
        tell(victim, "grow", dice.randrange(8))
    elif kind == 6:
        tell(victim, "stable_grow", dice.randrange(8))
    elif kind == 7:
        with suppress(CallRejected):
            victim.take_snapshot()
    elif kind == 8 and victim.list_snapshots():
        victim.load_snapshot(dice.choice(victim.list_snapshots()).id)
    elif kind == 9:
        with sandbox.anchor():
            random_step(sandbox, victim, dice)
            if dice.randrange(2):
                sandbox.save()
            random_step(sandbox, victim, dice)


def walk(path: Path, seed: int, sessions: int = 6) -> None:
    """Random steps; after every session each check must be that of the bytes."""
    dice = random.Random(seed)
    live = live_state(path)
    for _ in range(sessions):
        with Sandbox.open(path, max_snapshots=4) as sandbox:
            victim = canister(sandbox, live.victim)
            for _ in range(dice.randrange(1, 8)):
                random_step(sandbox, victim, dice)
                if not dice.randrange(4):
                    sandbox.save()
            expected = victim.raw_state()
        whole(path)
        with opened(path) as sandbox:
            assert raw(sandbox, live.victim) == expected
            random_step(sandbox, canister(sandbox, live.victim), dice)  # taken back
        whole(path)


@pytest.mark.parametrize("seed", range(4))
def test_checks_follow_every_kind_of_change(tmp_path: Path, seed: int) -> None:
    walk(tmp_path / "state", seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 140))
def test_checks_follow_every_kind_of_change_for_long(tmp_path: Path, seed: int) -> None:
    walk(tmp_path / "state", seed, 15)


def test_a_save_after_reopening_reads_what_it_changes(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    read = bytes_read(monkeypatch, "/memories/")
    with Sandbox.open(live.path) as sandbox:
        tell(canister(sandbox, live.victim), "stable_poke", 5 * WASM, 10, 1)
    assert 0 < read[0] < 16 * PAGE


@pytest.mark.parametrize("version", [1, 2])
def test_an_old_directory_gets_its_checks_with_the_next_save(tmp_path: Path, version: int) -> None:
    with tarfile.open(GOLDEN / f"state-{version}.tar.gz") as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.4 and later
        archive.extractall(tmp_path)
    path = tmp_path / f"state-{version}"
    with Sandbox.open(path) as sandbox:
        [kept] = sandbox.canisters()
        before = kept.raw_state()
        assert sandbox.check(deep=True).intact
        assert sandbox.check().unchecked == 2
    whole(path)
    with opened(path) as sandbox:
        assert raw(sandbox, kept.id) == before
        file = path / "memories" / runtime_of(sandbox).state_of(kept.id).stable.name
    flip(file, 6)
    with opened(path) as sandbox, pytest.raises(StateCorrupt, match="stable memory"):
        raw(sandbox, kept.id)
