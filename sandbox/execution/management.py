"""Calls to `aaaaa-aa` from canisters and users: decode, ask the handler, apply, encode, answer."""

from __future__ import annotations

from typing import Any

from sandbox.candid import decode, encode
from sandbox.errors import CallRejected, CandidError, ErrorCode, Reject
from sandbox.execution.apply import apply
from sandbox.execution.finish import respond
from sandbox.execution.kernel import Kernel
from sandbox.management.table import METHODS, Method, signature
from sandbox.management.transition import Transition, World
from sandbox.principal import Principal
from sandbox.state import CallContext, CanisterOrigin, Ingress, Request, Status, UserOrigin

_ME = Principal.management()


def begin_request(kernel: Kernel, message: Request) -> None:
    """A canister's call. Cycles that the method does not take go back."""
    origin = CanisterOrigin(message.callback_id, message.caller)
    context = CallContext(kernel.new_id(), _ME, origin, message.caller, message.method, available=message.cycles)
    _begin(kernel, context, message.arg)


def begin_ingress(kernel: Kernel, message: Ingress) -> None:
    """A user's call."""
    context = CallContext(kernel.new_id(), _ME, UserOrigin(message.message_id), message.sender, message.method)
    _begin(kernel, context, message.arg)


def _begin(kernel: Kernel, context: CallContext, arg: bytes) -> None:
    try:
        method = _method(context)
        argument = _argument(method, arg)
        transition = carry_out(kernel, method.function(_world(kernel, context), argument))
    except CallRejected as refused:
        respond(kernel, context, refused.reject)
        return
    if _waits(kernel, context, transition):
        return
    values = [] if not signature(method.name).results else [transition.reply]
    respond(kernel, context, encode(signature(method.name).results, values))


def carry_out(kernel: Kernel, transition: Transition) -> Transition:
    """Apply a transition; what its hooks printed is collected."""
    for execution in transition.executions:
        kernel.collect(execution)
    kernel.executed += transition.instructions
    apply(kernel, transition)
    return transition


def _world(kernel: Kernel, context: CallContext) -> World:
    return World(kernel.subnet, kernel.machines, context.caller, kernel.on_log)


def _method(context: CallContext) -> Method:
    method = METHODS.get(context.method)
    if method is None or (isinstance(context.origin, UserOrigin) and not method.ingress):
        text = f"Management canister has no method '{context.method}'"
        raise CallRejected(Reject.of(ErrorCode.CANISTER_METHOD_NOT_FOUND, text))
    return method


def _argument(method: Method, arg: bytes) -> dict[str, Any]:
    types = signature(method.name).args
    try:
        values = decode(types, arg)
    except CandidError as error:
        text = f"Error decoding candid: {error}"
        raise CallRejected(Reject.of(ErrorCode.INVALID_MANAGEMENT_PAYLOAD, text)) from error
    return values[0] if values and isinstance(values[0], dict) else {}


def _waits(kernel: Kernel, context: CallContext, transition: Transition) -> bool:
    """Whether the answer comes later: stopping ends when the last open call of the canister does."""
    state = transition.canister
    if context.method != "stop_canister" or state is None:
        return False
    if kernel.subnet.canisters[state.id].status is not Status.STOPPING:
        return False
    kernel.subnet.stops[state.id] = (*kernel.subnet.stops.get(state.id, ()), context)
    return True
