"""What becomes of a canister in an upgrade: asked, written to, upgraded once more, and taken back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sandbox import CallRejected, Canister, Sandbox
from tests.conftest import fixture

Answers = dict[str, Any]
"""By call: the reply, or a `Refusal`."""

Call = tuple[Any, ...]
"""A method and its arguments."""


@dataclass(frozen=True)
class Program:
    """What one of the programs is asked; writes: over an old key, a longest value, a new key of each structure."""

    queries: tuple[Call, ...]
    writes: tuple[Call, ...]


STRUCTURES = Program(
    queries=(
        *((name,) for name in ("summary", "people_len", "a_len", "b_len", "numbers_len", "title")),
        *((name,) for name in ("list_people", "list_a", "list_b", "list_numbers")),
        ("person", "person03"),
        ("get_a", 30),
        ("get_b", 30),
        ("number", 7),
    ),
    writes=(
        ("put_person", "person03", {"name": "n", "age": 1}),
        ("put_person", "person03", {"name": "n" * 70, "age": 1}),  # the longest that version 1 accepts
        ("put_person", "person03", {"name": "n" * 165, "age": 1}),
        ("put_person", "p" * 35, {"name": "n", "age": 1}),
        ("put_person", "person99", {"name": "n", "age": 1}),
        ("put_a", 30, 1),
        ("put_a", 35, 1),
        ("put_b", 30, 1),
        ("put_b", 35, 1),
        ("remove_b", 10),
        ("push", 1),
        ("set_title", "t" * 20),
        ("set_title", "t" * 100_000),
    ),
)
HEAP = Program(queries=(("list_people",),), writes=(("put", "n" * 70, 1),))


class Outcome(Enum):
    REFUSED = "refused, and the state kept"
    DEAD_AT_FIRST_USE = "upgraded, and dead at first use"
    LOST_AT_FIRST_TOUCH = "upgraded, and lost without a word at first touch"
    WRONG_ANSWERS = "upgraded, and answers wrongly without a word"
    DEAD_AT_FIRST_WRITE = "upgraded, answers as before, and dead at first write"
    WRONG_AFTER_A_WRITE = "upgraded, answers as before, and wrong without a word after a write"
    LOST_AT_SECOND_UPGRADE = "upgraded, answers and writes as before, and lost at the second upgrade"
    KEPT = "kept"


@dataclass(frozen=True)
class Refusal:
    """A rejection; equal to every other, since addresses and lengths in its text may differ."""

    text: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Refusal)

    def __hash__(self) -> int:
        return hash(Refusal)


@dataclass(frozen=True)
class Written:
    """A write on a copy, and all answers after it."""

    reply: Any
    answers: Answers


@dataclass(frozen=True)
class Observed:
    before: Answers
    expected: Mapping[str, Written]
    """The writes on the old version or, if that refuses one, on the new version with the same entries put in afresh."""
    after: Refusal | Answers
    writes: Mapping[str, Written]
    second: Refusal | Answers
    """After a second upgrade, directly after the first."""
    written: Answers
    """After the first upgrade and every write."""
    second_written: Refusal | Answers
    """After a second upgrade on top of that."""
    rolled_back: bool
    """Whether the rollback, after all that, brought back every byte and answer."""

    @property
    def texts(self) -> str:
        """What all refusals after the upgrade say."""
        states = (self.after, self.second, self.written, self.second_written)
        replies = [each for state in states for each in (state.values() if isinstance(state, dict) else [state])]
        replies += [write.reply for write in self.writes.values()]
        return "\n".join(each.text for each in replies if isinstance(each, Refusal))


def outcome(seen: Observed) -> Outcome:
    """The first of the classes that fits, in the order in which a user would meet them."""
    if isinstance(seen.after, Refusal):
        return Outcome.REFUSED
    if _refusals(seen.after) - _refusals(seen.before):
        return Outcome.DEAD_AT_FIRST_USE
    if any(_gone(seen.before[call], seen.after[call]) for call in seen.before):
        return Outcome.LOST_AT_FIRST_TOUCH
    if seen.after != seen.before:
        return Outcome.WRONG_ANSWERS
    if _refusals(_replies(seen.writes)) - _refusals(_replies(seen.expected)):
        return Outcome.DEAD_AT_FIRST_WRITE
    if seen.writes != seen.expected:
        return Outcome.WRONG_AFTER_A_WRITE
    if (seen.second, seen.second_written) != (seen.after, seen.written):
        return Outcome.LOST_AT_SECOND_UPGRADE
    return Outcome.KEPT


def _refusals(answers: Answers) -> set[str]:
    return {call for call, answer in answers.items() if isinstance(answer, Refusal)}


def _replies(writes: Mapping[str, Written]) -> Answers:
    return {call: write.reply for call, write in writes.items()}


def _gone(before: Any, after: Any) -> bool:
    """Whether no entry is left, or the title of an empty cell."""
    return bool(after == [] != before or after == "default" != before)


@dataclass(frozen=True)
class Subject:
    """A canister in a sandbox of its own, as the old version left it; every look leaves it so."""

    sandbox: Sandbox
    canister: Canister
    program: Program

    def answers(self) -> Answers:
        return {described(query): self.call(query) for query in self.program.queries}

    def tried(self) -> dict[str, Written]:
        """Each write by itself on a copy."""
        tried = {}
        for write in self.program.writes:
            with self.sandbox.anchor():
                reply = self.call(write)
                tried[described(write)] = Written(reply, self.answers())
        return tried

    def call(self, call: Call) -> Any:
        method, *values = call
        try:
            return self.canister.call(method, *values)
        except CallRejected as error:
            return Refusal(str(error))

    def upgraded(self, module: str, arg: Any) -> Refusal | Answers:
        """All answers after an upgrade."""
        try:
            self.canister.upgrade(fixture(module), arg=arg)
        except CallRejected as error:
            return Refusal(str(error))
        return self.answers()


def filled(module: str, program: Program) -> Subject:
    """A module that was installed and given the entries of every test."""
    sandbox = Sandbox()
    canister = sandbox.create_canister()
    canister.install(fixture(module))
    canister.call("fill", 40)
    return Subject(sandbox, canister, program)


def tried_afresh(module: str, program: Program) -> dict[str, Written]:
    """Each write on a module that never was another; none if it cannot even be filled."""
    try:
        return filled(module, program).tried()
    except CallRejected:
        return {}


def observe(subject: Subject, new: str, arg: Any, second_arg: Any) -> Observed:
    """Upgrade to the module `new` with `arg`, and a second time with `second_arg`; with all looks in between."""
    canister = subject.canister
    state, before, expected = canister.raw_state(), subject.answers(), subject.tried()
    if any(isinstance(write.reply, Refusal) for write in expected.values()):
        afresh = tried_afresh(new, subject.program)
        expected |= {call: afresh[call] for call in afresh if isinstance(expected[call].reply, Refusal)}
    snapshot = canister.take_snapshot()
    after = subject.upgraded(new, arg)
    writes = subject.tried()
    with subject.sandbox.anchor():
        second = subject.upgraded(new, second_arg)
    for write in subject.program.writes:
        subject.call(write)
    written, second_written = subject.answers(), subject.upgraded(new, second_arg)
    canister.load_snapshot(snapshot.id)
    back = canister.raw_state() == state and subject.answers() == before
    return Observed(before, expected, after, writes, second, written, second_written, back)


def described(call: Call) -> str:
    method, *values = call
    return f"{method}({', '.join(map(repr, values))})"
