"""What snapshots cost their canister: `dfinity/ic` `rs/execution_environment/src/canister_manager.rs`
(`cycles_and_memory_usage_checks`), numbers in `rs/config/src/subnet_config.rs`.

Compilation is not counted for a load, and nothing is reserved for storage. What the platform does not have (by way of
hooks, edited, by a policy) costs nothing but the memory that it occupies.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sandbox.canister.module import compile_module
from sandbox.limits import SNAPSHOT_BASE, SNAPSHOT_SLICE_BASE
from sandbox.management import rejects
from sandbox.management.sizes import memory_usage, snapshot_size
from sandbox.management.transition import ManagementContext
from sandbox.state import CanisterState, SnapshotState, WasmModule

Step = tuple[int, bool]
"""Instructions that count as executed, and whether at the price of a 64-bit module."""


def charged(world: ManagementContext, state: CanisterState, step: Step) -> CanisterState:
    """The canister, having paid for a step; a reject (IC0207) if that would freeze it."""
    price = world.fees.execution(*step)
    short = price + world.fees.frozen(state) - state.cycles
    if short > 0:
        raise rejects.snapshot_unpaid(state.id, short)
    return replace(state, cycles=state.cycles - price) if price else state


def paid(
    world: ManagementContext, before: CanisterState, after: CanisterState, step: Step | None = None, grown: int = 0
) -> CanisterState:
    """`after`, to which so many bytes more will belong than it shows, having paid for the step with the cycles that
    were there `before`.

    A reject if that would freeze it: by the memory alone (IC0532), or by the price (IC0207).
    """
    frozen = world.fees.frozen(after, grown)
    if before.cycles < frozen:
        more = max(_allocated(after, grown) - _allocated(before), 0)
        raise rejects.memory_unpaid(more, frozen - before.cycles)
    price = 0 if step is None else world.fees.execution(*step)
    if before.cycles < price + frozen:
        raise rejects.snapshot_unpaid(before.id, price + frozen - before.cycles)
    return after if after.cycles == before.cycles - price else replace(after, cycles=before.cycles - price)


def _allocated(state: CanisterState, grown: int = 0) -> int:
    return max(memory_usage(state) + grown, state.settings.memory_allocation)


BASE: Final = (SNAPSHOT_BASE, False)
"""To begin to load a snapshot."""


def making(snapshot: SnapshotState) -> Step:
    """To make a snapshot."""
    return SNAPSHOT_BASE + snapshot_size(snapshot), False


def loading(world: ManagementContext, snapshot: SnapshotState, code: WasmModule) -> Step | None:
    """To load a snapshot with this module, which is not compiled yet where nothing costs anything."""
    return None if world.subnet.costs == "free" else (snapshot_size(snapshot), compile_module(code).facts.is64)


def reading(size: int) -> Step:
    """To read so many bytes of a snapshot."""
    return SNAPSHOT_SLICE_BASE + size, False


def writing(size: int) -> Step:
    """To write so many bytes of a snapshot."""
    return size, False
