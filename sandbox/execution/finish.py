"""The end of an execution: effects are committed or discarded, calls sent, callers answered, contexts closed.

Interface specification, "Message execution", "Call context starvation", "Call context removal" (SPECIFICATION 4.1-4.3).
"""

from __future__ import annotations

from dataclasses import replace

from sandbox.canister.entry_point import Executed
from sandbox.canister.failure import Failure, memory_unpaid
from sandbox.canister.instances import CanisterInstance
from sandbox.canister.module import compile_module
from sandbox.errors import ErrorCode, Reject, RejectCode
from sandbox.execution import low_memory
from sandbox.execution.context import ExecutionEnvironment
from sandbox.execution.ingress import record_answer
from sandbox.execution.logs import recorded
from sandbox.execution.result import CallResult
from sandbox.ic0.calls import drop_pending
from sandbox.ic0.modes import Mode, T, U
from sandbox.ic0.state import Call, Execution, Replied
from sandbox.limits import CYCLES
from sandbox.principal import Principal
from sandbox.state import (
    Callback,
    CallContext,
    CanisterOrigin,
    CanisterState,
    Request,
    Response,
    Status,
    UserOrigin,
    evolve,
)
from sandbox.state.messages import EMPTY_CANDID

_GROWING = int(U | T)
"""Modes in which memory grows only as far as the canister can pay for it."""


def finish(
    env: ExecutionEnvironment,
    state: CanisterState,
    live: CanisterInstance,
    context: CallContext,
    outcome: Executed,
) -> None:
    """End an execution that belongs to `context` and began with `state`."""
    outcome = _afforded(env, state, live, outcome)
    commit(env, state, live, outcome)
    execution, failure = outcome.execution, outcome.failure
    instructions = context.instructions + outcome.instructions
    if failure is not None:
        close(env, evolve(context, instructions=instructions), failure)
        return
    context = evolve(
        context,
        instructions=instructions,
        available=execution.available,
        outstanding=context.outstanding + len(execution.calls),
    )
    if execution.calls:
        _send(env, state, context, execution.calls)
    if execution.response is not None:
        answer(env, context, _answer(execution))
        if not context.outstanding:
            _remove(env, context)
            return
        context = evolve(context, responded=True, available=0)
    close(env, context)


def commit(env: ExecutionEnvironment, state: CanisterState, live: CanisterInstance, outcome: Executed) -> None:
    """Commit the changes of an execution if it returned and its mode may change state; else discard them. The fee is
    charged in any case."""
    execution, subnet = outcome.execution, env.subnet
    drop_pending(execution)
    fee = execution_fee(env, state, outcome)
    if fee:
        state = evolve(state, cycles=max(state.cycles - fee, 0))
    if outcome.failure is not None:
        env.instances.rollback(state.id)
        subnet.canisters[state.id] = recorded(state, (execution,), outcome.failure, subnet.time)
        return
    spent = execution.burned + execution.sent - execution.accepted - execution.minted
    if execution.mode is Mode.REPLICATED_QUERY:
        env.instances.rollback(state.id)
        new = replace(state, cycles=min(state.cycles - spent, CYCLES)) if spent else state
    else:
        new = evolve(
            state,
            globals=live.commit(),
            version=state.version + 1,
            certified_data=state.certified_data if execution.certified_data is None else execution.certified_data,
            global_timer=state.global_timer if execution.global_timer is None else execution.global_timer,
            cycles=min(state.cycles - spent, CYCLES),
        )
        if live.prepared.facts.uses_data_drop:
            env.instances.drop(state.id)
    if execution.logs:
        new = recorded(new, (execution,), None, subnet.time)
    subnet.canisters[state.id] = low_memory.watched(env, new)


def _afforded(env: ExecutionEnvironment, state: CanisterState, live: CanisterInstance, outcome: Executed) -> Executed:
    """The outcome, or its failure if the memory that it takes would freeze the canister. Updates and tasks must afford
    it, callbacks need not (`dfinity/ic` `sandbox_safe_system_state.rs`); the replica stops them where they grow."""
    schedule, execution = env.fees.schedule, outcome.execution
    if schedule is None or outcome.failure is not None or not execution.mode_bit & _GROWING:
        return outcome
    grown = max(live.heap.size - state.heap.size, 0) + max(live.stable.size - state.stable.size, 0)
    short = schedule.freezing_limit(state, grown) - execution.balance
    if not grown or short <= 0:
        return outcome
    return replace(outcome, failure=memory_unpaid(grown, short))


def execution_fee(env: ExecutionEnvironment, state: CanisterState, outcome: Executed) -> int:
    """The fee for an execution, whether it trapped or not."""
    schedule = env.fees.schedule
    if schedule is None:
        return 0
    return schedule.execution(outcome.instructions, state.code is not None and compile_module(state.code).facts.is64)


def prepaid_answer(env: ExecutionEnvironment, call: Call) -> int:
    """The part of a call's prepayment that is for its answer."""
    schedule = env.fees.schedule
    if schedule is None:
        return 0
    return call.prepaid - schedule.call - (len(call.method.encode()) + len(call.arg)) * schedule.call_byte


def respond(
    env: ExecutionEnvironment, context: CallContext, said: bytes | Reject, backtrace: tuple[str, ...] = ()
) -> CallContext:
    """Send the answer to the caller; return the context that has it."""
    answer(env, context, said, backtrace)
    return evolve(context, responded=True, available=0)


def answer(
    env: ExecutionEnvironment, context: CallContext, said: bytes | Reject, backtrace: tuple[str, ...] = ()
) -> None:
    """Send the answer to the caller, with the cycles that were not accepted.

    Canisters receive error codes of executions, none of the management canister's (`dfinity/ic`
    `rs/types/types/src/messages/inter_canister.rs`: `Payload::from`, `RejectContext::from`).
    """
    origin = context.origin
    if isinstance(origin, UserOrigin):
        result = CallResult(
            canister_id=context.canister_id,
            method=context.method,
            reply=said if isinstance(said, bytes) else None,
            reject=_to_user(said) if isinstance(said, Reject) else None,
            instructions=context.instructions,
            logs=tuple(env.printed),
            backtrace=backtrace,
        )
        if origin.message_id == env.awaited:
            env.answered = result
            return
        env.subnet.results[origin.message_id] = result
        if origin.request_id:
            record_answer(env.subnet, origin.request_id, result)
    elif isinstance(origin, CanisterOrigin):
        if isinstance(said, Reject) and context.canister_id == Principal.management():
            said = replace(said, error_code=None)
        env.subnet.queue.append(Response(origin.callback_id, origin.canister_id, said, context.available))


def _to_user(reject: Reject) -> Reject:
    """A canister's own reject has no error code until it reaches a user."""
    return reject if reject.error_code is not None else replace(reject, error_code=ErrorCode.CANISTER_REJECTED_MESSAGE)


def close(env: ExecutionEnvironment, context: CallContext, failure: Failure | None = None) -> None:
    """Keep a context that still waits for answers; else send its missing response, if any, and remove it."""
    subnet = env.subnet
    if context.outstanding:
        subnet.contexts[context.id] = context
        return
    if not context.responded:
        answer(env, context, _no_answer(env, context, failure), failure.backtrace if failure else ())
    _remove(env, context)


def _remove(env: ExecutionEnvironment, context: CallContext) -> None:
    """Remove a context that is done; a stopping canister may be stopped then."""
    subnet = env.subnet
    subnet.contexts.pop(context.id, None)
    state = subnet.canisters.get(context.canister_id)
    if state is not None and state.status is Status.STOPPING:
        stop_if_done(env, state)


def stop_if_done(env: ExecutionEnvironment, state: CanisterState) -> None:
    """Set a stopping canister without open call contexts to stopped, and answer the calls of `stop_canister`.

    Contexts that were open when it was uninstalled stay open until the answers that they wait for have arrived."""
    subnet = env.subnet
    if any(context.canister_id == state.id for context in subnet.contexts.values()):
        return
    subnet.canisters[state.id] = replace(state, status=Status.STOPPED, version=state.version + 1)
    for waiting in subnet.stops.pop(state.id, ()):
        respond(env, waiting, EMPTY_CANDID)


def reject_open_calls(env: ExecutionEnvironment, canister_id: Principal) -> None:
    """Reject every open call of a canister that was uninstalled; its callbacks will not run."""
    text = "Canister has been uninstalled."
    for context in [c for c in env.subnet.contexts.values() if c.canister_id == canister_id]:
        if not context.responded:
            context = respond(env, context, Reject(RejectCode.CANISTER_REJECT, text))
        env.subnet.contexts[context.id] = replace(context, deleted=True)


def _send(env: ExecutionEnvironment, state: CanisterState, context: CallContext, calls: list[Call]) -> None:
    subnet, sender = env.subnet, state.id
    slots = dict(subnet.slots.get(sender, {}))
    for call in calls:
        callback = Callback(
            id=env.new_id(),
            context_id=context.id,
            canister_id=sender,
            callee=call.callee,
            on_reply=call.on_reply,
            on_reject=call.on_reject,
            on_cleanup=call.on_cleanup,
            deadline=_deadline(env, call),
            prepaid=prepaid_answer(env, call),
            method=call.method,
        )
        subnet.callbacks[callback.id] = callback
        slots[call.callee] = slots.get(call.callee, 0) + 1
        subnet.queue.append(
            Request(
                callback_id=callback.id,
                caller=sender,
                canister_id=call.callee,
                method=call.method,
                arg=bytes(call.arg),
                cycles=call.cycles,
                deadline=callback.deadline,
                sender_version=state.version,
            )
        )
    subnet.slots[sender] = slots


def _deadline(env: ExecutionEnvironment, call: Call) -> int:
    return 0 if call.timeout_seconds is None else env.subnet.time + call.timeout_seconds * 1_000_000_000


def _answer(execution: Execution) -> bytes | Reject:
    response = execution.response
    if isinstance(response, Replied):
        return response.data
    assert response is not None
    return Reject(RejectCode.CANISTER_REJECT, response.message)


def _no_answer(env: ExecutionEnvironment, context: CallContext, failure: Failure | None) -> Reject:
    """The reject for a call that ended without a response: the trap, or that there was none."""
    if failure is not None:
        state = env.subnet.canisters.get(context.canister_id)
        with_backtrace = state is not None and env.traced(state, context.caller)
        return Reject.of(failure.code, failure.message(context.canister_id, with_backtrace))
    if isinstance(context.origin, CanisterOrigin):
        return Reject(RejectCode.CANISTER_ERROR, "No response")
    return Reject.of(ErrorCode.CANISTER_DID_NOT_REPLY, f"Canister {context.canister_id} did not reply to the call")
