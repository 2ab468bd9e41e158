"""The state of a subnet at one moment: frozen records without behaviour."""

from sandbox.state.canister import CanisterState, Change, LogRecord, Status
from sandbox.state.canisters import Canisters
from sandbox.state.certified import Certified
from sandbox.state.evolve import evolve
from sandbox.state.messages import (
    Callback,
    CallContext,
    CanisterOrigin,
    Ingress,
    Message,
    Origin,
    Request,
    Response,
    SenderInfo,
    SystemOrigin,
    Task,
    UserOrigin,
)
from sandbox.state.module import WasmModule
from sandbox.state.policy import Keep, Policy
from sandbox.state.settings import EnvironmentVariables, Settings, Visibility
from sandbox.state.snapshot import NO_CHUNKS, Chunks, Derived, OpenCall, SnapshotState, Upload
from sandbox.state.submissions import Submission, Submissions
from sandbox.state.subnet import InstructionLimits, Moment, Subnet, moment, release, return_to

__all__ = [
    "NO_CHUNKS",
    "CallContext",
    "Callback",
    "CanisterOrigin",
    "CanisterState",
    "Canisters",
    "Certified",
    "Change",
    "Chunks",
    "Derived",
    "EnvironmentVariables",
    "Ingress",
    "InstructionLimits",
    "Keep",
    "LogRecord",
    "Message",
    "Moment",
    "OpenCall",
    "Origin",
    "Policy",
    "Request",
    "Response",
    "SenderInfo",
    "Settings",
    "SnapshotState",
    "Status",
    "Submission",
    "Submissions",
    "Subnet",
    "SystemOrigin",
    "Task",
    "Upload",
    "UserOrigin",
    "Visibility",
    "WasmModule",
    "evolve",
    "moment",
    "release",
    "return_to",
]
