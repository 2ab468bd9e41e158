"""Rejects of the management canister in the replica's words.

Source: `dfinity/ic` `rs/execution_environment/src/canister_manager/types.rs` (`CanisterManagerError`: texts, and the
help that is appended to some of them).
"""

from __future__ import annotations

from sandbox.errors import CallRejected, ErrorCode, Reject
from sandbox.limits import SNAPSHOTS
from sandbox.principal import Principal
from sandbox.state import CanisterState

_DOCUMENTATION = "https://internetcomputer.org/docs/current/references/execution-errors#"
_HELP = {
    "invalid-controller": "Execute this call from a controller of the target canister or add the current caller as a "
    "controller.",
    "canister-not-found": "Check the ICP dashboard to ensure the canister exists.",
    "canister-not-empty": "Check that you want to overwrite the canister and, if so, use mode='reinstall'.",
    "delete-canister-not-stopped": "Stop the canister before deleting it.",
    "delete-canister-self": "Delete the canister from one of its other controllers.",
    "invalid-settings": "Apply the described changes to make the settings valid.",
    "canister-snapshot-not-found": "Use the `list_canister_snapshot` API to see which snapshots are present.",
}


def rejected(code: ErrorCode, message: str, help_anchor: str | None = None) -> CallRejected:
    """The exception with which a handler refuses; nothing has changed then."""
    if help_anchor is not None:
        message += f"\n{_HELP[help_anchor]} See documentation: {_DOCUMENTATION}{help_anchor}"
    return CallRejected(Reject.of(code, message))


def canister_not_found(canister_id: Principal) -> CallRejected:
    """Of a management method; a message to a canister that does not exist is rejected without the help."""
    return rejected(ErrorCode.CANISTER_NOT_FOUND, f"Canister {canister_id} not found.", "canister-not-found")


def not_controller(state: CanisterState, caller: Principal) -> CallRejected:
    controllers = " ".join(str(c) for c in sorted(state.settings.controllers))
    text = (
        f"Only the controllers of the canister {state.id} can control it.\n"
        f"Canister's controllers: {controllers}\nSender's ID: {caller}"
    )
    return rejected(ErrorCode.CANISTER_INVALID_CONTROLLER, text, "invalid-controller")


def not_empty(canister_id: Principal) -> CallRejected:
    text = (
        f"Canister {canister_id} cannot be installed because the canister is not empty. "
        "Try installing with mode='reinstall' instead."
    )
    return rejected(ErrorCode.CANISTER_NON_EMPTY, text, "canister-not-empty")


def not_stopped(canister_id: Principal) -> CallRejected:
    text = f"Canister {canister_id} must be stopped before it is deleted."
    return rejected(ErrorCode.CANISTER_NOT_STOPPED, text, "delete-canister-not-stopped")


def invalid_settings(reason: str) -> CallRejected:
    text = f"Could not validate the settings: {reason} "
    return rejected(ErrorCode.CANISTER_CONTRACT_VIOLATION, text, "invalid-settings")


def invalid_payload(text: str) -> CallRejected:
    return rejected(ErrorCode.INVALID_MANAGEMENT_PAYLOAD, text)


def snapshot_not_found(snapshot_id: bytes, canister_id: Principal) -> CallRejected:
    text = f"Could not find the snapshot ID {snapshot_id.hex()} for canister {canister_id}."
    return rejected(ErrorCode.CANISTER_SNAPSHOT_NOT_FOUND, text, "canister-snapshot-not-found")


def snapshot_of_empty(canister_id: Principal) -> CallRejected:
    text = f"Failed to create snapshot for empty canister {canister_id}:"
    return rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text)


def snapshot_not_yours(snapshot_id: bytes, canister_id: Principal, caller: Principal) -> CallRejected:
    text = (
        f"Only a controller of the canister that snapshot {snapshot_id.hex()} belongs to can load it on canister "
        f"{canister_id}. Sender: {caller}."
    )
    return rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text)


def too_many_snapshots(canister_id: Principal, limit: int = SNAPSHOTS) -> CallRejected:
    text = f"Canister {canister_id} has reached the maximum number of snapshots allowed: {limit}."
    return rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text)
