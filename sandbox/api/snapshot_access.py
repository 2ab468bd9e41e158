"""Snapshots by their ids: which there is, and who may act on it."""

from __future__ import annotations

from pathlib import Path

from sandbox.api.identity import Sender
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

    def _owner(self, snapshot_id: bytes) -> Principal:
        """The canister whose snapshot this may be; a reject if there is no such canister."""
        owner = snapshot_rules.owner_id(snapshot_id)
        try:
            self._runtime.state_of(owner)
        except CallRejected:
            raise snapshot_not_found(snapshot_id, owner) from None
        return owner

    def _snapshot(self, snapshot_id: bytes | str | Path, sender: Sender) -> SnapshotState:
        """The snapshot with this id, if `sender` may see it; `StateCorrupt` if it cannot be read."""
        return snapshot_rules.intact(self._seen(snapshot_id, sender))

    def _seen(self, snapshot_id: bytes | str | Path, sender: Sender) -> SnapshotState:
        """The same, damaged or not. Without `sender` also of a canister that nobody controls."""
        raw = as_id(str(snapshot_id) if isinstance(snapshot_id, Path) else snapshot_id)
        owner = self._owner(raw)
        world = self._runtime.management_context(self._runtime.manager(owner, sender))
        snapshot, state = snapshot_rules.locate(world, owner, raw)
        if sender is not None:
            snapshot_rules.visible(world, state.id)
        return snapshot


def as_id(value: bytes | str) -> bytes:
    """Bytes of a snapshot id; text that is not hexadecimal names no snapshot."""
    if isinstance(value, bytes):
        return value
    try:
        return bytes.fromhex(value)
    except ValueError:
        return value.encode(errors="surrogatepass")
