"""Fees for snapshots: `dfinity/ic` `rs/execution_environment/src/canister_manager.rs`
(`cycles_and_memory_usage_checks`), numbers in `rs/config/src/subnet_config.rs`.

Compilation is not counted for a load, and nothing is reserved for storage. Snapshots that the platform does not have
(taken via hooks, edited, taken by a policy) cost only the memory that they occupy.
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

Work = tuple[int, bool]
"""Instructions that count as executed, and whether at the fees of a 64-bit module."""


def charge_work(context: ManagementContext, state: CanisterState, work: Work) -> CanisterState:
    """The canister after paying for `work`; a reject (IC0207) if that would freeze it."""
    fee = context.fees.execution(*work)
    short = fee + context.fees.frozen(state) - state.cycles
    if short > 0:
        raise rejects.snapshot_unpaid(state.id, short)
    return replace(state, cycles=state.cycles - fee) if fee else state


def charge(
    context: ManagementContext, before: CanisterState, after: CanisterState, work: Work | None = None, grown: int = 0
) -> CanisterState:
    """`after`, less the fee for `work`, which is paid with the cycles of `before`. `grown`: bytes of memory that the
    canister will have beyond those of `after`.

    A reject if that would freeze it: by the memory alone (IC0532), or by the fee (IC0207).
    """
    frozen = context.fees.frozen(after, grown)
    if before.cycles < frozen:
        more = max(_allocated(after, grown) - _allocated(before), 0)
        raise rejects.memory_unpaid(more, frozen - before.cycles)
    fee = 0 if work is None else context.fees.execution(*work)
    if before.cycles < fee + frozen:
        raise rejects.snapshot_unpaid(before.id, fee + frozen - before.cycles)
    return after if after.cycles == before.cycles - fee else replace(after, cycles=before.cycles - fee)


def _allocated(state: CanisterState, grown: int = 0) -> int:
    return max(memory_usage(state) + grown, state.settings.memory_allocation)


LOAD_BASE: Final = (SNAPSHOT_BASE, False)
"""The work of beginning to load a snapshot."""


def creation_work(snapshot: SnapshotState) -> Work:
    """The work of making a snapshot."""
    return SNAPSHOT_BASE + snapshot_size(snapshot), False


def load_work(context: ManagementContext, snapshot: SnapshotState, code: WasmModule) -> Work | None:
    """The work of loading a snapshot with this module; None, without compiling it, where everything is free."""
    return None if context.subnet.costs == "free" else (snapshot_size(snapshot), compile_module(code).facts.is64)


def read_work(size: int) -> Work:
    """The work of reading `size` bytes of a snapshot."""
    return SNAPSHOT_SLICE_BASE + size, False


def write_work(size: int) -> Work:
    """The work of writing `size` bytes of a snapshot."""
    return size, False
