"""The public interface, `Sandbox` and `Canister`, and the runtime of one subnet that they delegate to."""

from sandbox.api.canister import Canister
from sandbox.api.records import CanisterStatus, RawState, Snapshot
from sandbox.api.runtime import SubnetRuntime, runtime_of
from sandbox.api.sandbox import Sandbox
from sandbox.api.snapshots import SnapshotManager

__all__ = [
    "Canister",
    "CanisterStatus",
    "RawState",
    "Sandbox",
    "Snapshot",
    "SnapshotManager",
    "SubnetRuntime",
    "runtime_of",
]
