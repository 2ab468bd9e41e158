"""A damaged pack refuses the snapshots that need it, and never keeps new ones from being saved."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import Sandbox
from sandbox.errors import StateCorrupt
from sandbox.pagestore.pack import Pack
from tests.snapshots.writer import WASM, tell
from tests.store.live import PAGE, Live, canister, flip, live_state, opened, raw, whole


@pytest.fixture
def live(tmp_path: Path) -> Live:
    return live_state(tmp_path / "state")


def frames(live: Live, *kinds: str) -> list[tuple[Path, int, int]]:
    """The frames, as (file, offset, length), of all packs that hold objects of these kinds."""
    found = []
    for file in sorted((live.path / "packs").iterdir()):
        pack = Pack.at(file)
        numbers = {place[1] for kind in kinds for _, place in pack.objects(kind)}
        found += [(file, pack.frames[3 * number], pack.frames[3 * number + 1]) for number in sorted(numbers)]
    return found


def damage(live: Live, *kinds: str) -> None:
    for file, offset, length in frames(live, *kinds):
        for at in range(length // 4, length, 7):
            flip(file, offset + at)


def test_a_snapshot_over_damaged_nodes_is_written_whole(live: Live) -> None:
    damage(live, "node", "delta")
    with Sandbox.open(live.path, max_snapshots=9) as sandbox:
        victim = canister(sandbox, live.victim)
        for page in range(20):
            tell(victim, "poke", page * WASM + 3 * PAGE, 10, 0x31 + page)
        three = victim.take_snapshot("three").id
        kept = victim.raw_state()
        sandbox.save()
        tell(victim, "stable_poke", 0, 20 * WASM, 3)
        sandbox.save()
        victim.load_snapshot(three)
        assert victim.raw_state() == kept
    for _ in range(2):  # as the second process finds it, and after another snapshot over this one
        with Sandbox.open(live.path, max_snapshots=9) as sandbox:
            victim = canister(sandbox, live.victim)
            assert sandbox.snapshots.verify(three).intact
            victim.load_snapshot(three)
            assert victim.raw_state() == kept
            tell(victim, "poke", 7 * WASM, 1, 9)
            four = victim.take_snapshot("four").id
            sandbox.save()
            assert sandbox.snapshots.verify(four).intact
            victim.delete_snapshot(four)
    whole_but_for(live, {live.snapshots["one"], live.snapshots["two"]})


def test_other_canisters_keep_their_snapshots(live: Live) -> None:
    damage(live, "node", "delta")
    with Sandbox.open(live.path, max_snapshots=9) as sandbox:
        other = canister(sandbox, live.other)
        other.call("inc")
        kept = other.take_snapshot("own").id
    with opened(live.path) as sandbox:
        assert sandbox.snapshots.verify(kept).intact
        canister(sandbox, live.other).load_snapshot(kept)
        assert canister(sandbox, live.other).call("get") == 2
        assert raw(sandbox, live.victim) == live.saved


def test_damage_that_a_load_has_met_is_not_built_upon(live: Live) -> None:
    """Pages and blocks are not read by a save: what was found damaged in them is not shared by new snapshots."""
    damage(live, "page", "block")
    with Sandbox.open(live.path, max_snapshots=9) as sandbox:
        victim = canister(sandbox, live.victim)
        tell(victim, "stable_poke", 0, 20 * WASM, 3)
        with pytest.raises(StateCorrupt):
            victim.load_snapshot(live.snapshots["one"])
        three, kept = victim.take_snapshot("three").id, victim.raw_state()
    with opened(live.path) as sandbox:
        assert sandbox.snapshots.verify(three).intact
        canister(sandbox, live.victim).load_snapshot(three)
        assert raw(sandbox, live.victim) == kept


def test_damaged_objects_that_were_written_again_survive_pruning(live: Live) -> None:
    damage(live, "node", "delta", "page", "block")
    with Sandbox.open(live.path, max_snapshots=9) as sandbox:
        victim = canister(sandbox, live.victim)
        tell(victim, "poke", 0, 1, 7)
        three, kept = victim.take_snapshot("three").id, victim.raw_state()
        sandbox.save()
        for label in ("one", "two"):
            victim.delete_snapshot(live.snapshots[label])
        sandbox.save()
        sandbox.snapshots.prune()
    whole(live.path)
    with opened(live.path) as sandbox:
        canister(sandbox, live.victim).load_snapshot(three)
        assert raw(sandbox, live.victim) == kept


def whole_but_for(live: Live, refused: set[bytes]) -> None:
    """Every snapshot is intact or among these."""
    with opened(live.path) as sandbox:
        found = {verified.id: verified.intact for verified in sandbox.snapshots.verify_all()}
        assert {number for number, intact in found.items() if not intact} <= refused
