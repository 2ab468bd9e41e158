"""Rejects of the management canister in the replica's words.

Source: `dfinity/ic` `rs/execution_environment/src/canister_manager/types.rs` (`CanisterManagerError`: texts, and the
help that is appended to some of them), `rs/types/types/src/messages/ingress_messages.rs` (`ParseIngressError`).
"""

from __future__ import annotations

from sandbox.canister import failure
from sandbox.canister.motoko import STABILIZE
from sandbox.errors import CallRejected, ErrorCode, Reject
from sandbox.ic0.error_help import DOCUMENTATION
from sandbox.limits import LOG_SIZE, LOG_SIZE_BOUND, SNAPSHOT_SLICE, SNAPSHOTS
from sandbox.principal import Principal
from sandbox.state import CanisterState

_HELP = {
    "invalid-controller": "Execute this call from a controller of the target canister or add the current caller as a "
    "controller.",
    "canister-not-found": "Check the ICP dashboard to ensure the canister exists.",
    "canister-not-empty": "Check that you want to overwrite the canister and, if so, use mode='reinstall'.",
    "delete-canister-not-stopped": "Stop the canister before deleting it.",
    "delete-canister-self": "Delete the canister from one of its other controllers.",
    "invalid-settings": "Apply the described changes to make the settings valid.",
    "canister-snapshot-not-found": "Use the `list_canister_snapshot` API to see which snapshots are present.",
    "canister-snapshot-invalid-ownership": "Use the `list_canister_snapshot` API to see which snapshots are present.",
    "create-canister-not-enough-cycles": "Try sending more cycles with the request.",
    "delete-canister-queue-not-empty": "Wait until the queues have been cleared to delete the canister and in the "
    "meantime stop the canister.",
    "insufficient-cycles-in-compute-allocation": "Top up the canister with more cycles.",
    "insufficient-cycles-in-memory-allocation": "Top up the canister with more cycles.",
    "install-code-not-enough-cycles": "Top up the canister with more cycles.",
    "canister-snapshot-not-controller": "Make sure you are a controller of the canister that the snapshot belongs to.",
    "canister-snapshot-limit-exceeded": "Consider deleting an unnecessary snapshot of the specified canister before "
    "creating a new one.",
    "canister-snapshot-not-enough-cycles": "Try sending more cycles with the request.",
    "insufficient-cycles-in-memory-grow-1": "Top up the canister with more cycles.",
    "wasm-chunk-store-error": "Use the `stored_chunks` API to check which hashes are present or top up the canister if "
    "it is low on cycles.",
}
_WITHOUT_PLACE = {
    "canister-snapshot-not-controller",
    "canister-snapshot-limit-exceeded",
    "canister-snapshot-not-enough-cycles",
}
"""Errors of which the replica prints only the anchor of the documentation."""


def rejected(code: ErrorCode, message: str, help_anchor: str | None = None) -> CallRejected:
    """The exception that a handler raises to reject a call; nothing has changed then."""
    if help_anchor is not None:
        place = "" if help_anchor in _WITHOUT_PLACE else DOCUMENTATION
        message += f"\n{_HELP[help_anchor]} See documentation: {place}{help_anchor}"
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


def no_module(canister_id: Principal) -> CallRejected:
    problem = failure.no_module()
    return rejected(problem.code, problem.message(canister_id))


def invalid_module(canister_id: Principal, rule: str) -> CallRejected:
    """`rule`: the broken rule."""
    problem = failure.Failure(ErrorCode.CANISTER_INVALID_WASM, f"Canister's Wasm module is not valid: {rule}")
    return rejected(problem.code, problem.message(canister_id))


def snapshot_of_empty(canister_id: Principal) -> CallRejected:
    text = f"Failed to create snapshot for empty canister {canister_id}:"
    return rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text)


def snapshot_not_yours(snapshot_id: bytes, canister_id: Principal, caller: Principal) -> CallRejected:
    text = (
        f"Only a controller of the canister that snapshot {snapshot_id.hex()} belongs to can load it on canister "
        f"{canister_id}. Sender: {caller}."
    )
    return rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text, "canister-snapshot-not-controller")


def too_many_snapshots(canister_id: Principal, limit: int = SNAPSHOTS) -> CallRejected:
    text = f"Canister {canister_id} has reached the maximum number of snapshots allowed: {limit}."
    return rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text, "canister-snapshot-limit-exceeded")


def snapshot_of_another(snapshot_id: bytes, canister_id: Principal) -> CallRejected:
    text = f"The snapshot {snapshot_id.hex()} does not belong to canister {canister_id}."
    return rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text, "canister-snapshot-invalid-ownership")


def snapshot_immutable() -> CallRejected:
    text = "Only canister snapshots created by metadata upload can be mutated."
    return rejected(ErrorCode.CANISTER_SNAPSHOT_IMMUTABLE, text)


def only_stable_memory(snapshot_id: bytes) -> CallRejected:
    """Ours: the platform has no snapshots that were taken via hooks."""
    text = (
        f"The snapshot {snapshot_id.hex()} has only stable memory: it was taken via hooks, load it via hooks "
        "(via_hooks=True, --via-hooks)."
    )
    return rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text)


def edit_refused(snapshot_id: bytes, why: str) -> CallRejected:
    """Ours: the platform edits no snapshots."""
    return invalid_payload(f"The snapshot {snapshot_id.hex()} cannot be edited like this: {why}.")


def heap_is_not_saved(canister_id: Principal) -> CallRejected:
    """Ours: no hook writes the heap of enhanced orthogonal persistence to stable memory."""
    text = (
        f"Canister {canister_id} keeps its data in the heap across upgrades (enhanced orthogonal persistence) and its "
        f"module does not export `{STABILIZE}`, which would write it to stable memory: it has no snapshots via hooks. "
        "Take a plain snapshot."
    )
    return rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text)


def snapshot_metadata(what: str) -> CallRejected:
    return invalid_payload(f"Snapshot Metadata contains invalid data: {what}")


def snapshot_unpaid(canister_id: Principal, short: int) -> CallRejected:
    text = f"Canister snapshotting failed with: `{out_of_cycles(canister_id, short)}`"
    return rejected(ErrorCode.CANISTER_OUT_OF_CYCLES, text, "canister-snapshot-not-enough-cycles")


def memory_unpaid(grown: int, short: int) -> CallRejected:
    problem = failure.memory_unpaid(grown, short)
    return rejected(problem.code, problem.text, "insufficient-cycles-in-memory-grow-1")


def damaged_on_disk(method: str) -> CallRejected:
    """Ours. A canister could not know the path of the files, so the text does not name it."""
    text = (
        f"{method} needs a snapshot whose files are damaged, and nothing has changed. `canister-sandbox snapshot "
        "verify` says what differs."
    )
    return rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text)


def invalid_slice(offset: int, size: int) -> CallRejected:
    return invalid_payload(
        f"Invalid subslice into wasm module / main memory / stable memory: offset: {offset}, size: {size}"
    )


def slice_too_large(size: int) -> CallRejected:
    return invalid_payload(f"Requested slice too large: {size} > {SNAPSHOT_SLICE}")


def chunk_store(text: str) -> CallRejected:
    message = f"Error from Wasm chunk store: {text}."
    return rejected(ErrorCode.CANISTER_CONTRACT_VIOLATION, message, "wasm-chunk-store-error")


def deletes_itself(canister_id: Principal) -> CallRejected:
    text = f"Canister {canister_id} cannot delete itself."
    return rejected(ErrorCode.CANISTER_INVALID_CONTROLLER, text, "delete-canister-self")


def queue_not_empty(canister_id: Principal) -> CallRejected:
    text = f"Canister {canister_id} has messages in its queues and cannot be deleted now. Please retry after some time."
    return rejected(ErrorCode.CANISTER_QUEUE_NOT_EMPTY, text, "delete-canister-queue-not-empty")


def installation_unpaid(canister_id: Principal, short: int) -> CallRejected:
    text = f"Canister installation failed with `{out_of_cycles(canister_id, short)}`."
    return rejected(ErrorCode.CANISTER_OUT_OF_CYCLES, text, "install-code-not-enough-cycles")


def out_of_cycles(canister_id: Principal, short: int | None) -> str:
    """The sentence common to several texts; without `short` for callers who may not know the balance."""
    more = "" if short is None else f": please top up the canister with at least {short} additional cycles"
    return f"Canister {canister_id} is out of cycles{more}"


def creation_fee(sent: int, required: int) -> CallRejected:
    text = (
        f"Creating a canister requires a fee of {required} that is deducted from the canister's initial balance but "
        f"only {sent} cycles were received with the create_canister request."
    )
    return rejected(ErrorCode.INSUFFICIENT_CYCLES_FOR_CREATE_CANISTER, text, "create-canister-not-enough-cycles")


def allocation_unpaid(kind: str, wanted: int, short: int) -> CallRejected:
    """`kind`: compute or memory."""
    code = ErrorCode[f"INSUFFICIENT_CYCLES_IN_{kind.upper()}_ALLOCATION"]
    text = (
        f"Cannot increase {kind} allocation to {wanted} due to insufficient cycles. At least {short} additional cycles "
        "are required."
    )
    return rejected(code, text, f"insufficient-cycles-in-{kind}-allocation")


def log_memory_limit(limit: int) -> CallRejected:
    bound = (
        f"too low. It must be at least {LOG_SIZE}."
        if limit < LOG_SIZE
        else f"too high. It must be at most {LOG_SIZE_BOUND}."
    )
    return rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, f"The canister log memory limit {limit} is {bound}")


def status_denied(caller: Principal) -> CallRejected:
    text = f"Caller {caller} is not allowed to read the canister status"
    return rejected(ErrorCode.CANISTER_STATUS_ACCESS_DENIED, text)


def logs_denied(caller: Principal) -> CallRejected:
    text = f"Caller {caller} is not allowed to access canister logs"
    return rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text)


def no_metadata(canister_id: Principal, name: str | None) -> CallRejected:
    """`name` is None where the canister has no module."""
    what = (
        "Wasm module and hence no metadata is available" if name is None else f"metadata section with the name {name}"
    )
    return rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, f"The canister {canister_id} has no {what}.")


def not_paid(method: str, sent: int, required: int) -> CallRejected:
    text = f"{method} request sent with {sent} cycles, but {required} cycles are required."
    return rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text)


def wrong_sender_version(claimed: int, actual: int) -> CallRejected:
    text = (
        f"Management canister call payload includes sender canister version {claimed} that does not match the actual "
        f"sender canister version {actual}."
    )
    return rejected(ErrorCode.CANISTER_CONTRACT_VIOLATION, text)


def unknown_method(method: str, by_canister: bool) -> CallRejected:
    text = "Management canister has no method '{}'" if by_canister else "ic00 interface does not expose method {}"
    return rejected(ErrorCode.CANISTER_METHOD_NOT_FOUND, text.format(method))


def unknown_query(method: str) -> CallRejected:
    return rejected(ErrorCode.CANISTER_METHOD_NOT_FOUND, f"Query method {method} not found.")


def not_by_ingress(method: str) -> CallRejected:
    text = f"ic00 method {method} can not be called via ingress messages"
    return rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text)


def unsupported(method: str, why: str) -> CallRejected:
    """A method that the platform has and this sandbox has not; ours."""
    text = f"The management canister of this sandbox does not support {method}: {why}"
    return rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text)


def unknown_key(method: str, key: str, existing: list[str]) -> CallRejected:
    text = (
        f'Unable to route management canister request {method}: ChainKeyError("Requested unknown or disabled threshold '
        f'key: {key}, existing enabled keys: [{", ".join(existing)}]")'
    )
    return rejected(ErrorCode.CANISTER_REJECTED_MESSAGE, text)
