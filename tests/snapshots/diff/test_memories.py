"""Pages that differ: exactly those, however they are found; and patching back what differs is the way back."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.memory import Image, Memory, Pool
from sandbox.pagestore.hash_tree import PAGE, stub
from sandbox.pagestore.ingest import Ingest
from sandbox.pagestore.memory_trees import is_known, tree
from sandbox.pagestore.objects import Objects
from sandbox.pagestore.stored_memory import Stored
from sandbox.snapshots.diff.memories import MemoryDiff, compare_memories
from sandbox.snapshots.inspect.source import Bytes
from sandbox.snapshots.portable.content import Blob

WASM_PAGE = 65536
OFFSETS = st.one_of(st.integers(0, 3 * WASM_PAGE), st.sampled_from([PAGE - 1, PAGE, WASM_PAGE - 1, 299 * WASM_PAGE]))
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("write"), OFFSETS, st.binary(min_size=1, max_size=40)),
        st.tuples(st.just("write"), OFFSETS, st.just(bytes(2 * PAGE))),
        st.tuples(st.just("write"), OFFSETS, st.just(b"x" * (PAGE + 3))),
        st.tuples(st.just("resize"), st.sampled_from([0, 1, 2, 3, 300]), st.just(b"")),
        st.tuples(st.just("back"), st.just(0), st.just(b"")),
    ),
    max_size=8,
)


@pytest.fixture(scope="module")
def pool() -> Pool:
    return Pool()


def changed(memory: Memory, changes: list[tuple[str, int, bytes]]) -> list[Image]:
    """The image after each change."""
    images = [memory.image()]
    for kind, number, data in changes:
        if kind == "write" and number + len(data) <= memory.size:
            memory.write(number, data)
        elif kind == "resize":
            memory.resize(number * WASM_PAGE)
        elif kind == "back":
            memory.restore(images[len(images) // 2])
        images.append(memory.image())
    return images


def pages(content: Bytes, size: int) -> list[bytes]:
    whole = content.read(0, content.size).ljust(size, b"\0")
    return [whole[at : at + PAGE] for at in range(0, size, PAGE)]


def check(old: Bytes, new: Bytes) -> MemoryDiff:
    """The difference, after it was found to be the true one."""
    diff = compare_memories(old, new)
    size = max(old.size, new.size)
    before, after = pages(old, size), pages(new, size)
    zero = bytes(PAGE)
    kinds: dict[str, list[int]] = {"changed": [], "added": [], "removed": []}
    for number, (was, now) in enumerate(zip(before, after, strict=True)):
        if was != now:
            kinds["added" if was == zero else "removed" if now == zero else "changed"].append(number)
    for kind, numbers in kinds.items():
        runs = getattr(diff, kind)
        assert [n for at, length in runs for n in range(at // PAGE, (at + length) // PAGE)] == numbers, kind
        assert all(a + length < b for (a, length), (b, _) in pairwise(runs)), "neighbours are one run"
    assert diff.pages == sum(map(len, kinds.values()))
    assert (diff.before, diff.after) == (old.size, new.size)
    assert bool(diff) == (old.size != new.size or before != after)
    check_bytes(diff, old, new)
    return diff


def check_bytes(diff: MemoryDiff, old: Bytes, new: Bytes) -> None:
    """Patching forth and back leads from one to the other, and no equal byte stands at an end."""
    size = max(old.size, new.size)
    contents = [content.read(0, content.size).ljust(size, b"\0") for content in (old, new)]
    forth, back = bytearray(contents[0]), bytearray(contents[1])
    end = -8
    for change in diff.byte_changes():
        assert len(change.before) == len(change.after)
        assert change.before[0] != change.after[0]
        assert change.before[-1] != change.after[-1]
        assert change.offset >= end + 8, "what is close is one"
        end = change.offset + len(change.before)
        forth[change.offset : end] = change.after
        back[change.offset : end] = change.before
    assert forth == contents[1]
    assert back == contents[0]


@given(before=CHANGES, after=CHANGES)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_of_two_images_of_one_memory(pool: Pool, before: Any, after: Any) -> None:
    memory = pool.memory(2 * WASM_PAGE)
    changed(memory, before)
    images = changed(memory, after)
    check(images[0], images[-1])
    check(images[-1], images[0])
    check(images[len(images) // 2], images[-1])
    assert not is_known(memory), "nothing was hashed"
    memory.close()


@given(before=CHANGES, after=CHANGES, same=CHANGES)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_of_two_memories(pool: Pool, before: Any, after: Any, same: Any) -> None:
    memories = [pool.memory(2 * WASM_PAGE) for _ in range(2)]
    for memory, changes in zip(memories, (before, after), strict=True):
        changed(memory, same)
        changed(memory, changes)
    one, two = (memory.image() for memory in memories)
    check(one, two)
    assert not compare_memories(one, one)
    for memory in memories:
        memory.close()


def test_of_what_is_kept_on_disk(pool: Pool, tmp_path: Path) -> None:
    objects = Objects(tmp_path / "packs")
    memory = pool.memory(3 * WASM_PAGE)
    memory.write(5, b"first")
    memory.write(2 * WASM_PAGE, b"gone")
    images = [memory.image()]
    memory.write(WASM_PAGE - 2, b"over two pages")
    memory.write(2 * WASM_PAGE, b"\0\0\0\0")
    images.append(memory.image())
    addition = Ingest(objects)
    for image in images:
        addition.memory(image, None)
    addition.finish()
    kept = [Stored(type(tree(i))(stub(tree(i).key, objects.keys), i.size), objects) for i in images]
    diff = check(*kept)
    assert (len(diff.changed), len(diff.added), len(diff.removed)) == (0, 1, 1)
    check(kept[0], images[1])
    check(images[0], kept[1])
    assert not compare_memories(kept[1], images[1])


@pytest.mark.parametrize("size", [0, 1, PAGE, PAGE + 1, 2 * WASM_PAGE])
def test_of_the_bytes_of_a_file(pool: Pool, size: int) -> None:
    one, two = b"a" * size, b"a" * max(0, size - 1) + b"b" * min(1, size)
    whole = max(PAGE, -(-size // PAGE) * PAGE)
    diff = compare_memories(Blob(one), Blob(two))
    assert diff.pages == (1 if size else 0)
    assert not compare_memories(Blob(one), Blob(one))
    memory = pool.memory(whole)
    if size:
        memory.write(0, one)
    assert compare_memories(Blob(one), memory.image()).pages == 0


def test_a_huge_sparse_memory_costs_what_differs(pool: Pool) -> None:
    memory = pool.memory(400 << 30)
    memory.write(399 << 30, b"x")
    before = memory.image()
    memory.write(200 << 30, b"y")
    memory.resize(350 << 30)
    diff = compare_memories(before, memory.image())
    assert (diff.added, diff.removed) == (((200 << 30, PAGE),), ((399 << 30, PAGE),))
    assert [(c.offset, c.before, c.after) for c in diff.byte_changes()] == [
        (200 << 30, b"\0", b"y"),
        (399 << 30, b"x", b"\0"),
    ]


def test_it_stays_what_it_was_when_the_memory_goes_on(pool: Pool) -> None:
    memory = pool.memory(WASM_PAGE)
    old = memory.image()
    memory.write(10, b"one")
    diff = compare_memories(old, memory.image())
    del old
    memory.write(10, b"two")
    memory.resize(0)
    assert [(c.offset, c.before, c.after) for c in diff.byte_changes()] == [(10, b"\0\0\0", b"one")]


def test_long_changes_are_told_in_pieces(pool: Pool) -> None:
    memory = pool.memory(64 * WASM_PAGE)
    old = memory.image()
    memory.write(0, b"x" * memory.size)
    changes = list(compare_memories(old, memory.image()).byte_changes())
    assert sum(len(c.after) for c in changes) == memory.size
    assert max(len(c.after) for c in changes) <= 2 << 20
