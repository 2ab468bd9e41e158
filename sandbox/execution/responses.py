"""An answer arrives: interface specification, "Callbacks" (digest 4.2).

Refunded cycles are credited first and stay, whatever the callback does. If the callback traps, its changes are
forgotten and the cleanup function, if there is one, runs from the state before it; what cleanup does is kept if it
returns.
"""

from __future__ import annotations

from sandbox.canister import run as entry
from sandbox.canister.failure import cleanup_failed
from sandbox.canister.run import Outcome
from sandbox.errors import ErrorCode, Reject
from sandbox.execution import fees
from sandbox.execution.calls import damaged
from sandbox.execution.finish import close, commit, finish, respond
from sandbox.execution.kernel import Kernel, expired
from sandbox.execution.logs import recorded
from sandbox.ic0.modes import Mode
from sandbox.ic0.state import Execution
from sandbox.limits import CYCLES
from sandbox.principal import Principal
from sandbox.state import Callback, CallContext, CanisterState, Response, evolve


def deliver(kernel: Kernel, message: Response) -> None:
    """Run the callback that waits for this answer; a late one to a best-effort call only gives its cycles back."""
    subnet = kernel.subnet
    callback = subnet.callbacks.pop(message.callback_id, None)
    state = subnet.canisters.get(message.canister_id)
    credit = message.refund + _unused(kernel, callback, message)
    if state is not None and credit:
        state = evolve(state, cycles=min(state.cycles + credit, CYCLES))
        subnet.canisters[state.id] = state
    if callback is None:
        return
    _free_slot(kernel, callback)
    context = subnet.contexts[callback.context_id]
    context = evolve(context, outstanding=context.outstanding - 1)
    if state is None or context.deleted or state.code is None:
        close(kernel, context)
        return
    _run_callback(kernel, state, context, callback, message)


def _run_callback(
    kernel: Kernel, state: CanisterState, context: CallContext, callback: Callback, message: Response
) -> None:
    refused = damaged(state)
    if refused is not None:
        close(kernel, context if context.responded else respond(kernel, context, refused))
        return
    execution = _execution(kernel, state, context, message)
    function = callback.on_reply if isinstance(message.answer, bytes) else callback.on_reject
    live = kernel.machines.open(state)
    outcome = kernel.run(live, entry.Callback(*function), execution, kernel.subnet.instruction_limits.update)
    if outcome.failure is not None and callback.on_cleanup is not None:
        outcome = _clean_up(kernel, state, context, callback.on_cleanup, outcome)
        context = evolve(context, instructions=context.instructions + outcome.instructions)
        close(kernel, context, outcome.failure)
        return
    finish(kernel, state, live, context, outcome)


def _execution(kernel: Kernel, state: CanisterState, context: CallContext, message: Response) -> Execution:
    if isinstance(message.answer, Reject):
        execution = kernel.execution(state, Mode.REJECT, context.caller, b"", context)
        execution.reject_code = message.answer.reject_code.value
        execution.reject_message = told(message.answer)
    else:
        execution = kernel.execution(state, Mode.REPLY, context.caller, message.answer, context)
    execution.refunded = message.refund
    return execution


def _clean_up(
    kernel: Kernel, state: CanisterState, context: CallContext, function: tuple[int, int], trapped: Outcome
) -> Outcome:
    """Run cleanup after a callback trapped; the outcome has the callback's failure in any case. What the callback
    printed stays in the log, and what it executed is paid for."""
    assert trapped.failure is not None
    kernel.machines.rollback(state.id)
    state = recorded(state, (trapped.execution,), trapped.failure, kernel.subnet.time)
    live = kernel.machines.open(state)
    execution = kernel.execution(state, Mode.CLEANUP, context.caller, b"", context)
    execution.reject_code = trapped.execution.reject_code
    outcome = kernel.run(live, entry.Callback(*function), execution, kernel.subnet.instruction_limits.update)
    instructions = trapped.instructions + outcome.instructions
    commit(kernel, state, live, Outcome(execution, outcome.failure, instructions))
    failure = trapped.failure
    if outcome.failure is not None:
        failure = cleanup_failed(failure, outcome.failure)
    return Outcome(execution, failure, instructions)


def told(reject: Reject) -> str:
    """The text of a reject as a calling canister reads it: it begins with the error code if there is one."""
    return reject.message if reject.error_code is None else f"{reject.error_code}: {reject.message}"


def _unused(kernel: Kernel, callback: Callback | None, message: Response) -> int:
    """What was prepaid for the answer, less its transmission; executing the callback is charged apart."""
    model = fees.fees(kernel.subnet)
    if callback is None or model is None:
        return 0
    size = len(message.answer if isinstance(message.answer, bytes) else message.answer.message.encode())
    return max(callback.prepaid - size * model.call_byte, 0)


def expire(kernel: Kernel) -> None:
    """Give up the best-effort calls, and the calls of `stop_canister`, whose deadline has passed."""
    subnet = kernel.subnet
    for callback in [c for c in subnet.callbacks.values() if 0 < c.deadline <= subnet.time]:
        subnet.queue.append(Response(callback.id, callback.canister_id, expired(), 0))
    for canister_id, waiting in list(subnet.stops.items()):
        if any(context.deadline <= subnet.time for context in waiting):
            _give_up_stopping(kernel, canister_id, waiting)


def _give_up_stopping(kernel: Kernel, canister_id: Principal, waiting: tuple[CallContext, ...]) -> None:
    """Calls of `stop_canister` that waited too long are rejected; the canister goes on stopping."""
    subnet = kernel.subnet
    subnet.stops[canister_id] = tuple(context for context in waiting if context.deadline > subnet.time)
    if not subnet.stops[canister_id]:
        del subnet.stops[canister_id]
    text = "Stop canister request timed out"
    for context in waiting:
        if context.deadline <= subnet.time:
            respond(kernel, context, Reject.of(ErrorCode.STOP_CANISTER_REQUEST_TIMEOUT, text))


def _free_slot(kernel: Kernel, callback: Callback) -> None:
    slots = kernel.subnet.slots
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
