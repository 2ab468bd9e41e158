"""Snapshots by the community proposal of 2023 (`proposal.did`): the same handlers, other records.

A snapshot is named by its id alone; how many a canister may have is the sandbox's choice (`Subnet.max_snapshots`).
"""

from __future__ import annotations

from typing import Any

from sandbox.management import snapshot_rules
from sandbox.management.sizes import snapshot_size
from sandbox.management.transition import ManagementContext, Transition
from sandbox.state import SnapshotState
from sandbox.store.checksum import snapshot_checksum


def take_snapshot(context: ManagementContext, arg: dict[str, Any]) -> Transition:
    """As `snapshot_rules.take_snapshot`; by default it takes the place of the canister's earlier snapshot."""
    taken = snapshot_rules.take_snapshot(context, arg["canister_id"], arg["label"])
    assert isinstance(taken.reply, SnapshotState)
    return taken.replying(_record(taken.reply))


def load_snapshot(context: ManagementContext, arg: dict[str, Any]) -> Transition:
    return snapshot_rules.load_snapshot(context, arg["canister_id"], arg["snapshot_id"])


def list_snapshots(context: ManagementContext, arg: dict[str, Any]) -> Transition:
    snapshots = snapshot_rules.list_snapshots(context, arg["canister_id"])
    return Transition(reply=[_record(snapshot) for snapshot in snapshots])


def delete_snapshot(context: ManagementContext, arg: dict[str, Any]) -> Transition:
    snapshot_id = arg["snapshot_id"]
    _, owner = snapshot_rules.locate(context, snapshot_rules.owner_id(snapshot_id), snapshot_id)
    return snapshot_rules.delete_snapshot(context, owner.id, snapshot_id)


def _record(snapshot: SnapshotState) -> dict[str, object]:
    return {
        "id": snapshot.id,
        "taken_on": snapshot.taken_at,
        "label": snapshot.label,
        "total_size": snapshot_size(snapshot),
        "checksum": snapshot_checksum(snapshot).hex() if snapshot.damage is None else "",
    }
