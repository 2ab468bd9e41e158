"""What snapshots cost their canister: `dfinity/ic` `rs/execution_environment/src/canister_manager.rs`
(`cycles_and_memory_usage_checks`), numbers in `rs/config/src/subnet_config.rs`.

Compilation is not counted for a load, and nothing is reserved for storage. What the platform does not have (by way of
hooks, edited, by a policy) costs nothing but the memory that it occupies.
"""

from __future__ import annotations

from dataclasses import replace

from sandbox.canister.code import prepare
from sandbox.limits import SNAPSHOT_BASE, SNAPSHOT_SLICE_BASE
from sandbox.management import rejects
from sandbox.management.sizes import memory_usage, snapshot_size
from sandbox.management.transition import World
from sandbox.state import CanisterState, Code, SnapshotState

Steps = tuple[tuple[int, bool], ...]
"""Instructions that count as executed, and whether at the price of a 64-bit module."""


def paid(world: World, before: CanisterState, after: CanisterState, steps: Steps = (), grown: int = 0) -> CanisterState:
    """`after`, to which so many bytes more will belong than it shows, having paid for the steps.

    A reject if that would freeze it: by the memory alone (IC0532), or by the price (IC0207).
    """
    frozen = world.prices.frozen(after, grown)
    if before.cycles < frozen:
        more = max(_allocated(after, grown) - _allocated(before), 0)
        raise rejects.memory_unpaid(more, frozen - before.cycles)
    price = sum(world.prices.execution(*step) for step in steps)
    if before.cycles < price + frozen:
        raise rejects.snapshot_unpaid(before.id, price + frozen - before.cycles)
    return replace(after, cycles=before.cycles - price) if price else after


def _allocated(state: CanisterState, grown: int = 0) -> int:
    return max(memory_usage(state) + grown, state.settings.memory_allocation)


def making(snapshot: SnapshotState) -> Steps:
    """To make a snapshot."""
    return ((SNAPSHOT_BASE + snapshot_size(snapshot), False),)


def loading(world: World, snapshot: SnapshotState, code: Code) -> Steps:
    """To load a snapshot with this module, which is not compiled yet where nothing costs anything."""
    if world.subnet.costs == "free":
        return ()
    return (SNAPSHOT_BASE, False), (snapshot_size(snapshot), prepare(code).facts.is64)


def reading(size: int) -> Steps:
    """To read so many bytes of a snapshot."""
    return ((SNAPSHOT_SLICE_BASE + size, False),)


def writing(size: int) -> Steps:
    """To write so many bytes of a snapshot."""
    return ((size, False),)
