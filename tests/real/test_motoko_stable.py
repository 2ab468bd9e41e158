"""Motoko's stable variables and regions: what an upgrade keeps, in both modes of persistence, and into which form.

The values are written down here a second time, so that the canisters' answers can be trusted by those who compare them
with what a decoder reads from stable memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from sandbox import Canister, Principal, Sandbox
from sandbox.candid import Func, Some
from tests.conftest import fixture, guest

Install = Callable[..., Canister]
MODES = ["enhanced", "classical"]
OWNER = Principal.from_text("rwlgt-iiaaa-aaaaa-aaaaa-cai")
EMPTY = {"empty": None}
LEAF = {"leaf": None}

FILLED: dict[str, Any] = {
    "nat": 42,
    "int": -42,
    "bigNat": 2**200 + 12_345,
    "bigInt": -(2**127) - 1,
    "smallNats": (2**8 - 1, 2**16 - 1, 2**32 - 1, 2**64 - 1),
    "smallInts": (-(2**7), -(2**15), -(2**31), -(2**63)),
    "bool": True,
    "float": 3.25,
    "floats": [0.1, -0.0, 1e300, float("-inf")],
    "char": ord("🐝"),
    "text": "Grüße, мир",
    "longText": " ".join(str(n) for n in range(2000)),
    "blob": b"\0\1\xfe\xffbytes",
    "principal": OWNER,
    "nothing": None,
    "unit": None,
    "option": 7,
    "optionOfOption": Some(None),
    "tuple": {"tuple": (1, "two", True)},
    "record": {"name": "Ada", "age": 36, "email": "ada@example.org"},
    "variant": {"rectangle": {"width": 3, "height": 4}},
    "variants": [EMPTY, {"circle": 1.5}, {"named": ("outer", {"named": ("inner", EMPTY)})}],
    "array": [1, 20, 300, 2**64],
    "arrays": [["a", "b"], [], ["c"]],
    "mutableArray": [0, 11, 0],
    "growingArray": ["x", "y"],
    "account": {"owner": "nobody", "balance": 1000, "history": {"entries": [5, -3]}},
    "actorRef": OWNER,
    "functionRef": {"function": Func(OWNER, "greet")},
    "list": list(range(99, -1, -1)),
    "tree": {"node": {"left": {"node": {"left": LEAF, "key": "a", "right": LEAF}}, "key": "b", "right": LEAF}},
    "cell": 99,
    "sameCell": 99,
    "pair": {"pair": (99, 99)},
    "ring": ["first", "second", "first", "second", "first"],
    "coreList": ["one", "two", "three"],
    "coreMap": sorted((f"key {n}", n * n) for n in range(50)),
    "forgotten": 8,
}


@pytest.fixture
def sandbox() -> Sandbox:
    """With the platform's own limits."""
    return Sandbox()


def values(canister: Canister) -> dict[str, Any]:
    """What every `get_...` answers."""
    interface = (canister.metadata("candid:service") or b"").decode()
    return {name: canister.call(f"get_{name}") for name in re.findall(r"\bget_(\w+)", interface)}


def filled(install: Install, module: str) -> Canister:
    canister = install(fixture(module))
    canister.call("fill")
    return canister


@pytest.mark.parametrize("mode", MODES)
def test_variables_of_every_type_survive_an_upgrade_and_transient_ones_do_not(mode: str, install: Install) -> None:
    canister = filled(install, f"vars_v1.{mode}")
    assert values(canister) == FILLED
    canister.upgrade(fixture(f"vars_v1.{mode}"))
    assert values(canister) == {**FILLED, "forgotten": 7}


@pytest.mark.parametrize("mode", MODES)
def test_what_was_one_object_is_one_object_after_an_upgrade(mode: str, install: Install) -> None:
    canister = filled(install, f"vars_v1.{mode}")
    canister.upgrade(fixture(f"vars_v1.{mode}"))
    canister.call("set_cell", 5)
    assert (canister.call("get_cell"), canister.call("get_pair")) == (5, {"pair": (5, 5)})


def test_a_newer_version_keeps_widens_adds_and_drops_variables(install: Install) -> None:
    canister = filled(install, "vars_v1.classical")
    canister.upgrade(fixture("vars_v2.classical"))
    new = {"added": 5, "notes": []}
    seen = values(canister)
    assert seen == {**{name: FILLED[name] for name in seen if name not in new}, **new}
    assert len(seen) == 15
    canister.call("fill")
    canister.call("set_cell", 6)
    canister.upgrade(fixture("vars_v2.classical"))
    assert values(canister) == {
        **seen,
        "nat": -1,
        "variant": {"polygon": [(0.5, 1.5)]},
        "tuple": {"tuple": (-2, "deux", False)},
        "option": -7,
        "added": 6,
        "notes": ["new"],
        "cell": 6,
        "sameCell": 6,
        "pair": {"pair": (6, 6)},
    }


def test_classical_variables_are_in_stable_memory_from_one_module_to_the_next_only(install: Install) -> None:
    canister = filled(install, "vars_v1.classical")
    assert canister.raw_state().stable == b""
    canister.upgrade(guest(""))  # which leaves alone what pre_upgrade wrote
    assert FILLED["text"].encode() in canister.raw_state().stable
    canister.upgrade(fixture("vars_v1.classical"))
    assert values(canister) == {**FILLED, "forgotten": 7}
    assert not any(canister.raw_state().stable)


def test_enhanced_variables_stay_in_the_heap(install: Install) -> None:
    canister = filled(install, "vars_v1.enhanced")
    canister.upgrade(fixture("vars_v1.enhanced"))
    state = canister.raw_state()
    assert FILLED["text"].encode() in state.heap
    assert FILLED["text"].encode() not in state.stable


def pattern(size: int, seed: int) -> bytes:
    return bytes((n * 7 + seed) % 256 for n in range(size))


BLOCK = 8 * 1024 * 1024
TEXT = "Regions keep bytes: Grüße, мир".encode()
REGIONS = [  # name, pages, and what lies where
    ("none", 0, {}),
    ("text", 1, {0: TEXT}),
    ("some", 3, {65_530: pattern(1000, 1)}),
    ("apart", 130, {BLOCK - 8: pattern(16, 2)}),
    ("between", 129, {0: pattern(100, 3), BLOCK + 65_500: pattern(36, 4)}),
]


@pytest.mark.parametrize("mode", MODES)
def test_regions_hold_what_was_stored_and_zeroes_around_it(mode: str, install: Install) -> None:
    canister = filled(install, f"regions.{mode}")
    before = canister.call("regions")
    assert [(row["name"], row["pages"]) for row in before] == [(name, pages) for name, pages, _ in REGIONS]
    for _ in range(2):
        assert canister.call("regions") == before
        for index, (_, _, pieces) in enumerate(REGIONS):
            for offset, content in pieces.items():
                at = max(offset - 50, 0)
                expected = bytes(offset - at) + content
                assert canister.call("read", index, at, len(expected)) == expected
        assert canister.call("first")["number"] == 0x0123_4567_89AB_CDEF
        assert canister.call("spare") == before[1]["id"]  # two ways to one region
        canister.upgrade(fixture(f"regions.{mode}"))


@pytest.mark.parametrize("mode", MODES)
def test_regions_lie_in_stable_memory_before_any_upgrade(mode: str, install: Install) -> None:
    canister = filled(install, f"regions.{mode}")
    stable = canister.raw_state().stable
    for _, _, pieces in REGIONS[1:3]:
        for content in pieces.values():
            assert stable.count(content) == 1
    assert b"nobody holds this region any more" in stable
    canister.call("write", 1, 0, b"overwritten")
    assert canister.raw_state().stable.count(b"overwritten keep"[:11]) == 1
