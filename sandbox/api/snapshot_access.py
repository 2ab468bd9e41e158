"""Snapshots by their ids: which there is, and who may act on it."""

from __future__ import annotations

from sandbox.api.identity import Sender
from sandbox.api.resolver import CanisterLike, SnapshotLike, resolve_canister, resolve_snapshot
from sandbox.api.runtime import SubnetRuntime
from sandbox.errors import CallRejected
from sandbox.management import snapshot_rules
from sandbox.management.rejects import snapshot_not_found
from sandbox.principal import Principal
from sandbox.state import SnapshotState


class SnapshotAccess:
    """What all parts of the snapshot manager stand on."""

    def __init__(self, runtime: SubnetRuntime) -> None:
        self._runtime = runtime

    def _canister_id(self, canister: CanisterLike) -> Principal:
        return resolve_canister(self._runtime, canister)

    def _snapshot_id(self, snapshot: SnapshotLike, owner: Principal | None = None) -> bytes:
        return resolve_snapshot(self._runtime, snapshot, owner)

    def _owner(self, snapshot_id: bytes) -> Principal:
        """The canister whose snapshot this may be; a reject if there is no such canister."""
        owner = snapshot_rules.owner_id(snapshot_id)
        try:
            self._runtime.state_of(owner)
        except CallRejected:
            raise snapshot_not_found(snapshot_id, owner) from None
        return owner

    def _snapshot(self, snapshot: SnapshotLike, sender: Sender) -> SnapshotState:
        """The snapshot, if `sender` may see it; `StateCorrupt` if it cannot be read."""
        return snapshot_rules.intact(self._seen(snapshot, sender))

    def _seen(self, snapshot: SnapshotLike, sender: Sender) -> SnapshotState:
        """Return the snapshot, damaged or not. Without `sender`, a canister without controllers is no obstacle."""
        raw = self._snapshot_id(snapshot)
        owner = self._owner(raw)
        context = self._runtime.management_context(self._runtime.manager(owner, sender))
        located, state = snapshot_rules.locate(context, owner, raw)
        if sender is not None:
            snapshot_rules.visible(context, state.id)
        return located
