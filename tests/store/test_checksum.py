"""Laws of the checksum: equal exactly if every byte and field is equal, however it was computed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import Principal, Sandbox
from sandbox.api import runtime_of
from sandbox.memory import Memory, Pool
from sandbox.pagestore.memory_trees import tree
from sandbox.state import Derived, OpenCall, SnapshotState, Upload, WasmModule
from sandbox.store.checksum import memory_checksum, snapshot_checksum
from tests.conftest import guest

PAGE = 65536
FAR = 300 * PAGE  # more than one node of the tree


@pytest.fixture(scope="module")
def pool() -> Pool:
    return Pool()


def made(pool: Pool, size: int, writes: list[tuple[int, bytes]]) -> Memory:
    memory = pool.memory(size)
    for offset, data in writes:
        memory.write(offset, data)
    return memory


def from_scratch(pool: Pool, memory: Memory) -> bytes:
    """The checksum of a memory that holds the same bytes and has no past."""
    fresh = pool.memory(memory.size)
    for offset, length in memory.extents():
        fresh.write(offset, memory.read(offset, length))
    return memory_checksum(fresh)


OFFSETS = st.one_of(
    st.integers(0, 4 * PAGE),
    st.integers(FAR - 20, FAR + 20),
    st.sampled_from([PAGE - 1, PAGE, 256 * PAGE, 256 * PAGE - 1]),
)
CHANGES = st.one_of(
    st.tuples(st.just("write"), OFFSETS, st.binary(min_size=1, max_size=30)),
    st.tuples(st.just("write"), OFFSETS, st.just(bytes(PAGE + 3))),
    st.tuples(st.just("resize"), st.sampled_from([0, 1, 2, 5, 256, 257, 301, 400]), st.just(b"")),
    st.tuples(st.just("restore"), st.integers(0, 5), st.just(b"")),
    st.tuples(st.just("look"), st.just(0), st.just(b"")),
    st.tuples(st.just("keep"), st.just(0), st.just(b"")),
)


@given(changes=st.lists(CHANGES, max_size=20))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_computed_step_by_step_or_from_scratch_it_is_the_same(
    pool: Pool, changes: list[tuple[str, int, bytes]]
) -> None:
    memory = pool.memory(2 * PAGE)
    images: list[tuple[Any, bytes]] = []
    for kind, number, data in changes:
        if kind == "write" and number + len(data) <= memory.size:
            memory.write(number, data)
        elif kind == "resize":
            memory.resize(number * PAGE)
        elif kind == "restore" and images:
            image, root = images[number % len(images)]
            memory.restore(image)
            assert memory_checksum(memory) == root
        elif kind == "keep":
            image = memory.image()
            images.append((image, tree(image).root))
        elif kind == "look":
            memory_checksum(memory)
    assert memory_checksum(memory) == from_scratch(pool, memory)
    for image, root in images:
        assert tree(image).root == root


@given(
    size=st.sampled_from([1, 2, 257, 301]),
    offset=OFFSETS,
    byte=st.integers(1, 255),
    before=st.lists(st.tuples(OFFSETS, st.binary(min_size=1, max_size=8)), max_size=4),
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_one_changed_byte_changes_it_and_changing_it_back_does_too(
    pool: Pool, size: int, offset: int, byte: int, before: list[tuple[int, bytes]]
) -> None:
    size *= PAGE
    memory = made(pool, size, [(at, data) for at, data in before if at + len(data) <= size])
    place = offset % size
    first = memory_checksum(memory)
    old = memory.read(place, 1)
    memory.write(place, bytes([old[0] ^ byte]))
    assert memory_checksum(memory) != first
    memory.write(place, old)
    assert memory_checksum(memory) == first


def test_size_counts_even_if_all_is_zero(pool: Pool) -> None:
    sums = [memory_checksum(pool.memory(pages * PAGE)) for pages in (0, 1, 2, 256, 257, 65536, 65537)]
    assert len(set(sums)) == len(sums)


def test_the_place_of_a_page_counts(pool: Pool) -> None:
    size = 70_000 * PAGE
    places = [k * PAGE for k in (0, 1, 255, 256, 257, 65535, 65536, 69999)]
    sums = {memory_checksum(made(pool, size, [(place, b"x" * PAGE)])) for place in places}
    assert len(sums) == len(places)


def test_a_huge_sparse_memory_costs_what_it_holds(pool: Pool) -> None:
    memory = made(pool, 400 * 2**30, [(399 * 2**30, b"x"), (7, b"y")])
    first = memory_checksum(memory)
    memory.write(200 * 2**30, b"z")
    assert memory_checksum(memory) not in (first, memory_checksum(pool.memory(400 * 2**30)))
    memory.write(200 * 2**30, b"\0")
    assert memory_checksum(memory) == first


def state(pool: Pool) -> SnapshotState:
    return SnapshotState(
        id=b"12345678id",
        canister_id=Principal(b"id"),
        label="label",
        taken_at=1,
        canister_version=2,
        code=WasmModule(b"module", b"h" * 32),
        globals=b"g" * 16,
        heap=made(pool, PAGE, [(0, b"heap")]).image(),
        stable=made(pool, PAGE, [(0, b"stable")]).image(),
        certified_data=b"cert",
        global_timer=3,
    )


def test_every_field_counts(pool: Pool) -> None:
    known = state(pool)
    others = {
        "id": b"12345679id",
        "canister_id": Principal(b"ie"),
        "label": "other",
        "taken_at": 2,
        "canister_version": 3,
        "code": WasmModule(b"module2", b"i" * 32),
        "globals": b"g" * 15 + b"h",
        "heap": known.stable,
        "stable": known.heap,
        "certified_data": b"ceru",
        "global_timer": 4,
        "low_memory_hook": "ready",
        "chunks": {b"c" * 32: b"chunk"},
        "upload": Upload(known.heap, 7, (("i", 1),)),
        "via_hooks": True,
        "derived": (Derived(b"parent", b"checksum", 5, ("edit",)),),
        "open_calls": (OpenCall("method", Principal(b"id"), 1),),
        "automatic": True,
        "damage": "torn",
    }
    assert set(others) == set(SnapshotState.__dataclass_fields__)
    sums = {snapshot_checksum(replace(known, **{name: value})) for name, value in others.items()}  # type: ignore[arg-type]
    assert len(sums | {snapshot_checksum(known)}) == len(others) + 1
    assert snapshot_checksum(state(pool)) == snapshot_checksum(known)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"label": None}, {"label": ""}),
        ({"globals": b"ab", "certified_data": b"c"}, {"globals": b"a", "certified_data": b"bc"}),
        ({"label": "ab"}, {"label": "a", "taken_at": ord("b")}),
        ({"taken_at": 1, "canister_version": 2}, {"taken_at": 2, "canister_version": 1}),
    ],
)
def test_fields_do_not_run_into_each_other(one: dict[str, Any], other: dict[str, Any], pool: Pool) -> None:
    known = state(pool)
    assert snapshot_checksum(replace(known, **one)) != snapshot_checksum(replace(known, **other))


def test_it_stays_the_same_while_the_canister_goes_on() -> None:
    canister = (sandbox := Sandbox(max_snapshots=10)).create_canister()
    body = '(func (export "canister_update x") (i64.store (i32.const 8) (i64.add (i64.load (i32.const 8)) (i64.const 1))) (drop (memory.grow (i32.const 1))) (call $reply64 (i64.const 0)))'  # noqa: E501
    canister.install(guest(body))
    early = canister.take_snapshot()
    canister.update("x")
    late, late_sum = (taken := canister.take_snapshot()), taken.checksum
    canister.update("x")
    early_sum = early.checksum
    for _ in range(3):
        canister.load_snapshot(early.id)
        canister.update("x")
        assert [s.checksum for s in canister.list_snapshots()] == [early_sum, late_sum]
    canister.load_snapshot(late.id)
    state = runtime_of(sandbox).state_of(canister.id)
    assert memory_checksum(state.heap) != memory_checksum(state.stable)
