"""The smallest sequence of calls that shows something: without the calls that do not matter, then with simpler values.

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
BUDGET = 60
"""Sequences that are looked at for one result, at most."""
_SETTINGS = settings(
    max_examples=20, phases=[Phase.generate, Phase.shrink], database=None, deadline=None, derandomize=False
)


@dataclass
class _Looks:
    """Whether sequences show what is looked for, each looked at once, until the budget is used up."""

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
    """Return the smallest sequence of calls for which `shows` holds; None if it holds for none of `starts`, which come
    in the order in which they are tried, or for none that the budget is enough for. The same `number` as seed returns
    the same."""
    looks = _Looks(shows)
    begin = next((calls for calls in starts if looks(calls)), None)
    if begin is None:
        return None
    calls = _without_needless(begin, looks)
    for place in range(len(calls)):
        calls = _simpler(subject, calls, place, looks, number)
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
        size = 1 if 1 < size < 3 else size // 2
    return calls


def _simpler(subject: Subject, calls: Calls, place: int, looks: _Looks, number: int) -> Calls:
    """Replace the arguments of one call, and its sender, by the simplest that will do."""
    present = calls[place]
    types = subject.functions[present.method].args
    if not types and present.sender is None:
        return calls

    def with_values(call: Call) -> Calls:
        return (*calls[:place], call, *calls[place + 1 :])

    senders = st.sampled_from(list(dict.fromkeys((None, present.sender))))
    pool = Pool.of(candid.decode(types, present.arg))
    candidates = st.builds(made_call, st.just(present.method), st.just(types), arguments(types, pool), senders)
    try:
        found = find(candidates, lambda call: looks(with_values(call)), settings=_SETTINGS, random=Random(number))
    except NoSuchExample:
        return calls
    if len(found.text) > len(present.text):
        return calls
    return with_values(found)
