"""Watchers: observers of inputs and their outcomes, which write a record or compare with one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from sandbox.errors import CallRejected, Reject
from sandbox.execution import CallResult, ExecutionEnvironment, Input, Managed, perform
from sandbox.management.transition import Http, HttpRequest
from sandbox.principal import Principal
from sandbox.record.state_hash import StateHash, rest_hash
from sandbox.state import SnapshotState, Subnet, evolve


@dataclass(frozen=True, slots=True)
class Begin:
    """An anchor begins."""


@dataclass(frozen=True, slots=True)
class Undo:
    """The innermost anchor ends: everything since it began is undone."""


Step = Input | Begin | Undo


@dataclass(frozen=True, slots=True)
class Outcome:
    """The evidence of one step, in values that CBOR can hold.

    `answer`: ["reply", bytes], ["reject", code, error code or None, text, backtrace], ["error", class, text] for
    misuse, else ["done", value]. `submitted`: answers in this form to submitted calls, by their numbers.
    `instructions`: of the whole step, and of the call. `outcalls`: each request and its answer; None without an HTTP
    handler. `canisters`: the new digest of each canister that changed, None for a deleted one. `subnet`: the digest of
    everything else, without counts of instructions.
    """

    answer: list[Any]
    submitted: list[list[Any]]
    instructions: list[int]
    logs: list[str]
    outcalls: list[list[Any]] | None
    canisters: dict[bytes, bytes | None]
    subnet: bytes


@dataclass(frozen=True, slots=True)
class Position:
    """The position of a watcher between two steps. `written`: bytes and blobs of a record."""

    known: StateHash
    answers: int
    steps: int = 0
    written: tuple[int, int] = (0, 0)


class Watcher:
    """An observer of every step of a sandbox, before it is taken, and of its outcome. The base class does nothing."""

    def __init__(self) -> None:
        self.closed = False
        self.on_close: Callable[[], None] = _nothing
        self._hash = StateHash()
        self._answers = 0

    def before(self, step: Step) -> None:
        """Observe a step before it is taken; an exception prevents it."""

    def after(self, outcome: Outcome) -> None:
        """Observe the outcome of the step."""

    def outside(self, http: Http | None) -> Http | None:
        """Return the handler of HTTP outcalls, given the sandbox's own."""
        return http

    def close(self, why: str = "closed") -> None:
        """End the observation."""
        self.closed = True
        self.on_close()

    def position(self) -> Position:
        """Return the present position, between two steps."""
        return Position(self._hash.copied(), self._answers)

    def back_to(self, position: Position) -> None:
        """Forget the steps after `position`, which were undone or not finished."""
        self._hash, self._answers = position.known.copied(), position.answers

    def begin(self, subnet: Subnet) -> None:
        """Observe the begin of an anchor."""
        self.before(Begin())
        self.after(self.outcome(subnet, ["done", None]))

    def undo(self, subnet: Subnet, known: bool) -> None:
        """Observe the undoing of an anchor; one that is not `known` began before this watcher."""
        if not known:
            self.close("an anchor that began before the recording was undone")
            return
        self.before(Undo())
        self.after(self.outcome(subnet, ["done", None]))

    def outcome(
        self, subnet: Subnet, answer: list[Any], env: ExecutionEnvironment | None = None, own: int = 0
    ) -> Outcome:
        """Return the evidence of the last step, except outcalls; `own`: the instructions of the call."""
        return Outcome(
            answer=answer,
            submitted=self._submitted(subnet),
            instructions=[env.executed if env is not None else 0, own],
            logs=list(env.printed) if env is not None else [],
            outcalls=None,
            canisters={bytes(c): digest for c, digest in self._hash.follow(subnet).items()},
            subnet=rest_hash(subnet, counts=False),
        )

    def _submitted(self, subnet: Subnet) -> list[list[Any]]:
        """Return the new answers to submitted calls; answers are removed only by undoing an anchor."""
        count = max(len(subnet.results) - self._answers, 0)
        self._answers = len(subnet.results)
        newest = list(islice(reversed(subnet.results.items()), count))
        return [[number, _result(result)] for number, result in reversed(newest)]


def _nothing() -> None:
    pass


def watched(watcher: Watcher, env: ExecutionEnvironment, step: Input) -> Any:
    """Perform an input, observed by `watcher`."""
    watcher.before(step)
    http = watcher.outside(env.hooks.http)
    outcalls: list[list[Any]] | None = None
    if http is not None:
        outcalls = []
        env.hooks = replace(env.hooks, http=_noted(http, outcalls))
    failure: Exception | None = None
    try:
        value = perform(env, step)
    except Exception as error:
        value, failure = None, error
    answer, own = _failed(failure) if failure is not None else _answered(value)
    outcome = watcher.outcome(env.subnet, answer, env, own)
    watcher.after(evolve(outcome, outcalls=outcalls))
    if failure is not None:
        raise failure
    return value


def _answered(value: object) -> tuple[list[Any], int]:
    if isinstance(value, CallResult):
        return _result(value), value.instructions
    if isinstance(value, Managed):
        reply = value.reply
        if isinstance(reply, SnapshotState):
            reply = reply.id
        return ["done", bytes(reply) if isinstance(reply, Principal) else reply], value.instructions
    return ["done", value], 0


def _result(result: CallResult) -> list[Any]:
    if result.reject is not None:
        return _rejected(result.reject, result)
    return ["reply", result.reply]


def _failed(error: Exception) -> tuple[list[Any], int]:
    if not isinstance(error, CallRejected):
        return ["error", type(error).__name__, str(error)], 0
    result = error.result
    return _rejected(error.reject, result), 0 if result is None else result.instructions


def _rejected(reject: Reject, result: CallResult | None) -> list[Any]:
    code = None if reject.error_code is None else int(reject.error_code)
    backtrace = [] if result is None else list(result.backtrace)
    return ["reject", int(reject.reject_code), code, reject.message, backtrace]


def _noted(http: Http, outcalls: list[list[Any]]) -> Http:
    """Wrap an HTTP handler so that each request and its answer are appended to `outcalls`."""

    def ask(request: HttpRequest) -> Mapping[str, Any]:
        asked = {**request, "headers": [list(header) for header in request["headers"]]}
        try:
            answer = dict(http(request))
            answer["headers"] = [list(header) for header in answer.get("headers", ())]
        except Exception as error:
            outcalls.append([asked, ["raised", type(error).__name__, str(error)]])
            raise
        outcalls.append([asked, ["answered", answer]])
        return answer

    return ask
