"""What snapshots cost: the replica's numbers of instructions, and never so much that the canister would freeze."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox import Canister, ErrorCode, InstructionLimits, Sandbox
from sandbox.api import runtime_of
from sandbox.execution.fees import MAINNET
from sandbox.limits import WASM_PAGE
from sandbox.state import evolve
from tests.conftest import fixture, rejected, sandbox_of
from tests.management.methods import by_user

BASE, SLICE = 2_000_000_000, 5_000_000
CHEAP = InstructionLimits(install=100_000_000)
UPLOAD: dict[str, Any] = {
    "wasm_module_size": 1000,
    "globals": [],
    "wasm_memory_size": 3 * WASM_PAGE,
    "stable_memory_size": 0,
    "certified_data": b"",
}


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(costs="mainnet", instruction_limits=CHEAP, max_snapshots=10)


@pytest.fixture(params=["classical", "enhanced"])
def canister(request: pytest.FixtureRequest, sandbox: Sandbox) -> Canister:
    made = sandbox.create_canister()
    made.install(fixture(f"counter.{request.param}"))
    return made


def spent(canister: Canister, method: str, **fields: Any) -> tuple[int, Any]:
    """The cycles that a user's call of a method took, and its answer."""
    before = canister.status().cycles
    answer = by_user(sandbox_of(canister), method, {"canister_id": canister.id, **fields})
    return before - canister.status().cycles, answer


def test_every_method_costs_what_the_replica_takes(canister: Canister) -> None:
    wasm64 = canister.keeps_heap
    cost, taken = spent(canister, "take_canister_snapshot")
    size, which = taken["total_size"], {"snapshot_id": taken["id"]}
    assert cost == MAINNET.execution(BASE + size, False)
    cost, _ = spent(canister, "load_canister_snapshot", **which)
    assert cost == MAINNET.execution(BASE, False) + MAINNET.execution(size, wasm64)
    cost, _ = spent(canister, "read_canister_snapshot_data", **which, kind={"wasm_module": {"offset": 5, "size": 70}})
    assert cost == MAINNET.execution(SLICE + 70, False)
    for method in ("read_canister_snapshot_metadata", "delete_canister_snapshot"):
        assert spent(canister, method, **which)[0] == 0
    assert spent(canister, "list_canister_snapshots")[0] == 0
    cost, made = spent(canister, "upload_canister_snapshot_metadata", **UPLOAD)
    assert cost == MAINNET.execution(BASE + 1000 + 3 * WASM_PAGE, False)
    for kind, count in (({"wasm_memory": {"offset": 9}}, 3), ({"wasm_chunk": None}, 1 << 20)):
        cost, _ = spent(canister, "upload_canister_snapshot_data", **made, kind=kind, chunk=b"abc")
        assert cost == MAINNET.execution(count, False)


def test_what_the_platform_does_not_have_costs_nothing(canister: Canister) -> None:
    before = canister.status().cycles
    backup = canister.take_snapshot(via_hooks=True)
    assert canister.status().cycles == before
    result = canister.load_snapshot(backup.id, via_hooks=True)
    assert 0 < before - canister.status().cycles <= MAINNET.execution(result.instructions, canister.keeps_heap)


def left_with(canister: Canister, cycles: int) -> None:
    subnet = runtime_of(canister).subnet
    subnet.canisters[canister.id] = evolve(subnet.canisters[canister.id], cycles=cycles)


def test_a_snapshot_that_would_freeze_the_canister_is_not_taken(canister: Canister, sandbox: Sandbox) -> None:
    size = canister.take_snapshot().total_size
    canister.delete_snapshot(canister.list_snapshots()[0].id)
    state = runtime_of(sandbox).state_of(canister.id)
    present, after = MAINNET.freezing_limit(state), MAINNET.freezing_limit(state, size)
    left_with(canister, (present + after) // 2)
    code, poor = ErrorCode.INSUFFICIENT_CYCLES_IN_MEMORY_GROW, runtime_of(sandbox).state_of(canister.id)
    text = (
        f"Canister cannot grow memory by {size} bytes due to insufficient cycles. At least {after - poor.cycles} "
        "additional cycles are required.\nTop up the canister with more cycles."
    )
    rejected(code, text, canister.take_snapshot)
    assert runtime_of(sandbox).state_of(canister.id) == poor
    price = MAINNET.execution(BASE + size, False)
    left_with(canister, after + price - 7)
    text = (
        f"Canister snapshotting failed with: `Canister {canister.id} is out of cycles: please top up the canister with "
        "at least 7 additional cycles`\nTry sending more cycles with the request. See documentation: "
        "canister-snapshot-not-enough-cycles"
    )
    rejected(ErrorCode.CANISTER_OUT_OF_CYCLES, text, canister.take_snapshot)
    left_with(canister, after + price)
    canister.take_snapshot()
    assert canister.status().cycles == after


def test_a_load_that_would_freeze_the_canister_changes_nothing(canister: Canister, sandbox: Sandbox) -> None:
    large = canister.take_snapshot()
    small = sandbox.create_canister(settings={"freezing_threshold": 10**9})
    limit, price = MAINNET.freezing_limit(runtime_of(sandbox).state_of(small.id)), MAINNET.execution(BASE, False)
    out, memory = ErrorCode.CANISTER_OUT_OF_CYCLES, ErrorCode.INSUFFICIENT_CYCLES_IN_MEMORY_GROW
    for spare, code, text in (
        (price - 1, out, "snapshotting failed with: `Canister"),
        (price, memory, "Canister cannot grow memory by"),
    ):
        left_with(small, limit + spare)
        before = runtime_of(sandbox).state_of(small.id)
        rejected(code, text, small.load_snapshot, large.id)
        assert runtime_of(sandbox).state_of(small.id) == before
    left_with(small, limit + 1)
    rejected(out, "installation failed", small.load_snapshot, large.id, via_hooks=True)


def test_a_frozen_canister_pays_for_no_slice(canister: Canister, sandbox: Sandbox) -> None:
    made = spent(canister, "upload_canister_snapshot_metadata", **UPLOAD)[1]
    canister.update_settings(freezing_threshold=10**12)
    before = runtime_of(sandbox).state_of(canister.id)
    slices: dict[str, dict[str, Any]] = {
        "read_canister_snapshot_data": {"kind": {"wasm_memory": {"offset": 0, "size": 1}}},
        "upload_canister_snapshot_data": {"kind": {"wasm_memory": {"offset": 0}}, "chunk": b""},
    }
    for method, fields in slices.items():
        rejected(ErrorCode.CANISTER_OUT_OF_CYCLES, "snapshotting failed", spent, canister, method, **made, **fields)
    spent(canister, "read_canister_snapshot_metadata", **made)
    code = ErrorCode.INSUFFICIENT_CYCLES_IN_MEMORY_GROW
    rejected(code, "grow memory by 0 bytes", spent, canister, "delete_canister_snapshot", **made)
    assert runtime_of(sandbox).state_of(canister.id) == before
