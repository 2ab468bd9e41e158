"""The result of an upgrade proof: a verdict, and the result of each check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.profile import Profile
from sandbox.proofs.calls import Call
from sandbox.proofs.findings import VERDICTS, Finding, Severity
from sandbox.snapshots.diff.picture import FateMap


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a proof. `name`: the subject; `text`: the result, in one line; `facts`: the same for
    programs; `done`: False if it could not be made, and then `text` says why; `maps`: pages of memories that differ, by
    title."""

    name: str
    text: str
    findings: tuple[Finding, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    done: bool = True
    maps: Mapping[str, FateMap] = field(default_factory=dict)

    @property
    def severity(self) -> Severity | None:
        """The gravest finding, None if there is none."""
        return max((finding.severity for finding in self.findings), default=None)


SAVE_HINT = "saved as FILE, they are the beginning of a proof with --calls FILE"
"""The use of the calls of a smallest sequence."""


@dataclass(frozen=True, slots=True)
class Smallest:
    """The smallest sequence of made-up calls after which the upgrade has these findings, by id."""

    findings: tuple[str, ...]
    calls: tuple[Call, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The calls as lines of a file of calls."""
        return tuple(call.text for call in self.calls)


@dataclass(frozen=True)
class UpgradeReport:
    """The proof of one upgrade. `accepted`: ids of findings that count as notes; `sequences`: with `explore`, the calls
    that cause findings; `profile`: of the hooks of the upgrade, if it was asked for."""

    old: str
    new: str
    start: str
    checks: tuple[Check, ...]
    accepted: frozenset[str] = frozenset()
    sequences: tuple[Smallest, ...] = ()
    profile: Profile | None = field(default=None, compare=False, repr=False)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, the gravest first."""
        every = [finding for check in self.checks for finding in check.findings]
        return tuple(sorted(every, key=lambda finding: -finding.severity))

    @property
    def verdict(self) -> str:
        """`safe`, `risky` or `broken`, by the gravest finding that is not accepted."""
        grave = (finding.severity for finding in self.findings if finding.id not in self.accepted)
        return VERDICTS[max(grave, default=Severity.NOTE)]

    @property
    def why(self) -> str:
        """The reason for the verdict in one line: the gravest finding, or the proved properties."""
        for finding in self.findings:
            if finding.severity > Severity.NOTE and finding.id not in self.accepted:
                return f"{finding.rule.title}: {finding.text}"
        accepted = sorted({each.id for each in self.findings if each.severity > Severity.NOTE})
        if accepted:
            return f"nothing was lost but what was accepted ({', '.join(accepted)})"
        return "nothing was lost in what was looked at"

    def check(self, name: str) -> Check | None:
        """Return the check with this name; None if the proof ended before it."""
        return next((check for check in self.checks if check.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as values for JSON."""
        return {
            "verdict": self.verdict,
            "why": self.why,
            "old": self.old,
            "new": self.new,
            "start": self.start,
            "findings": [_finding(finding, self.accepted) for finding in self.findings],
            "checks": [
                {"name": check.name, "done": check.done, "text": check.text, **check.facts} for check in self.checks
            ],
            "sequences": [
                {"findings": list(each.findings), "sequence": list(each.lines), "hint": SAVE_HINT}
                for each in self.sequences
            ],
        }


def _finding(finding: Finding, accepted: frozenset[str]) -> dict[str, Any]:
    return {
        "id": finding.id,
        "severity": finding.severity.name.lower(),
        "accepted": finding.id in accepted,
        "title": finding.rule.title,
        "text": finding.text,
        "details": list(finding.details),
        "advice": finding.rule.advice,
    }
