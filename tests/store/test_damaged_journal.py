"""A damaged journal cannot take every page back: the canisters concerned are named, all others stay."""

from __future__ import annotations

import random
import shutil
import warnings
from pathlib import Path

import pytest

from sandbox import Sandbox
from sandbox.errors import StateCorrupt, StateWarning
from sandbox.memory.journal import MAGIC
from tests.snapshots.writer import WASM, tell
from tests.store.live import PAGE, Live, canister, flip, live_state, opened, raw, record_of, whole


@pytest.fixture
def live(tmp_path: Path) -> Live:
    """What a killed process leaves: pages of all four memories were overwritten since the save."""
    live = live_state(tmp_path / "state")
    with opened(live.path) as sandbox:
        victim = canister(sandbox, live.victim)
        tell(victim, "poke", 5 * WASM, 3 * PAGE, 1)
        canister(sandbox, live.other).call("inc")
        tell(victim, "stable_poke", 11 * WASM, 10, 2)
        tell(victim, "grow", 2)
        tell(victim, "poke", 17 * WASM, 10, 1)
    return live


def journal(live: Live) -> Path:
    [file] = live.path.glob("journal-*")
    assert file.stat().st_size > 5 * PAGE
    return file


def named_or_saved(live: Live) -> int:
    """Open the directory; return the number of its damaged canisters. The others are as they were saved."""
    damaged = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StateWarning)
        with Sandbox.open(live.path) as sandbox:
            for canister_id in (live.victim, live.other):
                one = canister(sandbox, canister_id)
                if one.damage is not None:
                    damaged += 1
                    with pytest.raises(StateCorrupt, match=str(canister_id)):
                        one.raw_state()
                elif canister_id == live.victim:
                    assert one.raw_state() == live.saved
                else:
                    assert one.call("get") == 1
            victim = canister(sandbox, live.victim)
            victim.load_snapshot(live.snapshots["one"])
            assert victim.raw_state() == live.kept["one"]
            if canister(sandbox, live.other).damage is not None:
                canister(sandbox, live.other).accept_damage()
    whole(live.path)
    return damaged


def at_each(live: Live, places: list[int], change: str) -> list[int]:
    """The numbers of damaged canisters with the journal changed at each of these places."""
    shutil.copytree(live.path, live.path.with_name("before"))
    found = []
    for place in places:
        shutil.rmtree(live.path)
        shutil.copytree(live.path.with_name("before"), live.path)
        if change == "flip":
            flip(journal(live), place)
        else:
            content = journal(live).read_bytes()
            journal(live).write_bytes(content[:place] + bytes(700) + content[place + 700 :])
        found.append(named_or_saved(live))
    return found


@pytest.mark.parametrize("change", ["flip", "zeroed"])
def test_only_the_canisters_concerned_are_damaged(live: Live, change: str) -> None:
    size = journal(live).stat().st_size
    found = at_each(live, random.Random(5).sample(range(len(MAGIC), size), 8), change)
    assert 1 in found
    if change == "flip":
        assert set(found) <= {0, 1}


@pytest.mark.slow
@pytest.mark.parametrize("change", ["flip", "zeroed"])
def test_only_the_canisters_concerned_are_damaged_at_many_places(live: Live, change: str) -> None:
    size = journal(live).stat().st_size
    found = at_each(live, random.Random(6).sample(range(len(MAGIC), size), 120), change)
    assert 1 in found


def test_every_byte_of_the_heads_of_records(live: Live) -> None:
    """The first bytes behind the magic: checksum, kind, lengths, number and name of the first record."""
    assert set(at_each(live, list(range(len(MAGIC), len(MAGIC) + 40, 3)), "flip")) <= {0, 1}


def test_the_last_record_is_noticed_although_it_looks_torn(live: Live) -> None:
    assert at_each(live, [journal(live).stat().st_size - 100], "flip") == [1]


def test_the_warning_says_where(live: Live) -> None:
    flip(journal(live), 300)
    with pytest.warns(StateWarning, match=r"journal-\d+: the record at byte \d+ contradicts its checksum"):
        opened(live.path).__enter__().close()


def test_without_checks_nothing_is_guessed(live: Live) -> None:
    with record_of(live.path) as record:
        del record["checks"]
    shutil.copy(live.path / "manifest", live.path / "manifest.copy")
    content = journal(live).read_bytes()
    flip(journal(live), 300)
    for _ in range(2):
        with pytest.raises(StateCorrupt, match=r"journal-\d+: the record at byte \d+ contradicts.*bring it back from"):
            Sandbox.open(live.path)
    journal(live).write_bytes(content)
    with opened(live.path) as sandbox:
        assert raw(sandbox, live.victim) == live.saved


def test_a_missing_memory_that_the_journal_names_is_that_of_one_canister(live: Live) -> None:
    live.files["heap"].unlink()
    assert named_or_saved(live) == 1
