"""What a handler sees and what it answers: it reads the subnet and never writes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.canister.failure import Failure
from sandbox.canister.live import Live, Machines
from sandbox.ic0.state import Execution
from sandbox.limits import HISTORY
from sandbox.management import rejects
from sandbox.memory import Image, Memory
from sandbox.principal import Principal
from sandbox.state import CanisterState, Change, Subnet


@dataclass(frozen=True, slots=True)
class World:
    """The present subnet, its live canisters, and who asks."""

    subnet: Subnet
    machines: Machines
    caller: Principal
    on_log: Callable[[Principal, str], None] | None = None

    def canister(self, canister_id: Principal) -> CanisterState:
        """The canister, or the reject that it does not exist."""
        state = self.subnet.canisters.get(canister_id)
        if state is None:
            raise rejects.canister_not_found(canister_id)
        return state

    def controlled(self, canister_id: Principal) -> CanisterState:
        """The canister, if the caller is one of its controllers."""
        state = self.canister(canister_id)
        if self.caller not in state.settings.controllers:
            raise rejects.not_controller(state, self.caller)
        return state


@dataclass(frozen=True, slots=True)
class Transition:
    """What is to become of the subnet; `execution.apply` carries it out, all or nothing."""

    canister: CanisterState | None = None
    """The canister's new value."""
    next_canister: int = 0
    """At least this is the index of the next new canister."""
    removed: Principal | None = None
    live: Live | None = None
    """An uncommitted instance that shows the new value of `canister`; its globals are not in it yet."""
    restored: tuple[tuple[Memory, Image], ...] = ()
    """Memories to be brought back to an image first."""
    executions: tuple[Execution, ...] = ()
    """Hooks that ran: their logs belong to the canister."""
    failure: Failure | None = None
    """The hooks trapped: nothing changes but the logs, and the call is rejected with this."""
    instructions: int = 0
    reply: object = None


def history(state: CanisterState, change: Change) -> tuple[Change, ...]:
    """The history with one more entry; exactly the last 20 are kept, as in the replica."""
    return (*state.history, change)[-HISTORY:]
