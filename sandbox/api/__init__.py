"""The public face: `Sandbox` and `Canister`, which hold one subnet value and delegate."""

from sandbox.api.canister import Canister
from sandbox.api.records import CanisterStatus, RawState, Snapshot
from sandbox.api.sandbox import Sandbox
from sandbox.api.snapshots import SnapshotManager

__all__ = ["Canister", "CanisterStatus", "RawState", "Sandbox", "Snapshot", "SnapshotManager"]
