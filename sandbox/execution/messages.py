"""Calls from users: interface specification, "Canister ingress history: update calls" and "Query call".

An update runs on the present state and commits if it returns, whether it replied or not. A query method called as an
update runs replicated and its changes are forgotten; so are those of every query call. A trap changes nothing but logs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sandbox.canister.code import prepare
from sandbox.canister.failure import Failure
from sandbox.canister.live import Live, Machines
from sandbox.canister.run import Outcome, run
from sandbox.errors import ErrorCode, Reject
from sandbox.execution.logs import recorded
from sandbox.execution.result import CallResult
from sandbox.ic0.modes import Mode
from sandbox.ic0.state import Environment, Execution, Replied
from sandbox.principal import Principal
from sandbox.state import CanisterState, Status, Subnet

_NO_MODULE = "Attempted to execute a message, but the canister contains no Wasm module."
_MODES = {"update": Mode.UPDATE, "query": Mode.REPLICATED_QUERY}
_QUERY_MODES = {"query": Mode.NON_REPLICATED_QUERY, "composite_query": Mode.COMPOSITE_QUERY}


@dataclass(frozen=True, slots=True)
class Call:
    """A call from outside: `arg` is what the method gets, usually Candid."""

    canister_id: Principal
    method: str
    arg: bytes
    sender: Principal
    on_log: Callable[[Principal, str], None] | None = None


def update(subnet: Subnet, machines: Machines, call: Call) -> CallResult:
    """Run an update call to its end; the result says how it ended."""
    state = subnet.canisters.get(call.canister_id)
    problem = _unavailable(state, call.canister_id)
    if state is None or problem is not None:
        assert problem is not None
        return _refused(call, problem)
    assert state.code is not None
    prepared = prepare(state.code)
    if "canister_inspect_message" in prepared.facts.entry_points:
        refused = _inspect(subnet, machines, state, call)
        if refused is not None:
            return refused
    kind = prepared.facts.methods.get(call.method)
    if kind == "composite_query":
        return _refused(
            call,
            Reject.of(
                ErrorCode.COMPOSITE_QUERY_CALLED_IN_REPLICATED_MODE,
                "Composite query cannot be called in replicated mode",
            ),
        )
    if kind is None:
        return _refused(call, _no_method(call, "update"))
    live = machines.open(state)
    execution = _execution(subnet, state, call, _MODES[kind])
    limits = subnet.instruction_limits
    outcome = run(
        live,
        f"canister_{kind} {call.method}",
        execution,
        limits.update if kind == "update" else limits.query,
        state.settings.wasm_memory_limit,
    )
    return _end(subnet, machines, state, live, call, _without_calls(outcome))


def query(subnet: Subnet, machines: Machines, call: Call) -> CallResult:
    """Run a query call; nothing of it remains."""
    state = subnet.canisters.get(call.canister_id)
    problem = _unavailable(state, call.canister_id)
    if state is None or problem is not None:
        assert problem is not None
        return _refused(call, problem)
    assert state.code is not None
    kind = prepare(state.code).facts.methods.get(call.method)
    if kind not in _QUERY_MODES:
        return _refused(call, _no_method(call, "query"))
    live = machines.open(state)
    execution = _execution(subnet, state, call, _QUERY_MODES[kind])
    outcome = run(live, f"canister_{kind} {call.method}", execution, subnet.instruction_limits.query)
    machines.rollback(state.id)
    return _result(state, call, _without_calls(outcome))


def _end(
    subnet: Subnet, machines: Machines, state: CanisterState, live: Live, call: Call, outcome: Outcome
) -> CallResult:
    """Commit or forget what the execution of an update call did."""
    execution = outcome.execution
    if outcome.failure is not None or execution.mode is not Mode.UPDATE:
        machines.rollback(state.id)
        subnet.canisters[state.id] = recorded(state, (execution,), outcome.failure, subnet.time)
    else:
        new = replace(
            state,
            globals=live.commit(),
            version=state.version + 1,
            certified_data=state.certified_data if execution.certified_data is None else execution.certified_data,
            global_timer=state.global_timer if execution.global_timer is None else execution.global_timer,
            cycles=state.cycles - execution.burned,
        )
        if execution.logs:
            new = recorded(new, (execution,), None, subnet.time)
        subnet.canisters[state.id] = new
        if live.prepared.facts.uses_data_drop:
            machines.drop(state.id)
    return _result(state, call, outcome)


def _inspect(subnet: Subnet, machines: Machines, state: CanisterState, call: Call) -> CallResult | None:
    """Ask `canister_inspect_message`; None if it accepts."""
    live = machines.open(state)
    execution = _execution(subnet, state, call, Mode.INSPECT)
    execution.inspected_method = call.method
    outcome = run(live, "canister_inspect_message", execution, subnet.instruction_limits.inspect)
    machines.rollback(state.id)
    if outcome.failure is not None:
        return _result(state, call, outcome)
    if execution.message_accepted:
        return None
    return _refused(call, Reject.of(ErrorCode.CANISTER_REJECTED_MESSAGE, "Canister rejected the message"))


def _execution(subnet: Subnet, state: CanisterState, call: Call, mode: Mode) -> Execution:
    environment = Environment(
        canister_id=state.id,
        caller=call.sender,
        time=subnet.time,
        controllers=frozenset(state.settings.controllers),
        status=state.status.value,
        version=state.version,
        global_timer=state.global_timer,
        environment_variables=state.settings.environment_variables,
        cycles=state.cycles,
    )
    execution = Execution(mode, environment, call.arg)
    on_log = call.on_log
    if on_log is not None:
        execution.on_log = lambda text: on_log(state.id, text)
    return execution


def _unavailable(state: CanisterState | None, canister_id: Principal) -> Reject | None:
    """Why a canister takes no call, if it takes none."""
    if state is None:
        return Reject.of(ErrorCode.CANISTER_NOT_FOUND, f"Canister {canister_id} not found")
    if state.status is not Status.RUNNING:
        code = ErrorCode.CANISTER_STOPPED if state.status is Status.STOPPED else ErrorCode.CANISTER_STOPPING
        return Reject.of(code, f"Canister {canister_id} is not running")
    if state.code is None:
        problem = Failure(ErrorCode.CANISTER_WASM_MODULE_NOT_FOUND, _NO_MODULE)
        return Reject.of(problem.code, problem.message(canister_id))
    return None


def _no_method(call: Call, kind: str) -> Reject:
    problem = Failure(ErrorCode.CANISTER_METHOD_NOT_FOUND, f"Canister has no {kind} method '{call.method}'.")
    return Reject.of(problem.code, problem.message(call.canister_id))


def _refused(call: Call, reject: Reject) -> CallResult:
    return CallResult(call.canister_id, call.method, reject=reject)


def _without_calls(outcome: Outcome) -> Outcome:
    """Calls to other canisters are not offered yet: a message that made one has trapped, and says so by name."""
    if outcome.failure is None and outcome.execution.calls:
        text = "Canister violated contract: ic0.call_perform: calls to canisters are not supported by this sandbox yet"
        return replace(outcome, failure=Failure(ErrorCode.CANISTER_CONTRACT_VIOLATION, text))
    return outcome


def _result(state: CanisterState, call: Call, outcome: Outcome) -> CallResult:
    execution, failure = outcome.execution, outcome.failure
    reply: bytes | None = None
    reject: Reject | None = None
    if failure is not None:
        reject = Reject.of(failure.code, failure.message(state.id, _reads_logs(state, call.sender)))
    elif isinstance(execution.response, Replied):
        reply = execution.response.data
    elif execution.response is not None:
        reject = Reject.of(ErrorCode.CANISTER_REJECTED_MESSAGE, execution.response.message)
    else:
        text = f"Canister {state.id} did not reply to the call"
        reject = Reject.of(ErrorCode.CANISTER_DID_NOT_REPLY, text)
    return CallResult(
        canister_id=state.id,
        method=call.method,
        reply=reply,
        reject=reject,
        instructions=outcome.instructions,
        logs=tuple(text.decode(errors="replace") for text in execution.logs) if execution.logs else (),
        backtrace=failure.backtrace if failure is not None else (),
    )


def _reads_logs(state: CanisterState, sender: Principal) -> bool:
    visibility = state.settings.log_visibility
    return visibility.public or sender in state.settings.controllers or sender in visibility.allowed_viewers
