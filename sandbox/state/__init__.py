"""What a subnet is at one moment: frozen records without behaviour."""

from sandbox.state.canister import CanisterState, Change, LogRecord, Status
from sandbox.state.code import Code
from sandbox.state.settings import Environment, Settings, Visibility
from sandbox.state.snapshot import SnapshotState
from sandbox.state.subnet import InstructionLimits, Subnet

__all__ = [
    "CanisterState",
    "Change",
    "Code",
    "Environment",
    "InstructionLimits",
    "LogRecord",
    "Settings",
    "SnapshotState",
    "Status",
    "Subnet",
    "Visibility",
]
