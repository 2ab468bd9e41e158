"""Sequences of generated calls: they are tried on a canister, and those that change its state are collected.

The values that a call returns, such as ids, are among the arguments of the calls after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from sandbox import candid
from sandbox.candid import FuncType
from sandbox.errors import CandidError
from sandbox.execution import CallResult
from sandbox.proofs.calls import Call, made_call
from sandbox.proofs.explore.strategies import arguments, inhabited
from sandbox.proofs.generate import Pool

LENGTH = 8
"""The most calls in a sequence."""
COMBINED = 40
"""Calls after which no further sequence is added to a combined one."""
USERS = ("alice", "bob")
"""Names of users who are no controllers."""
_SENDERS = (None, None, None, None, *USERS, "anonymous")
"""Senders of calls; most are the controller."""
_UPDATES_OF = 4
"""One call in this number may be a query, for the values that it returns."""
_KNOWN = 60
"""The most values of a kind that are kept from replies."""
_QUERIES = 20
"""Arguments that are tried for a query; of them, `_ANSWERS` with different answers of at most `_ANSWER` bytes are
kept."""
_ANSWERS = 4
_ANSWER = 2_000
T = TypeVar("T")


@dataclass(frozen=True)
class Subject:
    """A canister for trying calls.

    `functions`: its methods; `perform`: makes a call, None if that exceeds the limits of a try; `changes`: names the
    present differences from the beginning; `undone`: a context that undoes every change inside it; `pool`: values that
    are known from the beginning.
    """

    functions: Mapping[str, FuncType] = field(repr=False)  # shown where a draw fails
    perform: Callable[[Call], CallResult | None]
    changes: Callable[[], frozenset[str]]
    undone: Callable[[], AbstractContextManager[None]]
    pool: Pool = field(repr=False)

    def methods(self, *, queries: bool) -> tuple[str, ...]:
        """Return the update methods, or the queries, that can be called from outside with some values."""
        return tuple(
            name
            for name, function in self.functions.items()
            if function.is_query == queries and inhabited(function.args)
        )

    def values(self, call: Call, result: CallResult) -> list[Any]:
        """Return the values of a reply; none if the reply does not match the interface."""
        try:
            return candid.decode(self.functions[call.method].results, result.reply or b"")
        except CandidError:
            return []


@dataclass(frozen=True)
class Sequence:
    """Calls that succeed in this order from the initial state, their changes, and the instructions of all."""

    calls: tuple[Call, ...]
    changes: frozenset[str]
    cost: int

    @property
    def size(self) -> tuple[int, int]:
        """The number of calls and the length of their text, by which one sequence is smaller than another."""
        return len(self.calls), sum(len(call.text) for call in self.calls)


@dataclass(frozen=True)
class Exploration:
    """The result of an exploration: numbers of sequences and calls, and the distinct sequences that change the
    state."""

    tried: int
    calls: int
    sequences: tuple[Sequence, ...]

    def by_size(self) -> list[Sequence]:
        """Return the sequences, the smallest first."""
        return sorted(self.sequences, key=lambda sequence: sequence.size)


def explore(subject: Subject, count: int, number: int, progress: Callable[[int], None]) -> Exploration:
    """Try `count` sequences; the same `number` as seed tries the same ones. `progress` gets the number done."""
    made = 0
    distinct: dict[tuple[str, ...], Sequence] = {}
    tried = 0
    updates = subject.methods(queries=False)

    def attempt(result: tuple[Sequence, int]) -> None:
        nonlocal made, tried
        sequence, calls = result
        made, tried = made + calls, tried + 1
        progress(tried)
        if sequence.changes:
            distinct.setdefault(tuple(call.text for call in sequence.calls), sequence)

    if updates:
        drawn(_sequences(subject, updates), count, number, attempt)
    return Exploration(tried, made, tuple(distinct.values()))


def drawn(strategy: st.SearchStrategy[T], count: int, number: int, use: Callable[[T], None]) -> None:
    """Use `count` values that a strategy draws, or fewer if it has no more; the same ones for the same `number`."""

    @seed(number)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        derandomize=False,
        backend="hypothesis",
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(value: T) -> None:
        use(value)

    run()


@st.composite
def _sequences(draw: st.DrawFn, subject: Subject, updates: tuple[str, ...]) -> tuple[Sequence, int]:
    """Draw a sequence while its calls are made: arguments depend on the replies of earlier calls."""
    queries = subject.methods(queries=True)
    pool, calls, cost = subject.pool, list[Call](), 0
    length = draw(st.integers(1, LENGTH))
    with subject.undone():
        for _ in range(length):
            asks = queries and draw(st.integers(1, _UPDATES_OF)) == _UPDATES_OF
            call = draw(_calls(subject, queries if asks else updates, pool))
            result = subject.perform(call)
            if result is None or result.reject is not None:
                continue
            pool = _grown(pool, subject.values(call, result))
            if not asks:
                calls.append(call)
                cost += result.instructions
        changes = subject.changes() if calls else frozenset()
    return Sequence(tuple(calls), changes, cost), length


@st.composite
def _calls(draw: st.DrawFn, subject: Subject, methods: tuple[str, ...], pool: Pool) -> Call:
    method = draw(st.sampled_from(methods))
    types = subject.functions[method].args
    return made_call(method, types, draw(arguments(types, pool)), draw(st.sampled_from(_SENDERS)))


def _grown(pool: Pool, values: list[Any]) -> Pool:
    """Return a pool with these values before its own."""
    grown = Pool.of(values) + pool
    return Pool(grown.texts[:_KNOWN], grown.numbers[:_KNOWN], grown.blobs[:_KNOWN], pool.principals)


def combine(subject: Subject, exploration: Exploration) -> tuple[Call, ...]:
    """Return calls that make as much of a state as they can: the sequences one after the other, those that change
    something new first, and cheap ones, so that the state stays small. Calls that fail there are left out, and so are
    sequences that take back what others did."""
    first, others, seen = list[Sequence](), list[Sequence](), frozenset[str]()
    for sequence in sorted(exploration.sequences, key=lambda sequence: sequence.cost):
        (others if sequence.changes <= seen else first).append(sequence)
        seen |= sequence.changes
    made: tuple[Call, ...] = ()
    present = frozenset[str]()
    with subject.undone():
        for sequence in (*first, *others):
            if len(made) >= COMBINED:
                break
            with subject.undone():
                calls = tuple(call for call in sequence.calls if succeeds(subject, call))
                changes = subject.changes()
            if present <= changes:
                made, present = made + calls, changes
                for call in calls:
                    subject.perform(call)
    return made


def succeeds(subject: Subject, call: Call) -> bool:
    """Make a call and return whether it is answered."""
    result = subject.perform(call)
    return result is not None and result.reject is None


def useful_queries(subject: Subject, calls: tuple[Call, ...], number: int) -> tuple[Call, ...]:
    """Return calls of the queries that take arguments, with values that are known after `calls`: of each method some
    with different answers, the simplest one first, then the longest answers."""
    with subject.undone():
        pool = subject.pool
        for call in calls:
            result = subject.perform(call)
            pool = pool if result is None else _grown(pool, subject.values(call, result))
        methods = [name for name in subject.methods(queries=True) if subject.functions[name].args]
        return tuple(query for name in methods for query in _of_method(subject, name, pool, number))


def _of_method(subject: Subject, name: str, pool: Pool, number: int) -> tuple[Call, ...]:
    answers: dict[bytes, Call] = {}

    def ask(values: tuple[Any, ...]) -> None:
        call = made_call(name, subject.functions[name].args, values)
        result = subject.perform(call)
        if result is not None and result.reply is not None and len(result.reply) <= _ANSWER:
            answers.setdefault(result.reply, call)

    drawn(arguments(subject.functions[name].args, pool), _QUERIES, number, ask)
    chosen = list(answers.values())[:1]
    by_length = [answers[reply] for reply in sorted(answers, key=len)]
    chosen += by_length[-1:] + by_length
    return tuple(dict.fromkeys(chosen))[:_ANSWERS]
