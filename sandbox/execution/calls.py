"""The beginning of a call: interface specification, "Call context creation" and "Message execution" (SPECIFICATION 4.1,
4.8).

A call runs an update method, or a query method whose changes are discarded. The reasons of a reject are checked in the
order of the replica: no such canister, not running, no module, no such method. A user's call passes the ingress filter
first (`inspect`), whose texts differ.
"""

from __future__ import annotations

from sandbox.canister.entry_point import Executed
from sandbox.canister.failure import Failure, no_module
from sandbox.canister.module import compile_module
from sandbox.errors import ErrorCode, Reject, RejectCode
from sandbox.execution.context import ENTRY, ExecutionEnvironment, expired, no_method
from sandbox.execution.finish import close, finish, respond
from sandbox.execution.result import CallResult
from sandbox.ic0.modes import Mode
from sandbox.principal import Principal
from sandbox.state import (
    CallContext,
    CanisterOrigin,
    CanisterState,
    Ingress,
    Origin,
    Request,
    Status,
    UserOrigin,
    evolve,
)

_MODES = {"update": Mode.UPDATE, "query": Mode.REPLICATED_QUERY}
_NOT_RUNNING = {Status.STOPPED: ErrorCode.CANISTER_STOPPED, Status.STOPPING: ErrorCode.CANISTER_STOPPING}


def begin_ingress(env: ExecutionEnvironment, message: Ingress) -> None:
    """Execute a user's update call."""
    context = _context(
        env, UserOrigin(message.message_id, message.request_id), message.sender, message.canister_id, message.method
    )
    if message.sender_info is not None:
        context = evolve(context, sender_info=message.sender_info)
    state = env.subnet.canisters.get(message.canister_id)
    refused = unavailable(state, message.canister_id)
    if state is None or refused is not None:
        assert refused is not None
        respond(env, context, refused)
        return
    _begin(env, state, context, message.arg)


def begin_request(env: ExecutionEnvironment, message: Request) -> None:
    """Execute another canister's call."""
    context = _requested(env, message)
    state = env.subnet.canisters.get(message.canister_id)
    refused = _refused_request(state, message)
    if state is None or refused is not None:
        assert refused is not None
        respond(env, context, refused)
        return
    _begin(env, state, context, message.arg)


def give_up_request(env: ExecutionEnvironment, message: Request) -> None:
    """Reject another canister's call whose deadline has passed before its turn; its cycles go back."""
    respond(env, _requested(env, message), expired())


def _requested(env: ExecutionEnvironment, message: Request) -> CallContext:
    origin = CanisterOrigin(message.callback_id, message.caller)
    context = _context(env, origin, message.caller, message.canister_id, message.method)
    return evolve(context, available=message.cycles, deadline=message.deadline)


def _context(
    env: ExecutionEnvironment, origin: Origin, caller: Principal, canister_id: Principal, method: str
) -> CallContext:
    return CallContext(env.new_id(), canister_id, origin, caller, method)


def _begin(env: ExecutionEnvironment, state: CanisterState, context: CallContext, arg: bytes) -> None:
    if state.code is None:
        close(env, context, no_module())
        return
    kind = compile_module(state.code).facts.methods.get(context.method)
    if kind == "composite_query":
        respond(env, context, _composite())
        return
    if kind is None:
        close(env, context, no_method(context.method, "update"))
        return
    mode = _MODES[kind]
    unpaid = cannot_pay(env, state, context.caller)
    if unpaid is not None:
        respond(env, context, unpaid)
        return
    live = env.instances.open(state)
    execution = env.execution(state, mode, context.caller, arg, context)
    limits = env.subnet.instruction_limits
    limit = limits.update if mode is Mode.UPDATE else limits.query
    outcome = env.run(live, f"{ENTRY[mode]} {context.method}", execution, limit, state.settings.wasm_memory_limit)
    finish(env, state, live, context, outcome)


def inspect(env: ExecutionEnvironment, message: Ingress) -> CallResult | None:
    """Check whether a user's call is accepted: None, or the result with its reject. Changes no state.

    The ingress filter: `dfinity/ic` `rs/execution_environment/src/execution_environment.rs`
    (`should_accept_ingress_message`) and `execution/inspect_message.rs`.
    """
    state = env.subnet.canisters.get(message.canister_id)
    refused = _filtered(env, state, message)
    if state is None or state.code is None or refused is not None:
        return CallResult(message.canister_id, message.method, reject=refused)
    if "canister_inspect_message" not in compile_module(state.code).facts.entry_points:
        return None
    live = env.instances.open(state)
    execution = env.execution(state, Mode.INSPECT, message.sender, message.arg)
    execution.inspected_method = message.method
    execution.env.tell_of_sender(message.sender_info)
    outcome = env.run(live, "canister_inspect_message", execution, env.subnet.instruction_limits.inspect)
    env.instances.rollback(state.id)
    if outcome.failure is None and execution.message_accepted:
        return None
    return _not_let_in(env, state, message, outcome)


def _filtered(env: ExecutionEnvironment, state: CanisterState | None, message: Ingress) -> Reject | None:
    """The reject of a user's call before `canister_inspect_message` is run; None if it passes."""
    name = message.canister_id
    if state is None:
        return Reject.of(ErrorCode.CANISTER_NOT_FOUND, f"Canister {name} not found")
    unpaid = env.fees.missing(state, env.fees.ingress(message), message.sender)
    if unpaid is not None:
        return unpaid
    if state.status is not Status.RUNNING:
        return Reject.of(_NOT_RUNNING[state.status], f"Canister {name} is {state.status.name.lower()}")
    if state.code is None:
        return Reject.of(ErrorCode.CANISTER_WASM_MODULE_NOT_FOUND, "Requested canister has no wasm module")
    return None


def _not_let_in(env: ExecutionEnvironment, state: CanisterState, message: Ingress, outcome: Executed) -> CallResult:
    problem = outcome.failure or Failure(ErrorCode.CANISTER_REJECTED_MESSAGE, "Canister rejected the message")
    return CallResult(
        message.canister_id,
        message.method,
        reject=Reject.of(problem.code, problem.message(state.id, env.traced(state, message.sender))),
        instructions=outcome.instructions,
        logs=tuple(text.decode(errors="replace") for text in outcome.execution.logs),
        backtrace=problem.backtrace,
    )


def unavailable(state: CanisterState | None, canister_id: Principal) -> Reject | None:
    """The reject of a call or query to a canister that cannot execute messages; None if it can: `dfinity/ic`
    `rs/execution_environment/src/execution/common.rs` (`validate_canister`)."""
    if state is None:
        return Reject.of(ErrorCode.CANISTER_NOT_FOUND, f"Canister {canister_id} not found")
    if state.status is not Status.RUNNING:
        return Reject.of(_NOT_RUNNING[state.status], f"Canister {canister_id} is not running")
    return damaged(state)


def damaged(state: CanisterState) -> Reject | None:
    """The reject of a call to a canister whose memory on disk is damaged; ours. A canister could not know the path of
    the files, so the text does not name it."""
    if state.damage is None:
        return None
    return Reject(RejectCode.SYS_TRANSIENT, f"Canister {state.id} cannot run: its memory on disk is damaged")


def _refused_request(state: CanisterState | None, message: Request) -> Reject | None:
    """The reject of another canister's call that does not enter the canister's queue; None if it enters.

    These rejects have no error code (`dfinity/ic` `rs/messaging/src/routing/stream_handler.rs`,
    `generate_reject_response_for`).
    """
    name = message.canister_id
    if state is None and not _routed(name):
        return Reject(RejectCode.DESTINATION_INVALID, f"No route to canister {name}")
    if state is None:
        return Reject(RejectCode.DESTINATION_INVALID, f"Canister {name} not found")
    if state.status is not Status.RUNNING:
        return Reject(RejectCode.CANISTER_ERROR, f"Canister {name} is {state.status.name.lower()}")
    if state.damage is not None:
        return damaged(state)
    return _too_few_cycles(state, message)


def _too_few_cycles(state: CanisterState, message: Request) -> Reject | None:
    """The reject of another canister's call that brings less than `minimum_incoming_canister_call_cycles`; the text is
    not the replica's."""
    least = state.settings.minimum_incoming_canister_call_cycles
    if message.cycles >= least or message.caller == state.id:
        return None
    return Reject.of(
        ErrorCode.INSUFFICIENT_CYCLES_IN_CALL,
        f"Canister {state.id} takes calls with at least {least} cycles, this one has {message.cycles}.",
    )


def _routed(canister_id: Principal) -> bool:
    """Check whether a subnet could have this canister: only ids made of an index lead to one (`dfinity/ic`
    `rs/messaging/src/routing/stream_builder.rs`)."""
    raw = bytes(canister_id)
    return len(raw) == 10 and raw.endswith(b"\1\1")


def cannot_pay(env: ExecutionEnvironment, state: CanisterState, caller: Principal) -> Reject | None:
    """The reject for a canister that cannot pay for executing a message of `caller`."""
    if env.fees.schedule is None or state.code is None:
        return None
    return env.fees.missing(state, env.fees.prepayment(compile_module(state.code).facts.is64), caller)


def _composite() -> Reject:
    return Reject.of(
        ErrorCode.COMPOSITE_QUERY_CALLED_IN_REPLICATED_MODE, "Composite query cannot be called in replicated mode"
    )
