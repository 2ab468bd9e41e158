"""An isolated update call, executed on one instance to its end: calls of the canister to itself are carried out at
once, calls to others end it. No message is queued, no call context is opened, nothing is committed.

For hooks that a module hides behind calls (`canister.motoko`), on a view that is discarded if anything fails: a trap in
any message ends the whole call.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sandbox.canister.entry_point import TableFunction
from sandbox.canister.failure import Failure
from sandbox.canister.install import HookRun
from sandbox.canister.instances import CanisterInstance
from sandbox.errors import ErrorCode, RejectCode
from sandbox.ic0.modes import Mode
from sandbox.ic0.state import Call, Environment, Execution, Rejected, Replied
from sandbox.limits import MESSAGES_ALONE
from sandbox.state.messages import EMPTY_CANDID

_DEPTH = 4
_Answer = Replied | Rejected | None


class _Ended(Exception):
    """The end of the call by a failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.failure = failure


@dataclass(slots=True)
class _IsolatedCall:
    hooks: HookRun
    live: CanisterInstance
    environment: Environment
    messages: int = 0


def run_isolated_update(
    hooks: HookRun, live: CanisterInstance, method: str, environment: Environment
) -> Failure | None:
    """Call the update method `method` without arguments, as the canister itself; None if it replied.

    `environment` is that of the messages. Each may execute `message_instructions` of the deployment, all
    together ten times what its hooks may; there are at most `MESSAGES_ALONE`.
    """
    caller = environment.canister_id
    try:
        answer = _method(_IsolatedCall(hooks, live, replace(environment, caller=caller)), method, EMPTY_CANDID, 0)
    except _Ended as ended:
        return ended.failure
    if isinstance(answer, Replied):
        return None
    said = "did not reply" if answer is None else f"was rejected: {answer.message}"
    return Failure(ErrorCode.CANISTER_REJECTED_MESSAGE, f"The call of `{method}` {said}")


def _method(call: _IsolatedCall, method: str, arg: bytes, depth: int) -> _Answer:
    """Carry out one call, its calls, and their callbacks."""
    if call.live.prepared.facts.methods.get(method) != "update":
        raise _ended(f"Canister has no update method '{method}'.", ErrorCode.CANISTER_METHOD_NOT_FOUND)
    execution = _step(call, f"canister_update {method}", Execution(Mode.UPDATE, call.environment, arg))
    answer, pending = execution.response, list(execution.calls)
    while pending:
        made = pending.pop(0)
        execution = _called_back(call, made, _result(call, made, depth), answer is not None)
        answer = answer or execution.response
        pending.extend(execution.calls)
    return answer


def _result(call: _IsolatedCall, made: Call, depth: int) -> _Answer:
    if made.callee != call.environment.canister_id:
        raise _ended(f"The call of '{made.method}' on {made.callee} cannot be made by a canister that is alone.")
    if depth == _DEPTH:
        raise _ended(f"Calls of the canister to itself are nested more than {_DEPTH} deep.")
    return _method(call, made.method, bytes(made.arg), depth + 1)


def _called_back(call: _IsolatedCall, made: Call, result: _Answer, responded: bool) -> Execution:
    """Run the callback that waits for this result."""
    if isinstance(result, Replied):
        execution, function = Execution(Mode.REPLY, call.environment, result.data), made.on_reply
    else:
        execution, function = Execution(Mode.REJECT, call.environment), made.on_reject
        code = RejectCode.CANISTER_ERROR if result is None else RejectCode.CANISTER_REJECT
        execution.reject_code = code.value
        execution.reject_message = "No response" if result is None else result.message
    execution.already_responded = responded
    return _step(call, TableFunction(*function), execution)


def _step(call: _IsolatedCall, entry: str | TableFunction, execution: Execution) -> Execution:
    hooks = call.hooks
    deployment = hooks.deployment
    call.messages += 1
    if call.messages > MESSAGES_ALONE or hooks.used > 10 * deployment.instructions:
        raise _ended(f"The call has no end: {call.messages - 1} messages, {hooks.used} instructions.")
    problem = hooks.step(call.live, entry, execution, deployment.message_instructions)
    if problem is not None:
        raise _Ended(problem)
    return execution


def _ended(text: str, code: ErrorCode = ErrorCode.CANISTER_REJECTED_MESSAGE) -> _Ended:
    return _Ended(Failure(code, text))
