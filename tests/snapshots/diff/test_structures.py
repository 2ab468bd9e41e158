"""Entries that differ: what the canister itself answers before and after."""

from __future__ import annotations

import struct
import time
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import Canister, Sandbox
from sandbox.snapshots.diff import EntryDiff, StructureDiff
from sandbox.snapshots.diff.values import differences
from sandbox.snapshots.inspect.value import Node, Opt, Record, Same, Scalar, Var, Variant, Vec, node_json
from tests.conftest import fixture, sandbox_of


def raw(cell: Any) -> bytes | None:
    if cell is None:
        return None
    data: bytes = cell.read(0, cell.size)
    return data


def new(name: str, arg: Any = None) -> Canister:
    canister = Sandbox(max_snapshots=10).create_canister()
    canister.install(fixture(name), arg)
    return canister


Entries = dict[str, tuple[str, list[tuple[bytes, bytes]]]]
LAYOUTS: dict[str, Any] = {"managed": {"managed": None}, "buckets": {"buckets": 3}}


def answered(canister: Canister) -> Entries:
    """Kind and entries of every memory, as the canister says."""
    found: Entries = {}
    for memory in canister.call("memories"):
        rows = canister.call("entries", memory["id"], 0, 1 << 20)
        found[f"memory {memory['id']}"] = (memory["kind"], [(bytes(r["key"]), bytes(r["value"])) for r in rows])
    return found


def expected(kind: str, old: list[tuple[bytes, bytes]], new: list[tuple[bytes, bytes]]) -> Counter[Any]:
    """(key, before, after) of what differs."""
    if kind.startswith("btree"):
        one, two = dict(old), dict(new)
        keys = {key for key in one.keys() | two.keys() if one.get(key) != two.get(key)}
        return Counter((key, one.get(key), two.get(key)) for key in keys)
    values = [[value for _, value in rows] for rows in (old, new)]
    if kind == "minheap":
        more, less = Counter(values[1]) - Counter(values[0]), Counter(values[0]) - Counter(values[1])
        return Counter([(v, None, v) for v in more.elements()] + [(v, v, None) for v in less.elements()])
    size = max(map(len, values))
    padded = [[*each, *[None] * (size - len(each))] for each in values]
    pairs = enumerate(zip(*padded, strict=True))
    return Counter((place, was, now) for place, (was, now) in pairs if was != now)


def as_set(entries: Counter[Any]) -> Counter[Any]:
    """Only what was added and what removed: a set may be taken for a map without values."""
    return Counter((found[0], found[1] is None) for found in entries)


def told(found: StructureDiff) -> Counter[Any]:
    return Counter((key(entry), raw(entry.before), raw(entry.after)) for entry in found.entries)


def key(entry: EntryDiff) -> Any:
    return entry.key if isinstance(entry.key, int) else raw(entry.key)


@pytest.mark.parametrize("layout", LAYOUTS)
@given(steps=st.lists(st.tuples(st.sampled_from(["fill", "remove"]), st.integers(1, 90)), max_size=4))
@settings(max_examples=6, deadline=None)
def test_of_stable_structures(layout: str, steps: list[tuple[str, int]]) -> None:
    canister = new("structures_rs", LAYOUTS[layout])
    canister.call("fill", 150)
    before = answered(canister)
    with canister.changes() as changes:
        for method, number in steps:
            canister.call(method, number + (method == "remove"))
    after = answered(canister)
    found = {each.name: each for each in changes.diff.structures}
    assert all(each.problem is None for each in found.values())
    for name, (kind, rows) in after.items():
        if kind in ("log data", "raw"):
            continue  # the same entries as the log's; bytes without entries
        wanted = expected(kind, before[name][1], rows)
        form = as_set if kind.startswith("btreeset") else Counter
        right = form(told(found[name]) if name in found else Counter()) == form(wanted)
        assert right, (name, kind)
        if name in found:
            each = found[name]
            assert each.counts == (len(before[name][1]), len(rows))
            assert each.added + each.removed + each.changed == wanted.total()
        if name in found and kind.startswith("btree"):
            keys = [key(entry) for entry in found[name].entries]
            assert keys == sorted(keys)


def test_only_nodes_that_differ_are_looked_into() -> None:
    canister = new("people_stable_rs_v1")
    canister.call("fill", 3000)
    with canister.changes() as changes:
        canister.call("set_age", 1500, 99)
    found = {each.name: each for each in changes.diff.structures}
    [entry] = found["memory 0"].entries
    assert key(entry) == (1500).to_bytes(8, "big")
    assert raw(entry.before) != raw(entry.after)
    assert set(found) == {"memory 0", "memory 2"}


def test_of_a_list_only_blocks_that_differ_are_looked_into() -> None:
    canister = new("structures_rs", LAYOUTS["managed"])
    canister.call("fill", 2500)
    old = canister.take_snapshot()
    sandbox = sandbox_of(canister)
    decoded = sandbox.snapshots.inspect(old.id).decode()
    stable = canister.raw_state().stable
    patches, expected = {}, {}
    for name, places in (("memory 10", (0, 1023, 1024, 2047, 2499)), ("memory 20", (0, 1023, 1024, 2499))):
        found = decoded.part(name)
        assert found is not None
        rows = [raw(row[0]) for row in found.rows()]
        where = 64 if name == "memory 10" else 32
        data = decoded.part("memory 10" if name == "memory 10" else "memory 21")
        assert data is not None
        start = stable.index(data.data.read(0, data.data.size)) + where
        lengths = [len(row or b"") for row in rows]
        for place in places:
            patches[start + sum(lengths[:place])] = b"!"
            expected[name, place] = (rows[place], b"!" + (rows[place] or b"")[1:])
    edited = sandbox.snapshots.edit(old.id, stable=patches)
    told = {
        (each.name, entry.key): (raw(entry.before), raw(entry.after))
        for each in sandbox.snapshots.diff(old, edited).structures
        for entry in each.entries
    }
    assert told == expected


@pytest.mark.parametrize("magic", [b"SVC", b"SMH"])
@pytest.mark.parametrize(("length", "size"), [(1 << 35, 8), (1 << 38, 0)])
def test_lists_of_more_entries_than_bytes_are_a_problem_at_once(magic: bytes, length: int, size: int) -> None:
    canister = new("structures_rs", LAYOUTS["managed"])
    header = magic + b"\1" + struct.pack("<QIB", length, size, 1)
    snapshots = sandbox_of(canister).snapshots
    first = snapshots.edit(canister.take_snapshot().id, stable_size=400 << 30, stable={0: header.ljust(64, b"\0")})
    second = snapshots.edit(first.id, stable={1 << 33: b"x"})
    begun = time.process_time()
    [found] = snapshots.diff(first, second).structures
    assert found.problem == f"{length:,} entries are more than bytes that hold anything"
    assert time.process_time() - begun < 5


def test_a_set_that_was_empty_was_no_map() -> None:
    canister = new("structures_rs", LAYOUTS["managed"])
    with canister.changes() as changes:
        canister.call("fill", 2)
    found = {each.name: each for each in changes.diff.structures}
    assert (found["memory 40"].kind, found["memory 40"].counts, found["memory 40"].added) == ("BTreeSet", (0, 2), 2)
    assert found["memory 0"].kind == "BTreeMap"


def test_a_structure_that_came_or_went_is_told_as_a_whole() -> None:
    canister = new("people_stable_rs_v1")
    canister.call("fill", 3)
    snapshot = canister.take_snapshot()
    other = sandbox_of(canister).create_canister()
    other.install(fixture("people_v1.classical"))
    there = sandbox_of(canister).snapshots.diff(other, snapshot).structures
    assert {(each.name, each.counts, each.added) for each in there} >= {("memory 0", (None, 3), 3)}
    gone = sandbox_of(canister).snapshots.diff(snapshot, other).structures
    assert {(each.name, each.counts, each.removed) for each in gone} >= {("memory 0", (3, None), 3)}


def test_damaged_structures_are_a_problem_not_an_end() -> None:
    canister = new("people_stable_rs_v1")
    canister.call("fill", 300)
    snapshot = canister.take_snapshot()
    sandbox = sandbox_of(canister)
    root = snapshot_root(canister)
    damaged = sandbox.snapshots.edit(snapshot.id, stable={root: b"XXX"})
    found = {each.name: each for each in sandbox.snapshots.diff(snapshot, damaged).structures}
    assert found["memory 0"].problem is None
    assert any(text.startswith("after: no node at") for text in found["memory 0"].damages)
    assert not found["memory 0"].entries


def snapshot_root(canister: Canister) -> int:
    """Where the root of the first map lies in stable memory."""
    stable = canister.raw_state().stable
    start = stable.index(b"BTR")
    return start + int.from_bytes(stable[start + 12 : start + 20], "little")


def test_of_motoko_variables_the_smallest_parts() -> None:
    canister = new("people_v1.classical")
    canister.call("fill", 30)
    old = canister.take_snapshot(via_hooks=True)
    canister.call("set_age", 7, 99)
    canister.call("fill", 1)
    new_one = canister.take_snapshot(via_hooks=True)
    [found] = sandbox_of(canister).snapshots.diff(old, new_one).structures
    assert found.kind == "stable variables"
    entries = {str(e.key): (shown(e.before), shown(e.after)) for e in found.entries}
    assert entries["edits"] == (0, 1)
    [age] = [pair for place, pair in entries.items() if place.endswith(".age")]
    assert age == (25, 99)
    [person] = [after for before, after in entries.values() if isinstance(after, list)]
    assert person[0]["name"] == "Person 30"
    assert len(entries) == 4, entries


def shown(cell: Any) -> Any:
    return node_json(cell) if cell is not None else None


def _record(fields: dict[Any, Any]) -> Record:
    return Record(tuple(fields.items()))


NODES: st.SearchStrategy[Node] = st.recursive(
    st.one_of(st.integers(0, 3).map(lambda n: Scalar(n, "nat")), st.just(Scalar(None, "null")), st.just(Same(3))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: Vec(tuple(items), len(items))),
        st.dictionaries(st.sampled_from(["a", "b c", 0]), inner).map(_record),
        inner.map(Opt),
        st.builds(Var, st.integers(0, 2), inner),
        st.builds(Variant, st.sampled_from(["x", "y"]), inner),
    ),
    max_leaves=8,
)


@given(one=NODES, other=NODES)
def test_values_differ_somewhere_or_are_shown_alike(one: Node, other: Node) -> None:
    assert list(differences("v", one, one)) == []
    found = list(differences("v", one, other))
    if not found:
        assert node_json(one) == node_json(other)
    places = [place for place, _, _ in found]
    assert len(set(places)) == len(places)
    assert all(place.startswith("v") for place in places)
    back = {place: (now, was) for place, was, now in differences("v", other, one)}
    assert back == {place: (was, now) for place, was, now in found}
