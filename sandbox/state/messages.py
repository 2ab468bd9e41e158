"""Open calls: their origins, call contexts, callbacks, and the messages between canisters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sandbox.errors import Reject
from sandbox.principal import Principal

EMPTY_CANDID: Final = b"DIDL\0\0"
"""The Candid message without values: the argument or the reply of a method that has none."""


@dataclass(frozen=True, slots=True)
class UserOrigin:
    """A user's update call; `message_id` is its number, unique in this sandbox."""

    message_id: int
    request_id: bytes = b""
    """The key of its status in `Subnet.submissions`; empty if its caller waits for the answer."""


@dataclass(frozen=True, slots=True)
class CanisterOrigin:
    """Another canister's call; the answer goes to its callback."""

    callback_id: int
    canister_id: Principal


@dataclass(frozen=True, slots=True)
class SystemOrigin:
    """A heartbeat, a timer or the low-memory hook; it has no response."""


Origin = UserOrigin | CanisterOrigin | SystemOrigin


@dataclass(frozen=True, slots=True)
class SenderInfo:
    """What a canister says of the user whose key it is, in a request: interface specification, "Request: Call"."""

    info: bytes
    signer: bytes
    """The id of that canister."""
    sig: bytes

    @property
    def fields(self) -> dict[str, bytes]:
        """The map that is part of the request."""
        return {"info": self.info, "signer": self.signer, "sig": self.sig}


@dataclass(frozen=True, slots=True)
class CallContext:
    """One call being processed: interface specification, "Call contexts"."""

    id: int
    canister_id: Principal
    origin: Origin
    caller: Principal
    method: str
    responded: bool = False
    deleted: bool = False
    """The canister was uninstalled in the meantime: answers to its own calls are dropped."""
    available: int = 0
    """Cycles of the call that are not accepted yet."""
    outstanding: int = 0
    """Calls made in this context that have no answer yet."""
    instructions: int = 0
    deadline: int = 0
    sender_info: SenderInfo | None = None


@dataclass(frozen=True, slots=True)
class Callback:
    """The functions to run when the answer to a call arrives, as (table index, environment)."""

    id: int
    context_id: int
    canister_id: Principal
    callee: Principal
    on_reply: tuple[int, int]
    on_reject: tuple[int, int]
    on_cleanup: tuple[int, int] | None
    deadline: int = 0
    """Deadline of a best-effort call, in nanoseconds since 1970; 0: none."""
    prepaid: int = 0
    """Cycles withdrawn for the answer: its transmission and the execution of the callback."""
    method: str = ""
    """The method that was called; empty where an older version made the call."""


@dataclass(frozen=True, slots=True)
class Ingress:
    """A user's update call."""

    message_id: int
    canister_id: Principal
    method: str
    arg: bytes
    sender: Principal
    request_id: bytes = b""
    """As in `UserOrigin`."""
    sender_info: SenderInfo | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A canister's call to a canister."""

    callback_id: int
    caller: Principal
    canister_id: Principal
    method: str
    arg: bytes
    cycles: int = 0
    deadline: int = 0
    sender_version: int = 0
    """The caller's version, as `ic0.canister_version` returned it in the execution that made the call."""


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a request of `canister_id`: bytes, or a reject. `refund`: cycles that were not accepted."""

    callback_id: int
    canister_id: Principal
    answer: bytes | Reject
    refund: int


@dataclass(frozen=True, slots=True)
class Task:
    """A system task: `kind` is `heartbeat`, `global_timer` or `on_low_wasm_memory`."""

    canister_id: Principal
    kind: str


Message = Ingress | Request | Response | Task
