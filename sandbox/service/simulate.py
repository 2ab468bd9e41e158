"""A schedule and its rules of retention over virtual time: which backups there would be at the end."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.api import Canister, Sandbox, Snapshot
from sandbox.errors import SandboxError
from sandbox.service.config import Target
from sandbox.service.schedules.schedule import SECOND

_DAY = 86_400 * SECOND


@dataclass(frozen=True, slots=True)
class Simulated:
    """`taken`: the times at which snapshots were taken, nanoseconds since 1970; `kept`: those that are left, newest
    first, with the rules that keep them."""

    taken: tuple[int, ...]
    kept: tuple[tuple[Snapshot, tuple[str, ...]], ...]


def simulate(target: Target, sandbox: Sandbox, canister: Canister, days: float) -> Simulated:
    """Let virtual time pass in a sandbox, take a snapshot of the canister whenever the schedule is due, and give up by
    its rules what is no longer kept, each time."""
    if target.schedule is None:
        raise SandboxError(f"{target.name} has no schedule")
    end = sandbox.time + round(days * _DAY)
    taken: list[int] = []
    kept: tuple[tuple[Snapshot, tuple[str, ...]], ...] = ()
    for due in target.schedule.dues(sandbox.time):
        start = target.schedule.put_off(target.name, due)
        if start > end:
            break
        sandbox.advance_time(nanoseconds=start - sandbox.time)
        snapshot = canister.take_snapshot()
        taken.append(snapshot.taken_on)
        if target.keep is not None:
            kept = sandbox.snapshots.retain(canister.id, target.keep).kept
        else:
            kept = ((snapshot, ("everything",)), *kept)
    return Simulated(tuple(taken), kept)
