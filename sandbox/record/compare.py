"""Comparison of a replayed record: the recorded outcomes against the present ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from sandbox.errors import ErrorCode, RecordError, SandboxError
from sandbox.execution import Advance, Query, Round, Submit, UntilIdle, UntilStopped, Update
from sandbox.management.code import InstallCode
from sandbox.management.commands import Command
from sandbox.management.transition import Http, HttpRequest
from sandbox.principal import Principal
from sandbox.record.watch import Begin, Outcome, Step, Undo, Watcher

_SHOWN = 400
_EXCEEDED = int(ErrorCode.CANISTER_INSTRUCTION_LIMIT_EXCEEDED)


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first difference between a recorded and a replayed step. `what`: outcalls, answer, submitted (answers to
    submitted calls), logs, instructions, state of a canister, state of the subnet."""

    what: str
    expected: str
    came: str


class Comparison(Watcher):
    """A watcher that compares every step with its recorded outcome; `found` is the first difference. With `counts`,
    instructions are compared too, with `states` the digests of states."""

    def __init__(self, counts: bool, states: bool) -> None:
        super().__init__()
        self.expected: Outcome | None = None
        self.found: Divergence | None = None
        self.seen = False
        """Whether the step with the expected outcome was taken."""
        self._counts, self._states = counts, states

    def outside(self, http: Http | None) -> Http | None:
        """Answer outcalls as recorded."""
        assert self.expected is not None
        if self.expected.outcalls is None:
            return None
        answers = iter(self.expected.outcalls)
        return lambda request: _again(request, answers)

    def expect(self, outcome: Outcome) -> None:
        """Set the expected outcome of the next step."""
        self.expected, self.seen, self.found = outcome, False, None

    def after(self, outcome: Outcome) -> None:
        assert self.expected is not None
        self.seen = True
        differences = _evidence(self.expected, outcome, self._counts)
        if self._states:
            differences = chain(differences, _states(self.expected, outcome))
        self.found = next(differences, None)


def _again(request: HttpRequest, answers: Iterator[list[Any]]) -> Mapping[str, Any]:
    asked, (kind, *answer) = next(answers, (None, (None,)))
    if asked != {**request, "headers": [list(header) for header in request["headers"]]}:
        raise RecordError("the record has no answer to this HTTP outcall")
    if kind == "raised":
        name, text = answer
        raise type(name, (SandboxError,), {})(text)
    return dict(answer[0])


def _evidence(expected: Outcome, came: Outcome, counts: bool) -> Iterator[Divergence]:
    """Yield the differences in answers, logs and counts, causes before consequences."""
    names = ["outcalls", "answer", "submitted", "logs", *(["instructions"] if counts else [])]
    for name in names:
        one, two = getattr(expected, name), getattr(came, name)
        if one != two and (counts or not _out_of_instructions(one, two)):
            yield Divergence(name, _SHOWS[name](one), _SHOWS[name](two))


def _out_of_instructions(one: object, two: object) -> bool:
    """Return True for two answers of messages that exceeded the limit, whatever the limit was."""
    return all(isinstance(a, list) and a[:1] == ["reject"] and a[2] == _EXCEEDED for a in (one, two))


def _states(expected: Outcome, came: Outcome) -> Iterator[Divergence]:
    for raw in sorted(expected.canisters.keys() | came.canisters.keys()):
        if expected.canisters.get(raw, "") != came.canisters.get(raw, ""):
            yield Divergence(f"state of canister {Principal(raw)}", _state(expected, raw), _state(came, raw))
    if expected.subnet != came.subnet:
        yield Divergence("state of the subnet", expected.subnet.hex(), came.subnet.hex())


def _state(outcome: Outcome, raw: bytes) -> str:
    if raw not in outcome.canisters:
        return "as before the step"
    digest = outcome.canisters[raw]
    return "no such canister" if digest is None else digest.hex()


def _answer(answer: list[Any]) -> str:
    match answer:
        case ["reply", bytes(reply)]:
            return _clipped(f"reply 0x{reply.hex()}")
        case ["reject", code, error, text, _]:
            return _clipped(f"reject {code}{'' if error is None else f' (IC{error:04d})'}: {text}")
        case ["error", name, text]:
            return _clipped(f"{name}: {text}")
    value = answer[-1]
    return _clipped(f"0x{value.hex()}" if isinstance(value, bytes) else repr(value))


def _clipped(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"


_SHOWS: Mapping[str, Callable[[Any], str]] = {
    "outcalls": lambda value: _clipped(repr(value)),
    "answer": _answer,
    "submitted": lambda answers: "; ".join(f"call {number}: {_answer(answer)}" for number, answer in answers) or "none",
    "logs": lambda value: _clipped(repr(value)),
    "instructions": lambda value: " of the step, ".join(f"{count:,}" for count in value) + " of the call",
}


def described(step: Step) -> str:
    """Return a short text about the step."""
    match step:
        case Update() | Query() | Submit():
            argument = _clipped(f"0x{step.arg.hex()}")
            return f"{type(step).__name__.lower()} {step.method} of {step.canister_id} by {step.sender}, {argument}"
        case Command(handler, caller, arguments):
            first = arguments[0] if arguments else None
            target = first.canister_id if isinstance(first, InstallCode) else first
            return f"{handler}{f' of {target}' if isinstance(target, Principal) else ''} by {caller}"
        case Advance(nanoseconds):
            return f"advance time by {nanoseconds} ns"
        case UntilStopped(canister_id):
            return f"messages until {canister_id} is stopped"
    return _PLAIN[type(step)]


_PLAIN: Mapping[type[Any], str] = {
    Round: "a round",
    UntilIdle: "rounds until idle",
    Begin: "an anchor begins",
    Undo: "an anchor is undone",
}
