"""The public interface, `Sandbox` and `Canister`, and the runtime of one subnet that they delegate to."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.api.canister import Canister
    from sandbox.api.records import CanisterStatus, RawState, Snapshot
    from sandbox.api.runtime import SubnetRuntime, runtime_of
    from sandbox.api.sandbox import Sandbox
    from sandbox.api.snapshots import SnapshotManager

_MODULE_OF = {
    "Canister": "canister",
    "CanisterStatus": "records",
    "RawState": "records",
    "Sandbox": "sandbox",
    "Snapshot": "records",
    "SnapshotManager": "snapshots",
    "SubnetRuntime": "runtime",
    "runtime_of": "runtime",
}

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


def __getattr__(name: str) -> object:
    """Load a name when it is first used (PEP 562), so that a submodule can be imported without the engine."""
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
    return value
