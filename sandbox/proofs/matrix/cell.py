"""One cell: the upgrade from one build to another under the cheaper checks of `verify_upgrade`.

Cells whose upgrades end in the same state, to the byte, share their checks: such a state answers the same and can be
upgraded again in the same way, whatever it was before.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sandbox.api.typed import metadata
from sandbox.errors import CallRejected
from sandbox.execution import CallResult
from sandbox.proofs.findings import Finding
from sandbox.proofs.upgrade import again as second
from sandbox.proofs.upgrade import data, hooks, interface, queries
from sandbox.proofs.upgrade.observe import Fingerprint, Observation, fingerprint, plain_data, saved_data
from sandbox.proofs.upgrade.report import Check
from sandbox.proofs.upgrade.start import Version
from sandbox.proofs.upgrade.trial import Trial
from sandbox.proofs.upgrade.verify import checks as every_check

_DETAILS = 20
"""Lines of a finding that are kept."""
_REMEMBERED = 64 << 20
"""Bytes of answers that a process remembers."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check of a cell, in one line."""

    name: str
    text: str
    done: bool = True


@dataclass(frozen=True, slots=True)
class CellResult:
    """The result of a cell. `instructions`: of all hooks of the upgrade, None if it failed or is the second of two."""

    old: str
    new: str
    checks: tuple[CheckResult, ...]
    findings: tuple[Finding, ...]
    instructions: int | None = None


@dataclass(frozen=True)
class Beginning:
    """The opened starting state of an old build. `print`: its fingerprint."""

    trial: Trial
    print: Fingerprint


def cell(beginning: Beginning, new: Version, *, again: bool, full: bool) -> CellResult:
    """Upgrade the canister of `beginning` to `new`, check it, and undo the upgrade.

    `again`: `new` is the build that runs there, and the check is that of a second upgrade.
    """
    trial = beginning.trial.towards(new)
    with trial.sandbox.anchor():
        if again:
            trial.after = trial.before
            checks: tuple[Check, ...] = (second.check(trial),)
        else:
            checks = tuple(every_check(trial) if full else _cheaper(trial, beginning.print))
    findings = [replace(finding, details=finding.details[:_DETAILS]) for check in checks for finding in check.findings]
    return CellResult(
        trial.old.name,
        new.name,
        tuple(CheckResult(check.name, check.text, check.done) for check in checks),
        tuple(sorted(findings, key=lambda finding: -finding.severity)),
        trial.upgraded.instructions if isinstance(trial.upgraded, CallResult) else None,
    )


def _cheaper(trial: Trial, begun: Fingerprint) -> Iterator[Check]:
    yield interface.check(trial)
    yield hooks.check(trial)
    if isinstance(trial.upgraded, CallRejected):
        return
    key = (fingerprint(trial.canister, begun).seen, *_questions(trial))
    look = _looks.get(key)
    if look is None:
        trial.after = trial.observe(trial.new)
        look = Look(trial.after.answers, trial.after.unsaved, second.check(trial))
        _looks.put(key, look)
    else:
        saved, _ = saved_data(trial.sandbox, trial.canister)
        plain = plain_data(trial.sandbox, trial.canister)
        trial.after = Observation(saved, look.named(trial), look.unsaved, plain)
    yield data.check(trial)
    yield queries.check(trial)
    yield look.again


def _questions(trial: Trial) -> tuple[object, ...]:
    """Return all inputs of a look at an upgraded canister, apart from its state."""
    asked = tuple((call.method, call.arg, call.sender) for call in trial.queries)
    return asked, _interface(trial.old), _interface(trial.new), trial.new.argument


def _interface(version: Version) -> object:
    return str(version.did) if version.did is not None else metadata(version.code, "candid:service")


@dataclass(frozen=True)
class Look:
    """The observations of a state: the answers by the texts of the queries, and the check of a second upgrade."""

    answers: Mapping[str, CallResult]
    unsaved: CallRejected | None
    again: Check

    def named(self, trial: Trial) -> Mapping[str, CallResult]:
        """Return the answers by the texts of a trial with the same queries."""
        return {call.text: answer for call, answer in zip(trial.queries, self.answers.values(), strict=True)}

    @property
    def size(self) -> int:
        """Bytes of the answers, and some for the rest."""
        return 4096 + sum(len(answer.reply or b"") for answer in self.answers.values())


class _Looks:
    """The looks of this process; the oldest are dropped first."""

    def __init__(self) -> None:
        self._known: OrderedDict[object, Look] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, key: object) -> Look | None:
        with self._lock:
            return self._known.get(key)

    def put(self, key: object, look: Look) -> None:
        with self._lock:
            if key not in self._known:
                self._known[key] = look
                self._size += look.size
            while self._size > _REMEMBERED:
                self._size -= self._known.popitem(last=False)[1].size


_looks = _Looks()
