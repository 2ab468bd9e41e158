"""Writes that the next upgrade forgets: after some update calls the new version is upgraded once more, to itself.

A new version may restore what the old one saved and save nothing itself, as where its pre_upgrade is missing. Its first
upgrade keeps everything, and so does a second one, as long as nothing is written in between.
"""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.errors import CallRejected
from sandbox.proofs.calls import Call
from sandbox.proofs.findings import Finding, finding
from sandbox.proofs.upgrade.again import failed
from sandbox.proofs.upgrade.data import compare_data, lost_data
from sandbox.proofs.upgrade.observe import Observation, fingerprint, observe
from sandbox.proofs.upgrade.queries import same_answer, shown
from sandbox.proofs.upgrade.stable_types import has_migration
from sandbox.proofs.upgrade.texts import cut
from sandbox.proofs.upgrade.trial import Trial
from sandbox.proofs.upgrade.tries import Tries, make, short_queries


def check_next_upgrade(trial: Trial, tries: Tries, written: Observation) -> Iterator[Finding]:
    """Upgrade a canister on which the new version has made the calls of `tries.sequence`, and yield what they wrote and
    the upgrade loses. `written`: the observation after the calls.

    Nothing is checked if the new version migrates explicitly, or cannot be upgraded without such calls either.
    """
    calls = len(tries.sequence)
    if not calls or has_migration(trial.new) or trial.again is None or trial.again.findings:
        return
    said = "1 call" if calls == 1 else f"{calls} calls"
    before = fingerprint(trial.canister)
    try:
        trial.upgrade(trial.new)
    except CallRejected as rejected:
        yield failed(rejected, f"after {said}: ")
        return
    if fingerprint(trial.canister, before) == before:
        return
    queries = short_queries(trial)
    kept = observe(trial.sandbox, trial.canister, trial.new, queries)
    losses = list(lost_data("next-upgrade-loses", compare_data(trial, written.data, kept.data)))
    yield from losses
    if losses:
        return
    forgotten = [query for query in queries if _is_forgotten(trial, query, written, kept)]
    for query in _lasting(trial, tries, forgotten) if forgotten else ():
        assert trial.after is not None
        answers = [each.answers[query.text] for each in (trial.after, written, kept)]
        was, now, later = (cut(shown(trial.new, query, answer)) for answer in answers)
        yield finding(
            "next-upgrade-loses",
            f"{query.text}: the next upgrade forgets the effect of {said}",
            (
                f"before the calls       {was}",
                f"after the calls        {now}",
                f"after another upgrade  {later}",
            ),
        )


def _is_forgotten(trial: Trial, query: Call, written: Observation, kept: Observation) -> bool:
    """Return whether the calls change the answer, and the next upgrade changes it back."""
    assert trial.after is not None
    before, after, again = (each.answers[query.text] for each in (trial.after, written, kept))
    return (
        not any(answer.reject for answer in (before, after, again))
        and same_answer(trial.new, query, before, again)
        and not same_answer(trial.new, query, before, after)
    )


def _lasting(trial: Trial, tries: Tries, queries: list[Call]) -> list[Call]:
    """Return those of the queries whose answers after the same calls the old version keeps in an upgrade to itself."""
    assert trial.snapshot is not None
    assert tries.after is not None
    with trial.sandbox.anchor():
        trial.canister.load_snapshot(trial.snapshot)
        for call in tries.sequence:
            make(trial, trial.old, call)
        try:
            trial.upgrade(trial.old)
        except CallRejected:
            return []
        answers = observe(trial.sandbox, trial.canister, trial.old, queries).answers
    return [
        query
        for query in queries
        if same_answer(trial.old, query, tries.after.answers[query.text], answers[query.text])
    ]
