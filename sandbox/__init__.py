"""Run real Internet Computer canisters, break them, and bring every byte back.

>>> sb = Sandbox()
>>> c = sb.create_canister()
>>> c.install("counter.wasm")
>>> c.call("inc")
>>> before = c.take_snapshot(label="before v2")
>>> c.load_snapshot(before.id)
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.api.canister import Canister
    from sandbox.api.changes import Changes
    from sandbox.api.creation import SettingsValues
    from sandbox.api.management import Management
    from sandbox.api.records import CanisterStatus, RawState, Snapshot
    from sandbox.api.recovery import StateCheck
    from sandbox.api.sandbox import Sandbox
    from sandbox.api.snapshot_retention import Retained, Verified
    from sandbox.api.snapshots import SnapshotManager
    from sandbox.candid import Interface
    from sandbox.canister.install import HookMeasure
    from sandbox.errors import (
        AmbiguousName,
        CallRejected,
        CandidDecodeError,
        CandidError,
        CandidSyntaxError,
        CandidTypeError,
        EngineError,
        ErrorCode,
        InspectError,
        InvalidModule,
        PrincipalError,
        RecordError,
        Reject,
        RejectCode,
        RequestExpired,
        RequestTooLarge,
        SandboxError,
        SnapshotFileCorrupt,
        SnapshotFileError,
        StateCorrupt,
        StateError,
        StateLocked,
        StateWarning,
        StillWaiting,
        UnknownName,
        Unsupported,
    )
    from sandbox.execution import CallResult
    from sandbox.principal import Principal
    from sandbox.profile import Coverage, FunctionCost, ModuleCoverage, Profile
    from sandbox.proofs.matrix import (
        Accepted,
        Build,
        Matrix,
        MatrixError,
        MatrixOptions,
        MatrixProgress,
        MatrixReport,
        Workers,
        verify_matrix,
    )
    from sandbox.proofs.upgrade import UpgradeReport, Version, verify_upgrade
    from sandbox.record import Recording
    from sandbox.snapshots.diff import Diff
    from sandbox.snapshots.inspect.target import InspectionTarget
    from sandbox.state import Derived, InstructionLimits, Keep, LogRecord, OpenCall, Policy, Settings, Visibility
    from sandbox.store import Pruned

__version__ = "0.1.0"

_NAMES = {
    "sandbox.api.canister": "Canister",
    "sandbox.api.changes": "Changes",
    "sandbox.api.creation": "SettingsValues",
    "sandbox.api.management": "Management",
    "sandbox.api.records": "CanisterStatus RawState Snapshot",
    "sandbox.api.recovery": "StateCheck",
    "sandbox.api.sandbox": "Sandbox",
    "sandbox.api.snapshot_retention": "Retained Verified",
    "sandbox.api.snapshots": "SnapshotManager",
    "sandbox.candid": "Interface",
    "sandbox.canister.install": "HookMeasure",
    "sandbox.errors": "AmbiguousName CallRejected CandidDecodeError CandidError CandidSyntaxError CandidTypeError "
    "EngineError ErrorCode InspectError InvalidModule PrincipalError RecordError Reject RejectCode "
    "RequestExpired RequestTooLarge SandboxError SnapshotFileCorrupt SnapshotFileError StateCorrupt "
    "StateError StateLocked StateWarning StillWaiting UnknownName Unsupported",
    "sandbox.execution": "CallResult",
    "sandbox.principal": "Principal",
    "sandbox.profile": "Coverage FunctionCost ModuleCoverage Profile",
    "sandbox.proofs.matrix": "Accepted Build Matrix MatrixError MatrixOptions MatrixProgress MatrixReport Workers "
    "verify_matrix",
    "sandbox.proofs.upgrade": "UpgradeReport Version verify_upgrade",
    "sandbox.record": "Recording",
    "sandbox.snapshots.diff": "Diff",
    "sandbox.snapshots.inspect.target": "InspectionTarget",
    "sandbox.state": "Derived InstructionLimits Keep LogRecord OpenCall Policy Settings Visibility",
    "sandbox.store": "Pruned",
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = [
    "Accepted",
    "AmbiguousName",
    "Build",
    "CallRejected",
    "CallResult",
    "CandidDecodeError",
    "CandidError",
    "CandidSyntaxError",
    "CandidTypeError",
    "Canister",
    "CanisterStatus",
    "Changes",
    "Coverage",
    "Derived",
    "Diff",
    "EngineError",
    "ErrorCode",
    "FunctionCost",
    "HookMeasure",
    "InspectError",
    "InspectionTarget",
    "InstructionLimits",
    "Interface",
    "InvalidModule",
    "Keep",
    "LogRecord",
    "Management",
    "Matrix",
    "MatrixError",
    "MatrixOptions",
    "MatrixProgress",
    "MatrixReport",
    "ModuleCoverage",
    "OpenCall",
    "Policy",
    "Principal",
    "PrincipalError",
    "Profile",
    "Pruned",
    "RawState",
    "RecordError",
    "Recording",
    "Reject",
    "RejectCode",
    "RequestExpired",
    "RequestTooLarge",
    "Retained",
    "Sandbox",
    "SandboxError",
    "Settings",
    "SettingsValues",
    "Snapshot",
    "SnapshotFileCorrupt",
    "SnapshotFileError",
    "SnapshotManager",
    "StateCheck",
    "StateCorrupt",
    "StateError",
    "StateLocked",
    "StateWarning",
    "StillWaiting",
    "UnknownName",
    "Unsupported",
    "UpgradeReport",
    "Verified",
    "Version",
    "Visibility",
    "Workers",
    "__version__",
    "verify_matrix",
    "verify_upgrade",
]


def __getattr__(name: str) -> object:
    """Load a public name when it is first used (PEP 562), so that a submodule can be imported alone."""
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return __all__
