"""All inputs of a subnet, as values, and one table of the functions that carry them out.

Only these inputs, and undoing an anchor, change a sandbox; replaying them reproduces it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.canister.install import HookMeasure
from sandbox.certify.request_id import request_id
from sandbox.execution import ingress, management, queries, request_size, rounds, time
from sandbox.execution.context import ExecutionEnvironment
from sandbox.execution.queries import Query
from sandbox.execution.result import CallResult
from sandbox.limits import ROUNDS
from sandbox.management.commands import Command, decide
from sandbox.principal import Principal
from sandbox.profile import Profile
from sandbox.state import Ingress, SenderInfo, Submission


@dataclass(frozen=True, slots=True)
class Update:
    """A user's call, executed until its answer, for at most `max_rounds`."""

    canister_id: Principal
    method: str
    arg: bytes
    sender: Principal
    max_rounds: int = ROUNDS


@dataclass(frozen=True, slots=True)
class Submit:
    """A user's call that is queued and executed later. Without an expiry it never expires; without expiry and nonce its
    request id is unique."""

    canister_id: Principal
    method: str
    arg: bytes
    sender: Principal
    nonce: bytes | None = None
    expiry: int | None = None
    """Nanoseconds since 1970."""
    sender_info: SenderInfo | None = None


@dataclass(frozen=True, slots=True)
class Advance:
    """The passing of time."""

    nanoseconds: int


@dataclass(frozen=True, slots=True)
class Round:
    """One round of tasks and messages."""


@dataclass(frozen=True, slots=True)
class UntilIdle:
    """Rounds until no work is left, at most `max_rounds`."""

    max_rounds: int = ROUNDS


@dataclass(frozen=True, slots=True)
class UntilStopped:
    """Messages until a stopping canister is stopped, for at most `max_rounds`."""

    canister_id: Principal
    max_rounds: int = ROUNDS


@dataclass(frozen=True, slots=True)
class Managed:
    """The result of a command: the handler's reply; instructions, logs and measures of the hooks that ran; what
    compiling counted for."""

    reply: object
    instructions: int = 0
    logs: tuple[str, ...] = ()
    hooks: tuple[HookMeasure, ...] = ()
    compilation: int = 0
    profile: Profile | None = None


Input = Update | Query | Submit | Command | Advance | Round | UntilIdle | UntilStopped


def perform(env: ExecutionEnvironment, action: Input) -> Any:
    """Carry out an input: a `CallResult` for `Update` and `Query`, the message's number for `Submit`, `Managed` for a
    command, the number of rounds for `UntilIdle`. `CallRejected` only for commands, `RequestTooLarge` for calls;
    `StillWaiting` where rounds are counted."""
    return _TABLE[type(action)](env, action)


def _update(env: ExecutionEnvironment, action: Update) -> CallResult:
    if request_size.large(action.method, action.arg):
        request_size.check_call(_content(env, action, "call"))
    message = Ingress(env.new_id(), action.canister_id, action.method, action.arg, action.sender)
    return rounds.update(env, message, action.max_rounds)


def _submit(env: ExecutionEnvironment, action: Submit) -> int:
    subnet, number = env.subnet, env.subnet.next_id + 1
    expiry, nonce = action.expiry, action.nonce
    if expiry is None:
        expiry = subnet.time + ingress.KEPT
        nonce = number.to_bytes(8, "big") if nonce is None else nonce
    content = ingress.content_of(action.canister_id, action.method, action.arg, action.sender, expiry, nonce)
    if action.sender_info is not None:
        content["sender_info"] = action.sender_info.fields
    if request_size.large(action.method, action.arg):
        request_size.check_call(content)
    name, number = request_id(content), env.new_id()
    submission = subnet.submissions.get(name)
    if submission is not None and submission.known:
        return submission.number
    if action.expiry is not None:
        ingress.check_expiry(subnet.time, action.expiry)
    if submission is not None:
        del subnet.submissions[name]
    subnet.submissions[name] = Submission(number, action.canister_id, action.method, action.sender, action.expiry or 0)
    message = Ingress(number, action.canister_id, action.method, action.arg, action.sender, name, action.sender_info)
    refused = rounds.submit(env, message)
    if refused is not None:
        ingress.record_answer(subnet, name, refused, refused=True)
    return number


def _query(env: ExecutionEnvironment, action: Query) -> CallResult:
    if request_size.large(action.method, action.arg):
        request_size.check_query(_content(env, action, "query"))
    return queries.query(env, action)


def _content(env: ExecutionEnvironment, action: Update | Query, kind: str) -> dict[str, object]:
    expiry = env.subnet.time + ingress.KEPT
    return ingress.content_of(action.canister_id, action.method, action.arg, action.sender, expiry, kind=kind)


def _command(env: ExecutionEnvironment, action: Command) -> Managed:
    state = env.subnet.canisters.get(action.caller)
    context = management.management_context(env, action.caller, caller_version=None if state is None else state.version)
    done = management.carry_out(env, decide(context, action))
    return Managed(done.reply, env.executed, tuple(env.printed), done.measures, env.compiled)


def _advance(env: ExecutionEnvironment, action: Advance) -> None:
    time.advance(env, action.nanoseconds)


def _round(env: ExecutionEnvironment, _action: Round) -> None:
    rounds.run_round(env)


def _until_idle(env: ExecutionEnvironment, action: UntilIdle) -> int:
    return rounds.run_until_idle(env, action.max_rounds)


def _until_stopped(env: ExecutionEnvironment, action: UntilStopped) -> None:
    rounds.stop(env, action.canister_id, action.max_rounds)


_TABLE: Mapping[type[Any], Callable[[ExecutionEnvironment, Any], Any]] = {
    Update: _update,
    Query: _query,
    Submit: _submit,
    Command: _command,
    Advance: _advance,
    Round: _round,
    UntilIdle: _until_idle,
    UntilStopped: _until_stopped,
}
"""The closed list of inputs."""
