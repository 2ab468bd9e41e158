"""The arrival of an answer: interface specification, "Callbacks" (SPECIFICATION 4.2).

Refunded cycles are credited first and stay, even if the callback traps. If it traps, its changes are discarded and the
cleanup function, if there is one, runs from the state before it; the changes of cleanup are kept if it returns.
"""

from __future__ import annotations

from sandbox.canister.entry_point import Executed, TableFunction
from sandbox.canister.failure import cleanup_failed
from sandbox.errors import ErrorCode, Reject
from sandbox.execution.calls import damaged
from sandbox.execution.context import ExecutionEnvironment, expired
from sandbox.execution.finish import close, commit, finish, respond
from sandbox.execution.logs import recorded
from sandbox.ic0.modes import Mode
from sandbox.ic0.state import Execution
from sandbox.limits import CYCLES
from sandbox.principal import Principal
from sandbox.state import Callback, CallContext, CanisterState, Response, evolve


def deliver(env: ExecutionEnvironment, message: Response) -> None:
    """Run the callback that waits for this answer; a late answer to a best-effort call only returns its cycles."""
    subnet = env.subnet
    callback = subnet.callbacks.pop(message.callback_id, None)
    state = subnet.canisters.get(message.canister_id)
    credit = message.refund + _unused(env, callback, message)
    if state is not None and credit:
        state = evolve(state, cycles=min(state.cycles + credit, CYCLES))
        subnet.canisters[state.id] = state
    if callback is None:
        return
    _free_slot(env, callback)
    context = subnet.contexts[callback.context_id]
    context = evolve(context, outstanding=context.outstanding - 1)
    if state is None or context.deleted or state.code is None:
        close(env, context)
        return
    _run_callback(env, state, context, callback, message)


def _run_callback(
    env: ExecutionEnvironment, state: CanisterState, context: CallContext, callback: Callback, message: Response
) -> None:
    refused = damaged(state)
    if refused is not None:
        close(env, context if context.responded else respond(env, context, refused))
        return
    execution = _execution(env, state, context, message)
    function = callback.on_reply if isinstance(message.answer, bytes) else callback.on_reject
    live = env.instances.open(state)
    outcome = env.run(live, TableFunction(*function), execution, env.subnet.instruction_limits.update)
    if outcome.failure is not None and callback.on_cleanup is not None:
        outcome = _clean_up(env, state, context, callback.on_cleanup, outcome)
        context = evolve(context, instructions=context.instructions + outcome.instructions)
        close(env, context, outcome.failure)
        return
    finish(env, state, live, context, outcome)


def _execution(env: ExecutionEnvironment, state: CanisterState, context: CallContext, message: Response) -> Execution:
    if isinstance(message.answer, Reject):
        execution = env.execution(state, Mode.REJECT, context.caller, b"", context)
        execution.reject_code = message.answer.reject_code.value
        execution.reject_message = text_for_canister(message.answer)
    else:
        execution = env.execution(state, Mode.REPLY, context.caller, message.answer, context)
    execution.refunded = message.refund
    return execution


def _clean_up(
    env: ExecutionEnvironment,
    state: CanisterState,
    context: CallContext,
    function: tuple[int, int],
    trapped: Executed,
) -> Executed:
    """Run cleanup after a callback trapped; the outcome has the callback's failure in any case. The callback's prints
    stay in the log, and its instructions are charged."""
    assert trapped.failure is not None
    env.instances.rollback(state.id)
    state = recorded(state, (trapped.execution,), trapped.failure, env.subnet.time)
    live = env.instances.open(state)
    execution = env.execution(state, Mode.CLEANUP, context.caller, b"", context)
    execution.reject_code = trapped.execution.reject_code
    outcome = env.run(live, TableFunction(*function), execution, env.subnet.instruction_limits.update)
    instructions = trapped.instructions + outcome.instructions
    commit(env, state, live, Executed(execution, outcome.failure, instructions))
    failure = trapped.failure
    if outcome.failure is not None:
        failure = cleanup_failed(failure, outcome.failure)
    return Executed(execution, failure, instructions)


def text_for_canister(reject: Reject) -> str:
    """The text of a reject as a calling canister reads it: it begins with the error code if there is one."""
    return reject.message if reject.error_code is None else f"{reject.error_code}: {reject.message}"


def _unused(env: ExecutionEnvironment, callback: Callback | None, message: Response) -> int:
    """Cycles prepaid for the answer, less its transmission; executing the callback is charged apart."""
    schedule = env.fees.schedule
    if callback is None or schedule is None:
        return 0
    size = len(message.answer if isinstance(message.answer, bytes) else message.answer.message.encode())
    return max(callback.prepaid - size * schedule.call_byte, 0)


def expire(env: ExecutionEnvironment) -> None:
    """Reject the best-effort calls, and the calls of `stop_canister`, whose deadline has passed."""
    subnet = env.subnet
    for callback in [c for c in subnet.callbacks.values() if 0 < c.deadline <= subnet.time]:
        subnet.queue.append(Response(callback.id, callback.canister_id, expired(), 0))
    for canister_id, waiting in list(subnet.stops.items()):
        if any(context.deadline <= subnet.time for context in waiting):
            _give_up_stopping(env, canister_id, waiting)


def _give_up_stopping(env: ExecutionEnvironment, canister_id: Principal, waiting: tuple[CallContext, ...]) -> None:
    """Reject the calls of `stop_canister` that waited too long; the canister stays stopping."""
    subnet = env.subnet
    subnet.stops[canister_id] = tuple(context for context in waiting if context.deadline > subnet.time)
    if not subnet.stops[canister_id]:
        del subnet.stops[canister_id]
    text = "Stop canister request timed out"
    for context in waiting:
        if context.deadline <= subnet.time:
            respond(env, context, Reject.of(ErrorCode.STOP_CANISTER_REQUEST_TIMEOUT, text))


def _free_slot(env: ExecutionEnvironment, callback: Callback) -> None:
    slots = env.subnet.slots
    counts = slots.get(callback.canister_id)
    if counts is None:
        return
    left = {**counts, callback.callee: counts.get(callback.callee, 1) - 1}
    if not left[callback.callee]:
        del left[callback.callee]
    if left:
        slots[callback.canister_id] = left
    else:
        del slots[callback.canister_id]
