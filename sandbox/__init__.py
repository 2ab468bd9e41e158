"""Run real Internet Computer canisters, break them, and bring every byte back.

>>> sb = Sandbox()
>>> c = sb.create_canister()
>>> c.install("counter.wasm")
>>> c.call("inc")
>>> before = c.take_snapshot(label="before v2")
>>> c.load_snapshot(before.id)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.api import Canister, CanisterStatus, RawState, Sandbox, Snapshot
    from sandbox.errors import CallRejected, ErrorCode, RejectCode, SandboxError, StillWaiting
    from sandbox.execution import CallResult
    from sandbox.principal import Principal
    from sandbox.state import InstructionLimits, Keep, Policy, Settings, Visibility

__version__ = "0.1.0"

__all__ = [
    "CallRejected",
    "CallResult",
    "Canister",
    "CanisterStatus",
    "ErrorCode",
    "InstructionLimits",
    "Keep",
    "Policy",
    "Principal",
    "RawState",
    "RejectCode",
    "Sandbox",
    "SandboxError",
    "Settings",
    "Snapshot",
    "StillWaiting",
    "Visibility",
    "__version__",
]

_MODULES = {
    "sandbox.api": ("Canister", "CanisterStatus", "RawState", "Sandbox", "Snapshot"),
    "sandbox.errors": ("CallRejected", "ErrorCode", "RejectCode", "SandboxError", "StillWaiting"),
    "sandbox.execution": ("CallResult",),
    "sandbox.principal": ("Principal",),
    "sandbox.state": ("InstructionLimits", "Keep", "Policy", "Settings", "Visibility"),
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562): importing all of them takes about a second."""
    for module, names in _MODULES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(module), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
