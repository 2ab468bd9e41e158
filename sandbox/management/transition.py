"""The input and the result of a handler, which reads the subnet and never writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from sandbox.canister.failure import Failure
from sandbox.canister.install import HookMeasure
from sandbox.canister.instances import CanisterInstance, InstanceCache
from sandbox.ic0.state import Execution
from sandbox.limits import HISTORY
from sandbox.management import rejects
from sandbox.memory import Image, Memory
from sandbox.principal import Principal
from sandbox.state import CanisterState, Change, Policy, Subnet, Task
from sandbox.store import Patch


def _nothing(_state: CanisterState, _grown: int = 0) -> int:
    return 0


class Frozen(Protocol):
    """Cycles that a canister may not spend if it has `grown` more bytes of memory."""

    def __call__(self, state: CanisterState, grown: int = 0, /) -> int: ...


@dataclass(frozen=True, slots=True)
class ManagementFees:
    """Cycles that management methods ask for; everything is free by default."""

    creation: int = 0
    signature: int = 0
    outcall: Callable[[int, int], int] = lambda request, response: 0
    """By bytes of the request, and of the largest allowed response (pricing version 1)."""
    pay_as_you_go: bool = False
    """Whether outcalls of pricing version 2 cost anything (`outcall_fees`)."""
    idle_per_day: Callable[[CanisterState], int] = _nothing
    frozen: Frozen = _nothing
    execution: Callable[[int, bool], int] = lambda instructions, wasm64: 0
    """By executed instructions, and whether the module is 64-bit."""
    fee_functions: Callable[[int, bool], Mapping[str, Callable[..., int | None]]] = lambda instructions, wasm64: {}
    """`Environment.fee_functions` of a canister, by the instruction limit of its messages."""


HttpRequest = Mapping[str, Any]
"""An outcall: `url`, `method` (`get`, ...), `headers` (pairs), `body` (bytes or None), `max_response_bytes`."""

Http = Callable[[HttpRequest], Mapping[str, Any]]
"""Answers an outcall: `status`, and if they are not empty `headers` (pairs) and `body`."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """Functions that the user or the floor above lends to handlers. A method whose hook is missing is rejected."""

    http: Http | None = None
    """The user's test double for the outside world."""
    transform: Callable[[Principal, str, bytes], bytes] | None = None
    """Run a canister's query method as an outcall's transform function; `CallRejected` if it fails."""


@dataclass(frozen=True, slots=True)
class ManagementContext:
    """The present subnet, its instances, and the caller.

    `cycles`: those of the call. `caller_version`: the version of the calling canister when it made the call; None for
    users. `sender_version`: the version that the argument claims.
    """

    subnet: Subnet
    instances: InstanceCache
    caller: Principal
    on_log: Callable[[Principal, str], None] | None = None
    cycles: int = 0
    caller_version: int | None = None
    sender_version: int | None = None
    fees: ManagementFees = field(default_factory=ManagementFees)
    hooks: Hooks = field(default_factory=Hooks)

    @property
    def subnet_id(self) -> Principal:
        """The id of the only subnet."""
        return self.subnet.key.subnet_id

    @property
    def by_canister(self) -> bool:
        """Whether the caller is a canister."""
        return self.caller_version is not None

    def awaited(self, canister_id: Principal) -> bool:
        """Whether calls to the canister, or answers to its own, are queued."""
        messages = (*self.subnet.queue, *self.subnet.later)
        return any(m.canister_id == canister_id and not isinstance(m, Task) for m in messages)

    def canister(self, canister_id: Principal) -> CanisterState:
        """Return the canister; a reject if it does not exist."""
        state = self.subnet.canisters.get(canister_id)
        if state is None:
            raise rejects.canister_not_found(canister_id)
        return state

    def controlled(self, canister_id: Principal, itself: bool = False) -> CanisterState:
        """Return the canister if the caller is one of its controllers, or with `itself` the canister; else a reject."""
        state = self.canister(canister_id)
        if self.caller in state.settings.controllers or (itself and self.caller == canister_id):
            return state
        raise rejects.not_controller(state, self.caller)

    def change(self, version: int, kind: str, **details: object) -> Change:
        """A history entry for the caller's present action; `version` is the canister's after it."""
        return Change(
            timestamp=self.subnet.time,
            version=version,
            user=self.caller,
            kind=kind,
            details=tuple(details.items()),
            by_canister=self.by_canister,
            sender_version=self.sender_version if self.by_canister else None,
        )


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of the subnet; `execution.apply` applies it, all or nothing."""

    canister: CanisterState | None = None
    """The canister's new value."""
    next_canister: int = 0
    """At least this is the index of the next new canister."""
    removed: Principal | None = None
    policies: Mapping[Principal, Policy] | None = None
    """The new policies of all canisters."""
    live: CanisterInstance | None = None
    """An uncommitted instance that shows the new value of `canister`; its globals are not in it yet."""
    restored: tuple[tuple[Memory, Image | Patch], ...] = ()
    """Memories to be restored first: to an image, or to a state on disk."""
    executions: tuple[Execution, ...] = ()
    """Hooks that ran: their logs belong to the canister."""
    rehearsed: tuple[Execution, ...] = ()
    """Hooks that ran before on a discarded copy: their prints are in the result, but not in the canister's logs."""
    failure: Failure | None = None
    """The hooks trapped: nothing changes but the logs, and the call is rejected with this."""
    rehearsal_failed: bool = False
    """The failure is that of `rehearsed`: not even the logs change."""
    method: str = "install_code"
    """The called method, for the result of a failure."""
    instructions: int = 0
    measures: tuple[HookMeasure, ...] = ()
    """Of the hooks that ran."""
    compilation: int = 0
    """What compiling a module counts for, besides `instructions`."""
    reply: object = None
    accepted: int = 0
    """Accepted cycles of the call; the others go back."""
    drawn: int = 0
    """The number of draws of randomness."""

    def replying(self, reply: object) -> Transition:
        """The same with another reply."""
        return replace(self, reply=reply)


def history(state: CanisterState, change: Change) -> tuple[Change, ...]:
    """The history with one more entry; exactly the last 20 are kept, as in the replica."""
    return (*state.history, change)[-HISTORY:]
