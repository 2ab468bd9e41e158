"""Motoko in both modes and Rust: what their own hooks save is what comes back."""

from __future__ import annotations

import pytest

from sandbox import CallRejected, Sandbox
from sandbox.api import runtime_of
from tests.conftest import fixture
from tests.snapshots.hook_guests import Install, people, untouched

REAL = ["people_v1.classical", "people_v1.enhanced", "people_heap_rs_v1", "people_stable_rs_v1"]


@pytest.mark.parametrize("name", REAL)
def test_real_canisters_answer_the_same_after_the_hook_path(install: Install, sandbox: Sandbox, name: str) -> None:
    canister = install(fixture(name))
    canister.call("fill", 60)
    canister.call("set_age", 7, 99)
    before = people(canister)
    untouched(sandbox, canister, lambda: canister.take_snapshot(via_hooks=True))
    [snapshot] = canister.list_snapshots()
    canister.call("fill", 5)
    canister.load_snapshot(snapshot.id, via_hooks=True)
    assert people(canister) == before
    assert canister.call("fill", 1) == 61
    other = sandbox.create_canister()
    other.load_snapshot(snapshot.id, via_hooks=True)
    assert people(other) == before


@pytest.mark.parametrize("name", REAL)
def test_taking_from_what_was_loaded_gives_the_same_stable_bytes(install: Install, sandbox: Sandbox, name: str) -> None:
    canister = install(fixture(name))
    canister.call("fill", 30)
    stable = []
    for _ in range(3):
        snapshot = canister.take_snapshot(via_hooks=True)
        image = runtime_of(sandbox).state_of(canister.id).snapshots[-1].stable
        stable.append(image.read(0, image.size))
        canister.load_snapshot(snapshot.id, via_hooks=True)
    assert stable[1] == stable[2]
    different = sum(one != other for one, other in zip(stable[0], stable[1], strict=True))
    assert different <= (8 if "people_v1" in name else 0)  # Motoko keeps how many instructions the last upgrade took


PAIRS = [(f"people_v1.{mode}", f"people_v2_good.{mode}") for mode in ("classical", "enhanced")] + [
    ("people_heap_rs_v1", "people_heap_rs_v2_good"),
    ("people_stable_rs_v1", "people_stable_rs_v2_good"),
]


@pytest.mark.parametrize(("old", "new"), PAIRS)
@pytest.mark.parametrize("via_hooks", [True, False])
def test_the_next_version_reads_what_the_old_one_saved(install: Install, old: str, new: str, via_hooks: bool) -> None:
    canister = install(fixture(old))
    canister.call("fill", 20)
    size, names = canister.call("size"), [p["name"] for p in canister.call("list", 0, 100)]
    snapshot = canister.take_snapshot(via_hooks=via_hooks)
    canister.load_snapshot(snapshot.id, via_hooks=True, wasm=fixture(new))
    assert canister.call("active_count") == canister.call("size") == size
    assert [p["name"] for p in canister.call("list", 0, 100)] == names


TRAPPING = [f"people_v1_pretraps.{mode}" for mode in ("classical", "enhanced")]


@pytest.mark.parametrize("name", TRAPPING)
def test_a_real_hook_that_refuses_leaves_no_trace(install: Install, sandbox: Sandbox, name: str) -> None:
    canister = install(fixture(name))
    canister.call("fill", 20)
    untouched(sandbox, canister, lambda: canister.take_snapshot(via_hooks=True))
    with pytest.raises(CallRejected, match="refuses on purpose"):
        canister.take_snapshot(via_hooks=True)
    canister.call("set_pretrap", False)
    snapshot = canister.take_snapshot(via_hooks=True)
    canister.load_snapshot(snapshot.id, via_hooks=True)
    assert canister.call("size") == 20


@pytest.mark.parametrize("new", ["people_v2_traps.classical", "people_v2_traps.enhanced", "people_stable_rs_v2_traps"])
def test_a_real_post_upgrade_that_refuses_changes_nothing(install: Install, sandbox: Sandbox, new: str) -> None:
    canister = install(fixture(new.replace("_v2_traps", "_v1")))
    canister.call("fill", 20)
    snapshot = canister.take_snapshot(via_hooks=True)
    canister.call("fill", 5)
    before, raw = people(canister), canister.raw_state()
    with pytest.raises(CallRejected, match="refuses on purpose"):
        canister.load_snapshot(snapshot.id, via_hooks=True, wasm=fixture(new))
    assert canister.raw_state() == raw
    assert people(canister) == before
