"""Query calls: interface specification, "Query call" and "Composite queries" (digest 4.7).

Nothing of a query remains. A composite query may call queries of other canisters: each of these starts from the
committed state of its canister, also of the calling one, while the composite's own callbacks see what it has done so
far. The called method itself, no callback and no other canister, has a certificate of its certified data. Depth and
instructions of the whole graph are limited; there is no other bound on loops (`dfinity/ic`
`rs/execution_environment/src/query_handler/query_call_graph.rs`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from sandbox.canister import run as entry
from sandbox.canister.code import prepare
from sandbox.canister.failure import Failure
from sandbox.canister.live import Live
from sandbox.canister.run import Outcome
from sandbox.errors import CallRejected, ErrorCode, Reject, RejectCode
from sandbox.execution import management
from sandbox.execution.calls import unavailable
from sandbox.execution.certificates import data_certificate
from sandbox.execution.fees import frozen
from sandbox.execution.kernel import ENTRY, Kernel, no_method, no_module
from sandbox.execution.responses import told
from sandbox.execution.result import CallResult
from sandbox.ic0.modes import Mode
from sandbox.ic0.state import Call, Execution, Rejected, Replied
from sandbox.limits import COMPOSITE_DEPTH, INSTRUCTIONS_PER_QUERY_CALL
from sandbox.management import dispatch
from sandbox.principal import Principal
from sandbox.state import CallContext, CanisterState, SystemOrigin

_EMPTY_CONTEXT = SystemOrigin()
_MANAGEMENT = Principal.management()


@dataclass(frozen=True, slots=True)
class Query:
    """A query call."""

    canister_id: Principal
    method: str
    arg: bytes
    sender: Principal


@dataclass(slots=True)
class _Graph:
    """One user's query and all that it sets in motion."""

    kernel: Kernel
    budget: int
    used: int = 0
    backtrace: tuple[str, ...] = ()


def query(kernel: Kernel, call: Query) -> CallResult:
    """Run a query call; the result says how it ended."""
    graph = _Graph(kernel, kernel.subnet.instruction_limits.query)
    answer = _evaluate(graph, call, 0)
    if isinstance(answer, Reject) and answer.error_code is None:
        answer = Reject(answer.reject_code, answer.message, ErrorCode.CANISTER_REJECTED_MESSAGE)
    return CallResult(
        canister_id=call.canister_id,
        method=call.method,
        reply=answer if isinstance(answer, bytes) else None,
        reject=answer if isinstance(answer, Reject) else None,
        instructions=graph.used,
        logs=tuple(kernel.printed),
        backtrace=graph.backtrace,
    )


def _evaluate(graph: _Graph, call: Query, depth: int) -> bytes | Reject:
    kernel = graph.kernel
    if call.canister_id == _MANAGEMENT:
        return _managed(kernel, call)
    state = kernel.subnet.canisters.get(call.canister_id)
    refused = unavailable(state, call.canister_id)
    if state is None or refused is not None:
        assert refused is not None
        return refused
    refused = frozen(kernel.subnet, state)
    if refused is not None:
        return refused
    if state.code is None:
        return _rejected(graph, state, call, no_module())
    kind = prepare(state.code).facts.methods.get(call.method)
    if kind not in ("query", "composite_query"):
        return _rejected(graph, state, call, no_method(call.method, "query"))
    if kind == "query":
        try:
            return _run(graph, state, kernel.machines.open(state), call, Mode.NON_REPLICATED_QUERY, depth)
        finally:
            kernel.machines.rollback(state.id)
    live = kernel.machines.take(state)
    try:
        return _run(graph, state, live, call, Mode.COMPOSITE_QUERY, depth)
    finally:
        kernel.machines.give_back(state.id, live)


def _managed(kernel: Kernel, call: Query) -> bytes | Reject:
    """A query of the management canister, by a user or by a composite query."""
    asking = kernel.subnet.canisters.get(call.sender)
    version = None if asking is None else asking.version
    try:
        return dispatch.query(management.world(kernel, call.sender, caller_version=version), call.method, call.arg)
    except CallRejected as refused:
        return refused.reject


def _run(graph: _Graph, state: CanisterState, live: Live, call: Query, mode: Mode, depth: int) -> bytes | Reject:
    execution = graph.kernel.execution(state, mode, call.sender, call.arg)
    if depth == 0:
        execution.certificate = partial(data_certificate, graph.kernel.subnet, state.id)
    outcome = _execute(graph, live, f"{ENTRY[mode]} {call.method}", execution)
    if outcome.failure is not None:
        return _rejected(graph, state, call, outcome.failure)
    answer = _answer(execution)
    pending = list(execution.calls)
    while pending:
        made = pending.pop(0)
        callee = Query(made.callee, made.method, bytes(made.arg), state.id)
        result = _nested(graph, callee, depth)
        outcome = _call_back(graph, state, live, call, made, result, answer is not None)
        if outcome.failure is not None:
            return _rejected(graph, state, call, outcome.failure)
        late = _answer(outcome.execution)
        answer = answer if late is None else late
        pending.extend(outcome.execution.calls)
    if answer is not None:
        return answer
    text = f"Canister {state.id} did not reply to the call"
    return Reject.of(ErrorCode.CANISTER_DID_NOT_REPLY, text)


def _nested(graph: _Graph, call: Query, depth: int) -> bytes | Reject:
    if depth + 1 >= COMPOSITE_DEPTH:
        text = f"Composite query call exceeded the maximum call depth of {COMPOSITE_DEPTH}."
        return Reject.of(ErrorCode.QUERY_CALL_GRAPH_TOO_DEEP, text)
    graph.used += INSTRUCTIONS_PER_QUERY_CALL
    return _evaluate(graph, call, depth + 1)


def _call_back(
    graph: _Graph, state: CanisterState, live: Live, call: Query, made: Call, result: bytes | Reject, responded: bool
) -> Outcome:
    """Run the callback of a composite query; if it traps, its cleanup, after which the query goes on."""
    mode = Mode.COMPOSITE_REPLY if isinstance(result, bytes) else Mode.COMPOSITE_REJECT
    execution = _callback_execution(graph, state, call, mode, result, responded)
    function = made.on_reply if isinstance(result, bytes) else made.on_reject
    outcome = _execute(graph, live, entry.Callback(*function), execution)
    if outcome.failure is None or made.on_cleanup is None:
        return outcome
    cleanup = _callback_execution(graph, state, call, Mode.COMPOSITE_CLEANUP, b"", responded)
    return _execute(graph, live, entry.Callback(*made.on_cleanup), cleanup)


def _callback_execution(
    graph: _Graph, state: CanisterState, call: Query, mode: Mode, result: bytes | Reject, responded: bool
) -> Execution:
    context = CallContext(0, state.id, _EMPTY_CONTEXT, call.sender, call.method, responded=responded)
    arg = result if isinstance(result, bytes) else b""
    execution = graph.kernel.execution(state, mode, call.sender, arg, context)
    if isinstance(result, Reject):
        execution.reject_code, execution.reject_message = result.reject_code.value, told(result)
    return execution


def _execute(graph: _Graph, live: Live, function: str | entry.Callback, execution: Execution) -> Outcome:
    left = graph.budget - graph.used
    if left <= 0:
        text = "Composite query call exceeded the instruction limit."
        problem = Failure(ErrorCode.QUERY_CALL_GRAPH_TOTAL_INSTRUCTION_LIMIT_EXCEEDED, text)
        return Outcome(execution, problem, 0)
    outcome = graph.kernel.run(live, function, execution, left)
    graph.used += outcome.instructions
    return outcome


def _answer(execution: Execution) -> bytes | Reject | None:
    if isinstance(execution.response, Replied):
        return execution.response.data
    if isinstance(execution.response, Rejected):
        return Reject(RejectCode.CANISTER_REJECT, execution.response.message)
    return None


def _rejected(graph: _Graph, state: CanisterState, call: Query, failure: Failure) -> Reject:
    graph.backtrace = failure.backtrace
    return Reject.of(failure.code, failure.message(state.id, graph.kernel.traced(state, call.sender)))
