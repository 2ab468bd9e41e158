"""Calls to `aaaaa-aa` from canisters and users: ask the handler, apply, answer.

Random bytes are answered in the next round, whose randomness nobody knew when they were asked for (`dfinity/ic`
`rs/execution_environment/src/scheduler.rs`, `raw_rand` contexts).
"""

from __future__ import annotations

from sandbox.errors import CallRejected, Reject, RejectCode, StateCorrupt
from sandbox.execution import fees, outcalls
from sandbox.execution.apply import apply
from sandbox.execution.finish import respond
from sandbox.execution.kernel import Kernel
from sandbox.limits import STOP_TIMEOUT_SECONDS
from sandbox.management import dispatch, rejects
from sandbox.management.transition import Transition, World
from sandbox.principal import Principal
from sandbox.state import CallContext, CanisterOrigin, Ingress, Request, Status, UserOrigin, evolve

_ME = Principal.management()


def begin_request(kernel: Kernel, message: Request) -> None:
    """A canister's call. Cycles that the method does not take go back."""
    origin = CanisterOrigin(message.callback_id, message.caller)
    context = CallContext(kernel.new_id(), _ME, origin, message.caller, message.method, available=message.cycles)
    _begin(kernel, context, message.arg, message.sender_version)


def begin_ingress(kernel: Kernel, message: Ingress) -> None:
    """A user's call."""
    context = CallContext(
        kernel.new_id(), _ME, UserOrigin(message.message_id, message.request_id), message.sender, message.method
    )
    _begin(kernel, context, message.arg)


def _begin(kernel: Kernel, context: CallContext, arg: bytes, caller_version: int | None = None) -> None:
    """Carry out a call. What answers outcalls is the user's, and may raise or answer nonsense: that goes on to the
    user, and the caller is told, so that no call stays open and no cycles are lost."""
    method = context.method
    try:
        asked = world(kernel, context.caller, context.available, caller_version)
        transition = dispatch.call(asked, method, arg)
        answer = b"" if transition.failure is not None else dispatch.reply(method, transition)
        carry_out(kernel, transition)
    except CallRejected as refused:
        respond(kernel, context, refused.reject)
        return
    except StateCorrupt:
        respond(kernel, context, rejects.damaged_on_disk(method).reject)
        return
    except Exception as error:
        if method != "http_request":
            raise
        kernel.passed_on = error
        respond(kernel, context, Reject(RejectCode.SYS_TRANSIENT, f"{method}: {type(error).__name__}: {error}"))
        raise
    context = evolve(context, available=context.available - transition.accepted)
    if not _waits(kernel, context, transition):
        respond(kernel, context, answer)
        if method == "raw_rand":
            kernel.subnet.later.append(kernel.subnet.queue.pop())


def carry_out(kernel: Kernel, transition: Transition) -> Transition:
    """Apply a transition; what its hooks printed is collected."""
    for execution in (*transition.rehearsed, *transition.executions):
        kernel.collect(execution)
    kernel.executed += transition.instructions
    apply(kernel, transition)
    return transition


def world(kernel: Kernel, caller: Principal, cycles: int = 0, caller_version: int | None = None) -> World:
    """The subnet as a management handler sees it; `caller_version` is that of a calling canister, None for users."""
    return World(
        subnet=kernel.subnet,
        machines=kernel.machines,
        caller=caller,
        on_log=kernel.on_log,
        cycles=cycles,
        caller_version=caller_version,
        prices=fees.prices(kernel.subnet),
        hooks=outcalls.with_transform(kernel),
    )


def _waits(kernel: Kernel, context: CallContext, transition: Transition) -> bool:
    """Whether the answer comes later: stopping ends when the last open call of the canister does."""
    state = transition.canister
    if context.method != "stop_canister" or state is None:
        return False
    if kernel.subnet.canisters[state.id].status is not Status.STOPPING:
        return False
    waiting = evolve(context, deadline=kernel.subnet.time + STOP_TIMEOUT_SECONDS * 1_000_000_000)
    kernel.subnet.stops[state.id] = (*kernel.subnet.stops.get(state.id, ()), waiting)
    return True
