"""Maps that real programs harmed, or only seem to have harmed: what can be read is shown, the rest is named."""

from __future__ import annotations

from functools import cache

import pytest

from sandbox import Canister, Sandbox
from sandbox.snapshots.inspect import Decoded, InspectError, Part, Plain, decode
from sandbox.snapshots.inspect.source import Damaged
from tests.conftest import fixture
from tests.snapshots.inspect.images import cells, part, stable, whole

Entries = list[tuple[bytes, bytes]]


def new(places: str) -> Canister:
    canister = Sandbox(max_snapshots=10).create_canister()
    canister.install(fixture("places_rs"), {places: None})
    return canister


def answered(canister: Canister, name: str) -> Entries:
    return [(entry["key"], entry["value"]) for entry in canister.call("entries", name)]


def memory(canister: Canister) -> Part:
    return part(decode(stable(canister)), "memory 0")


def readable(found: Part) -> tuple[Entries, tuple[str, ...]]:
    """What the rows give before they end, and the damages that end them."""
    entries: Entries = []
    try:
        for key, value in found.rows():
            entries.append((whole(key), whole(value)))  # type: ignore[arg-type]
    except Damaged as error:
        return entries, error.damages
    return entries, ()


def key(number: int) -> bytes:
    return number.to_bytes(8, "big")


def widened(count: int = 40) -> Canister:
    """A map of version 0.5 with full nodes, opened by 0.7 with values of up to 200 bytes."""
    canister = new("old")
    for number in range(count):
        canister.call("put", "old", number, 60)
    canister.call("widen")
    return canister


def test_longer_values_in_new_nodes_of_an_old_map_are_read() -> None:
    """The header keeps its 100 bytes; nodes of version 2 hold values of any size."""
    canister = widened()
    seen = 0
    for number in range(1000, 1100):
        canister.call("put", "old", number, 60)
        found = memory(canister)
        if "nodes" in found.checked.facts:
            seen += 1
            canister.call("put", "old", number, 190)
            found = memory(canister)
            entries, damages = readable(found)
            if not damages:
                assert entries == answered(canister, "old")
    assert seen > 20
    assert any(len(value) == 190 for _, value in entries)


def test_nodes_of_two_versions_in_one_map_are_mentioned() -> None:
    canister = widened()
    assert memory(canister).checked.facts == {}
    for number in range(1000, 1030):
        canister.call("put", "old", number, 60)
    data = whole(memory(canister).data)
    counts = [data.count(b"BTN" + bytes([version])) for version in (1, 2)]
    assert memory(canister).checked.facts == {"nodes": f"{counts[0]} of version 1, {counts[1]} of version 2"}
    assert cells(memory(canister)) == answered(canister, "old")


@pytest.mark.parametrize("numbers", [(3,), (0, 17, 39)])
def test_a_value_too_long_for_its_slot_is_named_and_all_others_are_shown(numbers: tuple[int, ...]) -> None:
    canister = widened()
    before = answered(canister, "old")
    for number in numbers:
        canister.call("put", "old", number, 135)
    entries, damages = readable(memory(canister))
    assert entries == [entry for entry in before if entry[0] not in map(key, numbers)]
    assert len(damages) == len(numbers)
    for number, damage in zip(numbers, sorted(damages, key=lambda text: text[text.index("key") :]), strict=True):
        assert f"the value of key {key(number).hex()} in the node of version 1 at 0x" in damage
        assert "has 135 bytes, its slot 100" in damage
    assert sorted(memory(canister).checked.damages) == sorted(damages)


def alias() -> Canister:
    """Two maps took one memory for theirs, and one wrote what the other does not know of."""
    canister = new("aliased")
    for number in range(30):
        canister.call("put", "a", number, 60)
    canister.upgrade(fixture("places_rs"), {"aliased": None})
    canister.call("length", "b")
    for number in range(30, 80):
        canister.call("put", "a", number, 60)
    return canister


@cache
def aliased() -> tuple[bytes, bytes]:
    """Stable memory before and after the other writes as well."""
    canister = alias()
    before = canister.raw_state().stable
    for number in range(10):
        canister.call("remove", "b", number)
    return before, canister.raw_state().stable


def test_a_tree_that_has_other_entries_than_its_header_says_is_named() -> None:
    before, after = (part(decode(Plain(image)), "memory 0") for image in aliased())
    assert (before.count, len(cells(before)), before.checked.damages) == (80, 80, ())
    entries, damages = readable(after)
    assert after.count != len(entries)
    text = f"the header says {after.count} entries (at 0x14), the nodes that the tree reaches have {len(entries)}"
    assert damages == after.checked.damages == (text,)


def test_a_difference_with_such_a_tree_says_so() -> None:
    canister = alias()
    with canister.changes() as changes:
        for number in range(10):
            canister.call("remove", "b", number)
    [found] = changes.diff.structures
    before, after = found.counts
    assert before is not None
    assert after is not None
    assert found.removed - found.added != before - after
    assert [text.startswith("after: the header says 20 entries") for text in found.damages] == [True]


def broken(offset: int, change: bytes) -> Decoded:
    """The decoded memory of a map with other bytes in its header."""
    canister = widened()
    for number in range(1000, 1040):
        canister.call("put", "old", number, 60)
    data = bytearray(canister.raw_state().stable)
    data[65536 + offset : 65536 + offset + len(change)] = change
    return decode(Plain(bytes(data)))


@pytest.mark.parametrize(
    ("offset", "change", "text"),
    [
        (0x14, (4_022_250_974).to_bytes(8, "little"), "says 4,022,250,974 entries"),
        (0x14, bytes(8), "says 0 entries"),
    ],
)
def test_a_wrong_length_hides_nothing(offset: int, change: bytes, text: str) -> None:
    entries, damages = readable(part(broken(offset, change), "memory 0"))
    assert len(entries) == 80
    assert len(damages) == 1
    assert text in damages[0]


def test_a_root_that_is_not_there_is_an_end_that_says_why() -> None:
    with pytest.raises(InspectError, match="no node at 0x3039"):
        list(part(broken(0xC, (0x3039).to_bytes(8, "little")), "memory 0").rows())
