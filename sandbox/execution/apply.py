"""Apply the transition of a management handler to the subnet, all or nothing."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from sandbox.canister.failure import Failure
from sandbox.errors import ErrorCode, Reject
from sandbox.execution import low_memory, policies
from sandbox.execution.context import ExecutionEnvironment
from sandbox.execution.finish import reject_open_calls, respond, stop_if_done
from sandbox.execution.logs import recorded
from sandbox.execution.result import CallResult
from sandbox.management.transition import Transition
from sandbox.memory import Image, Memory
from sandbox.principal import Principal
from sandbox.state import CanisterState, Status
from sandbox.state.canister import READY
from sandbox.store import Patch


def apply(env: ExecutionEnvironment, transition: Transition) -> None:
    """Apply `transition`. If hooks trapped, at most their logs are kept and `CallRejected` is raised."""
    subnet, state = env.subnet, transition.canister
    if state is not None and not transition.rehearsal_failed:
        state = recorded(state, transition.executions, transition.failure, subnet.time)
    if transition.failure is not None:
        assert state is not None
        subnet.canisters[state.id] = state
        _evidence(env, state, transition, transition.failure).or_raise()
    _restore(transition)
    if transition.policies is not None:
        subnet.policies = transition.policies
    if state is not None:
        _replace(env, state, transition)
    subnet.random_draws += transition.drawn
    subnet.next_canister = max(subnet.next_canister, transition.next_canister)
    if transition.removed is not None:
        env.instances.drop(transition.removed)
        del subnet.canisters[transition.removed]
        subnet.deleted |= {transition.removed}
        if transition.removed in subnet.policies:
            others = {key: policy for key, policy in subnet.policies.items() if key != transition.removed}
            subnet.policies = MappingProxyType(others)


def check_rehearsal(env: ExecutionEnvironment, transition: Transition) -> None:
    """Raise `CallRejected` if the hooks of a transition that is not to be applied trapped."""
    if transition.failure is not None:
        assert transition.canister is not None
        _evidence(env, transition.canister, transition, transition.failure).or_raise()


def _evidence(env: ExecutionEnvironment, state: CanisterState, transition: Transition, problem: Failure) -> CallResult:
    return CallResult(
        canister_id=state.id,
        method=transition.method,
        reject=Reject.of(problem.code, problem.message(state.id, env.subnet.backtraces)),
        instructions=transition.instructions,
        compilation=transition.compilation,
        logs=tuple(
            text.decode(errors="replace")
            for execution in (*transition.rehearsed, *transition.executions)
            for text in execution.logs
        ),
        backtrace=problem.backtrace,
        hooks=transition.measures,
    )


def _restore(transition: Transition) -> None:
    """Restore the memories, all of them or none."""
    done: list[tuple[Memory, Image]] = []
    steps = transition.restored
    try:
        for memory, content in steps:
            if content is steps[-1][1]:
                _restore_one(memory, content)
                continue
            before = memory.image()
            _restore_one(memory, content)
            done.append((memory, before))
    except BaseException:
        for memory, before in done:
            memory.restore(before)
        raise


def _restore_one(memory: Memory, content: Image | Patch) -> None:
    if isinstance(content, Patch):
        content.apply(memory)
    else:
        memory.restore(content)


def _replace(env: ExecutionEnvironment, state: CanisterState, transition: Transition) -> None:
    subnet = env.subnet
    before = subnet.canisters.get(state.id)
    if transition.live is not None:
        if subnet.policies and before is not None:
            state = policies.before_deployment(subnet, before, state, transition)
        state = replace(state, globals=transition.live.commit())
        env.instances.adopt(state.id, transition.live)
        if transition.live.prepared.facts.uses_data_drop:
            env.instances.drop(state.id)
        if subnet.policies and before is not None:
            state = policies.after_deployment(subnet, before, state, transition)
    if before is not None and before.low_memory_hook != state.low_memory_hook == READY:
        low_memory.schedule(env, state)  # an uploaded snapshot says so
    state = subnet.canisters[state.id] = low_memory.watched(env, state)
    if before is not None and before.code is not None and state.code is None:
        reject_open_calls(env, state.id)
    if state.status is Status.STOPPING:
        stop_if_done(env, state)
    elif before is not None and before.status is Status.STOPPING and state.status is Status.RUNNING:
        _cancel_stops(env, state.id)


def _cancel_stops(env: ExecutionEnvironment, canister_id: Principal) -> None:
    text = f"Canister {canister_id}'s stop request was cancelled."
    for context in env.subnet.stops.pop(canister_id, ()):
        respond(env, context, Reject.of(ErrorCode.CANISTER_STOPPING_CANCELLED, text))
