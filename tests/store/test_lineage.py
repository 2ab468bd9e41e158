"""What is kept stands on what was kept before: whatever happens to memories and snapshots in between, it is right."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sandbox import Canister, RawState, Sandbox
from sandbox.api import runtime_of
from sandbox.errors import StateError
from sandbox.pagestore.memory_trees import tree
from tests.snapshots.writer import WASM, root, tell, writer
from tests.store.test_directory import OPERATIONS


def opened(path: Path, most: int = 4) -> tuple[Sandbox, Canister]:
    """The sandbox in a directory, and its first canister, made if there is none."""
    sandbox = Sandbox.open(path, max_snapshots=most)
    if not sandbox.canisters():
        sandbox.create_canister().install(writer())
    return sandbox, sandbox.canisters()[0]


def reopened(sandbox: Sandbox, path: Path) -> tuple[Sandbox, Canister]:
    sandbox.save()
    sandbox.close()
    return opened(path)


def loads_to(sandbox: Sandbox, canister: Canister, snapshot_id: bytes, raw: RawState) -> None:
    """The snapshot's memories have the trees of their bytes, and loading brings these bytes."""
    [state] = [s for s in runtime_of(sandbox).state_of(canister.id).snapshots if s.id == snapshot_id]
    assert (state.heap.read(0, state.heap.size), state.stable.read(0, state.stable.size)) == (raw.heap, raw.stable)
    assert (tree(state.heap).root, tree(state.stable).root) == (root(state.heap), root(state.stable))
    canister.load_snapshot(snapshot_id)
    assert sandbox.raw_state(canister) == raw


@pytest.mark.parametrize("times", [1, 2])
def test_a_memory_that_shrank_before_and_grew_after_reopening_has_zeros_there(tmp_path: Path, times: int) -> None:
    sandbox, canister = opened(tmp_path)
    small = canister.take_snapshot("small")
    tell(canister, "grow", 20)
    tell(canister, "poke", 10 * WASM, 5 * WASM, 0xAA)
    canister.take_snapshot("large")
    sandbox, canister = reopened(sandbox, tmp_path)
    canister.load_snapshot(small.id)
    for _ in range(times):
        sandbox, canister = reopened(sandbox, tmp_path)
    tell(canister, "grow", 25)
    tell(canister, "poke", 20 * WASM, WASM, 0xBB)
    grown, raw = canister.take_snapshot("grown"), sandbox.raw_state(canister)
    sandbox, canister = reopened(sandbox, tmp_path)
    loads_to(sandbox, canister, grown.id, raw)
    sandbox.close()


def test_an_anchor_brings_back_a_kept_snapshot_that_was_deleted_saved_and_pruned_within(tmp_path: Path) -> None:
    sandbox, canister = opened(tmp_path)
    tell(canister, "poke", 5000, 70_000, 0xCC)
    kept, raw = canister.take_snapshot("kept"), sandbox.raw_state(canister)
    sandbox, canister = reopened(sandbox, tmp_path)
    with sandbox.anchor():
        canister.install(writer(), mode="reinstall")
        canister.delete_snapshot(kept.id)
        sandbox.save()
        directory = runtime_of(sandbox).directory
        assert directory is not None
        directory.prune()
    sandbox, canister = reopened(sandbox, tmp_path)
    tell(canister, "poke", 0, 2 * WASM, 0xEE)
    loads_to(sandbox, canister, kept.id, raw)
    sandbox.close()


def test_what_cannot_be_cleared_away_after_a_save_does_not_undo_the_save_or_keep_what_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox, canister = opened(tmp_path)
    old = canister.take_snapshot("old")
    sandbox.save()
    tell(canister, "poke", 5000, 70_000, 0xCC)
    canister.delete_snapshot(old.id)
    raw, unlink = sandbox.raw_state(canister), Path.unlink

    def stuck(path: Path, missing_ok: bool = False) -> None:
        if path.parent.name == "snapshots":
            raise OSError(f"{path} is stuck")
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", stuck)
        with pytest.raises(StateError, match="is stuck"):
            sandbox.save()
    tell(canister, "poke", 0, 2 * WASM, 0xDD)
    sandbox.close()  # as a crash would
    sandbox, canister = opened(tmp_path)
    assert sandbox.raw_state(canister) == raw
    assert canister.list_snapshots() == []
    sandbox.close()


def failing_at(number: int, action: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run `action`, whose file operation `number` fails as on a broken disk; False if it had fewer."""
    done = [0]

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*args: Any, **options: Any) -> Any:
            done[0] += 1
            if done[0] == number + 1:
                raise OSError(errno.EIO, "a broken disk")
            return original(*args, **options)

        return operation

    with monkeypatch.context() as patch:
        for name in OPERATIONS:
            patch.setattr(os, name, counted(getattr(os, name)))
        with suppress(StateError):
            action()
    return done[0] > number


def changed_and_saved(path: Path) -> tuple[Sandbox, Canister, bytes]:
    """A saved state with a snapshot, then a change of everything that a save has to do; not saved yet."""
    sandbox, canister = opened(path)
    tell(canister, "poke", 5000, 70_000, 0xAA)
    old = canister.take_snapshot("old")
    sandbox, canister = reopened(sandbox, path)
    canister.install(writer(2), mode="reinstall")
    tell(canister, "poke", 5000, 90_000, 0xBB)
    tell(canister, "stable_grow", 1)
    canister.delete_snapshot(old.id)
    canister.take_snapshot("new")
    return sandbox, canister, old.id


@pytest.mark.parametrize("again", [False, True])
def test_a_save_that_fails_anywhere_loses_nothing_whatever_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """What follows are calls that are not saved, or another save; then another process goes on."""
    outcomes, before = set(), None
    for number in range(1_000):
        path = tmp_path / str(number)
        sandbox, canister, _ = changed_and_saved(path)
        raw = sandbox.raw_state(canister)
        failed = failing_at(number, sandbox.save, monkeypatch)
        assert sandbox.raw_state(canister) == raw, number
        tell(canister, "poke", 0, 2 * WASM, 0xCC)
        if again:
            sandbox.save()
            raw = sandbox.raw_state(canister)
            tell(canister, "poke", 0, 2 * WASM, 0xDD)
        sandbox.close()
        sandbox, canister = opened(path)
        found, [snapshot] = sandbox.raw_state(canister), canister.list_snapshots()
        outcomes.add(snapshot.label)
        if snapshot.label == "new":
            assert found == raw, number
        else:
            assert not again
            assert (before or found) == found
            before = found
        [state] = runtime_of(sandbox).state_of(canister.id).snapshots
        assert tree(state.heap).root == root(state.heap)
        canister.load_snapshot(snapshot.id)
        sandbox.save()
        sandbox.close()
        if not failed:
            break
    assert number > 20
    assert outcomes == ({"new"} if again else {"old", "new"})


@pytest.mark.parametrize("again", [False, True])
def test_a_memory_that_grew_by_zeros_alone_is_kept_with_its_new_size(tmp_path: Path, again: bool) -> None:
    sandbox, canister = opened(tmp_path)
    tell(canister, "poke", 0, 100, 0xAA)
    tell(canister, "stable_grow", 1)
    canister.take_snapshot("before")
    sandbox.save()
    tell(canister, "stable_grow", 3)
    grown = sandbox.raw_state(canister)
    if again:
        sandbox, canister = reopened(sandbox, tmp_path)
    after = canister.take_snapshot("after")
    sandbox, canister = reopened(sandbox, tmp_path)
    loads_to(sandbox, canister, after.id, grown)
    sandbox.close()
