"""Query calls: interface specification, "Query call" and "Composite queries" (SPECIFICATION 4.7).

A query changes no state. A composite query may call queries of other canisters: each of these starts from the
committed state of its canister, also of the calling one, while the composite's own callbacks see its changes so far;
the first answer ends it. The called method itself, no callback and no other canister, has a certificate of its
certified data. A graph beyond its depth or its instructions fails as a whole; there is no other bound on loops
(`dfinity/ic` `rs/execution_environment/src/query_handler/query_call_graph.rs`, `query_context.rs`; texts too).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial

from sandbox.canister.checkpoint import checkpoint, resumed
from sandbox.canister.entry_point import Executed, TableFunction
from sandbox.canister.failure import Failure, cleanup_failed, no_module
from sandbox.canister.instances import CanisterInstance
from sandbox.canister.module import compile_module
from sandbox.errors import CallRejected, ErrorCode, Reject, RejectCode
from sandbox.execution import management
from sandbox.execution.calls import unavailable
from sandbox.execution.certificates import data_certificate
from sandbox.execution.context import ENTRY, ExecutionEnvironment, no_method
from sandbox.execution.responses import text_for_canister
from sandbox.execution.result import CallResult
from sandbox.ic0.modes import Mode
from sandbox.ic0.state import Call, Execution, Rejected, Replied
from sandbox.limits import COMPOSITE_DEPTH, INSTRUCTIONS_PER_QUERY_CALL
from sandbox.management import dispatch
from sandbox.principal import Principal
from sandbox.state import CallContext, CanisterState, SenderInfo, Status, SystemOrigin

_EMPTY_CONTEXT = SystemOrigin()
_MANAGEMENT = Principal.management()


@dataclass(frozen=True, slots=True)
class Query:
    """A query call."""

    canister_id: Principal
    method: str
    arg: bytes
    sender: Principal
    sender_info: SenderInfo | None = None


@dataclass(slots=True)
class _Graph:
    """One user's query and all the queries that it causes."""

    env: ExecutionEnvironment
    budget: int
    used: int = 0
    backtrace: tuple[str, ...] = ()


class _Ended(Exception):
    """The reject that ends the whole query: the graph is beyond one of its limits."""

    def __init__(self, reject: Reject) -> None:
        super().__init__(reject.message)
        self.reject = reject


def query(env: ExecutionEnvironment, call: Query) -> CallResult:
    """Run a query call; the result has its reply or its reject. `StateCorrupt` if the canister's memory on disk is
    damaged."""
    target = env.subnet.canisters.get(call.canister_id)
    if target is not None:
        target.check_intact()
    graph = _Graph(env, env.subnet.instruction_limits.query)
    answer: bytes | Reject
    try:
        answer = _evaluate(graph, call, 0)
    except _Ended as ended:
        answer = ended.reject
    if isinstance(answer, Reject) and answer.error_code is None:
        answer = Reject(answer.reject_code, answer.message, ErrorCode.CANISTER_REJECTED_MESSAGE)
    return CallResult(
        canister_id=call.canister_id,
        method=call.method,
        reply=answer if isinstance(answer, bytes) else None,
        reject=answer if isinstance(answer, Reject) else None,
        instructions=graph.used,
        logs=tuple(env.printed),
        backtrace=graph.backtrace,
    )


def _evaluate(graph: _Graph, call: Query, depth: int) -> bytes | Reject:
    env = graph.env
    if call.canister_id == _MANAGEMENT:
        return _managed(env, call)
    state = env.subnet.canisters.get(call.canister_id)
    refused = _unavailable(state, call.canister_id)
    if state is None or refused is not None:
        assert refused is not None
        return refused
    refused = env.fees.frozen(state)
    if refused is not None:
        return refused
    if state.code is None:
        return _rejected(graph, state, call, no_module(), depth)
    kind = compile_module(state.code).facts.methods.get(call.method)
    if kind not in ("query", "composite_query"):
        return _rejected(graph, state, call, no_method(call.method, "query"), depth)
    if kind == "query":
        try:
            return _Node(graph, state, env.instances.open(state), call, depth).answer(Mode.NON_REPLICATED_QUERY)
        finally:
            env.instances.rollback(state.id)
    node = _Node(graph, state, env.instances.take(state), call, depth)
    try:
        return node.answer(Mode.COMPOSITE_QUERY)
    finally:
        env.instances.give_back(state.id, node.live)


def _unavailable(state: CanisterState | None, canister_id: Principal) -> Reject | None:
    """The reject of a query to a canister that cannot answer; None if it can (`dfinity/ic`
    `rs/replicated_state/src/replicated_state.rs`, `get_active_canister`; then as for every other message)."""
    if state is not None and state.status is Status.STOPPED:
        text = f"Canister {canister_id} is stopped and therefore does not have a CallContextManager"
        return Reject.of(ErrorCode.CANISTER_STOPPED, text)
    return unavailable(state, canister_id)


def _managed(env: ExecutionEnvironment, call: Query) -> bytes | Reject:
    """A query of the management canister, by a user or by a composite query."""
    asking = env.subnet.canisters.get(call.sender)
    version = None if asking is None else asking.version
    try:
        return dispatch.query(
            management.management_context(env, call.sender, caller_version=version), call.method, call.arg
        )
    except CallRejected as refused:
        return refused.reject


@dataclass(slots=True)
class _Node:
    """One query of the graph; a composite query runs with its callbacks on one instance."""

    graph: _Graph
    state: CanisterState
    live: CanisterInstance
    call: Query
    depth: int
    used: int = 0
    """Instructions of the executions so far."""

    def answer(self, mode: Mode) -> bytes | Reject:
        """The first answer of the method or of a callback; later callbacks could not change it and are not run."""
        execution = self.graph.env.execution(self.state, mode, self.call.sender, self.call.arg)
        execution.env.tell_of_sender(self.call.sender_info)
        if self.depth == 0:
            execution.certificate = partial(data_certificate, self.graph.env.subnet, self.state.id)
        outcome, failed = self._execute(f"{ENTRY[mode]} {self.call.method}", execution), None
        pending = deque(execution.calls)
        while outcome.failure is None:
            answer = _answer(outcome.execution)
            if answer is not None:
                return answer
            self._check_limits()
            if not pending:
                return self._silence(failed)
            outcome, failed = self._call_back(pending.popleft())
            pending.extend(outcome.execution.calls)
        return self._rejected(outcome.failure)

    def _check_limits(self) -> None:
        if self.depth >= COMPOSITE_DEPTH:
            text = "Composite query calls exceeded the maximum call depth."
            raise _Ended(Reject.of(ErrorCode.QUERY_CALL_GRAPH_TOO_DEEP, text))
        if self.graph.used >= self.graph.budget:
            text = "Composite query calls exceeded the instruction limit."
            raise _Ended(Reject.of(ErrorCode.QUERY_CALL_GRAPH_TOTAL_INSTRUCTION_LIMIT_EXCEEDED, text))

    def _silence(self, failed: Failure | None) -> Reject:
        """The reject of a query that can get no answer any more: the trap of the last callback, whose cleanup returned,
        or "did not produce a response"."""
        if failed is not None:
            return self._rejected(failed)
        return Reject.of(ErrorCode.CANISTER_DID_NOT_REPLY, f"Canister {self.state.id} did not produce a response")

    def _call_back(self, made: Call) -> tuple[Executed, Failure | None]:
        """Make a call and run its callback; if that traps, its cleanup, from the state before the callback.

        Returns the outcome, whose failure ends the query, and the trap of a callback whose cleanup returned."""
        callee = Query(made.callee, made.method, bytes(made.arg), self.state.id)
        result = _evaluate(self.graph, callee, self.depth + 1)
        self.graph.used += INSTRUCTIONS_PER_QUERY_CALL
        self._check_limits()
        mode = Mode.COMPOSITE_REPLY if isinstance(result, bytes) else Mode.COMPOSITE_REJECT
        function = made.on_reply if isinstance(result, bytes) else made.on_reject
        before = checkpoint(self.live) if made.on_cleanup is not None else None
        outcome = self._execute(TableFunction(*function), self._execution(mode, result))
        if outcome.failure is None or made.on_cleanup is None or before is None:
            return outcome, None
        self.live = resumed(self.live, before)
        cleanup = self._execute(TableFunction(*made.on_cleanup), self._execution(Mode.COMPOSITE_CLEANUP, b""))
        if cleanup.failure is None:
            return cleanup, outcome.failure
        return Executed(cleanup.execution, cleanup_failed(outcome.failure, cleanup.failure), 0), None

    def _execution(self, mode: Mode, result: bytes | Reject) -> Execution:
        call = self.call
        context = CallContext(0, self.state.id, _EMPTY_CONTEXT, call.sender, call.method, instructions=self.used)
        arg = result if isinstance(result, bytes) else b""
        execution = self.graph.env.execution(self.state, mode, call.sender, arg, context)
        execution.env.tell_of_sender(call.sender_info)
        if isinstance(result, Reject):
            execution.reject_code, execution.reject_message = result.reject_code.value, text_for_canister(result)
        return execution

    def _execute(self, function: str | TableFunction, execution: Execution) -> Executed:
        left = max(self.graph.budget - self.graph.used, 0)
        outcome = self.graph.env.run(self.live, function, execution, left)
        self.graph.used += outcome.instructions
        self.used += outcome.instructions
        return outcome

    def _rejected(self, failure: Failure) -> Reject:
        return _rejected(self.graph, self.state, self.call, failure, self.depth)


def _answer(execution: Execution) -> bytes | Reject | None:
    if isinstance(execution.response, Replied):
        return execution.response.data
    if isinstance(execution.response, Rejected):
        return Reject(RejectCode.CANISTER_REJECT, execution.response.message)
    return None


def _rejected(graph: _Graph, state: CanisterState, call: Query, failure: Failure, depth: int) -> Reject:
    if depth == 0:
        graph.backtrace = failure.backtrace
    return Reject.of(failure.code, failure.message(state.id, graph.env.traced(state, call.sender)))
