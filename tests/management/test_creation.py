"""What a new canister is made of, and which settings it must be able to pay for.

Sources: `dfinity/ic` `rs/config/src/execution_environment.rs` (DEFAULT_WASM_MEMORY_LIMIT),
`rs/execution_environment/src/canister_manager.rs` (`create_canister`, `create_canister_with_cycles`,
`validate_settings_for_canister_creation`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from sandbox import Canister, ErrorCode, InstructionLimits, Principal, Sandbox
from sandbox.api import runtime_of
from sandbox.api.creation import SettingsValues
from sandbox.execution.fees import MAINNET
from tests.conftest import guest, rejected, wat
from tests.management.methods import RELAY, by_canister, by_user

GIB = 1 << 30
THREE = 3 * GIB
CHEAP = InstructionLimits(update=50_000_000, install=100_000_000)
PROVISIONAL = "provisional_create_canister_with_cycles"
Create = Callable[[Sandbox, int, dict[str, Any]], Canister]


def by_hand(sandbox: Sandbox, cycles: int, settings: dict[str, Any]) -> Canister:
    return sandbox.create_canister(cycles=cycles, settings=cast(SettingsValues, settings))


def by_a_user(sandbox: Sandbox, cycles: int, settings: dict[str, Any]) -> Canister:
    made = by_user(sandbox, PROVISIONAL, {"amount": cycles, "settings": settings})
    return sandbox.canister(made["canister_id"])


def by_another_canister(sandbox: Sandbox, cycles: int, settings: dict[str, Any]) -> Canister:
    """The fee of the creation goes off the cycles that are sent along."""
    caller = sandbox.create_canister(cycles=10**18)
    caller.install(RELAY)
    fee = MAINNET.creation if runtime_of(sandbox).subnet.costs == "mainnet" else 0
    made = by_canister(caller, "create_canister", {"settings": settings}, cycles=cycles + fee)
    return sandbox.canister(made["canister_id"])


CREATIONS: list[Create] = [by_hand, by_a_user, by_another_canister]


@pytest.mark.parametrize("create", CREATIONS)
def test_the_heap_of_a_new_canister_is_limited(create: Create) -> None:
    sandbox = Sandbox()
    assert create(sandbox, 0, {}).status().settings.wasm_memory_limit == THREE
    for limit in (0, 1, THREE + 1):
        assert create(sandbox, 0, {"wasm_memory_limit": limit}).status().settings.wasm_memory_limit == limit


def test_so_is_the_heap_of_one_that_is_made_from_a_snapshot(tmp_path: Path) -> None:
    """Settings are no part of a snapshot: on the platform a canister is created first, then it is uploaded."""
    sandbox = Sandbox()
    canister = sandbox.create_canister(settings={"wasm_memory_limit": 0})
    canister.install(guest(""))
    sandbox.snapshots.download(canister.take_snapshot().id, tmp_path / "snapshot")
    made = Sandbox().snapshots.create_canister(tmp_path / "snapshot")
    assert made.status().settings.wasm_memory_limit == THREE


@pytest.mark.parametrize("memory", ["1", "i64 1"])
def test_a_heap_of_more_than_three_gibibytes_is_refused(memory: str) -> None:
    kind = "i64" if memory.startswith("i64") else "i32"
    sandbox = Sandbox()
    canister = sandbox.create_canister()
    grow = f"(drop (memory.grow ({kind}.const 49151)))"
    more = f"(drop (memory.grow ({kind}.const 1)))"
    reply = '(import "ic0" "msg_reply" (func $reply))'
    canister.install(
        wat(
            f"""(module {reply} (memory {memory})
            (func (export "canister_update grow") {grow} (call $reply))
            (func (export "canister_update more") {more} (call $reply)))"""
        )
    )
    canister.update("grow")
    assert canister.status().heap_size == THREE
    text = f"exceeded its current Wasm memory limit of {THREE} bytes. The peak Wasm memory usage was {THREE + 65536}"
    rejected(ErrorCode.CANISTER_WASM_MEMORY_LIMIT_EXCEEDED, text, canister.update, "more")
    canister.update_settings(wasm_memory_limit=0)
    canister.update("more")
    assert canister.status().heap_size == THREE + 65536


DAY = 86_400
HELP = (
    "\nTop up the canister with more cycles. See documentation: https://internetcomputer.org/docs/current/references/"
)


@pytest.mark.parametrize("create", CREATIONS)
@pytest.mark.parametrize(
    ("kind", "allocation", "per_second"),
    [
        ("memory", 5 * GIB, 5 * MAINNET.gib_second + MAINNET.canister_second),
        ("compute", 7, 7 * MAINNET.percent_second + MAINNET.canister_second),
    ],
)
def test_a_canister_is_not_created_frozen_by_its_allocation(
    kind: str, allocation: int, per_second: int, create: Create
) -> None:
    sandbox = Sandbox(costs="mainnet", instruction_limits=CHEAP)
    settings = {f"{kind}_allocation": allocation, "freezing_threshold": 10 * DAY}
    enough = 10 * DAY * per_second
    text = (
        f"Cannot increase {kind} allocation to {allocation} due to insufficient cycles. At least 1 additional cycles "
        f"are required.{HELP}execution-errors#insufficient-cycles-in-{kind}-allocation"
    )
    code = ErrorCode[f"INSUFFICIENT_CYCLES_IN_{kind.upper()}_ALLOCATION"]
    if create is by_another_canister:
        rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text, create, sandbox, enough - 1, settings)
        assert len(sandbox.canisters()) == 1
    else:
        rejected(code, text, create, sandbox, enough - 1, settings)
        assert sandbox.canisters() == []
    assert create(sandbox, enough, settings).status().cycles == enough


@pytest.mark.parametrize("create", CREATIONS)
def test_a_long_freezing_threshold_alone_may_freeze_it(create: Create) -> None:
    sandbox = Sandbox(costs="mainnet", instruction_limits=CHEAP)
    made = create(sandbox, 5, {"freezing_threshold": 1 << 40})
    assert made.status().cycles == 5


@pytest.mark.parametrize("create", CREATIONS)
def test_where_nothing_costs_anything_every_allocation_is_paid_for(create: Create) -> None:
    settings = {"memory_allocation": 1 << 40, "compute_allocation": 100, "freezing_threshold": 1 << 40}
    assert create(Sandbox(), 0, settings).status().cycles == 0


def test_settings_are_looked_at_before_the_id() -> None:
    sandbox = Sandbox(costs="mainnet")
    taken = sandbox.create_canister().id
    code = ErrorCode.INSUFFICIENT_CYCLES_IN_MEMORY_ALLOCATION
    for specified in (taken, Principal.anonymous()):
        arg = {"amount": 5, "settings": {"memory_allocation": GIB}, "specified_id": specified}
        rejected(code, "Cannot increase memory allocation", by_user, sandbox, PROVISIONAL, arg)
