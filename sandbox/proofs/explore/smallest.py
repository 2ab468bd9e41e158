"""Reduction of a sequence of calls with some effect: needless calls are left out, then values are made simpler.

Both are bounded by the number of sequences that are looked at, never by time, so that the same seed ends the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from hypothesis import Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from sandbox import candid
from sandbox.proofs.calls import Call, made_call
from sandbox.proofs.explore.sequences import Subject
from sandbox.proofs.explore.strategies import arguments
from sandbox.proofs.generate import Pool

Calls = tuple[Call, ...]
BUDGET = 80
"""Limit on the sequences that are tried for one result, besides those from which the search may start."""
_TOGETHER = 4
"""The most calls whose values are made simpler at the same time, besides one after the other."""
_SETTINGS = settings(
    max_examples=20, phases=[Phase.generate, Phase.shrink], database=None, deadline=None, derandomize=False
)


@dataclass
class _Looks:
    """A cached test of sequences for the effect, with a budget."""

    shows: Callable[[Calls], bool]
    left: int = BUDGET
    seen: dict[tuple[str, ...], bool] = field(default_factory=dict)

    def __call__(self, calls: Calls) -> bool:
        key = tuple(call.text for call in calls)
        if key not in self.seen:
            if self.left <= 0:
                return False
            self.left -= 1
            self.seen[key] = self.shows(calls)
        return self.seen[key]


def smallest(subject: Subject, starts: Iterable[Calls], shows: Callable[[Calls], bool], number: int) -> Calls | None:
    """Return the smallest sequence of calls for which `shows` holds, made from the first of `starts` for which it does;
    None if it holds for none. The same `number` as seed returns the same."""
    begin = next((calls for calls in starts if shows(calls)), None)
    if begin is None:
        return None
    looks, before, calls = _Looks(shows), None, begin
    while calls != before:
        before = calls
        calls = _without_needless(calls, looks)
        together = range(len(calls)) if len(calls) <= _TOGETHER else range(0)
        for places in (together, *(range(place, place + 1) for place in range(len(calls)))):
            calls = _simpler(subject, calls, places, looks, number)
    return calls


def _without_needless(calls: Calls, looks: _Looks) -> Calls:
    """Leave out calls, large parts before small ones, until none can be left out (Zeller's ddmin without the tests of
    the parts themselves)."""
    size = len(calls) // 2
    while size:
        at = 0
        while at < len(calls):
            fewer = calls[:at] + calls[at + size :]
            if fewer and looks(fewer):
                calls = fewer
            else:
                at += size
        size //= 2
    return calls


def _simpler(subject: Subject, calls: Calls, places: range, looks: _Looks, number: int) -> Calls:
    """Replace the arguments and senders of the calls at these places by the simplest that still have the effect."""
    if looks.left <= 0:
        return calls

    def whole(some: Calls) -> Calls:
        return (*calls[: places.start], *some, *calls[places.stop :])

    candidates = st.tuples(*(_like(subject, calls[place]) for place in places))
    try:
        replacement = find(candidates, lambda some: looks(whole(some)), settings=_SETTINGS, random=Random(number))
    except NoSuchExample:
        return calls
    return min(calls, whole(replacement), key=_size)


def _like(subject: Subject, call: Call) -> st.SearchStrategy[Call]:
    """Return a strategy for calls of the same method, with the values of this call and simpler ones."""
    types = subject.functions[call.method].args
    senders = st.sampled_from(list(dict.fromkeys((None, call.sender))))
    values = arguments(types, Pool.of(candid.decode(types, call.arg)))
    return st.builds(made_call, st.just(call.method), st.just(types), values, senders)


def _size(calls: Calls) -> tuple[int, list[str]]:
    """Return the size by which sequences are compared."""
    return sum(len(call.text) for call in calls), [call.text for call in calls]
