"""A live memory is what was saved, or says that it is not; everything else goes on, and snapshots bring it back."""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import CallRejected, Policy, Sandbox
from sandbox.api import runtime_of
from sandbox.candid import encode
from sandbox.errors import SandboxError, StateCorrupt, StateError, StateWarning
from sandbox.execution import Round
from tests.snapshots.writer import WASM, tell
from tests.store.live import (
    PAGE,
    Live,
    canister,
    flip,
    flip_like_the_medium,
    kinds,
    live_state,
    opened,
    raw,
    whole,
)
from tests.store.test_directory import COUNTER

Damage = Callable[[Live, Path], None]


def cut_by_a_page(_: Live, file: Path) -> None:
    os.truncate(file, file.stat().st_size - PAGE)


def cut_anywhere(_: Live, file: Path) -> None:
    os.truncate(file, 12_345)


def emptied(_: Live, file: Path) -> None:
    os.truncate(file, 0)


def longer(_: Live, file: Path) -> None:
    os.truncate(file, file.stat().st_size + PAGE)


def missing(_: Live, file: Path) -> None:
    file.unlink()


def one_bit(_: Live, file: Path) -> None:
    flip(file, 7 * PAGE + 11)


def one_bit_with_the_old_time(_: Live, file: Path) -> None:
    before = file.stat()
    flip(file, 7 * PAGE + 11)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def zeroed(_: Live, file: Path) -> None:
    with open(file, "r+b") as content:
        content.seek(3 * PAGE)
        content.write(bytes(PAGE))


def exchanged(live: Live, file: Path) -> None:
    one, other = live.files.values()
    aside = file.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


DAMAGES = (
    cut_by_a_page,
    cut_anywhere,
    emptied,
    longer,
    missing,
    one_bit,
    one_bit_with_the_old_time,
    zeroed,
    exchanged,
)
damages = pytest.mark.parametrize("damage", DAMAGES)


@pytest.fixture
def live(tmp_path: Path) -> Live:
    return live_state(tmp_path / "state")


def test_an_undamaged_state_is_whole(live: Live) -> None:
    whole(live.path)
    with opened(live.path) as sandbox:
        assert raw(sandbox, live.victim) == live.saved
        assert canister(sandbox, live.victim).damage is None


@kinds
@damages
def test_damage_is_named_wherever_the_memory_is_needed(live: Live, kind: str, damage: Damage) -> None:
    damage(live, live.files[kind])
    name = "heap" if kind == "heap" else "stable memory"
    text = re.compile(rf"the {name} of canister {live.victim} is damaged: ")
    if damage is exchanged:
        text = re.compile(rf"of canister {live.victim} is damaged: ")
    with opened(live.path) as sandbox:
        victim = canister(sandbox, live.victim)
        uses: list[Callable[[], object]] = [
            lambda: tell(victim, "poke", 0, 1, 1),
            lambda: victim.query_raw("calls"),
            lambda: sandbox.submit(victim, "poke"),
            victim.raw_state,
            lambda: victim.take_snapshot("three"),
            lambda: sandbox.snapshots.take(victim.id, via_hooks=True),
            lambda: sandbox.snapshots.diff(live.snapshots["two"]),
            sandbox.state_hash,
        ]
        for use in uses:
            with pytest.raises(StateCorrupt, match=text):
                use()
        assert text.search(str(victim.damage))


@kinds
def test_the_page_has_its_number(live: Live, kind: str) -> None:
    flip(live.files[kind], 3 * WASM + 5)
    flip(live.files[kind], 17 * WASM + 5)
    with opened(live.path) as sandbox, pytest.raises(StateCorrupt, match=r"pages 0x3, 0x11 \(of 64 KiB\)"):
        raw(sandbox, live.victim)


@damages
def test_others_go_on_and_are_saved(live: Live, damage: Damage) -> None:
    damage(live, live.files["heap"])
    for count in (2, 3):
        with Sandbox.open(live.path) as sandbox:
            other = canister(sandbox, live.other)
            other.call("inc")
            sandbox.tick()
            assert other.call("get") == count
            forward = encode("(principal, text, blob)", [live.victim, "calls", b"DIDL\0\0"])
            with pytest.raises(CallRejected, match="its memory on disk is damaged"):
                other.update("forward", forward)
            assert all(found.intact for found in sandbox.snapshots.verify_all())
            assert not sandbox.check().intact
            other.take_snapshot()
    with opened(live.path) as sandbox, pytest.raises(StateCorrupt):
        raw(sandbox, live.victim)


@kinds
@damages
def test_loading_a_snapshot_gives_exactly_what_it_is(live: Live, kind: str, damage: Damage) -> None:
    damage(live, live.files[kind])
    with Sandbox.open(live.path) as sandbox:
        victim = canister(sandbox, live.victim)
        for label in ("one", "two"):
            victim.load_snapshot(live.snapshots[label])
            assert victim.raw_state() == live.kept[label]
        tell(victim, "poke", 0, 100, 9)
        expected = victim.raw_state()
    whole(live.path)
    with opened(live.path) as sandbox:
        assert raw(sandbox, live.victim) == expected
        canister(sandbox, live.victim).load_snapshot(live.snapshots["one"])
        assert raw(sandbox, live.victim) == live.kept["one"]


@damages
def test_recovery_takes_the_newest_intact_snapshot(live: Live, damage: Damage) -> None:
    damage(live, live.files["stable"])
    with Sandbox.open(live.path) as sandbox:
        victim = canister(sandbox, live.victim)
        assert victim.recover().label == "two"
        assert victim.raw_state() == live.kept["two"]
        assert victim.damage is None
        with pytest.raises(StateError, match="needs no recovery"):
            victim.recover()
    whole(live.path)


def test_recovery_from_a_chosen_snapshot(live: Live) -> None:
    missing(live, live.files["heap"])
    with Sandbox.open(live.path) as sandbox:
        assert canister(sandbox, live.victim).recover(live.snapshots["one"].hex()).label == "one"
        assert raw(sandbox, live.victim) == live.kept["one"]
    whole(live.path)


def test_recovery_passes_over_damaged_snapshots_and_says_when_none_is_left(live: Live) -> None:
    missing(live, live.files["heap"])
    for file in (live.path / "snapshots").iterdir():
        if file.name.startswith(live.snapshots["two"].hex()):
            flip(file, 100)
    with opened(live.path) as sandbox:
        assert canister(sandbox, live.victim).recover().label == "one"
    for file in (live.path / "snapshots").iterdir():
        file.write_bytes(b"")
    with opened(live.path) as sandbox, pytest.raises(StateCorrupt, match="no intact snapshot"):
        canister(sandbox, live.victim).recover()


def test_accepted_damage_is_said_and_everything_else_stays(live: Live) -> None:
    flip(live.files["heap"], 3 * WASM + 5)
    os.truncate(live.files["stable"], 2 * WASM)
    with Sandbox.open(live.path) as sandbox:
        heap, stable = canister(sandbox, live.victim).accept_damage()
        assert "page 0x3" in heap
        assert f"{2 * WASM} bytes instead of {20 * WASM}" in stable
    whole(live.path)
    with opened(live.path) as sandbox:
        found = raw(sandbox, live.victim)
        differing = [at for at, (a, b) in enumerate(zip(found.heap, live.saved.heap, strict=True)) if a != b]
        assert differing == [3 * WASM + 5]
        assert found.stable == live.saved.stable[: 2 * WASM].ljust(20 * WASM, b"\0")
        assert found.globals == live.saved.globals
        assert canister(sandbox, live.victim).accept_damage() == ()


@kinds
def test_what_the_medium_lost_is_noticed_before_it_becomes_part_of_a_save(live: Live, kind: str) -> None:
    flip_like_the_medium(live, live.files[kind], 3 * WASM + 5)
    method = "poke" if kind == "heap" else "stable_poke"
    with opened(live.path) as sandbox:
        tell(canister(sandbox, live.victim), method, 3 * WASM + 50, 10, 1)
        for _ in range(2):
            with pytest.raises(StateCorrupt, match=rf"{live.victim} is damaged: page 0x3 "):
                sandbox.save()
    with opened(live.path) as sandbox, pytest.raises(StateCorrupt, match="page 0x3 "):
        raw(sandbox, live.victim)


@kinds
def test_what_the_medium_lost_is_noticed_by_a_deep_check_and_by_recovery(live: Live, kind: str) -> None:
    flip_like_the_medium(live, live.files[kind], 3 * WASM + 5)
    with Sandbox.open(live.path) as sandbox:
        assert sandbox.check().intact
        [problem] = sandbox.check(deep=True).problems
        assert (problem.part, problem.canister_id) == (f"{kind} page 0x3", live.victim)
        victim = canister(sandbox, live.victim)
        tell(victim, "poke", 40 * PAGE, 10, 1)
        assert len(sandbox.check(deep=True).problems) == 1, "what was changed since the save is no damage"
        victim.recover()
        assert victim.raw_state() == live.kept["two"]
    whole(live.path)


def test_lost_tables_of_checks_are_harmless_while_the_memory_is_untouched(live: Live) -> None:
    tables = [file for file in (live.path / "memories").iterdir() if file.stat().st_size == 2 * PAGE]
    assert len(tables) >= 2
    tables[0].unlink()
    flip(tables[1], 40)
    with Sandbox.open(live.path) as sandbox:
        assert raw(sandbox, live.victim) == live.saved
        assert sandbox.check().unchecked == 2
    whole(live.path)


def test_without_its_table_a_memory_that_was_written_to_is_not_trusted(live: Live) -> None:
    for file in (live.path / "memories").iterdir():
        if file.stat().st_size == 2 * PAGE:
            file.unlink()
    flip(live.files["heap"], 0)
    with opened(live.path) as sandbox:
        with pytest.raises(StateCorrupt, match="its file was written to"):
            raw(sandbox, live.victim)
        canister(sandbox, live.victim).recover()
        assert raw(sandbox, live.victim) == live.kept["two"]


def test_a_copied_directory_is_checked_and_good(live: Live, tmp_path: Path) -> None:
    shutil.copytree(live.path, tmp_path / "copy")
    with opened(tmp_path / "copy") as sandbox:
        assert raw(sandbox, live.victim) == live.saved
    flip(tmp_path / "copy" / "memories" / live.files["heap"].name, 5)
    with opened(tmp_path / "copy") as sandbox, pytest.raises(StateCorrupt):
        raw(sandbox, live.victim)


def test_a_damaged_canister_can_be_deleted_or_installed_anew(live: Live) -> None:
    missing(live, live.files["heap"])
    with opened(live.path) as sandbox:
        victim = canister(sandbox, live.victim)
        victim.install(victim._state.code.submitted, mode="reinstall")  # type: ignore[union-attr]
        assert victim.damage is None
        tell(victim, "poke", 0, 1, 1)
    with Sandbox.open(live.path) as sandbox:
        victim = canister(sandbox, live.victim)
        victim.stop()
        victim.delete()
    whole(live.path)


def test_every_byte_of_records_and_globals_is_covered(live: Live) -> None:
    """The manifest of the directory holds all of the live state that is neither memory nor module: damage of it is
    noticed and its copy used; damage of both refuses the directory."""
    manifest, copy = live.path / "manifest", live.path / "manifest.copy"
    content = manifest.read_bytes()
    assert copy.read_bytes() == content
    dice = random.Random(3)
    cuts = [content[:length] for length in (0, 1, 40, len(content) // 2, len(content) - 1)]
    for damaged in [
        *(flipped(content, at, dice) for at in [*range(60), *dice.sample(range(len(content)), 150)]),
        *cuts,
    ]:
        manifest.write_bytes(damaged)
        copy.write_bytes(damaged)
        with pytest.raises(StateError):
            Sandbox.open(live.path)
    copy.write_bytes(content)
    with pytest.warns(StateWarning, match=r"manifest\.copy is used"), opened(live.path) as sandbox:
        assert raw(sandbox, live.victim) == live.saved


def flipped(content: bytes, at: int, dice: random.Random) -> bytes:
    damaged = bytearray(content)
    damaged[at] ^= 1 << dice.randrange(8)
    return bytes(damaged)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_any_damage_of_any_file_is_noticed_or_harmless(tmp_path: Path, seed: int) -> None:
    """Each file below `memories`, tables of checks among them: flipped at many places, cut, deleted, exchanged."""
    live, dice = live_state(tmp_path / "state"), random.Random(seed)
    files = sorted((live.path / "memories").iterdir())
    file = dice.choice(files)
    size = file.stat().st_size
    kind = dice.choice(["flip", "flip", "flip", "many", "cut", "delete", "exchange"])
    if kind in ("flip", "many") and size:
        for _ in range(1 if kind == "flip" else 20):
            flip(file, dice.randrange(size))
    elif kind == "cut":
        os.truncate(file, dice.randrange(size + 1))
    elif kind == "delete":
        file.unlink()
    elif kind == "exchange":
        other = dice.choice(files)
        content, instead = file.read_bytes(), other.read_bytes()
        file.write_bytes(instead)
        other.write_bytes(content)
    with Sandbox.open(live.path) as sandbox:
        noticed = False
        for canister_id in (live.victim, live.other):
            one = canister(sandbox, canister_id)
            if one.damage is not None:
                noticed = True
                with pytest.raises(StateCorrupt, match=str(canister_id)):
                    one.raw_state()
            elif canister_id == live.victim:
                assert one.raw_state() == live.saved
            else:
                assert one.call("get") == 1
        assert noticed == (not sandbox.check().intact)
        assert all(found.intact for found in sandbox.snapshots.verify_all())
        victim = canister(sandbox, live.victim)
        for label, expected in live.kept.items():
            victim.load_snapshot(live.snapshots[label])
            assert victim.raw_state() == expected
        if canister(sandbox, live.other).damage is not None:
            with pytest.raises(SandboxError):
                canister(sandbox, live.other).recover()
            canister(sandbox, live.other).accept_damage()
    whole(live.path)


def test_calls_and_timers_of_a_damaged_canister_stop_nobody(tmp_path: Path) -> None:
    """A timer that is due, a heartbeat, an answer that comes, a call that was queued, a snapshot that is due."""
    with Sandbox.open(tmp_path) as sandbox:
        asks, answers = sandbox.create_canister(), sandbox.create_canister()
        for one in (asks, answers):
            one.install(COUNTER)
        forward = encode("(principal, text, blob)", [answers.id, "inc", b"DIDL\0\0"])
        asked = sandbox.submit(asks, "forward", forward)
        runtime_of(sandbox).perform(Round())
        queued = sandbox.submit(asks, "inc")
        sandbox.snapshots.set_policy(Policy(every=1), asks.id)
        heap = tmp_path / "memories" / runtime_of(sandbox).state_of(asks.id).heap.name
    flip(heap, 70_000)
    with Sandbox.open(tmp_path) as sandbox:
        sandbox.advance_time(5)
        sandbox.run_until_idle()
        assert isinstance(sandbox.ingress_status(queued), CallRejected)
        assert sandbox.ingress_status(asked) is not None
        sandbox.canister(answers.id).call("inc")
        assert sandbox.canister(answers.id).call("get") == 2
