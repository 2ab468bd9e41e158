"""Kept snapshots survive whatever ends a save: a kill at any file operation, a full disk, a power cut."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sandbox import Canister, Keep, Sandbox
from sandbox.api import runtime_of
from sandbox.errors import SandboxError, StateError
from tests.snapshots.writer import WASM, tell, writer
from tests.store.test_directory import killed_at

WRITES = ("write", "pwrite", "pwritev", "ftruncate", "posix_fallocate")
Step = Callable[[Sandbox, Canister], None]


def prepared(path: Path) -> None:
    """A saved state: two snapshots, of which the first has most of the bytes in their pack, so that pruning rewrites it
    for the sake of the second; and a canister that has gone on."""
    with Sandbox.open(path, max_snapshots=3) as sandbox:
        canister = sandbox.create_canister()
        canister.install(writer())
        tell(canister, "grow", 20)
        for page in range(12):
            tell(canister, "poke", page * WASM, WASM, 0x10 + page)
        tell(canister, "stable_grow", 1)
        canister.take_snapshot("one")
        tell(canister, "poke", WASM, 11 * WASM, 0)
        tell(canister, "poke", 50_000, 40_000, 0xA1)
        canister.take_snapshot("two")
        tell(canister, "poke", 7_000, 90_000, 0xC3)


def take(sandbox: Sandbox, canister: Canister) -> None:
    canister.install(writer(2), mode="reinstall")
    tell(canister, "poke", 9_000, 30_000, 0xD4)
    canister.take_snapshot("new")
    sandbox.save()


def replace(sandbox: Sandbox, canister: Canister) -> None:
    canister.delete_snapshot(labelled(canister)["one"])
    take(sandbox, canister)


def delete_and_prune(sandbox: Sandbox, canister: Canister) -> None:
    sandbox.snapshots.retain(canister.id, Keep(last=1))
    sandbox.save()
    sandbox.snapshots.prune()


STEPS = {"take": take, "replace": replace, "delete and prune": delete_and_prune}
MAY_GO = {"take": set[str](), "replace": {"one"}, "delete and prune": {"one"}}
steps = pytest.mark.parametrize("name", STEPS)


def labelled(canister: Canister) -> dict[str, bytes]:
    return {str(s.label): s.id for s in canister.list_snapshots()}


def contents(path: Path) -> dict[str, Any]:
    """What every snapshot brings back, and that it is intact on the disk; nothing is saved."""
    sandbox = Sandbox.open(path)
    try:
        [canister] = sandbox.canisters()
        assert [v.differs for v in sandbox.snapshots.verify_all()] == [None] * len(labelled(canister))
        found = {}
        for label, snapshot_id in labelled(canister).items():
            canister.load_snapshot(snapshot_id)
            found[label] = canister.raw_state()
        return found
    finally:
        sandbox.close()


def run(path: Path, step: Step) -> None:
    with closing(Sandbox.open(path)) as sandbox:
        step(sandbox, sandbox.canisters()[0])


def goes_on(path: Path) -> None:
    """The state takes another snapshot, prunes, and is intact."""
    with Sandbox.open(path, max_snapshots=9) as sandbox:
        [canister] = sandbox.canisters()
        tell(canister, "poke", 1_000, 20_000, 0xE5)
        canister.take_snapshot("later")
        sandbox.save()
        sandbox.snapshots.prune()
    assert "later" in contents(path)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@steps
def test_killed_at_any_file_operation_no_finished_snapshot_is_lost(tmp_path: Path, name: str) -> None:
    prepared(tmp_path / "reference")
    before = contents(tmp_path / "reference")
    run(tmp_path / "reference", STEPS[name])
    after = contents(tmp_path / "reference")
    assert before.keys() - after.keys() == MAY_GO[name]
    outcomes, number, killed = [], 0, True
    while killed:
        path = tmp_path / str(number)
        prepared(path)
        killed = killed_at(number, partial(run, path, STEPS[name]))
        found = contents(path)
        assert found in (before, after), number
        outcomes.append(found == after)
        goes_on(path)
        number += 1
    assert outcomes == sorted(outcomes), "once saved, it stays saved"
    assert (outcomes[0], outcomes[-1]) == (False, True)
    assert len(outcomes) > 10


@contextmanager
def full_after(writes: int, path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A disk that takes so many writes below `path`, then half of one, then nothing any more; how often it refused."""
    done, refused = [0], [0]

    def limited(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def operation(descriptor: int, *args: Any) -> Any:
            if not os.readlink(f"/proc/self/fd/{descriptor}").startswith(f"{path}/"):
                return original(descriptor, *args)
            done[0] += 1
            if done[0] <= writes:
                return original(descriptor, *args)
            refused[0] += 1
            if done[0] == writes + 1 and name in ("write", "pwrite") and len(args[0]) > 1:
                return original(descriptor, memoryview(args[0])[: len(args[0]) // 2], *args[1:])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        return operation

    with monkeypatch.context() as patch:
        for name in WRITES:
            patch.setattr(os, name, limited(name, getattr(os, name)))
        yield refused


def tried(action: Callable[[], object]) -> bool:
    """Whether it went through; it may fail for want of space, and for nothing else."""
    try:
        action()
    except StateError as error:
        if "No space left" not in str(error):
            raise
        return False
    return True


@steps
def test_on_a_full_disk_nothing_is_lost_and_with_room_again_the_next_save_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    prepared(tmp_path / "reference")
    before = contents(tmp_path / "reference")
    run(tmp_path / "reference", STEPS[name])
    after = contents(tmp_path / "reference")
    failures = 0
    for number in range(1_000):
        path = tmp_path / str(number)
        prepared(path)
        sandbox = Sandbox.open(path)
        [canister] = sandbox.canisters()
        save, manager = sandbox.save, sandbox.snapshots
        monkeypatch.setattr(sandbox, "save", lambda: None)
        prune = manager.prune
        monkeypatch.setattr(manager, "prune", lambda: None)
        STEPS[name](sandbox, canister)
        raw, snapshots = canister.raw_state(), canister.list_snapshots()
        with full_after(number, path, monkeypatch) as refused:
            failed = not (tried(save) and tried(prune))
        assert canister.raw_state() == raw, "the sandbox in memory is what it was"
        assert canister.list_snapshots() == snapshots
        assert all(found.intact for found in sandbox.snapshots.verify_all())
        save()
        prune()
        sandbox.close()
        assert contents(path) == after, number
        failures += failed
        if not refused[0]:
            break
    assert failures >= (1 if name == "delete and prune" else 4)
    assert before != after


@steps
def test_on_a_full_disk_another_process_finds_what_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    prepared(tmp_path / "reference")
    before = contents(tmp_path / "reference")
    run(tmp_path / "reference", STEPS[name])
    after = contents(tmp_path / "reference")
    for number in range(1_000):
        path = tmp_path / str(number)
        prepared(path)
        with full_after(number, path, monkeypatch) as refused, suppress(SandboxError):  # a call may fail as well
            run(path, STEPS[name])
        assert contents(path) in (before, after), number
        if not refused[0]:
            break
    goes_on(path)


class Recorded:
    """File operations of this process in a directory, in order: (what, path relative to it)."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.events: list[tuple[str, str]] = []
        for name in ("write", "pwrite", "fsync", "fdatasync"):
            monkeypatch.setattr(os, name, self._by_descriptor(name, getattr(os, name)))
        for name in ("replace", "rename"):
            monkeypatch.setattr(os, name, self._moved(getattr(os, name)))
        monkeypatch.setattr(os, "unlink", self._gone(os.unlink))

    def _note(self, what: str, path: str) -> None:
        if Path(path).is_relative_to(self.path):
            self.events.append((what, str(Path(path).relative_to(self.path))))

    def _by_descriptor(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        kind = "write" if name in ("write", "pwrite") else "sync"

        def operation(descriptor: int, *args: Any) -> Any:
            result = original(descriptor, *args)
            self._note(kind, os.readlink(f"/proc/self/fd/{descriptor}"))
            return result

        return operation

    def _moved(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def operation(source: Any, target: Any) -> None:
            self._note("from", str(source))
            original(source, target)
            self._note("to", str(target))

        return operation

    def _gone(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def operation(path: Any, **options: Any) -> None:
            original(path, **options)
            self._note("unlink", str(path))

        return operation

    def at(self, what: str, place: str) -> list[int]:
        """When it happened, to a path or to anything in a folder (`packs/`)."""
        found = enumerate(self.events)
        return [n for n, (w, p) in found if w == what and (p.startswith(place) if place.endswith("/") else p == place)]


def test_the_disk_has_everything_before_something_else_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a power cut may reorder: data before the name, the name before what refers to it, deletions last."""
    prepared(tmp_path)
    sandbox = Sandbox.open(tmp_path)
    [canister] = sandbox.canisters()
    canister.delete_snapshot(labelled(canister)["one"])
    canister.install(writer(2), mode="reinstall")
    tell(canister, "poke", 9_000, 30_000, 0xD4)
    canister.take_snapshot("new")
    with monkeypatch.context() as patch:
        seen = Recorded(tmp_path, patch)
        sandbox.save()
    sandbox.close()
    for number, (what, source) in enumerate(seen.events):
        if what == "from" and not source.startswith("journal") and source != ".new-manifest.copy":
            written = max(seen.at("write", source), default=-1)
            assert any(written < n < number for n in seen.at("sync", source)), f"{source} was renamed unsynced"
    [manifest] = seen.at("to", "manifest")
    [snapshot] = seen.at("to", "snapshots/")
    for folder, referred in (("packs", snapshot), ("modules", snapshot), ("snapshots", manifest)):
        named = seen.at("to", f"{folder}/")
        assert named, folder
        assert any(named[0] < n < referred for n in seen.at("sync", folder)), f"{folder} was not synced in time"
    memories = [p for w, p in seen.events[:manifest] if w == "sync" and p.startswith("memories/")]
    assert lived_in(tmp_path) <= set(memories)
    assert any(n < manifest for n in seen.at("sync", "memories"))
    settled = next(n for n in seen.at("sync", ".") if n > manifest)
    ended = next(n for n, (w, p) in enumerate(seen.events) if w == "to" and p.endswith(".done"))
    assert manifest < settled < ended, "a journal that has ended without the save would delete what is still needed"
    gone = seen.at("unlink", "snapshots/") + seen.at("unlink", "memories/")
    assert gone
    assert all(n > settled for n in gone), "something was deleted before the save was on the disk"


def lived_in(path: Path) -> set[str]:
    """The files of the canister's memories."""
    with closing(Sandbox.open(path)) as sandbox:
        state = runtime_of(sandbox).state_of(sandbox.canisters()[0].id)
        return {f"memories/{memory.name}" for memory in (state.heap, state.stable)}


def test_pruning_puts_the_new_pack_on_the_disk_before_the_old_one_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(tmp_path)
    sandbox = Sandbox.open(tmp_path)
    [canister] = sandbox.canisters()
    sandbox.snapshots.retain(canister.id, Keep(last=1))
    sandbox.save()
    with monkeypatch.context() as patch:
        seen = Recorded(tmp_path, patch)
        done = sandbox.snapshots.prune()
    sandbox.close()
    assert done.packs
    packs = {what: [n for n in seen.at(what, "packs/") if "/." not in seen.events[n][1]] for what in ("to", "unlink")}
    [named], [gone] = packs["to"], packs["unlink"]
    assert any(named < n < gone for n in seen.at("sync", "packs"))
