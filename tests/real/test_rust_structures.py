"""The Rust canister with every structure of ic-stable-structures: what it says of its entries is what was put in.

The examples are written down a second time here, so that the canister's answers can be trusted by those who compare
them with what a decoder reads from stable memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sandbox import Canister, Sandbox
from tests.conftest import fixture

Install = Callable[..., Canister]
FILLED, EVERY, BEGUN = 600, 7, 100
GONE = len(range(0, FILLED, EVERY))
STEMS = ["apple", "Bär", "cherry", "дом", "e", "fjord", "ghost town", "hut"]
LEFT = [index for index in range(FILLED) if index % EVERY]


def spread(index: int) -> bytes:
    return (index * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8, "big")


def word(index: int) -> str:
    return f"{STEMS[index % 8]}-{index}"


def label(index: int) -> bytes:
    return bytes((index + n) % 256 for n in range(index % 25))


def blob(index: int) -> bytes:
    return bytes((index ^ n) % 256 for n in range(9000 if index % 20 == 3 else index % 100))


def number(index: int, size: int = 8) -> bytes:
    return index.to_bytes(size, "big")


EXPECTED: dict[int, list[tuple[bytes, bytes]]] = {
    1: sorted((word(i).encode(), number(i)) for i in LEFT),
    2: sorted((spread(i), label(i)) for i in LEFT),
    3: sorted((spread(i), label(i)) for i in LEFT),
    4: sorted((word(i).encode(), blob(i)) for i in LEFT),
    6: [(number(i + 1), number(i, 4)) for i in range(BEGUN)] + sorted((spread(i), number(1000 + i, 4)) for i in LEFT),
    7: [],
    10: [(b"", spread(i)) for i in range(FILLED - GONE)],
    11: [(b"", label(i)) for i in range(FILLED - GONE)],
    20: [(b"", f"line {i}: {word(i)}".encode()) for i in range(FILLED)],
    40: sorted((spread(i), b"") for i in LEFT),
    41: sorted((word(i).encode(), b"") for i in LEFT),
}
"""By the number of the memory, in the canister's order."""


def entries(canister: Canister, memory: int) -> list[tuple[bytes, bytes]]:
    return [(entry["key"], entry["value"]) for entry in canister.call("entries", memory, 0, 10_000)]


def all_entries(canister: Canister) -> dict[int, Any]:
    return {row["id"]: entries(canister, row["id"]) for row in canister.call("memories")}


@pytest.fixture
def sandbox() -> Sandbox:
    """With the platform's own limits."""
    return Sandbox()


@pytest.fixture(scope="module", params=[None, {"buckets": 2}], ids=["buckets of 128 pages", "buckets of 2 pages"])
def canister(request: pytest.FixtureRequest) -> Canister:
    """Filled, and with every seventh entry removed; no test changes it."""
    made = Sandbox().create_canister()
    made.install(fixture("structures_rs"), arg=request.param)
    assert made.call("fill", FILLED) == FILLED
    assert made.call("remove", EVERY) == GONE
    return made


@pytest.mark.parametrize("memory", EXPECTED)
def test_a_structure_holds_what_was_put_in_and_not_taken_out(memory: int, canister: Canister) -> None:
    assert entries(canister, memory) == EXPECTED[memory]


def test_lengths_are_those_of_the_entries(canister: Canister) -> None:
    lengths = {row["id"]: row["length"] for row in canister.call("memories")}
    assert lengths == {memory: len(rows) for memory, rows in all_entries(canister).items()}


def test_the_heap_keeps_the_largest(canister: Canister) -> None:
    assert sorted(value for _, value in entries(canister, 30)) == sorted(map(spread, range(FILLED)))[GONE:]


def test_notes_are_candid(canister: Canister) -> None:
    assert [int.from_bytes(key, "big") for key, _ in entries(canister, 0)] == LEFT
    assert canister.call("note", 57) == {
        "title": "Note 57",
        "body": ("wörter " * 600)[:4000],
        "score": 57 * -1_000_000_007,
        "tags": ["tag-0"],
        "at": 1_700_000_000_000_000_057,
        "done": None,
    }
    assert canister.call("note", 14) is None
    assert all(value.startswith(b"DIDL") for _, value in entries(canister, 0))
    assert canister.call("config") == {"name": "structures", "filled": FILLED, "owner": None}


def test_stable_memory_has_both_layouts_of_maps_and_of_nodes(canister: Canister) -> None:
    stable = canister.raw_state().stable
    assert stable.startswith(b"MGR\1")
    maps = [at for at in range(0, len(stable), 65_536) if stable[at : at + 3] == b"BTR"]
    assert sorted(stable[at + 3] for at in maps) == [1] * 2 + [2] * 8  # two were made by the old crate
    [converted] = [at for at in maps if stable[at + 3 : at + 12] == b"\1\x08\0\0\0\4\0\0\0"]  # sizes of key, value
    nodes = stable[converted : converted + 65_536]
    assert nodes.count(b"BTN\1") > 3
    assert nodes.count(b"BTN\2") > 30
    assert stable.count(b"NOF") > 50  # values that need more than one page of a node


def test_an_upgrade_changes_no_entry(install: Install) -> None:
    canister = install(fixture("structures_rs"))
    canister.call("fill", 120)
    before = all_entries(canister)
    canister.upgrade(fixture("structures_rs"))
    assert all_entries(canister) == before
    assert canister.call("fill", 1) == 121


def test_without_a_manager_one_map_is_all_there_is(install: Install) -> None:
    canister = install(fixture("structures_rs"), arg={"bare": None})
    canister.call("fill", 100)
    assert canister.call("remove", 10) == 10
    [row] = canister.call("memories")
    assert (row["id"], row["length"]) == (0, 90)
    assert canister.raw_state().stable.startswith(b"BTR\2")
    canister.upgrade(fixture("structures_rs"))
    assert len(entries(canister, 0)) == 90
    canister.call("clear")
    assert entries(canister, 0) == []
