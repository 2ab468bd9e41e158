"""What is kept comes back byte for byte, costs what changed, and damage is named."""

from __future__ import annotations

import os
import random
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.errors import StateCorrupt, StateError
from sandbox.memory import Memory, Pool, Readable
from sandbox.pagestore.hash_tree import BLOCK, PAGE, Tree
from sandbox.pagestore.memory_trees import tree
from sandbox.pagestore.objects import Objects
from sandbox.state import SnapshotState
from sandbox.store import Repository, Stored
from sandbox.store.checksum import snapshot_checksum
from tests.store.conftest import Make

FAR = 40 << 20
"""Beyond the first node of the third level."""


def content(readable: Readable) -> bytes:
    return readable.read(0, readable.size)


def same(one: SnapshotState, other: SnapshotState) -> bool:
    plain = [f.name for f in fields(SnapshotState) if f.name not in ("heap", "stable", "upload")]
    return (
        all(getattr(one, name) == getattr(other, name) for name in plain)
        and content(one.heap) == content(other.heap)
        and content(one.stable) == content(other.stable)
        and snapshot_checksum(one) == snapshot_checksum(other)
    )


def packed(repository: Repository) -> int:
    return sum(file.stat().st_size for file in (repository.path / "packs").iterdir())


def test_a_snapshot_comes_back_in_another_process_as_it_was(tmp_path: Path, pool: Pool, snapshot: Make) -> None:
    heap, stable = pool.memory(64 << 20), pool.memory(3 * BLOCK)
    heap.write(5, b"near")
    heap.write(FAR + 3, b"far")
    stable.write(2 * BLOCK + PAGE - 2, b"over the border")
    kept = snapshot(1, heap, stable, low_memory_hook="ready")
    [entry] = Repository(tmp_path).put([kept])
    again = Repository(tmp_path)
    assert again.entries() == [entry]
    assert same(again.get(entry), kept)
    assert again.get(entry).heap.extents() == [(0, PAGE), (FAR, PAGE)]


def test_what_is_not_changed_is_not_written_again(tmp_path: Path, pool: Pool, snapshot: Make) -> None:
    repository, heap = Repository(tmp_path), pool.memory(16 * BLOCK)
    heap.write(0, os.urandom(16 * BLOCK))
    repository.put([snapshot(1, heap)])
    before = packed(repository)
    repository.put([snapshot(2, heap)])
    assert packed(repository) == before
    assert len(list((tmp_path / "modules").iterdir())) == 1
    newest = max((tmp_path / "snapshots").iterdir(), key=lambda file: file.stat().st_mtime_ns)
    assert newest.stat().st_size < 4096


def test_scattered_changes_cost_their_own_bytes(tmp_path: Path, pool: Pool, snapshot: Make) -> None:
    repository, heap = Repository(tmp_path), pool.memory(64 << 20)
    heap.write(0, random.Random(1).randbytes(64 << 20))
    first = snapshot(1, heap)
    repository.put([first])
    before, pages = packed(repository), range(0, (64 << 20) // PAGE, 97)
    for page in pages:
        heap.write(page * PAGE, random.Random(page).randbytes(PAGE))
    second = snapshot(2, heap)
    repository.put([second], lambda _: tree(first.heap))
    assert packed(repository) - before < 2 * len(pages) * PAGE
    [_, entry] = Repository(tmp_path).entries()
    assert same(Repository(tmp_path).get(entry), second)


def test_canisters_with_the_same_bytes_share_them(tmp_path: Path, pool: Pool, snapshot: Make) -> None:
    repository, bytes_ = Repository(tmp_path), os.urandom(8 * BLOCK)
    heaps = [pool.memory(16 * BLOCK) for _ in range(5)]
    for heap in heaps:
        heap.write(3 * BLOCK, bytes_)
    repository.put([snapshot(number, heap) for number, heap in enumerate(heaps)])
    assert packed(repository) < 1.2 * len(bytes_)


def test_zeros_cost_nothing(tmp_path: Path, pool: Pool, snapshot: Make) -> None:
    repository = Repository(tmp_path)
    repository.put([snapshot(1, pool.memory(4 << 30), pool.memory(400 << 30))])
    assert packed(repository) == 0
    [entry] = repository.entries()
    assert repository.get(entry).stable.size == 400 << 30
    assert repository.get(entry).stable.read((400 << 30) - 7, 7) == bytes(7)


CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 20 * BLOCK), st.integers(1, 3 * BLOCK)),
        st.tuples(st.just("page"), st.integers(0, 20 * BLOCK // PAGE), st.just(PAGE)),
        st.tuples(st.just("zero"), st.integers(0, 20 * BLOCK), st.integers(1, 2 * BLOCK)),
        st.tuples(st.just("resize"), st.integers(0, 24), st.just(0)),
        st.tuples(st.just("keep"), st.just(0), st.just(0)),
        st.tuples(st.just("forget"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("prune"), st.just(0), st.just(0)),
        st.tuples(st.just("open"), st.just(0), st.just(0)),
    ),
    max_size=25,
)


@given(changes=CHANGES, seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_after_anything_every_kept_snapshot_is_what_it_was(
    tmp_path_factory: pytest.TempPathFactory, snapshot: Make, changes: list[tuple[str, int, int]], seed: int
) -> None:
    path, pool, rng = tmp_path_factory.mktemp("repository"), Pool(), random.Random(seed)
    repository, memory = Repository(path), pool.memory(20 * BLOCK)
    kept: dict[str, tuple[bytes, SnapshotState]] = {}
    newest: list[Tree] = []
    for number, (kind, place, length) in enumerate([*changes, ("keep", 0, 0), ("open", 0, 0)]):
        if kind == "resize":
            memory.resize(place * BLOCK)
        elif kind in ("write", "zero", "page"):
            write(
                memory,
                place * PAGE if kind == "page" else place,
                bytes(length) if kind == "zero" else rng.randbytes(length),
            )
        elif kind == "keep":
            state = snapshot(number, memory)
            [entry] = repository.put([state], lambda _: newest[-1] if newest else None)
            kept[entry.name] = content(state.heap), state
            newest.append(tree(state.heap))
        elif kind == "forget" and kept:
            del kept[sorted(kept)[place % len(kept)]]
            repository.keep_only(entry for entry in repository.entries() if entry.name in kept)
        elif kind == "prune":
            repository.prune()
        elif kind == "open":
            repository = Repository(path)
    assert {entry.name for entry in repository.entries()} == set(kept)
    for entry in repository.entries():
        found = repository.get(entry)
        assert content(found.heap) == kept[entry.name][0]
        assert snapshot_checksum(found) == repository.manifest(entry).checksum == snapshot_checksum(kept[entry.name][1])
    memory.close()


def write(memory: Memory, offset: int, data: bytes) -> None:
    if offset < memory.size:
        memory.write(offset, data[: memory.size - offset])


def test_pruning_gives_back_what_only_forgotten_snapshots_held(tmp_path: Path, pool: Pool, snapshot: Make) -> None:
    repository, heap = Repository(tmp_path), pool.memory(32 * BLOCK)
    for number in range(4):
        heap.write(0, os.urandom(32 * BLOCK))
        repository.put([snapshot(number, heap)])
    last = repository.entries()[-1:]
    assert repository.keep_only(last) == 3
    done = repository.prune()
    assert done.packs == 3
    assert done.after < 0.3 * done.before
    assert content(repository.get(last[0]).heap) == content(heap.image())


def test_a_pack_that_is_mostly_garbage_is_rewritten(tmp_path: Path, pool: Pool, snapshot: Make) -> None:
    repository, one, other = Repository(tmp_path), pool.memory(32 * BLOCK), pool.memory(4 * BLOCK)
    one.write(0, os.urandom(32 * BLOCK))
    other.write(0, os.urandom(4 * BLOCK))
    [_, kept] = repository.put([snapshot(1, one), snapshot(2, other)])
    repository.keep_only([kept])
    assert repository.prune().after < 6 * BLOCK
    assert content(Repository(tmp_path).get(kept).heap) == content(other.image())


def two_generations(path: Path, pool: Pool, snapshot: Make) -> Repository:
    """Whole blocks, single pages, several levels."""
    repository, heap, rng = Repository(path), pool.memory(64 << 20), random.Random(7)
    heap.write(0, rng.randbytes(9 * BLOCK))
    heap.write(FAR, rng.randbytes(100))
    first = snapshot(1, heap)
    repository.put([first])
    for page in (0, 17, 40, FAR // PAGE):
        heap.write(page * PAGE + 9, rng.randbytes(30))
    repository.put([snapshot(2, heap, chunks={})], lambda _: tree(first.heap))
    return repository


def read_everything(path: Path) -> None:
    repository = Repository(path)
    assert len(repository.entries()) == 2, "a manifest is missing"
    for entry in repository.entries():
        found = repository.get(entry)
        for memory in (found.heap, found.stable):
            for offset, length in memory.extents():
                memory.read(offset, length)


def flips(path: Path, pool: Pool, snapshot: Make, count: int) -> None:
    two_generations(path, pool, snapshot)
    read_everything(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    rng = random.Random(3)
    for _ in range(count):
        [file] = rng.choices(files, [file.stat().st_size for file in files])
        whole = file.read_bytes()
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        file.write_bytes(damaged)
        with pytest.raises((StateCorrupt, StateError)) as caught:
            read_everything(path)
        assert str(path) in str(caught.value)
        file.write_bytes(whole)
    read_everything(path)


def test_one_flipped_bit_in_any_file_is_found(tmp_path: Path, pool: Pool, snapshot: Make) -> None:
    flips(tmp_path, pool, snapshot, 100)


@pytest.mark.slow
def test_one_flipped_bit_in_any_file_is_found_a_thousand_times(tmp_path: Path, pool: Pool, snapshot: Make) -> None:
    flips(tmp_path, pool, snapshot, 1_000)


def test_a_damaged_manifest_names_the_part(tmp_path: Path, pool: Pool, snapshot: Make) -> None:
    repository = Repository(tmp_path)
    [entry] = repository.put([snapshot(1, pool.memory(BLOCK))])
    file = tmp_path / "snapshots" / entry.name
    whole = file.read_bytes()
    for old, new, name in (
        (b"number 1", b"number 7", "label"),
        (bytes(range(16)), bytes(range(1, 17)), "global 1"),
        (b"set by hand", b"set by band", "certified_data"),
    ):
        assert whole.count(old) == 1
        file.write_bytes(whole.replace(old, new))
        with pytest.raises(StateCorrupt, match=f"{name} contradicts its digest"):
            repository.manifest(entry)


def test_a_torn_pack_is_named(tmp_path: Path, pool: Pool, snapshot: Make) -> None:
    two_generations(tmp_path, pool, snapshot)
    file = next((tmp_path / "packs").iterdir())
    whole = file.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(StateCorrupt, match=str(file)):
            read_everything(tmp_path)


def test_beside_a_torn_pack_snapshots_are_kept_that_need_nothing_of_it(
    tmp_path: Path, pool: Pool, snapshot: Make
) -> None:
    heap = pool.memory(4 * BLOCK)
    heap.write(0, random.Random(1).randbytes(4 * BLOCK))
    first = snapshot(1, heap)
    Repository(tmp_path).put([first])
    [torn] = (tmp_path / "packs").iterdir()
    heap.write(BLOCK, b"changed")
    second = snapshot(2, heap)
    Repository(tmp_path).put([second], lambda _: tree(first.heap))
    torn.write_bytes(torn.read_bytes()[:-1])
    heap.write(2 * BLOCK, b"again")
    third, repository = snapshot(3, heap), Repository(tmp_path)
    repository.put([third], lambda _: tree(second.heap))
    fourth = snapshot(4, heap)
    before = packed(repository)
    repository.put([fourth], lambda _: tree(third.heap))
    assert packed(repository) == before  # what was added since can be shared
    for kept in (third, fourth):
        [found] = [entry for entry in Repository(tmp_path).entries() if entry.id == kept.id]
        assert same(Repository(tmp_path).get(found), kept)
    lost = next(entry for entry in repository.entries() if entry.id == first.id)
    with pytest.raises(StateCorrupt, match=f"none of the packs of .*the pack {torn} cannot be read"):
        repository.get(lost).heap.read(0, 1)
    with pytest.raises(StateCorrupt, match=f"the pack {torn} cannot be read"):
        repository.prune()
    assert torn.exists()
    again = Repository(tmp_path)
    again.keep_only(entry for entry in again.entries() if entry.id in (third.id, fourth.id))
    again.prune()
    assert not torn.exists()
    heap.write(3 * BLOCK, b"more")
    fifth = snapshot(5, heap)
    [entry] = again.put([fifth], lambda _: tree(fourth.heap))
    assert same(Repository(tmp_path).get(entry), fifth)


def test_a_torn_pack_that_is_written_again_is_whole_and_stays(tmp_path: Path, pool: Pool, snapshot: Make) -> None:
    heap = pool.memory(BLOCK)
    heap.write(0, b"content")
    Repository(tmp_path).put([snapshot(1, heap)])
    [torn] = (tmp_path / "packs").iterdir()
    torn.write_bytes(torn.read_bytes()[:-1])
    again, repository = snapshot(2, heap), Repository(tmp_path)
    [entry] = repository.put([again])
    assert [torn] == list((tmp_path / "packs").iterdir())
    repository.prune()
    assert same(Repository(tmp_path).get(entry), again)


def test_bytes_that_come_and_go_are_kept_once(tmp_path: Path, pool: Pool, snapshot: Make) -> None:
    repository, heap = Repository(tmp_path), pool.memory(2 * BLOCK)
    before: list[Tree] = []
    heap.write(0, random.Random(1).randbytes(2 * BLOCK))
    kept = []
    for count in range(6):
        heap.write(PAGE, bytes([count % 2]) * 8)
        state = snapshot(count, heap)
        repository.put([state], lambda _: before[-1] if before else None)
        before.append(tree(state.heap))
        kept.append(state)
    assert len(list((tmp_path / "packs").iterdir())) == 2
    for gone in range(5):
        repository.keep_only(entry for entry in repository.entries() if entry.id > kept[gone].id)
        repository.prune()
        found = {entry.id: Repository(tmp_path).get(entry) for entry in repository.entries()}
        assert all(same(found[state.id], state) for state in kept[gone + 1 :])


def test_a_full_disk_keeps_what_was_there(
    tmp_path: Path, pool: Pool, snapshot: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = two_generations(tmp_path, pool, snapshot)
    heap = pool.memory(BLOCK)
    heap.write(0, os.urandom(BLOCK))

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(StateError, match="No space left on device"):
            repository.put(
                [snapshot(3, pool.memory(BLOCK)), snapshot(4, Stored(tree(heap.image()), Objects(tmp_path / "x")))]
            )
    read_everything(tmp_path)
    assert not (tmp_path / "packs" / ".new").exists()


STRANGE = [".DS_Store", "notes-old", "a-b-c", "0011-" + "g" * 64, "ABCD-" + "0" * 64, "-", "\udcff-x"]


def test_files_that_are_none_of_ours_are_left_alone(tmp_path: Path, pool: Pool, snapshot: Make) -> None:
    repository = Repository(tmp_path)
    entries = repository.put([snapshot(1, pool.memory(PAGE)), snapshot(2, pool.memory(PAGE))])
    strangers = [tmp_path / place / name for place in ("snapshots", "modules") for name in STRANGE]
    for file in strangers:
        file.write_bytes(b"somebody's")
    (tmp_path / "snapshots" / "folder-x").mkdir()
    torn = tmp_path / "snapshots" / f".new-{entries[0].name}"
    torn.write_bytes(b"an interrupted write")
    assert Repository(tmp_path).entries() == entries
    assert repository.keep_only(entries[1:]) == 2
    repository.prune()
    assert repository.entries() == entries[1:]
    assert all(file.read_bytes() == b"somebody's" for file in strangers)
    assert not torn.exists()
