"""Deletion of snapshots by rules, and policies for taking them. Ours; the platform has neither."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from types import MappingProxyType

from sandbox.management.transition import ManagementContext, Transition
from sandbox.principal import Principal
from sandbox.state import Keep, Policy, SnapshotState

ALL_CANISTERS = Principal.management()
"""The key of the policy for all canisters without one of their own."""
_BUCKETS: dict[str, Callable[[datetime], object]] = {
    "hourly": lambda t: (t.date(), t.hour),
    "daily": lambda t: t.date(),
    "weekly": lambda t: t.isocalendar()[:2],
    "monthly": lambda t: (t.year, t.month),
}


@dataclass(frozen=True, slots=True)
class Judged:
    """A snapshot and the rules that keep it; without any it is deleted."""

    snapshot: SnapshotState
    reasons: tuple[str, ...]


def judge(snapshots: Iterable[SnapshotState], keep: Keep, now: int) -> list[Judged]:
    """The rules of `keep` that keep each snapshot of one canister, newest first; `now` in nanoseconds since 1970."""
    newest = sorted(snapshots, key=lambda s: (s.taken_at, s.id), reverse=True)
    reasons: list[list[str]] = [["last"] if index < keep.last else [] for index in range(len(newest))]
    for name, bucket in _BUCKETS.items():
        for index in _spread([bucket(_date(s.taken_at)) for s in newest], getattr(keep, name)):
            reasons[index].append(name)
    for snapshot, names in zip(newest, reasons, strict=True):
        if keep.within and snapshot.taken_at >= now - keep.within * 1_000_000_000:
            names.append("within")
        if any(fnmatchcase(snapshot.label or "", pattern) for pattern in keep.pinned if snapshot.label is not None):
            names.append("pinned")
        if snapshot.damage is not None:
            names.append("damaged")  # its time is unknown; it can be deleted by its id
    return [Judged(s, tuple(names)) for s, names in zip(newest, reasons, strict=True)]


def _spread(buckets: Sequence[object], count: int) -> Iterable[int]:
    """The first of each bucket, `count` at most; as long as there are not as many, the very last too."""
    before: object = None
    for index, bucket in enumerate(buckets):
        if not count:
            return
        if bucket != before or index == len(buckets) - 1:
            yield index
            before, count = bucket, count - 1


def _date(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC)


def kept(snapshots: Sequence[SnapshotState], keep: Keep, now: int) -> tuple[SnapshotState, ...]:
    """Those that stay, in the order in which they were given."""
    staying = {judged.snapshot.id for judged in judge(snapshots, keep, now) if judged.reasons}
    return tuple(snapshot for snapshot in snapshots if snapshot.id in staying)


def retain_snapshots(context: ManagementContext, canister_id: Principal, keep: Keep) -> Transition:
    """Delete the snapshots that `keep` does not keep; the reply is their ids."""
    state = context.controlled(canister_id)
    staying = kept(state.snapshots, keep, context.subnet.time)
    gone = tuple(snapshot.id for snapshot in state.snapshots if snapshot not in staying)
    return Transition(canister=replace(state, snapshots=staying), reply=[*gone])


def set_policy(context: ManagementContext, canister_id: Principal | None, policy: Policy | None) -> Transition:
    """Set the policy of a canister (for its controllers), or of all without one of their own (`canister_id` None, for
    the user of the sandbox). `policy` None removes it, so that the common one applies to the canister again."""
    target = ALL_CANISTERS if canister_id is None else context.controlled(canister_id).id
    policies = {key: value for key, value in context.subnet.policies.items() if key != target}
    if policy is not None:
        policies[target] = policy
    return Transition(policies=MappingProxyType(dict(sorted(policies.items()))))
