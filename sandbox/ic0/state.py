"""The input and the effects of one execution.

`Environment` holds the facts that the canister may read, constant during an execution; `Execution` adds the guest's
memory and collects the effects. Nothing here is committed: the caller applies the effects after a return and discards
them after a trap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sandbox.engine.guest import GuestMemory
from sandbox.engine.metering import Meter
from sandbox.errors import ErrorCode
from sandbox.ic0.modes import NAMES, Mode
from sandbox.limits import CALLS_OPEN, CALLS_TO_ONE, CYCLES
from sandbox.principal import Principal
from sandbox.state import SenderInfo


class GuestTrap(Exception):
    """Ends the execution of the guest; raised by system calls, turned into a value by `canister`."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(slots=True)
class Environment:
    """The subnet and the caller as one execution sees them. Times in nanoseconds since 1970, amounts in cycles.

    Not frozen, because one is made for each execution: a frozen record costs three times as much.
    """

    canister_id: Principal
    caller: Principal
    time: int
    subnet_id: Principal = field(default_factory=Principal.management)
    controllers: Collection[Principal] = ()
    status: int = 1
    version: int = 0
    global_timer: int = 0
    root_key: bytes = b""
    environment_variables: tuple[tuple[str, str], ...] = ()
    """Sorted by name."""
    caller_info_data: bytes = b""
    caller_info_signer: bytes = b""
    cycles: int = 0
    """Balance when the execution starts, without what the message carries."""
    frozen_cycles: int = 0
    """Cycles that may not be spent: max(freezing limit - reserved balance, 0)."""
    deadline: int = 0
    call_context_instructions: int = 0
    """Instructions of the earlier executions of this call context."""
    call_slots: int = CALLS_TO_ONE
    """Calls that the output queue to one canister holds."""
    available_callbacks: int = CALLS_OPEN
    """Further calls that may be made, to all canisters together."""
    used_slots: Mapping[Principal, int] = field(default_factory=dict)
    """Calls to a canister that take a place in its queue already."""
    fee_functions: Mapping[str, Callable[..., int | None]] = field(default_factory=dict)
    """Fees, by the names and arguments listed in `costs`; an absent name costs nothing."""

    def tell_of_sender(self, sender_info: SenderInfo | None) -> None:
        """Show what a canister says of the user who calls, if anything."""
        if sender_info is not None:
            self.caller_info_data, self.caller_info_signer = sender_info.info, sender_info.signer


@dataclass(slots=True)
class Call:
    """A call to another canister, under construction or performed."""

    callee: Principal
    method: str
    on_reply: tuple[int, int]
    """(table index, environment) of the reply callback."""
    on_reject: tuple[int, int]
    on_cleanup: tuple[int, int] | None = None
    arg: bytearray = field(default_factory=bytearray)
    cycles: int = 0
    timeout_seconds: int | None = None
    """None: guaranteed response."""
    prepaid: int = 0
    """Cycles withdrawn for sending the call and for executing its response."""


@dataclass(frozen=True, slots=True)
class Replied:
    data: bytes


@dataclass(frozen=True, slots=True)
class Rejected:
    message: str


class ReplyHolder(Protocol):
    """Where a reply is put together without the host (`control`)."""

    def take_reply(self, x: Execution) -> None:
        """Move the reply so far to the execution, which goes on with it."""


class Execution:
    """One running execution: input, guest memory, effects so far."""

    __slots__ = (
        "accepted",
        "already_responded",
        "arg",
        "available",
        "burned",
        "calls",
        "certificate",
        "certified_data",
        "control",
        "env",
        "global_timer",
        "heap",
        "inspected_method",
        "logs",
        "message_accepted",
        "message_log",
        "meter",
        "minted",
        "mode",
        "mode_bit",
        "on_log",
        "pending",
        "printed",
        "refunded",
        "reject_code",
        "reject_message",
        "reply_data",
        "response",
        "sent",
        "sent_bytes",
        "slots",
    )

    def __init__(self, mode: Mode, env: Environment, arg: bytes = b"") -> None:
        # input
        self.mode = mode
        self.mode_bit = int(mode)
        """`mode` as a plain integer: `&` on a flag is twenty times slower."""
        self.env = env
        self.arg = arg
        self.available = 0
        """Cycles that the message carries and that are not accepted yet."""
        self.refunded = 0
        self.reject_code = 0
        self.reject_message = ""
        self.inspected_method = ""
        self.certificate: Callable[[], bytes] | None = None
        """Makes the certificate of the canister's certified data, where there is one."""
        self.already_responded = False
        """An earlier message of this call context has responded."""
        # the guest, set by `canister` when the instance is there
        self.heap: GuestMemory | None = None
        self.meter: Meter | None = None
        self.control: ReplyHolder | None = None
        self.on_log: Callable[[str], None] | None = None
        # effects
        self.reply_data = bytearray()
        self.response: Replied | Rejected | None = None
        self.certified_data: bytes | None = None
        self.global_timer: int | None = None
        self.logs: list[bytes] = []
        self.printed = 0
        """Bytes that `logs` takes; prints beyond a limit drop the oldest."""
        self.message_log: deque[int] = deque()
        """Bytes that the records of the message's own log take (`debug`)."""
        self.calls: list[Call] = []
        self.sent_bytes = 0
        """Bytes of the calls performed so far."""
        self.pending: Call | None = None
        self.accepted = 0
        self.burned = 0
        self.minted = 0
        self.sent = 0
        """Cycles that performed calls and the pending one carry, prepayments included."""
        self.slots: dict[Principal, int] = {}
        """Calls performed so far, by callee."""
        self.message_accepted = False

    @property
    def mode_name(self) -> str:
        """The mode in the replica's words."""
        return NAMES[self.mode]

    @property
    def balance(self) -> int:
        """The canister's cycles at this moment of the execution."""
        return min(self.env.cycles + self.accepted + self.minted - self.burned - self.sent, CYCLES)

    @property
    def liquid(self) -> int:
        """Cycles that may be spent now without freezing the canister."""
        return max(self.balance - self.env.frozen_cycles, 0)

    @property
    def responded(self) -> bool:
        """Whether the call context has its response, from this execution or an earlier one."""
        return self.already_responded or self.response is not None
