"""Every structure of `ic-stable-structures`, behind each layout, against the entries that the canister itself gives."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox import Canister, Sandbox
from sandbox.snapshots.inspect import decode, formats
from tests.conftest import fixture
from tests.snapshots.inspect.images import cells, part, stable, whole

KINDS = {
    "btreemap": "BTreeMap",
    "btreemap v1": "BTreeMap",
    "btreemap v1 to v2": "BTreeMap",
    "vec": "Vec",
    "log index": "Log",
    "log data": "Log data",
    "minheap": "MinHeap",
    "btreeset": "BTreeSet",
    "cell": "Cell",
    "raw": "unknown",
}
LAYOUTS: tuple[Any, ...] = ({"managed": None}, {"buckets": 1}, {"buckets": 7})


def filled(layout: Any, *steps: tuple[str, int]) -> Canister:
    canister = Sandbox().create_canister()
    canister.install(fixture("structures_rs"), layout)
    for method, number in steps:
        canister.call(method, number)
    return canister


def answers(canister: Canister, memory: int, keyed: bool) -> list[tuple[bytes, ...]]:
    """The entries of a memory as the canister gives them, in pages that fit into a reply."""
    found: list[tuple[bytes, ...]] = []
    while batch := canister.call("entries", memory, len(found), 50):
        found += [(entry["key"], entry["value"]) if keyed else (entry["value"],) for entry in batch]
    return found


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize(
    "steps",
    [(), (("fill", 1),), (("fill", 2),), (("fill", 11),), (("fill", 300),), (("fill", 300), ("remove", 3))],
    ids=str,
)
def test_every_entry_is_what_the_canister_says(layout: Any, steps: tuple[tuple[str, int], ...]) -> None:
    canister = filled(layout, *steps)
    decoded = decode(stable(canister))
    for memory in canister.call("memories"):
        if memory["kind"] == "raw" and not memory["length"]:
            assert decoded.part(f"memory {memory['id']}") is None
            continue
        found = part(decoded, f"memory {memory['id']}")
        kind = KINDS[memory["kind"]]
        if kind in ("BTreeSet", "BTreeMap") and not memory["length"]:
            assert (found.kind, found.count) == ("BTreeMap", 0)
            continue
        if kind == "unknown":
            [(raw,)] = answers(canister, memory["id"], keyed=False)
            assert (found.kind, whole(found.data)) == ("unknown" if any(raw) else "empty", raw)
            continue
        unsure = kind == "BTreeSet" and memory["key"] == "text"
        assert found.kind == ("BTreeMap" if unsure else kind), memory
        if kind != "Log data":
            expected = answers(canister, memory["id"], kind == "BTreeMap")
            if kind == "BTreeSet":
                expected = [(key,) for key, _ in answers(canister, memory["id"], keyed=True)]
            if unsure:
                assert found.facts["values"] == "empty, perhaps a BTreeSet"
                expected = [(key, b"") for (key,) in expected]
            assert cells(found) == expected, memory
            assert found.count == memory["length"]


@pytest.mark.parametrize("filling", [1, 300])
def test_a_map_alone_in_stable_memory(filling: int) -> None:
    canister = filled({"bare": None}, ("fill", filling))
    found = part(decode(stable(canister)), "structure")
    assert cells(found) == answers(canister, 0, keyed=True)


def test_a_map_has_nodes_of_both_layouts() -> None:
    canister = filled({"managed": None}, ("fill", 300))
    found = part(decode(stable(canister)), "memory 6")
    assert found.facts["layout"] == "version 1"
    versions = {
        found.data.read(at + 3, 1)
        for at in range(found.data.size - 4)
        if found.data.read(at, 3) == b"BTN" and found.data.read(at + 4, 1) in (b"\0", b"\1")
    }
    assert versions == {b"\1", b"\2"}


def test_a_node_of_the_new_layout_is_read_wherever_it_is_in_an_old_map() -> None:
    canister = filled({"managed": None})
    for _ in range(40):
        canister.call("fill", 1)
        assert cells(part(decode(stable(canister)), "memory 6")) == answers(canister, 6, keyed=True)


FORMS = {"nat64": "nat", "nat128": "nat", "nat32": "nat", "text": "text", "candid": "candid"}


def test_keys_and_values_are_guessed_for_what_they_are() -> None:
    canister = filled({"managed": None}, ("fill", 60))
    decoded = decode(stable(canister))
    for memory in canister.call("memories"):
        found = part(decoded, f"memory {memory['id']}")
        rows = cells(found)[:32] if found.columns else []
        for n, column in enumerate(found.columns):
            told = memory[column]
            if rows and told in FORMS:
                assert formats.guess_format([row[n] for row in rows]) == FORMS[told], (memory, column)
