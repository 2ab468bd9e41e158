"""The one commit point: what a handler or an execution wants becomes the subnet's new state, or nothing does."""

from __future__ import annotations

from dataclasses import replace

from sandbox.canister.live import Machines
from sandbox.errors import CallRejected, Reject
from sandbox.execution.logs import recorded
from sandbox.management.transition import Transition
from sandbox.state import Subnet


def apply(subnet: Subnet, machines: Machines, transition: Transition) -> None:
    """Carry out `transition`. If hooks trapped, only their logs are kept and `CallRejected` is raised."""
    state = transition.canister
    if state is not None:
        state = recorded(state, transition.executions, transition.failure, subnet.time)
    if transition.failure is not None:
        assert state is not None
        subnet.canisters[state.id] = state
        problem = transition.failure
        raise CallRejected(Reject.of(problem.code, problem.message(state.id)))
    for memory, image in transition.restored:
        memory.restore(image)
    if transition.live is not None:
        assert state is not None
        state = replace(state, globals=transition.live.commit())
        machines.adopt(state.id, transition.live)
    if state is not None:
        subnet.canisters[state.id] = state
        subnet.next_canister = max(subnet.next_canister, transition.next_canister)
    if transition.removed is not None:
        machines.drop(transition.removed)
        del subnet.canisters[transition.removed]
        subnet.deleted |= {transition.removed}
