"""The snapshot manager by ids, as in the community proposal of 2023: take, load, list, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.api.records import Snapshot
from sandbox.management import snapshots as rules
from sandbox.management.commands import command
from sandbox.management.rejects import snapshot_not_found
from sandbox.principal import Principal
from sandbox.state import SnapshotState

if TYPE_CHECKING:
    from sandbox.api.sandbox import Sandbox


class SnapshotManager:
    """Snapshots of all canisters of a sandbox; only controllers may act on them. Ids are bytes, or their hexadecimal
    text. Without `sender`, the first controller of the canister acts."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def take(
        self, canister_id: Principal | str, label: str | None = None, sender: Principal | str | None = None
    ) -> Snapshot:
        """Keep the canister's present state; O(1), whatever its size and status."""
        target = Principal.of(canister_id)
        taken = self._sandbox.manage(command(rules.take_snapshot, self._who(target, sender), target, label))
        assert isinstance(taken.reply, SnapshotState)
        return Snapshot.of(taken.reply)

    def load(
        self, snapshot_id: bytes | str, canister_id: Principal | str, sender: Principal | str | None = None
    ) -> None:
        """Put the snapshot into the canister; costs what differs."""
        target = Principal.of(canister_id)
        raw = as_id(snapshot_id)
        self._sandbox.manage(command(rules.load_snapshot, self._who(target, sender), target, raw))

    def list(self, canister_id: Principal | str | None = None, sender: Principal | str | None = None) -> list[Snapshot]:
        """The snapshots of a canister, oldest first; of all canisters without an id."""
        if canister_id is None:
            every = self._sandbox.canisters()
            return [snapshot for canister in every for snapshot in self.list(canister.id, sender)]
        target = Principal.of(canister_id)
        world = self._sandbox.world(self._who(target, sender))
        return [Snapshot.of(state) for state in rules.list_snapshots(world, target)]

    def delete(self, snapshot_id: bytes | str, sender: Principal | str | None = None) -> None:
        """Give the snapshot up."""
        raw = as_id(snapshot_id)
        owner = Principal(raw[8:]) if 8 <= len(raw) <= 37 else Principal.management()
        if owner not in {canister.id for canister in self._sandbox.canisters()}:
            raise snapshot_not_found(raw, owner)
        self._sandbox.manage(command(rules.delete_snapshot, self._who(owner, sender), owner, raw))

    def _who(self, canister_id: Principal, sender: Principal | str | None) -> Principal:
        if sender is not None:
            return self._sandbox.who(sender)
        return self._sandbox.first_controller(canister_id)


def as_id(value: bytes | str) -> bytes:
    """Bytes of a snapshot id; text that is not hexadecimal names no snapshot."""
    if isinstance(value, bytes):
        return value
    try:
        return bytes.fromhex(value)
    except ValueError:
        return value.encode()
