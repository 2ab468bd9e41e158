"""The result of a release matrix: a verdict for each cell and for all, and groups of similar findings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from sandbox.proofs.findings import VERDICTS, Finding, Severity
from sandbox.proofs.matrix.builds import Accepted
from sandbox.proofs.matrix.cell import CellResult

Kind = Literal["upgrade", "itself", "downgrade"]
_COUNT = re.compile(r"\b\d[\d,]*(?: of \d[\d,]*)? (instruction|value|entr)(?:s|y|ies)?\b")
"""Numbers that differ between cells with one finding."""
UNKNOWN = "unknown"
"""The verdict of a cell that was not run: its old build has no starting state."""


def _noun(count: re.Match[str]) -> str:
    return count[1]


@dataclass(frozen=True)
class Group:
    """A finding, and the cells that have it, as pairs of names."""

    finding: Finding
    accepted: bool
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class MatrixReport:
    """The cells from every old build to every new one. `builds`: their names, the oldest first; `problems`: why a build
    has no starting state, by name; `known`: how many cells came from earlier runs; `empty`: builds that began without
    data; `downgrades`: whether they count for the verdict."""

    builds: tuple[str, ...]
    cells: Mapping[tuple[str, str], CellResult]
    problems: Mapping[str, str]
    accept: tuple[Accepted, ...] = ()
    downgrades: bool = False
    full: bool = False
    known: int = 0
    empty: tuple[str, ...] = ()

    def pairs(self, *kinds: Kind) -> Iterator[tuple[str, str]]:
        """Yield the pairs of old and new builds of these kinds."""
        for old in self.builds:
            yield from ((old, new) for new in self.builds if self.kind(old, new) in kinds)

    def kind(self, old: str, new: str) -> Kind:
        """Return the kind of a cell."""
        step = self.builds.index(new) - self.builds.index(old)
        return "itself" if step == 0 else "upgrade" if step > 0 else "downgrade"

    def verdict_of(self, old: str, new: str) -> str:
        """`safe`, `risky` or `broken`, by the gravest finding that is not accepted; `unknown` without a result."""
        result = self.cells.get((old, new))
        if result is None:
            return UNKNOWN
        grave = [each.severity for each in result.findings if not self.accepted(each, old, new)]
        return VERDICTS[max(grave, default=Severity.NOTE)]

    def accepted(self, finding: Finding, old: str, new: str) -> bool:
        """Return whether a finding is accepted in a cell."""
        return any(each.covers(finding.id, old, new) for each in self.accept)

    @property
    def counted(self) -> tuple[Kind, ...]:
        """The kinds of cells that count for the verdict."""
        return ("upgrade", "itself", "downgrade") if self.downgrades else ("upgrade", "itself")

    @cached_property
    def verdict(self) -> str:
        """The gravest verdict of the cells that count."""
        verdicts = {self.verdict_of(*pair) for pair in self.pairs(*self.counted)}
        return next((verdict for verdict in ("broken", UNKNOWN, "risky") if verdict in verdicts), "safe")

    def tally(self, *kinds: Kind) -> dict[str, int]:
        """Return the number of cells of these kinds by verdict, none of which is zero."""
        verdicts = [self.verdict_of(*pair) for pair in self.pairs(*kinds)]
        return {each: verdicts.count(each) for each in ("safe", "risky", "broken", UNKNOWN) if each in verdicts}

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The groups of findings above notes, the gravest first; findings whose texts differ only in counts are one."""
        cells_by_finding: dict[tuple[str, str, bool], tuple[Finding, list[tuple[str, str]]]] = {}
        for pair in self.pairs("upgrade", "itself", "downgrade"):
            result = self.cells.get(pair)
            for each in result.findings if result is not None else ():
                if each.severity > Severity.NOTE:
                    key = (each.id, _COUNT.sub(_noun, each.text), self.accepted(each, *pair))
                    cells_by_finding.setdefault(key, (each, []))[1].append(pair)
        groups = [Group(each, key[2], tuple(dict.fromkeys(pairs))) for key, (each, pairs) in cells_by_finding.items()]
        return tuple(sorted(groups, key=lambda group: (group.accepted, -group.finding.severity)))

    def to_dict(self) -> dict[str, Any]:
        """Return everything as values for JSON."""
        return {
            "verdict": self.verdict,
            "builds": list(self.builds),
            "downgrades_count": self.downgrades,
            "full": self.full,
            "known": self.known,
            "problems": dict(self.problems),
            "cells": [self._cell(*pair) for pair in self.pairs("upgrade", "itself", "downgrade")],
        }

    def _cell(self, old: str, new: str) -> dict[str, Any]:
        result = self.cells.get((old, new))
        facts = {"old": old, "new": new, "kind": self.kind(old, new), "verdict": self.verdict_of(old, new)}
        if result is None:
            return facts
        return facts | {
            "instructions": result.instructions,
            "findings": [
                {
                    "id": each.id,
                    "severity": each.severity.name.lower(),
                    "accepted": self.accepted(each, old, new),
                    "text": each.text,
                    "details": list(each.details),
                }
                for each in result.findings
            ],
            "checks": [{"name": each.name, "done": each.done, "text": each.text} for each in result.checks],
        }
