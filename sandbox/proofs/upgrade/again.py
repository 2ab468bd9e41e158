"""A second upgrade: the new version over its own result.

A module of Motoko with an explicit migration function expects the variables of the version before it, so a failure of
its second installation is intended. Its data must still survive the next upgrade, so its pre_upgrade must run.
"""

from __future__ import annotations

from sandbox.errors import CallRejected
from sandbox.proofs.findings import Finding, finding
from sandbox.proofs.upgrade.data import changed_data, compare_data, facts, lost_data, summary
from sandbox.proofs.upgrade.hooks import reason
from sandbox.proofs.upgrade.losses import NO_LOSSES
from sandbox.proofs.upgrade.observe import fingerprint
from sandbox.proofs.upgrade.queries import differences
from sandbox.proofs.upgrade.report import Check
from sandbox.proofs.upgrade.stable_types import has_migration
from sandbox.proofs.upgrade.trial import Trial

_NAME = "second upgrade"


def check(trial: Trial) -> Check:
    """Upgrade the upgraded canister to the new version again: pre_upgrade must run, and everything stay."""
    trial.again = _checked(trial)
    return trial.again


def _checked(trial: Trial) -> Check:
    assert trial.after is not None
    if trial.after.unsaved is not None:
        return _fails(trial.after.unsaved)
    migrates = has_migration(trial.new)
    with trial.sandbox.anchor():
        before = fingerprint(trial.canister)
        try:
            trial.upgrade(trial.new)
        except CallRejected as rejected:
            return _refused(rejected, migrates)
        if fingerprint(trial.canister, before) == before:
            return Check(_NAME, f"succeeds: {summary(NO_LOSSES)}", facts=facts(NO_LOSSES))
        again = trial.observe(trial.new)
        losses = compare_data(trial, trial.after.data, again.data)
        findings: list[Finding] = list(lost_data("not-idempotent-loses" if migrates else "next-upgrade-loses", losses))
        if not findings:
            findings += changed_data("next-upgrade-changes", losses)
            findings += differences(trial, trial.after, again, " after a second upgrade")
    return Check(_NAME, f"succeeds: {summary(losses)}", tuple(findings), facts(losses))


def _refused(rejected: CallRejected, migrates: bool) -> Check:
    text = reason(rejected)
    if migrates:
        expected = "is refused, as its migration function expects the old variables"
        return Check(_NAME, expected, (finding("not-idempotent", text),))
    return _fails(rejected)


def _fails(rejected: CallRejected) -> Check:
    problem = failed(rejected)
    return Check(_NAME, f"fails: {problem.text}", (problem,))


def failed(rejected: CallRejected, when: str = "") -> Finding:
    """Return the finding of a second upgrade that failed; `when` begins its text."""
    result = rejected.result
    hooks = () if result is None else result.hooks
    text = f"{hooks[-1].name}: {reason(rejected)}" if hooks else reason(rejected)
    frames = () if result is None else tuple(f"in {name}" for name in result.backtrace)
    return finding("next-upgrade-fails", f"{when}{text}", frames)
