"""What the command line tells of a snapshot."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sandbox.api import Snapshot
from sandbox.state import OpenCall


def snapshot_facts(found: Snapshot) -> dict[str, Any]:
    """For JSON."""
    return {
        "id": found.id,
        "canister_id": found.canister_id,
        "taken_on": found.taken_on,
        "label": found.label,
        "total_size": found.total_size,
        "via_hooks": found.via_hooks,
        "derived": [asdict(step) for step in found.derived],
        "checksum": found.checksum if found.damage is None else None,
        "open_calls": calls_facts(found.open_calls),
        "automatic": found.automatic,
        "damage": found.damage,
    }


def calls_facts(calls: tuple[OpenCall, ...]) -> list[dict[str, Any]]:
    """For JSON: calls that were not finished."""
    return [asdict(call) for call in calls]
