"""Everything that reaches a subnet from outside, as values, and what each does: one table.

Nothing else changes a sandbox, but an anchor that is undone. Whoever keeps the inputs can have the same again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.certify.request_id import request_id
from sandbox.execution import ingress, management, queries, request_size, rounds, time
from sandbox.execution.context import ExecutionEnvironment
from sandbox.execution.queries import Query
from sandbox.execution.result import CallResult
from sandbox.limits import ROUNDS
from sandbox.management.commands import Command, decide
from sandbox.principal import Principal
from sandbox.state import Ingress, Submission


@dataclass(frozen=True, slots=True)
class Update:
    """A user's call, to its answer, for which `max_rounds` are waited."""

    canister_id: Principal
    method: str
    arg: bytes
    sender: Principal
    max_rounds: int = ROUNDS


@dataclass(frozen=True, slots=True)
class Submit:
    """A user's call, let in and not executed yet. Without an expiry it never expires; without expiry and nonce it is
    another call than every other."""

    canister_id: Principal
    method: str
    arg: bytes
    sender: Principal
    nonce: bytes | None = None
    expiry: int | None = None
    """Nanoseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Advance:
    """Time passes."""

    nanoseconds: int


@dataclass(frozen=True, slots=True)
class Round:
    """One round of tasks and messages."""


@dataclass(frozen=True, slots=True)
class UntilIdle:
    """Rounds until nothing is left to do, at most `max_rounds`."""

    max_rounds: int = ROUNDS


@dataclass(frozen=True, slots=True)
class UntilStopped:
    """Messages until a stopping canister is stopped, for at most `max_rounds`."""

    canister_id: Principal
    max_rounds: int = ROUNDS


@dataclass(frozen=True, slots=True)
class Managed:
    """What came of a command: the handler's reply, and the evidence of the hooks that ran."""

    reply: object
    instructions: int = 0
    logs: tuple[str, ...] = ()


Input = Update | Query | Submit | Command | Advance | Round | UntilIdle | UntilStopped


def perform(env: ExecutionEnvironment, given: Input) -> Any:
    """Carry out an input: a `CallResult` for `Update` and `Query`, the message's number for `Submit`, `Managed` for a
    command, the number of rounds for `UntilIdle`. `CallRejected` only for commands, `RequestTooLarge` for calls;
    `StillWaiting` where rounds are counted."""
    return _TABLE[type(given)](env, given)


def _update(env: ExecutionEnvironment, given: Update) -> CallResult:
    if request_size.large(given.method, given.arg):
        request_size.check_call(_content(env, given, "call"))
    message = Ingress(env.new_id(), given.canister_id, given.method, given.arg, given.sender)
    return rounds.update(env, message, given.max_rounds)


def _submit(env: ExecutionEnvironment, given: Submit) -> int:
    subnet, number = env.subnet, env.subnet.next_id + 1
    expiry, nonce = given.expiry, given.nonce
    if expiry is None:
        expiry = subnet.time + ingress.KEPT
        nonce = number.to_bytes(8, "big") if nonce is None else nonce
    content = ingress.content_of(given.canister_id, given.method, given.arg, given.sender, expiry, nonce)
    if request_size.large(given.method, given.arg):
        request_size.check_call(content)
    name, number = request_id(content), env.new_id()
    submission = subnet.submissions.get(name)
    if submission is not None and submission.known:
        return submission.number
    if given.expiry is not None:
        ingress.check_expiry(subnet, given.expiry)
    if submission is not None:
        del subnet.submissions[name]
    subnet.submissions[name] = Submission(number, given.canister_id, given.method, given.sender, given.expiry or 0)
    refused = rounds.submit(env, Ingress(number, given.canister_id, given.method, given.arg, given.sender, name))
    if refused is not None:
        ingress.record_answer(subnet, name, refused, refused=True)
    return number


def _query(env: ExecutionEnvironment, given: Query) -> CallResult:
    if request_size.large(given.method, given.arg):
        request_size.check_query(_content(env, given, "query"))
    return queries.query(env, given)


def _content(env: ExecutionEnvironment, given: Update | Query, kind: str) -> dict[str, object]:
    expiry = env.subnet.time + ingress.KEPT
    return ingress.content_of(given.canister_id, given.method, given.arg, given.sender, expiry, kind=kind)


def _command(env: ExecutionEnvironment, given: Command) -> Managed:
    state = env.subnet.canisters.get(given.caller)
    world = management.world(env, given.caller, caller_version=None if state is None else state.version)
    reply = management.carry_out(env, decide(world, given)).reply
    return Managed(reply, env.executed, tuple(env.printed))


def _advance(env: ExecutionEnvironment, given: Advance) -> None:
    time.advance(env, given.nanoseconds)


def _round(env: ExecutionEnvironment, _given: Round) -> None:
    rounds.run_round(env)


def _until_idle(env: ExecutionEnvironment, given: UntilIdle) -> int:
    return rounds.run_until_idle(env, given.max_rounds)


def _until_stopped(env: ExecutionEnvironment, given: UntilStopped) -> None:
    rounds.stop(env, given.canister_id, given.max_rounds)


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
