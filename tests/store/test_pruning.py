"""Pruning at any moment: what is here can be read, and nothing is believed to be here that is not."""

from __future__ import annotations

import os
import random
from functools import partial
from pathlib import Path

import pytest

from sandbox.errors import StateCorrupt
from sandbox.memory import Pool
from sandbox.pagestore.hash_tree import BLOCK, PAGE
from sandbox.pagestore.memory_trees import tree
from sandbox.pagestore.objects import Objects
from sandbox.state import SnapshotState
from sandbox.store import Repository
from tests.store.conftest import Make
from tests.store.test_directory import killed_at


def test_after_a_pack_was_rewritten_its_snapshots_are_read_and_shared_by_the_same_repository(
    tmp_path: Path, pool: Pool, snapshot: Make
) -> None:
    repository, one, other = Repository(tmp_path), pool.memory(32 * BLOCK), pool.memory(4 * BLOCK)
    one.write(0, os.urandom(32 * BLOCK))
    other.write(0, os.urandom(4 * BLOCK))
    [_, kept] = repository.put([snapshot(1, one), snapshot(2, other)])
    repository.keep_only([kept])
    pruned = repository.prune()
    assert pruned.after == sum(file.stat().st_size for file in (tmp_path / "packs").iterdir())
    assert repository.get(kept).heap.read(0, 4 * BLOCK) == other.read(0, 4 * BLOCK)
    repository.put([snapshot(3, other)])
    assert sum(file.stat().st_size for file in (tmp_path / "packs").iterdir()) == pruned.after


@pytest.mark.parametrize("reopened", [False, True])
def test_what_was_pruned_in_part_is_written_again_when_it_comes_back(
    tmp_path: Path, pool: Pool, snapshot: Make, reopened: bool
) -> None:
    """A pack stays for what else it holds; of a forgotten snapshot it has nodes whose pages went with another pack."""
    repository, heap, other = Repository(tmp_path), pool.memory(64 * BLOCK), pool.memory(64 * BLOCK)
    heap.write(0, random.Random(1).randbytes(64 * BLOCK))
    first = snapshot(1, heap)
    repository.put([first])
    heap.write(5 * PAGE, b"a page of a block that stands on another")
    other.write(0, random.Random(2).randbytes(64 * BLOCK))
    second, third = snapshot(2, heap), snapshot(3, other)
    [_, kept] = repository.put([second, third], lambda content: tree(first.heap) if content is second.heap else None)
    repository.keep_only([kept])
    assert repository.prune().packs >= 1
    if reopened:
        repository = Repository(tmp_path)
    again = snapshot(4, heap)
    [_, entry] = repository.put([third, again])
    found = Repository(tmp_path).get(entry).heap
    assert found.read(0, found.size) == heap.read(0, heap.size)


def test_a_pack_that_cannot_be_read_is_named_every_time(tmp_path: Path, pool: Pool, snapshot: Make) -> None:
    repository, heap = Repository(tmp_path), pool.memory(BLOCK)
    heap.write(0, b"content")
    repository.put([snapshot(1, heap)])
    [pack] = (tmp_path / "packs").iterdir()
    pack.write_bytes(b"torn")
    again = Repository(tmp_path)
    [entry] = again.entries()
    for _ in range(2):
        with pytest.raises(StateCorrupt, match=f"the pack {pack} cannot be read"):
            again.get(entry).heap.read(0, 1)


def life(path: Path, pool: Pool, snapshot: Make) -> tuple[Repository, list[SnapshotState]]:
    """Snapshots of three memories, each standing on the one before, packs mixed; the last of each is kept."""
    repository, rng = Repository(path), random.Random(3)
    heaps, before, made = [pool.memory(24 * BLOCK) for _ in range(3)], [tree(pool.memory().image())] * 3, []
    for number in range(4):
        for index, heap in enumerate(heaps):
            at = rng.randrange(8) * BLOCK if number else 0
            heap.write(at, rng.randbytes(24 * BLOCK if not number else PAGE * (1 + 9 * index)))
        states = [snapshot(10 * number + index, heap) for index, heap in enumerate(heaps)]
        by_content = {id(state.heap): known for state, known in zip(states, before, strict=True)}
        repository.put(states, lambda content, known=by_content: known.get(id(content)))  # type: ignore[misc]
        before = [tree(state.heap) for state in states]
        made += states
    last = {state.id for state in (made[-3], made[2])}
    repository.keep_only([entry for entry in repository.entries() if entry.id in last])
    return repository, made


def whole(path: Path, made: list[SnapshotState]) -> None:
    """What was kept can be read; what was not can be kept again and read."""
    bytes_of = {state.id: state.heap.read(0, state.heap.size) for state in made}
    for _ in range(2):
        again = Repository(path)
        entries = again.entries()
        assert entries
        for entry in entries:
            assert again.get(entry).heap.read(0, 24 * BLOCK) == bytes_of[entry.id]
        again.put(made)


def pruned(path: Path) -> None:
    Repository(path).prune()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_killed_at_any_file_operation_pruning_loses_nothing(tmp_path: Path, pool: Pool, snapshot: Make) -> None:
    _, made = life(tmp_path / "reference", pool, snapshot)
    whole(tmp_path / "reference", made)
    for number in range(1_000):
        path = tmp_path / str(number)
        life(path, pool, snapshot)
        killed = killed_at(number, partial(pruned, path))
        again = Repository(path)
        if number % 2:
            again.prune()
        whole(path, made)
        if not killed:
            break
    assert number > 5


def test_pruning_again_what_an_interrupted_pruning_wrote_loses_nothing(
    tmp_path: Path, pool: Pool, snapshot: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second run writes a pack with the very name of the first one's."""
    repository, made = life(tmp_path, pool, snapshot)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Objects, "replace", dies)
        with pytest.raises(KeyboardInterrupt):
            repository.prune()
    Repository(tmp_path).prune()
    Repository(tmp_path).prune()
    whole(tmp_path, made)


def test_a_pack_that_could_not_be_deleted_does_not_take_its_successor_with_it(
    tmp_path: Path, pool: Pool, snapshot: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, heap = Repository(tmp_path), pool.memory(8 * BLOCK)
    heap.write(0, random.Random(1).randbytes(8 * BLOCK))
    repository.put([snapshot(1, heap)])
    repository.keep_only([])

    def stuck(path: Path, **_: object) -> None:
        raise OSError(f"{path} is stuck")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", stuck)
        with pytest.raises(OSError, match="is stuck"):
            repository.prune()
    [entry] = repository.put([snapshot(2, heap)])
    assert Repository(tmp_path).get(entry).heap.read(0, 8 * BLOCK) == heap.read(0, 8 * BLOCK)


def test_what_somebody_still_holds_stays(tmp_path: Path, pool: Pool, snapshot: Make) -> None:
    repository, heap = Repository(tmp_path), pool.memory(8 * BLOCK)
    heap.write(0, random.Random(1).randbytes(8 * BLOCK))
    [entry] = repository.put([snapshot(1, heap)])
    held = repository.get(entry)
    repository.keep_only([])
    assert repository.prune().packs == 0
    [entry] = repository.put([held])
    assert Repository(tmp_path).get(entry).heap.read(0, 8 * BLOCK) == heap.read(0, 8 * BLOCK)
    repository.keep_only([])
    del held
    assert repository.prune().after == 0
