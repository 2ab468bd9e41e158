"""The result of scenarios: the model of the reports on the terminal, in JSON, JUnit XML and HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from sandbox.candid import Type, decode_to_text
from sandbox.errors import CandidError, Reject
from sandbox.snapshots.inspect import PageMap

Status = Literal["held", "failed", "not run"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A difference from an expectation. `what`: reply, reject, instructions, baseline heap ...; `path`: the part of
    the value, empty for the whole; `place`: where it is expected."""

    what: str
    expected: str
    came: str
    path: str = ""
    place: str = ""

    def __str__(self) -> str:
        return f"{self.title}: expected {self.expected}, got {self.came}"

    @property
    def title(self) -> str:
        """`what`, and the path of the part."""
        return f"{self.what} {self.path.removeprefix('.')}" if self.path else self.what


@dataclass(frozen=True)
class Answer:
    """The reply of a call, as bytes, with its types if they are known."""

    reply: bytes
    types: tuple[Type, ...] | None = None

    @cached_property
    def text(self) -> str:
        """The reply as Candid text; in hexadecimal if it is no Candid."""
        try:
            return decode_to_text(self.reply, self.types)
        except CandidError:
            return f"0x{self.reply.hex()}"


@dataclass(frozen=True)
class StepReport:
    """The result of one step. `times`: how often it was done, as a step of a repetition; `instructions` are then those
    of all rounds, and `series` those of each. `pages`: heap and stable memory of each canister afterwards, in pages of
    64 KiB. `steps`: those of a repetition. `seconds`: by the clock."""

    title: str
    place: str
    status: Status = "held"
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    times: int = 1
    instructions: int = 0
    series: tuple[int, ...] = ()
    pages: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    answer: Answer | None = None
    reject: Reject | None = None
    logs: tuple[str, ...] = ()
    backtrace: tuple[str, ...] = ()
    steps: tuple[StepReport, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class CaseReport:
    """The result of one combination of parameters. `maps`: classes of the pages of memories at the end, by title;
    `seed`: with which it ran."""

    name: str
    seed: int
    steps: tuple[StepReport, ...]
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    maps: Mapping[str, PageMap] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def status(self) -> Status:
        """`failed` if anything failed; `not run` if it was interrupted before its end."""
        if self.failures or any(step.status == "failed" for step in self.steps):
            return "failed"
        return "not run" if any(step.status == "not run" for step in self.steps) else "held"

    @property
    def instructions(self) -> int:
        """The instructions of all steps."""
        return sum(step.instructions for step in self.steps)

    def all_failures(self) -> Iterator[tuple[StepReport | None, Failure]]:
        """Yield every failure with its step; None for one of the whole case."""
        yield from ((None, failure) for failure in self.failures)
        for step in self.steps:
            for each in (step, *step.steps):
                yield from ((each, failure) for failure in each.failures)


@dataclass(frozen=True)
class ScenarioReport:
    """The result of one file. `notes`: files written, comparisons left out."""

    path: str
    title: str
    cases: tuple[CaseReport, ...]
    notes: tuple[str, ...] = ()

    @property
    def status(self) -> Status:
        """`failed` if a case failed; `not run` if one was not run to its end."""
        statuses = {case.status for case in self.cases}
        return "failed" if "failed" in statuses else "not run" if "not run" in statuses or not statuses else "held"


@dataclass(frozen=True)
class Report:
    """The result of a run."""

    scenarios: tuple[ScenarioReport, ...]
    interrupted: bool = False

    @property
    def held(self) -> bool:
        """Whether all cases were run and held."""
        return not self.interrupted and all(scenario.status == "held" for scenario in self.scenarios)

    def count(self, status: Status) -> int:
        """Return the number of cases with this status."""
        return sum(case.status == status for scenario in self.scenarios for case in scenario.cases)
