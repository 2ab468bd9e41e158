"""Snapshots over time: proven intact, given up by rule, taken by rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

from sandbox.api.attempt import whole
from sandbox.api.identity import Sender, sender_principal
from sandbox.api.records import Snapshot
from sandbox.api.resolver import CanisterLike, SnapshotLike
from sandbox.api.snapshot_access import SnapshotAccess
from sandbox.management import retention
from sandbox.management.commands import command
from sandbox.management.retention import ALL_CANISTERS
from sandbox.management.snapshot_rules import visible
from sandbox.principal import Principal
from sandbox.snapshots.content_id import content_id
from sandbox.snapshots.portable import Progress
from sandbox.state import Keep, Policy
from sandbox.store import Difference, Pruned, Reading, Repository, verify
from sandbox.store.checksum import snapshot_checksum


@dataclass(frozen=True)
class Verified:
    """What came of reading all of a snapshot again. `checksum`: 64 hexadecimal digits, recomputed from the bytes,
    and `content_id`; None if they differ from what they were. `on_disk`: whether it is kept in a state directory and
    was read from there, not only in memory. `differences`: the first part that differs, or all of
    them if that was asked for."""

    id: bytes
    canister_id: Principal
    label: str | None
    checksum: str | None
    content_id: str | None
    bytes_read: int
    on_disk: bool
    differences: tuple[Difference, ...]

    @property
    def intact(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    @property
    def differs(self) -> str | None:
        """The first part that differs: `heap page 0x2c1`, `global 7`, `label`, ...; None if the snapshot is intact."""
        return self.differences[0].part if self.differences else None


@dataclass(frozen=True, slots=True)
class Retained:
    """What retention did, or would do: newest first. `kept`: with the names of the rules that say so."""

    kept: tuple[tuple[Snapshot, tuple[str, ...]], ...]
    removed: tuple[Snapshot, ...]


class SnapshotKeeping(SnapshotAccess):
    """The part of the snapshot manager that deals with snapshots over time."""

    def verify(
        self,
        snapshot_id: SnapshotLike,
        progress: Progress | None = None,
        sender: Sender = None,
        *,
        every: bool = False,
    ) -> Verified:
        """Read every byte of the snapshot and compute its checksum from nothing; the result names the first part that
        differs from what it was, or with `every` all of them.

        A snapshot in a state directory is read from the disk, and compared with the one in use. `progress` is called
        with bytes done and bytes in all.
        """
        [found] = self.verify_all([snapshot_id], progress, sender, every=every)
        return found

    def verify_all(
        self,
        snapshot_ids: Iterable[SnapshotLike] | None = None,
        progress: Progress | None = None,
        sender: Sender = None,
        *,
        every: bool = False,
    ) -> Iterator[Verified]:
        """`verify` of one after the other; without ids, of all that there are."""
        every_id = (s.id for owner in self._runtime.canister_ids() for s in self._runtime.state_of(owner).snapshots)
        ids = every_id if snapshot_ids is None else snapshot_ids
        return self._verified(ids, sender, progress, every)

    @whole
    def retain(
        self,
        canister_id: CanisterLike,
        keep: Keep,
        dry_run: bool = False,
        sender: Sender = None,
    ) -> Retained:
        """Delete the snapshots of a canister that `keep` does not name; with `dry_run`, only say which."""
        target = self._canister_id(canister_id)
        who = self._runtime.manager(target, sender)
        state = visible(self._runtime.management_context(who), target)
        judged = retention.judge(state.snapshots, keep, self._runtime.subnet.time)
        if not dry_run:
            self._runtime.manage(command(retention.retain_snapshots, who, target, keep))
        return Retained(
            kept=tuple((Snapshot.of(j.snapshot), j.reasons) for j in judged if j.reasons),
            removed=tuple(Snapshot.of(j.snapshot) for j in judged if not j.reasons),
        )

    @whole
    def prune(self) -> Pruned:
        """Give back the disk space of what no snapshot needed when the sandbox was saved last; in memory, nothing.

        What is needed is on the disk in its new place before the old one goes.
        """
        directory = self._runtime.directory
        return Pruned(0, 0, 0) if directory is None else directory.prune()

    def policy(self, canister_id: CanisterLike | None = None) -> Policy | None:
        """By which rules snapshots of a canister are taken without being asked for; without an id, of all canisters
        that have no rules of their own."""
        policies = self._runtime.subnet.policies
        common = policies.get(ALL_CANISTERS)
        return common if canister_id is None else policies.get(self._canister_id(canister_id), common)

    @whole
    def set_policy(
        self,
        policy: Policy | None,
        canister_id: CanisterLike | None = None,
        sender: Sender = None,
    ) -> None:
        """From now on take snapshots of a canister by these rules, or without an id of all that have none of their own.
        None takes the rules away. They are kept with the state.

        Such snapshots do not count for `max_snapshots`, and only they are given up by a policy.
        """
        target = None if canister_id is None else self._canister_id(canister_id)
        caller = sender_principal(sender) if target is None else self._runtime.manager(target, sender)
        self._runtime.manage(command(retention.set_policy, caller, target, policy))

    def _verified(
        self, ids: Iterable[SnapshotLike], sender: Sender, progress: Progress | None, every: bool
    ) -> Iterator[Verified]:
        """What the directory says about where things are is read once, the bytes for each snapshot again."""
        with self._runtime.gate:
            states, directory = [self._seen(snapshot_id, sender) for snapshot_id in ids], self._runtime.directory
        fresh: Repository | None = None
        for state in states:
            with self._runtime.gate:
                entry = None if directory is None else directory.entry(state)
                reading = Reading(verify.extent(state) * (1 if entry is None else 2), progress)
                known = state if state.damage is None else None
                found = verify.in_memory(state, reading) if known is not None else iter(())
                if directory is not None and entry is not None:
                    fresh = fresh or directory.repository.unread()
                    found = chain(found, verify.on_disk(fresh, entry, known, reading))
                differences = tuple(found if every else islice(found, 1))
                verified = Verified(
                    id=state.id,
                    canister_id=state.canister_id,
                    label=state.label,
                    checksum=None if differences else snapshot_checksum(state).hex(),
                    content_id=None if differences else content_id(state),
                    bytes_read=reading.read,
                    on_disk=entry is not None,
                    differences=differences,
                )
            yield verified
