"""The README's table "What is promised": every row happens here, and its words are those of what came of it."""

from __future__ import annotations

import pickle
import re
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import pytest

from sandbox import CallRejected, Sandbox
from sandbox.errors import StateCorrupt, StateWarning
from tests.process.test_fork import in_child
from tests.process.test_threads import in_thread
from tests.snapshots.writer import tell
from tests.store import test_full_disk
from tests.store.live import PAGE, Live, canister, flip, live_state, opened
from tests.store.session import (
    NOTHING,
    Cells,
    Session,
    after,
    elsewhere,
    name_of,
    raised,
    saved,
    snapshots,
    state,
    together,
    work,
)
from tests.store.test_directory import killed_at
from tests.store.test_live_damage import cut_by_a_page, missing, one_bit
from tests.store.test_state_manifest import DAMAGE, FILES, damaged

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ["what happens", "the last save", "work since", "snapshots", "you see"]
disk = test_full_disk.disk


def table() -> dict[str, Cells]:
    """The table, by the first column."""
    section = (ROOT / "README.md").read_text("utf-8").partition("\n## What is promised\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in re.findall(r"^\|.*\|$", section, re.MULTILINE)]
    assert rows[0] == COLUMNS
    found = {name: Cells(*cells) for name, *cells in rows[2:]}
    assert len(found) == len(rows) - 2
    return found


# The events


def trap(session: Session) -> Cells:
    with pytest.raises(CallRejected, match="IC0502") as trapped:
        tell(session.victim, "poke", 0, 9, 100, 1)
    with pytest.raises(CallRejected, match="IC0536"):
        session.victim.update("no_such_method")
    return session.ended(name_of(trapped.type), "kept, that message undone")


def reject(session: Session) -> Cells:
    with pytest.raises(CallRejected) as refused:
        session.speaker.update("refuse")
    assert session.speaker.raw_state().heap[0] == 9
    session.worked = state(session.sandbox, session.live)
    return session.ended(name_of(refused.type), "kept, that message too")


def exception_inside(session: Session) -> Cells:
    def late(*_: object) -> None:
        raise TimeoutError

    events = {KeyboardInterrupt: signal.SIGINT, TimeoutError: signal.SIGALRM}
    previous = signal.signal(signal.SIGALRM, late)
    try:
        for kind, number in events.items():
            session.sandbox.on_log = lambda *_, number=number: signal.raise_signal(number)
            with pytest.raises(kind):
                session.speaker.update("say")
    finally:
        signal.signal(signal.SIGALRM, previous)
    return session.ended("that exception", "kept, that call undone")


def exception_leaves(live: Live) -> Cells:
    class Own(Exception):
        pass

    def interrupted() -> None:
        with Sandbox.open(live.path) as sandbox:
            work(sandbox, live)
            raise Own

    with pytest.raises(Own):
        interrupted()
    return after(live, "that exception")


KILLED = """
import pickle, sys
from sandbox import Sandbox
from tests.store.session import work
live = pickle.load(sys.stdin.buffer)
sandbox = Sandbox.open(live.path)
work(sandbox, live)
print("worked", flush=True)
sys.stdin.read()
"""


def killed(live: Live) -> Cells:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", KILLED], cwd=ROOT, **pipes) as process:  # type: ignore[call-overload]
        process.stdin.write(pickle.dumps(live))
        process.stdin.flush()
        assert process.stdout.readline() == b"worked\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    return after(live, NOTHING)


def worked_and_saved(live: Live) -> None:
    with Sandbox.open(live.path) as sandbox:
        work(sandbox, live)


def killed_while_saving(live: Live) -> Cells:
    """At every ninth file operation of opening, working and saving."""
    whole = elsewhere(live, "whole")
    worked_and_saved(whole)
    with opened(whole.path) as sandbox:
        expected = state(sandbox, live)
    outcomes, number, going_on = [], 0, True
    while going_on:
        one = elsewhere(live, str(number))
        going_on = killed_at(number, partial(worked_and_saved, one))
        with opened(one.path) as sandbox:
            outcomes.append("saved" if state(sandbox, live) == expected else "lost")
            assert all(found.intact and found.on_disk for found in sandbox.snapshots.verify_all())
        if outcomes[-1] == "lost":
            assert (saved(one), snapshots(one)) == ("kept", "kept")
        number += 9
    return Cells("kept", " or ".join(sorted(set(outcomes))), "kept", NOTHING)


def power_cut(live: Live) -> Cells:
    """What was written since the last save is on the disk or not, in any order and in parts: that of the memories, and
    that of their journal. What a save waits for is on the disk (`test_power.py`)."""
    before = elsewhere(live, "before")
    session = Session(live)
    tries = []
    for memories, journal in product(("old", "new", "mixed"), ("old", "new", "half", "torn", "gone")):
        one = elsewhere(before, f"{memories} {journal}")
        for file in live.path.rglob("*"):
            if file.parent.name == "memories" or file.name.startswith("journal-"):
                how = memories if file.parent.name == "memories" else journal
                lose(one.path / file.relative_to(live.path), file, how)
        tries.append(found_after_a_cut(one))
    session.sandbox.close()
    return together(tries)


def found_after_a_cut(live: Live) -> Cells:
    """A journal that is torn in its middle is named, and so is every memory that it could not bring back."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".*journal-\d+: the record at byte ", StateWarning)
        Sandbox.open(live.path).close()
    word = saved(live)
    return Cells(word, "lost", snapshots(live), NOTHING if word == "kept" else name_of(StateCorrupt))


def lose(place: Path, written: Path, how: str) -> None:
    """Have at `place`, which is as of the last save, what a power cut leaves of what was written since."""
    new, old = written.read_bytes(), place.read_bytes() if place.exists() else b""
    if how == "gone":
        place.unlink(missing_ok=True)
    elif how == "new":
        place.write_bytes(new)
    elif how == "half":
        place.write_bytes(new[: len(new) // 2])
    elif how == "torn":
        place.write_bytes(new[:3000] + bytes(1000) + new[4000:])
    elif how == "mixed":
        pages = range(0, len(new), PAGE)
        place.write_bytes(b"".join((new if at // PAGE % 2 else old)[at : at + PAGE].ljust(PAGE, b"\0") for at in pages))


def full_disk(live: Live, mounted: Path) -> Cells:
    session = Session(elsewhere(live, "state", mounted))
    test_full_disk.fill_up(mounted)
    cells = session.ended(raised(session.sandbox.save), aside=live.path.parent)
    (mounted / "ballast").unlink()
    session.goes_on()
    return cells


def memory_damaged(live: Live) -> Cells:
    cells = []
    for damage in (one_bit, cut_by_a_page, missing):
        for kind in live.files:
            one = elsewhere(live, f"{damage.__name__} {kind}")
            damage(one, one.files[kind])
            with opened(one.path) as sandbox:
                seen = raised(canister(sandbox, live.victim).raw_state)
            cells.append(Cells(saved(one), NOTHING, snapshots(one), seen))
    return together(cells)


def snapshot_damaged(live: Live) -> Cells:
    cells = []
    for file in [*sorted((live.path / "packs").iterdir()), *sorted((live.path / "snapshots").iterdir())]:
        one = elsewhere(live, file.name[:50])
        flip(one.path / file.relative_to(live.path), file.stat().st_size // 2)
        with opened(one.path) as sandbox:
            victim = canister(sandbox, live.victim)
            seen = {raised(partial(victim.load_snapshot, snapshot_id)) for snapshot_id in live.snapshots.values()}
        [error] = seen - {NOTHING}
        cells.append(Cells(saved(one), NOTHING, snapshots(one), error))
    assert len(cells) >= 4
    return together(cells)


def manifest_damaged(live: Live) -> Cells:
    cells = set()
    for damage in DAMAGE:
        one = elsewhere(live, damage)
        damaged(one.path / "manifest", damage)
        seen = raised(lambda path=one.path: Sandbox.open(path).close())  # type: ignore[misc]
        with pytest.warns(StateWarning):
            cells.add(Cells(saved(one), NOTHING, snapshots(one), seen))
    [found] = cells
    return found


def manifest_and_copy_damaged(live: Live) -> Cells:
    seen = set()
    for damage in DAMAGE:
        one = elsewhere(live, damage)
        for file in FILES:
            damaged(one.path / file, damage)
        seen.add(raised(partial(Sandbox.open, one.path)))
        for file in FILES:
            shutil.copyfile(live.path / file, one.path / file)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", StateWarning)
                assert (saved(one), snapshots(one)) == ("kept", "kept")
            damaged(one.path / file, damage)
            seen.add(raised(partial(Sandbox.open, one.path)))
    [error] = seen
    return Cells("refused until either is back", NOTHING, "refused until either is back", error)


def fork(session: Session) -> Cells:
    return session.ended(in_child(partial(raised, partial(tell, session.victim, "poke", 0, 1, 1))))


def thread(session: Session) -> Cells:
    answers: list[object] = []
    use = partial(tell, session.victim, "poke", 0, 1, 1)
    session.sandbox.on_log = lambda *_: answers.append(in_thread("second", partial(raised, use)))
    session.speaker.update("say")
    assert session.victim.raw_state() in session.worked.states
    session.worked = state(session.sandbox, session.live)
    [seen] = answers
    return session.ended(str(seen))


def other_process(session: Session) -> Cells:
    return session.ended(in_child(partial(raised, partial(Sandbox.open, session.live.path, lock_timeout=0))))


GOES_ON: dict[str, Callable[[Session], Cells]] = {
    "a trap, or a reject of the platform": trap,
    "a reject of the canister's code": reject,
    "an exception inside a call, also Ctrl-C or a time-out": exception_inside,
    "a forked child uses the sandbox": fork,
    "another thread uses the sandbox during a call": thread,
    "another process opens the directory": other_process,
}
"""The process has worked since the last save, goes on, and saves."""
ENDS: dict[str, Callable[[Live], Cells]] = {
    "an exception that leaves the `with`": exception_leaves,
    "the process is killed (SIGKILL)": killed,
    "the process is killed while it saves": killed_while_saving,
    "power is cut": power_cut,
    "a byte of a memory's file changes, or the file is cut or gone": memory_damaged,
    "a byte of a pack or of a snapshot's manifest changes": snapshot_damaged,
    "the manifest is lost or damaged": manifest_damaged,
    "the manifest and its copy are lost or damaged": manifest_and_copy_damaged,
}
"""Another process finds the directory."""
FULL = "the disk is full while saving"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Live:
    return live_state(tmp_path_factory.mktemp("promises") / "state")


@pytest.fixture
def live(first: Live, tmp_path: Path) -> Live:
    return elsewhere(first, "state", tmp_path)


def test_every_row_has_its_event_and_every_event_its_row() -> None:
    assert sorted(table()) == sorted([*GOES_ON, *ENDS, FULL])


@pytest.mark.parametrize("name", GOES_ON)
def test_a_process_that_goes_on_has_what_the_table_says(live: Live, name: str) -> None:
    session = Session(live)
    assert GOES_ON[name](session) == table()[name]
    session.goes_on()


@pytest.mark.parametrize("name", ENDS)
def test_another_process_finds_what_the_table_says(live: Live, name: str) -> None:
    assert ENDS[name](live) == table()[name]


def test_a_full_disk_does_what_the_table_says(live: Live, disk: Path) -> None:
    assert full_disk(live, disk) == table()[FULL]
