"""Bytes of a live memory that the medium changed, with every time of the file as it was: opening cannot notice them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import Sandbox
from sandbox.candid import encode
from sandbox.errors import StateCorrupt
from tests.snapshots.writer import WASM, tell
from tests.store.live import (
    PAGE,
    Live,
    bytes_read,
    canister,
    flip_like_the_medium,
    kinds,
    live_state,
    opened,
    raw,
    record_of,
    whole,
)

UNTOUCHED = 13 * WASM + 5
"""A byte in a page that is the same in both snapshots and in the last save."""
SAVED_SINCE = 9 * PAGE + 5
"""A byte of stable memory in the page that was changed after the second snapshot."""


@pytest.fixture
def live(tmp_path: Path) -> Live:
    return live_state(tmp_path / "state")


@kinds
@pytest.mark.parametrize("label", ["one", "two"])
def test_a_load_writes_what_the_snapshot_says(live: Live, kind: str, label: str) -> None:
    flip_like_the_medium(live, live.files[kind], UNTOUCHED)
    with Sandbox.open(live.path) as sandbox:
        victim = canister(sandbox, live.victim)
        tell(victim, "poke", UNTOUCHED + 100, 5, 1)  # the damaged page is overwritten in part
        victim.load_snapshot(live.snapshots[label])
        assert victim.raw_state() == live.kept[label]
        for again in ("two", "one"):
            victim.load_snapshot(live.snapshots[again])
            assert victim.raw_state() == live.kept[again]
    whole(live.path)
    with opened(live.path) as sandbox:
        assert raw(sandbox, live.victim) == live.kept["one"]


@kinds
def test_damage_is_named_when_the_memory_is_compared_hashed_or_copied(live: Live, kind: str) -> None:
    flip_like_the_medium(live, live.files[kind], UNTOUCHED)
    uses: list[Callable[[Sandbox], object]] = [
        lambda sandbox: sandbox.snapshots.diff(live.snapshots["two"]),
        lambda sandbox: sandbox.state_hash(),
        lambda sandbox: sandbox.snapshots.take(live.victim, via_hooks=True),
        lambda sandbox: raw(sandbox, live.victim),
    ]
    for use in uses:
        with opened(live.path) as sandbox:
            victim = canister(sandbox, live.victim)
            victim.query_raw("calls")  # an instance has the memory mapped
            for _ in range(2):
                with pytest.raises(StateCorrupt, match=rf"canister {live.victim} is damaged: page 0xd "):
                    use(sandbox)
            with pytest.raises(StateCorrupt, match="page 0xd "):
                victim.query_raw("calls")
            assert victim.recover().label == "two"
            assert victim.raw_state() == live.kept["two"]


@kinds
def test_a_snapshot_of_a_damaged_memory_is_stored_as_it_should_be(live: Live, kind: str) -> None:
    """Pages unchanged since the last snapshot are in the packs already, and are not read again from the memory."""
    flip_like_the_medium(live, live.files[kind], UNTOUCHED)
    with Sandbox.open(live.path) as sandbox:
        three = canister(sandbox, live.victim).take_snapshot("three")
        sandbox.save()
        with pytest.raises(StateCorrupt, match="page 0xd "):
            canister(sandbox, live.victim).load_snapshot(three.id)
    with opened(live.path) as sandbox:
        assert sandbox.snapshots.verify(three.id).intact
        canister(sandbox, live.victim).load_snapshot(three.id)
        assert raw(sandbox, live.victim) == live.saved


def test_a_page_that_a_new_snapshot_must_read_is_checked(live: Live) -> None:
    flip_like_the_medium(live, live.files["stable"], SAVED_SINCE)
    text = rf"stable memory of canister {live.victim} is damaged: page 0x0 "
    with opened(live.path) as sandbox:
        three = canister(sandbox, live.victim).take_snapshot("three")
        for use in (sandbox.save, lambda: three.checksum):
            with pytest.raises(StateCorrupt, match=text):
                use()


@kinds
def test_a_memory_without_a_stored_tree_is_checked_when_it_gets_one(live: Live, kind: str) -> None:
    with record_of(live.path) as record:
        record["bases"] = {}
    flip_like_the_medium(live, live.files[kind], UNTOUCHED)
    with opened(live.path) as sandbox:
        canister(sandbox, live.victim).take_snapshot("three")
        with pytest.raises(StateCorrupt, match="page 0xd "):
            sandbox.save()


@kinds
def test_a_snapshot_that_is_not_saved_is_verified_and_read_as_damaged(live: Live, kind: str, tmp_path: Path) -> None:
    flip_like_the_medium(live, live.files[kind], UNTOUCHED)
    with opened(live.path) as sandbox:
        three = canister(sandbox, live.victim).take_snapshot("three")
        found = sandbox.snapshots.verify(three.id)
        [difference] = found.differences
        assert difference.part == kind
        assert "page 0xd " in difference.why
        with pytest.raises(StateCorrupt, match="page 0xd "):
            sandbox.snapshots.download(three.id, tmp_path / "three.icsnap")
        assert not (tmp_path / "three.icsnap").exists()


@kinds
def test_a_save_names_the_snapshot_that_keeps_it_from_being_done(live: Live, kind: str) -> None:
    flip_like_the_medium(live, live.files[kind], UNTOUCHED)
    with Sandbox.open(live.path) as sandbox:
        victim = canister(sandbox, live.victim)
        three = victim.take_snapshot("three")
        victim.load_snapshot(live.snapshots["two"])
        with pytest.raises(StateCorrupt, match=f"snapshot {three.id.hex()} was taken of .*: page 0xd .*; delete it"):
            sandbox.save()
        victim.delete_snapshot(three.id)
    whole(live.path)
    with opened(live.path) as sandbox:
        assert raw(sandbox, live.victim) == live.kept["two"]


def test_what_was_read_once_is_not_read_again(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    read = bytes_read(monkeypatch, "/memories/")
    with opened(live.path) as sandbox:
        victim = canister(sandbox, live.victim)
        before = read[0]
        victim.load_snapshot(live.snapshots["two"])
        first = read[0] - before
        victim.load_snapshot(live.snapshots["one"])
        victim.load_snapshot(live.snapshots["two"])
        sandbox.snapshots.diff(live.snapshots["two"])
        assert first > 40 * WASM
        assert read[0] - before - first < 32 * PAGE


def test_a_snapshot_after_reopening_reads_what_was_changed(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    read = bytes_read(monkeypatch, "/memories/")
    with Sandbox.open(live.path) as sandbox:
        tell(canister(sandbox, live.victim), "stable_poke", 5 * WASM, 10, 1)
        taken = canister(sandbox, live.victim).take_snapshot("three")
        sandbox.save()
        assert len(taken.checksum) == 64
        assert 0 < read[0] < 32 * PAGE


def test_other_canisters_answer_and_are_saved_after_damage_was_noticed(live: Live) -> None:
    flip_like_the_medium(live, live.files["heap"], UNTOUCHED)
    with Sandbox.open(live.path) as sandbox:
        with pytest.raises(StateCorrupt):
            sandbox.snapshots.diff(live.snapshots["two"])
        other = canister(sandbox, live.other)
        other.call("inc")
        with pytest.raises(Exception, match="its memory on disk is damaged"):
            other.update("forward", encode("(principal, text, blob)", [live.victim, "calls", b"DIDL\0\0"]))
    with opened(live.path) as sandbox:
        assert canister(sandbox, live.other).call("get") == 2
