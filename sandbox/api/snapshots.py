"""`SnapshotManager`: everything that can be done with snapshots, by their ids."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.api.canister import Canister
from sandbox.api.gate import exclusive
from sandbox.api.identity import Sender
from sandbox.api.records import Snapshot
from sandbox.api.resolver import SnapshotLike, resolve_source
from sandbox.api.snapshot_lifecycle import SnapshotLifecycle
from sandbox.api.snapshot_query import SnapshotQueries
from sandbox.api.snapshot_retention import SnapshotKeeping
from sandbox.api.snapshot_transfer import SnapshotFiles
from sandbox.errors import AmbiguousName, PrincipalError, UnknownName
from sandbox.principal import Principal
from sandbox.snapshots import portable
from sandbox.state import CanisterState, SnapshotState

if TYPE_CHECKING:
    from sandbox.snapshots.diff import Diff
    from sandbox.snapshots.inspect.target import InspectionTarget

Source = Snapshot | Canister | Principal | bytes | str | Path
"""A snapshot, or its id or label; a canister, or its id or name; a file or a directory."""


class SnapshotManager(SnapshotLifecycle, SnapshotFiles, SnapshotKeeping, SnapshotQueries):
    """Snapshots of all canisters of a sandbox; only controllers may act on them. Without
    `sender`, the first controller of the canister acts.

    A snapshot is given as a `Snapshot`, by its id (bytes or hexadecimal), its label, `latest`, or the first digits of
    its id; a canister as a `Canister`, by its id or its name: see `sandbox.api.resolver`."""

    @exclusive
    def inspect(self, snapshot_id: SnapshotLike, sender: Sender = None) -> InspectionTarget:
        """What the snapshot holds, read without running its code: see `sandbox.snapshots.inspect`."""
        return _target(self._snapshot(snapshot_id, sender))

    @exclusive
    def inspect_via_hooks(self, source: Source, sender: Sender = None) -> InspectionTarget:
        """What a canister's present state, or a plain snapshot, is when taken via hooks: stable memory as
        `canister_pre_upgrade` leaves it on a copy. So Motoko's stable variables can be decoded in both modes of
        persistence. No snapshot is made and nothing changes; if the hook fails, `CallRejected` says how. A snapshot
        that was taken via hooks is given as it is; a file has to be uploaded first."""
        found = self._resolved(source, sender)
        if isinstance(found, Path):
            raise ValueError(f"{found} is a file: upload it, so that there is a canister whose hook can run")
        if isinstance(found, SnapshotState) and found.via_hooks:
            return _target(found)
        return _target(self._runtime.rehearse_via_hooks(found, sender))

    @exclusive
    def diff(self, old: Source, new: Source | None = None, sender: Sender = None) -> Diff:
        """What differs: see `sandbox.snapshots.diff`. Each is a snapshot, a canister, or a file or directory;
        without `new`, the present state of the canister that the snapshot `old` is of.

        Costs what was written between two states of one memory; else what differs, once all pages were hashed.
        """
        from sandbox.snapshots.diff import compare

        before = self._opened(old, sender)
        if new is None:
            new = _canister_of(before)
        return compare(before, self._opened(new, sender))

    def _opened(self, source: Source, sender: Sender) -> InspectionTarget:
        found = self._resolved(source, sender)
        return _target(portable.opened(found) if isinstance(found, Path) else found)

    def _resolved(self, source: Source, sender: Sender) -> SnapshotState | CanisterState | Path:
        if isinstance(source, Principal | Canister):
            return self._runtime.state_of(self._canister_id(source))
        try:
            found = resolve_source(self._runtime, source)
        except AmbiguousName:
            raise
        except UnknownName as error:
            try:
                return self._runtime.state_of(self._canister_id(str(source)))
            except PrincipalError:
                raise UnknownName(f"{error}, nor a canister") from None
        return found if isinstance(found, Path) else self._snapshot(found, sender)


def _target(found: SnapshotState | CanisterState | portable.Content) -> InspectionTarget:
    from sandbox.snapshots.inspect.target import inspection_target  # imported late: most programs inspect nothing

    return inspection_target(found)


def _canister_of(snapshot: InspectionTarget) -> Principal:
    """The canister that a snapshot is of; `ValueError` if it is no snapshot of this sandbox."""
    owner = snapshot.fields.get("canister_id")
    if not isinstance(owner, Principal) or "file" in snapshot.fields or "id" not in snapshot.fields:
        raise ValueError("say what a file or a canister is to be compared with")
    return owner
