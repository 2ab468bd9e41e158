"""Snapshots that are taken by rule: at installation, before upgrades, when the newest one is old."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import CallRejected, Canister, Keep, Policy, Sandbox
from sandbox.api import runtime_of
from sandbox.candid import encode
from sandbox.replay.replay import replay
from tests.conftest import FIXTURES, sandbox_of

V1, V2 = FIXTURES / "people_v1.enhanced.wasm", FIXTURES / "people_v2_good.enhanced.wasm"
DROPS, TRAPS = FIXTURES / "people_v2_drops.enhanced.wasm", FIXTURES / "people_v2_traps.enhanced.wasm"


def labels(canister: Canister) -> list[str | None]:
    return [s.label for s in canister.list_snapshots()]


def installed(policy: Policy | None = None) -> Canister:
    sandbox = Sandbox()
    sandbox.snapshots.set_policy(policy or Policy())
    canister = sandbox.create_canister()
    canister.install(V1)
    return canister


def test_at_installation_and_before_every_upgrade() -> None:
    canister = installed()
    fresh = canister.raw_state()
    canister.call("fill", 10)
    full = canister.raw_state()
    canister.upgrade(DROPS)
    assert labels(canister) == ["installed", "before upgrade"]
    first, second = canister.list_snapshots()
    assert first.automatic
    assert second.automatic
    canister.load_snapshot(second.id)
    assert canister.raw_state() == full
    canister.load_snapshot(first.id)
    assert canister.raw_state() == fresh
    canister.install(V1, mode="reinstall")
    assert labels(canister)[2:] == ["before upgrade"]


def test_an_upgrade_that_fails_leaves_no_snapshot() -> None:
    canister = installed()
    with pytest.raises(CallRejected):
        canister.upgrade(TRAPS)
    assert labels(canister) == ["installed"]


def test_neither_kind_counts_for_the_other() -> None:
    canister = installed(Policy(keep=Keep(last=2)))
    by_hand = canister.take_snapshot("mine")
    for _ in range(4):
        canister.upgrade(V1)
    assert labels(canister) == ["mine", "before upgrade", "before upgrade"]
    canister.take_snapshot("mine again")
    assert labels(canister) == ["before upgrade", "before upgrade", "mine again"]
    assert by_hand.id not in [s.id for s in canister.list_snapshots()]


def test_when_the_newest_is_old_and_something_changed() -> None:
    canister = installed(Policy(at_install=False, before_upgrade=False, every=3600))
    sandbox = sandbox_of(canister)
    sandbox.tick()
    assert labels(canister) == ["scheduled"]
    for _ in range(5):
        sandbox.advance_time(1800)
        sandbox.tick()
    assert labels(canister) == ["scheduled"], "nothing has changed"
    canister.call("fill", 1)
    sandbox.tick()
    assert labels(canister) == ["scheduled"] * 2
    canister.call("fill", 1)
    sandbox.advance_time(3599)
    sandbox.tick()
    assert len(labels(canister)) == 2
    sandbox.advance_time(1)
    sandbox.run_until_idle()
    assert len(labels(canister)) == 3


def test_a_canisters_own_policy_comes_before_the_common_one() -> None:
    canister = installed()
    sandbox = sandbox_of(canister)
    off = Policy(at_install=False, before_upgrade=False)
    sandbox.snapshots.set_policy(off, canister.id)
    canister.upgrade(V1)
    assert labels(canister) == ["installed"]
    assert sandbox.snapshots.policy(canister.id) == off
    sandbox.snapshots.set_policy(None, canister.id)
    assert sandbox.snapshots.policy(canister.id) == Policy() == sandbox.snapshots.policy()
    canister.upgrade(V1)
    assert labels(canister) == ["installed", "before upgrade"]
    with pytest.raises(CallRejected, match="IC0512"):
        sandbox.snapshots.set_policy(off, canister.id, sender=sandbox.identity("bob"))
    sandbox.snapshots.set_policy(off, canister.id)
    canister.stop()
    canister.delete()
    assert list(runtime_of(sandbox).subnet.policies.values()) == [Policy()]


def test_canisters_that_canisters_install_have_them_too() -> None:
    sandbox = Sandbox()
    sandbox.snapshots.set_policy(Policy())
    parent, child = sandbox.create_canister(), sandbox.create_canister()
    parent.install(FIXTURES / "counter.classical.wasm")
    child.update_settings(controllers=[parent.id])
    module = (FIXTURES / "counter.classical.wasm").read_bytes()
    types = (
        "(record { mode : variant { install; reinstall }; canister_id : principal; wasm_module : blob; arg : blob })"
    )
    for mode in ("install", "reinstall"):
        from sandbox.candid import Variant

        value = {"mode": Variant(mode), "canister_id": child.id, "wasm_module": module, "arg": b""}
        parent.call("forward", "aaaaa-aa", "install_code", encode(types, [value]))
    assert [s.label for s in runtime_of(sandbox).state_of(child.id).snapshots] == ["installed", "before upgrade"]


def test_they_are_kept_with_the_state(tmp_path: Path) -> None:
    policy = Policy(every=60, keep=Keep(last=1, pinned=("x*",)))
    with Sandbox.open(tmp_path) as sandbox:
        canister = sandbox.create_canister()
        sandbox.snapshots.set_policy(policy, canister.id)
        canister.install(V1)
    with Sandbox.open(tmp_path) as sandbox:
        assert sandbox.snapshots.policy(canister.id) == policy
        assert sandbox.snapshots.policy() is None
        [snapshot] = sandbox.snapshots.list()
        assert snapshot.automatic
        sandbox.canister(canister.id).upgrade(V1)
    with Sandbox.open(tmp_path) as sandbox:
        assert labels(sandbox.canister(canister.id)) == ["before upgrade"]


def test_they_are_undone_with_an_anchor_and_replayed_from_a_record(tmp_path: Path) -> None:
    sandbox = Sandbox()
    with sandbox.record(tmp_path / "record"):
        sandbox.snapshots.set_policy(Policy(every=60, keep=Keep(last=3)))
        canister = sandbox.create_canister()
        canister.install(V1)
        with sandbox.anchor():
            sandbox.snapshots.set_policy(None)
            canister.upgrade(V1)
        assert sandbox.snapshots.policy() is not None
        canister.call("fill", 1)
        sandbox.advance_time(100)
        sandbox.tick()
        sandbox.snapshots.retain(canister.id, Keep(last=1))
        assert labels(canister) == ["scheduled"]
    again = replay(tmp_path / "record")
    assert again.difference is None
    assert again.states_compared
    assert again.state_hash == sandbox.state_hash()


@pytest.mark.parametrize("every", [-1, 1.5, "1d"])
def test_a_time_that_makes_no_sense(every: object) -> None:
    with pytest.raises(ValueError, match="every is a number of seconds"):
        Policy(every=every)  # type: ignore[arg-type]
