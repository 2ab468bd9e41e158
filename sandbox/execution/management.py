"""Calls to `aaaaa-aa` from canisters and users: run the handler, apply its transition, respond.

`raw_rand` responds in the next round, whose randomness was unknown at the time of the call (`dfinity/ic`
`rs/execution_environment/src/scheduler.rs`, `raw_rand` contexts).
"""

from __future__ import annotations

from sandbox.errors import CallRejected, Reject, RejectCode, StateCorrupt
from sandbox.execution import outcalls
from sandbox.execution.apply import apply
from sandbox.execution.context import ExecutionEnvironment
from sandbox.execution.finish import respond
from sandbox.limits import STOP_TIMEOUT_SECONDS
from sandbox.management import dispatch, rejects
from sandbox.management.transition import ManagementContext, Transition
from sandbox.principal import Principal
from sandbox.state import CallContext, CanisterOrigin, Ingress, Request, Status, UserOrigin, evolve

_ME = Principal.management()


def begin_request(env: ExecutionEnvironment, message: Request) -> None:
    """Execute a canister's call. Cycles that the method does not accept go back."""
    origin = CanisterOrigin(message.callback_id, message.caller)
    context = CallContext(env.new_id(), _ME, origin, message.caller, message.method, available=message.cycles)
    _begin(env, context, message.arg, message.sender_version)


def begin_ingress(env: ExecutionEnvironment, message: Ingress) -> None:
    """Execute a user's call."""
    context = CallContext(
        env.new_id(), _ME, UserOrigin(message.message_id, message.request_id), message.sender, message.method
    )
    _begin(env, context, message.arg)


def _begin(env: ExecutionEnvironment, context: CallContext, arg: bytes, caller_version: int | None = None) -> None:
    """Execute a call. The user's function for outcalls may raise or return nonsense: the caller gets a reject, so that
    no call stays open and no cycles are lost, and the exception goes on to the user."""
    method = context.method
    try:
        asked = management_context(env, context.caller, context.available, caller_version)
        transition = dispatch.call(asked, method, arg)
        answer = b"" if transition.failure is not None else dispatch.reply(method, transition)
        carry_out(env, transition)
    except CallRejected as refused:
        respond(env, context, refused.reject)
        return
    except StateCorrupt:
        respond(env, context, rejects.damaged_on_disk(method).reject)
        return
    except Exception as error:
        if method not in ("http_request", "flexible_http_request"):
            raise
        env.passed_on = error
        respond(env, context, Reject(RejectCode.SYS_TRANSIENT, f"{method}: {type(error).__name__}: {error}"))
        raise
    context = evolve(context, available=context.available - transition.accepted)
    if not _waits(env, context, transition):
        respond(env, context, answer)
        if method == "raw_rand":
            env.subnet.later.append(env.subnet.queue.pop())


def carry_out(env: ExecutionEnvironment, transition: Transition) -> Transition:
    """Apply a transition; the prints and instructions of its hooks are collected."""
    for execution in (*transition.rehearsed, *transition.executions):
        env.collect(execution)
    env.executed += transition.instructions
    env.compiled += transition.compilation
    apply(env, transition)
    return transition


def management_context(
    env: ExecutionEnvironment, caller: Principal, cycles: int = 0, caller_version: int | None = None
) -> ManagementContext:
    """The subnet as a management handler sees it; `caller_version` is that of a calling canister, None for users."""
    return ManagementContext(
        subnet=env.subnet,
        instances=env.instances,
        caller=caller,
        on_log=env.on_log,
        cycles=cycles,
        caller_version=caller_version,
        fees=env.fees.management,
        hooks=outcalls.with_transform(env),
    )


def _waits(env: ExecutionEnvironment, context: CallContext, transition: Transition) -> bool:
    """Keep a call of `stop_canister` to a canister with open calls for a later response; True if it was kept."""
    state = transition.canister
    if context.method != "stop_canister" or state is None:
        return False
    if env.subnet.canisters[state.id].status is not Status.STOPPING:
        return False
    waiting = evolve(context, deadline=env.subnet.time + STOP_TIMEOUT_SECONDS * 1_000_000_000)
    env.subnet.stops[state.id] = (*env.subnet.stops.get(state.id, ()), waiting)
    return True
