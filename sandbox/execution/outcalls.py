"""Transform functions of HTTP outcalls: interface specification, "IC method http_request".

A query method of the calling canister, called by the management canister; its changes are discarded. The text of its
failure begins with the error code (`dfinity/ic` `rs/https_outcalls/client/src/client.rs`,
`transform_adapter_response`).
"""

from __future__ import annotations

from dataclasses import replace

from sandbox.canister.failure import Failure, no_module
from sandbox.canister.module import compile_module
from sandbox.errors import CallRejected, ErrorCode, Reject
from sandbox.execution.context import ExecutionEnvironment, no_method
from sandbox.ic0.modes import Mode
from sandbox.ic0.state import Rejected, Replied
from sandbox.management.transition import Hooks
from sandbox.principal import Principal


def with_transform(env: ExecutionEnvironment) -> Hooks:
    """The hooks of `env`, with transform functions that run in it."""
    return replace(env.hooks, transform=lambda canister_id, method, arg: _run(env, canister_id, method, arg))


def _run(env: ExecutionEnvironment, canister_id: Principal, method: str, arg: bytes) -> bytes:
    state = env.subnet.canisters[canister_id]
    problem = no_module() if state.code is None else None
    if state.code is not None and compile_module(state.code).facts.methods.get(method) != "query":
        problem = no_method(method, "query")
    if problem is None:
        live = env.instances.open(state)
        execution = env.execution(state, Mode.TRANSFORM_QUERY, Principal.management(), arg)
        outcome = env.run(live, f"canister_query {method}", execution, env.subnet.instruction_limits.query)
        env.instances.rollback(state.id)
        if outcome.failure is None and isinstance(execution.response, Replied):
            return execution.response.data
        if outcome.failure is None and isinstance(execution.response, Rejected):
            raise CallRejected(Reject.of(ErrorCode.CANISTER_REJECTED_MESSAGE, execution.response.message))
        problem = outcome.failure or Failure(ErrorCode.CANISTER_DID_NOT_REPLY, "The transform function did not reply.")
    text = problem.message(canister_id, env.traced(state, Principal.management()))
    raise CallRejected(Reject.of(problem.code, f"{problem.code}: {text}"))
