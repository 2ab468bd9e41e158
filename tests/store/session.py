"""What a state directory with work since its last save holds after an event, in the words of the README's table."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from sandbox import Canister, RawState, Sandbox
from sandbox.errors import StateCorrupt, StateWarning
from tests.conftest import guest
from tests.snapshots.writer import WASM, tell
from tests.store.live import PAGE, Live, canister, opened

NOTHING, REFUSED, WHAT_NEEDS_IT = "–", "that canister refused", "those that need it refused"
SPEAKER = guest(
    """(func (export "canister_update say") (i64.store (i32.const 0) (i64.const 7))
      (call $debug_print (i32.const 0) (i32.const 1)) (call $reply64 (i64.const 0)))
    (func (export "canister_update refuse") (i64.store (i32.const 0) (i64.const 9))
      (call $msg_reject (i32.const 0) (i32.const 0)))"""
)


class Cells(NamedTuple):
    """What came of an event, in the words of the table."""

    save: str
    work: str
    snapshots: str
    seen: str


class Kept(NamedTuple):
    """What is found in a directory: states of all canisters and labels of the victim's snapshots."""

    states: list[RawState]
    labels: list[str | None]


def together(tries: Iterable[Cells]) -> Cells:
    """The words of all tries, each once, the mildest first."""
    order = [NOTHING, "kept", "lost", "saved", "`StateCorrupt`", REFUSED, WHAT_NEEDS_IT, "all refused"]
    return Cells(*(" or ".join(sorted(set(words), key=order.index)) for words in zip(*tries, strict=True)))


def name_of(kind: type[BaseException]) -> str:
    return f"`{kind.__name__}`"


def raised(action: Callable[[], object]) -> str:
    """The exception, or else the warning, that a user sees."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", StateWarning)
        try:
            action()
        except Exception as error:
            return name_of(type(error))
    return name_of(said[0].category) if said else NOTHING


# What a directory holds


def state(sandbox: Sandbox, live: Live) -> Kept:
    states = [one.raw_state() for one in sandbox.canisters()]
    return Kept(states, [s.label for s in canister(sandbox, live.victim).list_snapshots()])


def saved(live: Live) -> str:
    """The last save's word: whether both canisters are exactly what they were."""
    with opened(live.path) as sandbox:
        assert len(sandbox.canisters()) == 2
        assert canister(sandbox, live.other).call("get") == 1
        victim = canister(sandbox, live.victim)
        try:
            assert victim.raw_state() == live.saved
            return "kept"
        except StateCorrupt:
            assert victim.recover().label == "two"
            assert victim.raw_state() == live.kept["two"]
            return REFUSED


def snapshots(live: Live) -> str:
    """The snapshots' word: whether each brings back, from the disk, exactly what it is, or is refused."""
    intact = []
    with opened(live.path) as sandbox:
        victim = canister(sandbox, live.victim)
        assert [s.id for s in victim.list_snapshots()] == list(live.snapshots.values())
        for label, snapshot_id in live.snapshots.items():
            found = sandbox.snapshots.verify(snapshot_id)
            intact.append(found.intact)
            assert found.on_disk
            if found.intact:
                victim.load_snapshot(snapshot_id)
                assert victim.raw_state() == live.kept[label]
            else:
                with pytest.raises(StateCorrupt):
                    victim.load_snapshot(snapshot_id)
    return "kept" if all(intact) else WHAT_NEEDS_IT


# Work after a save, and a process that goes on


def work(sandbox: Sandbox, live: Live) -> Canister:
    """Memories that change, a new canister, a new snapshot; the canister that prints and rejects."""
    victim = canister(sandbox, live.victim)
    tell(victim, "poke", 2 * PAGE, 9 * PAGE, 0xC3)
    tell(victim, "stable_poke", 5 * WASM, PAGE, 0xD4)
    victim.take_snapshot("three")
    speaker = sandbox.create_canister()
    speaker.install(SPEAKER)
    return speaker


class Session:
    """A process that has worked since the last save."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.sandbox = Sandbox.open(live.path)
        self.victim = canister(self.sandbox, live.victim)
        self.speaker = work(self.sandbox, live)
        self.worked = state(self.sandbox, live)

    def ended(self, seen: str, work: str = "kept in the process", aside: Path | None = None) -> Cells:
        """The event is over. What would be left if the process died now, copied `aside`, is the last save; what the
        process has is all of its work."""
        left = elsewhere(self.live, "left", aside)
        cells = Cells(saved(left), work, snapshots(left), seen)
        assert state(self.sandbox, self.live) == self.worked
        return cells

    def goes_on(self) -> None:
        """The next save keeps the work."""
        self.sandbox.save()
        self.sandbox.close()
        with opened(self.live.path) as again:
            assert state(again, self.live) == self.worked


def after(live: Live, seen: str) -> Cells:
    """What the next process finds: the work would be a canister and a snapshot more."""
    return Cells(saved(live), "lost", snapshots(live), seen)


def elsewhere(live: Live, name: str, folder: Path | None = None) -> Live:
    """A copy of the directory."""
    path = (folder or live.path.parent) / name
    shutil.copytree(live.path, path)
    return replace(live, path=path, files={kind: path / "memories" / f.name for kind, f in live.files.items()})
