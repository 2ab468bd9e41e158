"""Facts about snapshots, for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sandbox.api import Snapshot
from sandbox.state import OpenCall


def snapshot_facts(snapshot: Snapshot) -> dict[str, Any]:
    """Return everything that is known about a snapshot without reading it."""
    return {
        "id": snapshot.id,
        "canister_id": snapshot.canister_id,
        "taken_on": snapshot.taken_on,
        "label": snapshot.label,
        "total_size": snapshot.total_size,
        "via_hooks": snapshot.via_hooks,
        "derived": [asdict(step) for step in snapshot.derived],
        "checksum": snapshot.checksum if snapshot.damage is None else None,
        "content_id": snapshot.content_id if snapshot.damage is None else None,
        "open_calls": calls_facts(snapshot.open_calls),
        "automatic": snapshot.automatic,
        "damage": snapshot.damage,
    }


def calls_facts(calls: tuple[OpenCall, ...]) -> list[dict[str, Any]]:
    """Return the fields of open calls."""
    return [asdict(call) for call in calls]
