"""The exception tree: everything this package raises on purpose.

    SandboxError
    ├── CallRejected          the platform's answer was a reject (carries reject and error code)
    ├── InvalidModule         a Wasm module breaks a rule of the platform (IC0505)
    ├── CandidError           text or bytes are not Candid, or do not fit a type
    │   ├── CandidSyntaxError     text that does not parse; with line and column
    │   ├── CandidTypeError       a value does not fit a type; with the path to the field
    │   └── CandidDecodeError     bytes that do not decode; with the offset
    ├── CertificateError      (in `certify`) not a certificate, or one that does not prove the required facts
    ├── InspectError          bytes that are not a structure of the expected format
    ├── NetworkError          (in `network`) a network does not answer, or answers with something else than it should
    │   ├── ClockSkew             the clock here and the network's time are too far apart
    │   └── UnknownOutcome        a call was sent, and whether it was executed is not known
    ├── KeyFileError          (in `network`) a file that is no private key that can be used
    ├── BackupError           (in `service`) a backup or a restoration that cannot go on
    ├── PrincipalError        text or bytes that are not a principal
    ├── StateError            the state directory cannot be used
    │   ├── StateLocked           another process holds it
    │   └── StateCorrupt          its files contradict their checksums
    ├── RequestExpired        a user's call is not taken: its expiry has passed or is too far away
    ├── StillWaiting          calls are open after the allowed rounds; names the open calls
    ├── RequestTooLarge       a user's call or query is not taken: it has more bytes than the platform allows (HTTP 413)
    ├── RecordError           a record of a sandbox cannot be read, or an input cannot be recorded
    ├── SnapshotFileError     a file or directory with a snapshot cannot be used
    │   └── SnapshotFileCorrupt   it contradicts itself: torn, tampered with, or mixed from two
    ├── UnknownName           a text names no snapshot and no file; says which there are
    │   └── AmbiguousName         it names several
    ├── EngineError           the WebAssembly engine cannot be used on this machine
    └── Unsupported           a feature that is known and not offered; names it
    StateWarning              (a warning) a state directory is damaged and can still be used

Three kinds of failure are kept apart: a trap of the guest is a value (`canister.Failure`), a reject of the platform
is a value with a code (`Reject`, raised as `CallRejected`), and misuse or a defect is an exception.
Codes: digest of `dfinity/ic` `rs/types/error_types/src/lib.rs`; the first digit of a code is its reject code.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any


def of_system(error: Exception) -> None:
    """Raise a `TimeoutError` of the user's again: an alarm's exception is an OSError, too, and says nothing of a file.

    For handlers of OSError; those of the system have a number.
    """
    if isinstance(error, TimeoutError) and error.errno is None:
        raise error


class SandboxError(Exception):
    """Base of every error that this package raises on purpose."""


class RejectCode(IntEnum):
    """Reject codes of the interface specification."""

    SYS_FATAL = 1
    SYS_TRANSIENT = 2
    DESTINATION_INVALID = 3
    CANISTER_REJECT = 4
    CANISTER_ERROR = 5
    SYS_UNKNOWN = 6


class ErrorCode(IntEnum):
    """Error codes of the replica, printed as `IC0503`."""

    SUBNET_OVERSUBSCRIBED = 101
    MAX_NUMBER_OF_CANISTERS_REACHED = 102
    CANISTER_QUEUE_FULL = 201
    INGRESS_MESSAGE_TIMEOUT = 202
    CANISTER_QUEUE_NOT_EMPTY = 203
    INGRESS_HISTORY_FULL = 204
    CANISTER_ID_ALREADY_EXISTS = 205
    STOP_CANISTER_REQUEST_TIMEOUT = 206
    CANISTER_OUT_OF_CYCLES = 207
    CERTIFIED_STATE_UNAVAILABLE = 208
    CANISTER_INSTALL_CODE_RATE_LIMITED = 209
    CANISTER_HEAP_DELTA_RATE_LIMITED = 210
    CANISTER_NOT_FOUND = 301
    CANISTER_SNAPSHOT_NOT_FOUND = 305
    INSUFFICIENT_MEMORY_ALLOCATION = 402
    INSUFFICIENT_CYCLES_FOR_CREATE_CANISTER = 403
    SUBNET_NOT_FOUND = 404
    CANISTER_NOT_HOSTED_BY_SUBNET = 405
    CANISTER_REJECTED_MESSAGE = 406
    UNKNOWN_MANAGEMENT_MESSAGE = 407
    INVALID_MANAGEMENT_PAYLOAD = 408
    CANISTER_SNAPSHOT_IMMUTABLE = 409
    INVALID_SUBNET_ADMIN = 410
    CANISTER_TRAPPED = 502
    CANISTER_CALLED_TRAP = 503
    CANISTER_CONTRACT_VIOLATION = 504
    CANISTER_INVALID_WASM = 505
    CANISTER_DID_NOT_REPLY = 506
    CANISTER_OUT_OF_MEMORY = 507
    CANISTER_STOPPED = 508
    CANISTER_STOPPING = 509
    CANISTER_NOT_STOPPED = 510
    CANISTER_STOPPING_CANCELLED = 511
    CANISTER_INVALID_CONTROLLER = 512
    CANISTER_FUNCTION_NOT_FOUND = 513
    CANISTER_NON_EMPTY = 514
    QUERY_CALL_GRAPH_LOOP_DETECTED = 517
    INSUFFICIENT_CYCLES_IN_CALL = 520
    CANISTER_WASM_ENGINE_ERROR = 521
    CANISTER_INSTRUCTION_LIMIT_EXCEEDED = 522
    CANISTER_MEMORY_ACCESS_LIMIT_EXCEEDED = 524
    QUERY_CALL_GRAPH_TOO_DEEP = 525
    QUERY_CALL_GRAPH_TOTAL_INSTRUCTION_LIMIT_EXCEEDED = 526
    COMPOSITE_QUERY_CALLED_IN_REPLICATED_MODE = 527
    QUERY_TIME_LIMIT_EXCEEDED = 528
    QUERY_CALL_GRAPH_INTERNAL = 529
    INSUFFICIENT_CYCLES_IN_COMPUTE_ALLOCATION = 530
    INSUFFICIENT_CYCLES_IN_MEMORY_ALLOCATION = 531
    INSUFFICIENT_CYCLES_IN_MEMORY_GROW = 532
    RESERVED_CYCLES_LIMIT_EXCEEDED_IN_MEMORY_ALLOCATION = 533
    RESERVED_CYCLES_LIMIT_EXCEEDED_IN_MEMORY_GROW = 534
    INSUFFICIENT_CYCLES_IN_MESSAGE_MEMORY_GROW = 535
    CANISTER_METHOD_NOT_FOUND = 536
    CANISTER_WASM_MODULE_NOT_FOUND = 537
    CANISTER_ALREADY_INSTALLED = 538
    CANISTER_WASM_MEMORY_LIMIT_EXCEEDED = 539
    RESERVED_CYCLES_LIMIT_IS_TOO_LOW = 540
    CANISTER_STATUS_ACCESS_DENIED = 542
    DEADLINE_EXPIRED = 601
    RESPONSE_DROPPED = 602

    @property
    def reject_code(self) -> RejectCode:
        """The reject code that goes with this error code."""
        return RejectCode(self.value // 100)

    def __str__(self) -> str:
        return f"IC{self.value:04d}"


@dataclass(frozen=True, slots=True)
class Reject:
    """A reject of the platform, as a value.

    `error_code` is None only where the platform gives none: for a canister's own reject, and for calls of canisters
    that do not enter a queue.
    """

    reject_code: RejectCode
    message: str
    error_code: ErrorCode | None = None

    @classmethod
    def of(cls, error_code: ErrorCode, message: str) -> Reject:
        """Return the reject with the reject code that belongs to `error_code`."""
        return cls(error_code.reject_code, message, error_code)


class CallRejected(SandboxError):
    """A call ended in a reject.

    `reject_code`, `error_code` and `message` are the platform's; `result` is the `CallResult` (instructions, logs,
    backtrace), or None if no code ran.
    """

    def __init__(self, reject: Reject, result: Any = None) -> None:
        self.reject = reject
        self.reject_code = reject.reject_code
        self.error_code = reject.error_code
        self.message = reject.message
        self.result = result
        super().__init__(str(self))

    def __reduce__(self) -> tuple[type[CallRejected], tuple[Reject, Any]]:
        return type(self), (self.reject, self.result)

    def __str__(self) -> str:
        code = f", {self.error_code}" if self.error_code is not None else ""
        return f"{self.reject_code.name} ({self.reject_code.value}{code}): {self.message}"


class InvalidModule(SandboxError):
    """A Wasm module that the platform refuses; the text is the replica's reason, without its common prefix."""


class CandidError(SandboxError):
    """Text or bytes are not Candid, or do not fit a type."""


class CandidSyntaxError(CandidError):
    """Candid text that does not parse."""


class CandidTypeError(CandidError):
    """A value does not fit a type."""


class CandidDecodeError(CandidError):
    """Bytes that do not decode."""


class InspectError(SandboxError):
    """The error of malformed bytes; the text says what and where."""


class PrincipalError(SandboxError, ValueError):
    """Text or bytes that are not a principal."""


class StateError(SandboxError):
    """The state directory cannot be used."""


class StateLocked(StateError):
    """Another process holds the state directory."""


class StateCorrupt(StateError):
    """Files of the state directory contradict their checksums."""


class StateWarning(UserWarning):
    """A state directory is damaged in a dispensable part; names the file and its substitute."""


class RequestExpired(SandboxError):
    """A user's call is not taken: its expiry has passed or is too far away."""


class StillWaiting(SandboxError):
    """Calls are open after the allowed rounds, or no message is left that could answer them.

    All changes stay, and the calls go on with the next rounds. `request_id`: of the user's own call, for
    `Sandbox.ingress_status`; None if there was no such call.
    """

    def __init__(self, text: str, request_id: bytes | None = None) -> None:
        super().__init__(text)
        self.request_id = request_id

    def __reduce__(self) -> tuple[type[StillWaiting], tuple[str, bytes | None]]:
        return type(self), (str(self), self.request_id)


class RequestTooLarge(SandboxError):
    """A user's call or query is not taken: it has more bytes than the platform allows (HTTP 413)."""


class RecordError(SandboxError):
    """A record of a sandbox cannot be read, or an input cannot be recorded."""


class SnapshotFileError(SandboxError):
    """A file or directory with a snapshot cannot be used."""


class SnapshotFileCorrupt(SnapshotFileError):
    """A file or directory with a snapshot contradicts itself: torn, tampered with, or mixed from two."""


class UnknownName(SandboxError, LookupError):
    """A text names no snapshot and no file; says which there are."""


class AmbiguousName(UnknownName):
    """A text names several snapshots; says which."""


class EngineError(SandboxError):
    """The WebAssembly engine cannot be used on this machine."""


class Unsupported(SandboxError):
    """A feature that is known and not offered."""
