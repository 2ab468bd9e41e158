"""What is known of tests that ran, and the table of their instructions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median_low
from typing import Any


@dataclass
class Tested:
    """What is known of one test. `facts`: as in `evidence._facts`; `seconds`: with set-up and teardown."""

    nodeid: str
    outcome: str = "passed"
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    """Why it failed."""


@dataclass(frozen=True)
class Instructions:
    """The instructions of all calls of one method within a test."""

    test: str
    canister: str
    method: str
    counts: tuple[int, ...]

    @property
    def cells(self) -> tuple[str, ...]:
        """What a table shows, in the order of `TITLES`."""
        numbers = len(self.counts), sum(self.counts), min(self.counts), median_low(self.counts), max(self.counts)
        return (self.test, self.canister, self.method, *(f"{number:,}" for number in numbers))


TITLES = ("test", "canister", "method", "calls", "instructions", "min", "median", "max")
TEXTS = 3
"""How many of these columns are texts; the others are numbers."""


def instructions_of(tests: Iterable[Tested]) -> Iterator[Instructions]:
    """A row for each test, canister and method, in the order of the calls."""
    for test in tests:
        counts: dict[tuple[str, str], list[int]] = {}
        for canister, method, number in test.facts.get("calls", ()):
            counts.setdefault((canister, method), []).append(number)
        for (canister, method), numbers in counts.items():
            yield Instructions(test.nodeid, canister, method, tuple(numbers))
