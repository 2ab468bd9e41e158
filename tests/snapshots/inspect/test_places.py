"""Where memory managers begin that are not at the start of stable memory, against what the canister answers."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox import Canister, Sandbox
from sandbox.limits import WASM_PAGE
from sandbox.snapshots.inspect import Decoded, Plain, decode
from tests.conftest import fixture
from tests.snapshots.inspect.images import cells, part, stable, whole

PLACES: list[tuple[Any, str]] = [
    ({"after": 1}, "page 1, memory {}"),
    ({"after": 48}, "page 48, memory {}"),
    ({"nested": [254]}, "memory 254.{}"),
    ({"nested": [0x30, 9, 254]}, "memory 48.9.254.{}"),
]


def filled(places: Any) -> Canister:
    canister = Sandbox(max_snapshots=10).create_canister()
    canister.install(fixture("places_rs"), places)
    canister.call("set_cell", 500)
    for key in range(40):
        canister.call("put", "near", key, 50)
        canister.call("put", "far", key * 3, 150)
    return canister


def names(decoded: Decoded) -> list[str]:
    return [each.name for each in decoded.parts]


@pytest.mark.parametrize(("places", "name"), PLACES, ids=str)
def test_every_memory_of_a_manager_is_decoded_wherever_it_begins(places: Any, name: str) -> None:
    canister = filled(places)
    decoded = decode(stable(canister))
    for memory, method in ((3, "near"), (200, "far")):
        entries = [(entry["key"], entry["value"]) for entry in canister.call("entries", method)]
        assert cells(part(decoded, name.format(memory))) == entries
        assert cells(part(decoded, name.format(memory).rpartition(" ")[2])) == entries


@pytest.mark.parametrize("pages", [1, 48])
def test_what_lies_before_a_manager_ends_where_it_begins(pages: int) -> None:
    canister = filled({"after": pages})
    decoded = decode(stable(canister))
    assert decoded.facts == {"memory manager": f"at page {pages}"}
    cell = part(decoded, "structure")
    assert (cell.kind, cell.data.size) == ("Cell", pages * WASM_PAGE)
    head = part(decoded, f"page {pages}")
    assert (head.kind, head.facts) == ("memory manager", {"memories": 2, "buckets": 2, "bucket size": "128 pages"})
    assert head.data.size == canister.status().stable_size - pages * WASM_PAGE


def test_a_manager_in_a_memory_is_named_as_one() -> None:
    decoded = decode(stable(filled({"nested": [7, 254]})))
    assert names(decoded)[:4] == ["memory 0", "memory 1", "memory 7", "memory 7.254"]
    for name, memories in (("memory 7", 1), ("memory 7.254", 2)):
        found = part(decoded, name)
        assert (found.kind, found.facts["memories"], found.facts["bucket size"]) == (
            "memory manager",
            memories,
            "16 pages",
        )


@pytest.mark.parametrize("places", [{"after": 48}, {"nested": [254]}], ids=str)
def test_a_change_behind_such_a_manager_is_named(places: Any) -> None:
    canister = filled(places)
    with canister.changes() as changes:
        canister.call("put", "far", 5, 20)
        canister.call("remove", "far", 6)
    [found] = changes.diff.structures
    assert found.name.endswith("200")
    assert (found.counts, found.added, found.removed, found.changed) == ((40, 40), 1, 1, 0)


def image(pages: int) -> bytearray:
    return bytearray(whole(stable(filled({"after": pages}))))


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (3, 2),  # the version
        (4, 3),  # the number of buckets
        (6, 0),  # the size of buckets
        (7, 0xFF),
        (20, 1),  # reserved
        (40 + 8 * 3, 200),  # the pages of memory 3
        (40 + 8 * 77, 1),  # those of a memory without buckets
        (2080, 4),  # the owner of a bucket
        (2080 + 32_767, 3),
    ],
)
def test_only_a_header_that_is_right_in_every_respect_is_a_manager(offset: int, value: int) -> None:
    data = image(48)
    data[48 * WASM_PAGE + offset] = value
    decoded = decode(Plain(bytes(data)))
    assert (decoded.facts, names(decoded)) == ({"memory manager": "none"}, ["structure"])


def test_a_manager_is_looked_for_at_the_start_of_pages_only() -> None:
    data = bytes(image(1))
    moved = data[:WASM_PAGE] + bytes(8) + data[WASM_PAGE:] + bytes(WASM_PAGE - 8)
    assert names(decode(Plain(moved))) == ["structure"]


def test_several_managers_and_what_lies_between_and_behind_them() -> None:
    data = bytes(image(1))
    page = len(data) // WASM_PAGE
    other = b"something else".ljust(3 * WASM_PAGE, b"\0")
    decoded = decode(Plain(data + other + data[WASM_PAGE:] + other + bytes(WASM_PAGE)))
    second = page + 3
    last = second + page - 1
    assert decoded.facts == {"memory manager": f"at pages 1, {second}"}
    memories = ["{}", "{}, memory 3", "{}, memory 200"]
    assert names(decoded) == [
        "structure",
        *(each.format("page 1") for each in memories),
        f"pages {page}-{second - 1}",
        *(each.format(f"page {second}") for each in memories),
        f"pages {last}-{last + 3}",
    ]
    assert part(decoded, f"pages {page}-{second - 1}").kind == "unknown"
    assert cells(part(decoded, "page 1, memory 3")) == cells(part(decoded, f"page {second}, memory 3"))


@pytest.mark.parametrize(
    "start",
    [b"DIDL\x00\x01\x7d\x07", b"XGR\x01", b"SCL\x01\x02\x00\x00\x00ok"],
    ids=["stable_save", "magic overwritten", "another structure"],
)
def test_structures_that_nothing_refers_to_are_noted(start: bytes) -> None:
    """What `stable_save` in pre_upgrade leaves of a memory manager and its memories."""
    data = image(1)[WASM_PAGE:]
    pages = [n for n in range(1, len(data) // WASM_PAGE) if data[n * WASM_PAGE :][:3] == b"BTR"]
    assert pages
    data[: len(start)] = start
    decoded = decode(Plain(bytes(data)))
    [note] = [note for note in decoded.notes if "refers to" in note]
    assert f"at {pages[0] * WASM_PAGE:#x} (BTreeMap)" in note
    assert len(decoded.parts) == 1


def test_a_manager_refers_to_all_its_memories() -> None:
    assert decode(Plain(bytes(image(1)[WASM_PAGE:]))).notes == ()
