"""The ways back: loading the snapshot taken before the upgrade, and installing the old version again."""

from __future__ import annotations

from sandbox.errors import CallRejected
from sandbox.proofs.findings import finding
from sandbox.proofs.upgrade.data import compare_data, facts, lost_data, summary
from sandbox.proofs.upgrade.hooks import reason
from sandbox.proofs.upgrade.observe import plain_data, saved_data
from sandbox.proofs.upgrade.queries import same_answer
from sandbox.proofs.upgrade.report import Check
from sandbox.proofs.upgrade.trial import Trial
from sandbox.snapshots.diff import compare

_OF_THE_CANISTER = ("global_timer", "low_memory_hook")
"""The parts that a load does not change."""


def check_snapshot(trial: Trial) -> Check:
    """Load the snapshot taken before the upgrade into the upgraded canister, compare every byte with the state before,
    and repeat the queries. The canister's version goes up by a load, so a query that answers it answers differently."""
    assert trial.snapshot is not None
    with trial.sandbox.anchor():
        trial.canister.load_snapshot(trial.snapshot)
        difference = compare(trial.before.unhooked, plain_data(trial.sandbox, trial.canister))
        answers = trial.observe(trial.old).answers
    problems = [f"{name} differs" for name in ("module", "globals", "heap", "stable") if getattr(difference, name)]
    problems += [f"{field.name} differs" for field in difference.fields if field.name not in _OF_THE_CANISTER]
    if problems:
        return Check("rollback", "differs", (finding("rollback-differs", "; ".join(problems)),))
    before = trial.before.answers
    others = [
        call.text for call in trial.queries if not same_answer(trial.old, call, before[call.text], answers[call.text])
    ]
    said = f"; other answers, as of versions, from {', '.join(others)}" if others else ""
    return Check("rollback", f"loading the snapshot brings back every byte{said}", facts={"other_answers": others})


def check_downgrade(trial: Trial) -> Check:
    """Install the old version over the upgraded canister."""
    with trial.sandbox.anchor():
        try:
            trial.upgrade(trial.old)
        except CallRejected as rejected:
            return Check("downgrade", "is refused", (finding("downgrade-fails", reason(rejected)),))
        data, _ = saved_data(trial.sandbox, trial.canister)
        losses = compare_data(trial, trial.before.data, data)
    findings = tuple(lost_data("downgrade-loses", losses))
    return Check("downgrade", f"succeeds: {summary(losses)}", findings, facts(losses))
