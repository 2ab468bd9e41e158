"""Run real Internet Computer canisters, break them, and bring every byte back.

>>> sb = Sandbox()
>>> c = sb.create_canister()
>>> c.install("counter.wasm")
>>> c.call("inc")
>>> before = c.take_snapshot(label="before v2")
>>> c.load_snapshot(before.id)
"""

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
