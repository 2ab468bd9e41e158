"""A proof with generated data: calls that change the old version's state, then the checks on the resulting state.

First the richest state that the calls make together, then smaller ones. A finding that an empty canister does not have
is shown with the smallest sequence of calls that brings it about.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, replace
from functools import cached_property, partial

from sandbox.api.identity import identity
from sandbox.execution import CallResult
from sandbox.principal import Principal
from sandbox.proofs.calls import Call
from sandbox.proofs.explore import (
    USERS,
    Exploration,
    Sequence,
    Subject,
    combine,
    explore,
    smallest,
    succeeds,
    useful_queries,
)
from sandbox.proofs.findings import Finding, Severity
from sandbox.proofs.generate import Pool
from sandbox.proofs.upgrade.data import compare_data
from sandbox.proofs.upgrade.observe import Observation, observe, plain_queries
from sandbox.proofs.upgrade.pools import known_values
from sandbox.proofs.upgrade.queries import same_answer
from sandbox.proofs.upgrade.report import Check, Smallest
from sandbox.proofs.upgrade.start import OWNER, ProofError
from sandbox.proofs.upgrade.trial import Trial
from sandbox.proofs.upgrade.tries import INSTRUCTIONS, limited, make
from sandbox.snapshots.diff import compare

NAME = "explore"
_STATE_CHECKS = ("state", "hooks", "data", "queries", "second upgrade", "downgrade", "writes")
"""Checks whose findings depend on the data."""
_OF_THE_PROOF = ("data-unreadable",)
"""Findings about parts that could not be checked; no calls are searched for them."""
_SMALLER = 8
"""Limit on the smaller states that are checked after the rich one."""
_STARTS = 20
"""Sequences from which the smallest one is looked for, at most, before the rich one."""
_EVERY = 5
"""Sequences from one message about the progress to the next."""

Checks = Callable[[Trial, Callable[[str], None], Container[str] | None], Iterable[Check]]
"""Function that makes the checks of a trial, all or by name, and calls back with the name of each as it begins."""


@dataclass
class ExploredProof:
    """A proof of one upgrade with generated calls. `trial`: the canister at its starting point; `checks`: makes checks
    of a trial; `count`: sequences to try; `seed`: selects them; `progress`: gets the name of each part as it begins."""

    trial: Trial
    checks: Checks
    count: int
    seed: int
    progress: Callable[[str], None]

    @cached_property
    def subject(self) -> Subject:
        """The canister at its starting point, for trying calls."""
        return subject_of(self.trial)

    def prove(self) -> tuple[tuple[Check, ...], tuple[Smallest, ...]]:
        """Return the checks, the one of this name last, and the smallest sequences."""
        exploration = explore(self.subject, self.count, self.seed, self._tried)
        calls = combine(self.subject, exploration)
        asked = useful_queries(self.subject, calls, self.seed)
        queries = {call.text: call for call in (*self.trial.queries, *asked)}
        self.trial = replace(self.trial, queries=tuple(queries.values()))
        checks = self._looked_at(calls, None)
        known = {finding.id for check in checks for finding in check.findings}
        self.progress("smaller states")
        more = self._of_smaller_states(exploration, known)
        every = (*checks, _summary(self, exploration, calls, more))
        return every, self._smallest(every, exploration, calls)

    def _tried(self, number: int) -> None:
        if number % _EVERY == 1:
            self.progress(f"explore {number} of {self.count}")

    def _looked_at(self, calls: tuple[Call, ...], names: Container[str] | None) -> tuple[Check, ...]:
        """Make calls, check the upgrade, and undo all; no check is made if a call fails."""
        with self.trial.sandbox.anchor():
            if not all(succeeds(self.subject, call) for call in calls):
                return ()
            trial = replace(self.trial, calls=(*self.trial.calls, *calls))
            return tuple(self.checks(trial, self.progress if names is None else lambda name: None, names))

    def _of_smaller_states(self, exploration: Exploration, known: set[str]) -> tuple[Finding, ...]:
        """Return the findings of kinds that are not known from the rich state, each kind once."""
        by_changes: dict[frozenset[str], Sequence] = {}
        for sequence in exploration.by_size():
            by_changes.setdefault(sequence.changes, sequence)
        more: dict[str, Finding] = {}
        for sequence in list(by_changes.values())[:_SMALLER]:
            for check in self._looked_at(sequence.calls, _STATE_CHECKS):
                for finding in check.findings:
                    if finding.id not in known:
                        more.setdefault(finding.id, finding)
        return tuple(more.values())

    def _smallest(
        self, checks: tuple[Check, ...], exploration: Exploration, calls: tuple[Call, ...]
    ) -> tuple[Smallest, ...]:
        """Return the smallest sequence for each kind of finding, the gravest first, that depends on the data."""
        where = {each.id: check.name for check in reversed(checks) for each in check.findings}
        every = [each for check in checks for each in check.findings]
        grave = [each for each in every if each.severity > Severity.NOTE and each.id not in _OF_THE_PROOF]
        without = self._ids((), _STATE_CHECKS)
        sorts = (each.id for each in sorted(grave, key=lambda each: -each.severity))
        kinds = [kind for kind in dict.fromkeys(sorts) if where[kind] in (*_STATE_CHECKS, NAME) and kind not in without]
        starts = [*(sequence.calls for sequence in exploration.by_size()[:_STARTS]), calls]
        shown: list[Smallest] = []
        for kind in kinds:
            if any(kind in each.findings for each in shown):
                continue
            self.progress(f"smallest sequence for {kind}")
            names = _STATE_CHECKS if where[kind] == NAME else (where[kind],)
            shows = partial(self._shows, kind, names)
            least = smallest(self.subject, starts, shows, self.seed)
            if least is not None:
                ids = self._ids(least, _STATE_CHECKS)
                shown.append(Smallest(tuple(each for each in kinds if each in ids), least))
        return tuple(shown)

    def _shows(self, kind: str, names: Container[str], calls: tuple[Call, ...]) -> bool:
        return kind in self._ids(calls, names)

    def _ids(self, calls: tuple[Call, ...], names: Container[str]) -> frozenset[str]:
        return frozenset(each.id for check in self._looked_at(calls, names) for each in check.findings)


def _summary(
    proof: ExploredProof, exploration: Exploration, calls: tuple[Call, ...], more: tuple[Finding, ...]
) -> Check:
    """Return the exploration as a check, with the findings of smaller states."""
    facts = {
        "tried": {"sequences": exploration.tried, "calls": exploration.calls},
        "kept": len(exploration.sequences),
        "made": [call.text for call in calls],
        "seed": proof.seed,
        "instructions": INSTRUCTIONS,
    }
    if not exploration.tried:
        return Check(NAME, "the old version has no update method that can be called", (), facts, done=False)
    text = (
        f"{exploration.tried:,} sequences of {exploration.calls:,} calls with seed {proof.seed}, of which "
        f"{len(exploration.sequences):,} change the state; {len(calls):,} calls made the state above"
    )
    return Check(NAME, text, more, facts)


def subject_of(trial: Trial) -> Subject:
    """Return the canister of a trial, at its starting point, as one that calls are tried on. `ProofError` without an
    interface."""
    interface = trial.old.interface
    if interface is None:
        name = trial.old.name
        raise ProofError(
            f"calls are made up from the interface: {name} carries no candid:service, and no .did was given"
        )
    users = (OWNER, *map(identity, USERS), trial.canister.id, Principal.management(), Principal.anonymous())
    begin = observe(trial.sandbox, trial.canister, trial.old, plain_queries(trial.old))
    pool = Pool(principals=users) + known_values(trial.old, begin)

    def call(wanted: Call) -> CallResult | None:
        with limited(trial, "update", "query"):
            return make(trial, trial.old, wanted)

    return Subject(interface.methods, call, partial(_changes, trial, begin), trial.sandbox.anchor, pool)


def _changes(trial: Trial, begin: Observation) -> frozenset[str]:
    """Return the names of the differences from the beginning: places of decoded data, or memories if nothing is
    decoded, and queries with another answer."""
    queries = plain_queries(trial.old)
    now = observe(trial.sandbox, trial.canister, trial.old, queries)
    named = {group.place for group in compare_data(trial, begin.data, now.data).groups}
    named |= {
        query.text
        for query in queries
        if not same_answer(trial.old, query, begin.answers[query.text], now.answers[query.text])
    }
    if not named and not any(part.count is not None for part in (*begin.decoded.parts, *now.decoded.parts)):
        difference = compare(begin.data, now.data)
        named = {name for name in ("globals", "heap", "stable") if getattr(difference, name)}
    return frozenset(named)
