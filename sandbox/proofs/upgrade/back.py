"""The ways back: loading the snapshot taken before the upgrade, and installing the old version again."""

from __future__ import annotations

from sandbox.api.records import Snapshot
from sandbox.errors import CallRejected
from sandbox.proofs.findings import finding
from sandbox.proofs.upgrade.data import compare_data, facts, lost_data, summary
from sandbox.proofs.upgrade.hooks import reason
from sandbox.proofs.upgrade.queries import same_answer
from sandbox.proofs.upgrade.report import Check
from sandbox.proofs.upgrade.trial import Trial


def check_snapshot(trial: Trial, snapshot: Snapshot) -> Check:
    """Load the snapshot taken before the upgrade into the upgraded canister, compare every byte, and ask again."""
    with trial.sandbox.anchor():
        trial.canister.load_snapshot(snapshot)
        difference = trial.sandbox.snapshots.diff(snapshot, trial.canister)
        back = trial.observe(trial.old)
    problems = [f"{name} differs" for name in ("module", "globals", "heap", "stable") if getattr(difference, name)]
    problems += [f"{field.name} differs" for field in difference.fields if field.name != "global_timer"]
    problems += [
        f"{call.text} answers differently"
        for call in trial.queries
        if not same_answer(trial.old, call, trial.before.answers[call.text], back.answers[call.text])
    ]
    findings = (finding("rollback-differs", "; ".join(problems)),) if problems else ()
    return Check("rollback", "differs" if problems else "loading the snapshot brings back every byte", findings)


def check_downgrade(trial: Trial) -> Check:
    """Install the old version over the upgraded canister."""
    with trial.sandbox.anchor():
        try:
            trial.upgrade(trial.old)
        except CallRejected as rejected:
            return Check("downgrade", "is refused", (finding("downgrade-fails", reason(rejected)),))
        data = trial.observe(trial.old).data
        losses = compare_data(trial, trial.before.data, data)
    findings = tuple(lost_data("downgrade-loses", losses))
    return Check("downgrade", f"succeeds: {summary(losses)}", findings, facts(losses))
