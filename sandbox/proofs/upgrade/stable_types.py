"""The check of Motoko's stable types by the rules of the compiler, besides the behaviour of the runtime.

Under enhanced persistence the runtime accepts the loss of a variable where the new version declares another one whose
label hashes to a lower number (`snapshots.diff.stable_runtime`); the compiler never does.
"""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.errors import CallRejected
from sandbox.proofs.findings import Finding, finding
from sandbox.proofs.upgrade.report import Check
from sandbox.proofs.upgrade.start import Version
from sandbox.proofs.upgrade.trial import Trial
from sandbox.snapshots.diff.stable_runtime import predict_runtime_check
from sandbox.snapshots.diff.stable_types import StableTypesDiff, TypeChange, Verdict, compare_stable_types
from sandbox.snapshots.inspect.motoko.signature import parse_signature
from sandbox.snapshots.inspect.source import InspectError

_NAME = "stable types"


def applies(trial: Trial) -> bool:
    """Return whether a version is a program of Motoko."""
    return any(version.stable_types is not None for version in (trial.old, trial.new))


def check(trial: Trial) -> Check:
    """Compare the stable signatures of the two versions; the upgrade has been made."""
    old, new = trial.old.stable_types, trial.new.stable_types
    if old is None or new is None:
        which = trial.old.name if old is None else trial.new.name
        return Check(_NAME, f"not compared: {which} has no section motoko:stable-types", done=False)
    try:
        difference = compare_stable_types(old, new)
        silent = predict_runtime_check(old, new).lost if trial.old.enhanced and trial.new.enhanced else ()
    except InspectError as error:
        return Check(_NAME, f"not compared: {error}", done=False)
    accepted = not isinstance(trial.upgraded, CallRejected)
    findings = tuple(_findings(difference, silent, accepted))
    judged = [change for change in difference.changes if change.verdict is not Verdict.COMPATIBLE]
    said = "compatible" if difference.compatible else "not compatible"
    text = f"{said} for the compiler, {len(judged)} of {len(difference.changes)} changes matter; "
    text += f"the upgrade was {'accepted' if accepted else 'refused'}"
    return Check(_NAME, text if difference.changes else "the same", findings, _facts(difference, silent))


def has_migration(version: Version) -> bool:
    """Return whether a module of Motoko has migration functions, which expect the variables of the version before
    it."""
    try:
        signature = parse_signature(version.stable_types or "")
    except InspectError:
        return False
    return signature.before is not None or bool(signature.chain)


def _findings(difference: StableTypesDiff, silent: tuple[str, ...], accepted: bool) -> Iterator[Finding]:
    outcome = "and the upgrade was accepted" if accepted else "and the upgrade was refused"
    for change in difference.changes:
        lines = [f"{change.path} : {change.before or 'none'} → {change.after or 'none'}"]
        if change.verdict is Verdict.INCOMPATIBLE:
            yield finding("stable-types-incompatible", f"{change.text} ({change.code}), {outcome}", lines)
        elif change.verdict is Verdict.LOSES_DATA:
            if change.variable in silent:
                lines.append("the runtime of enhanced persistence does not notice this loss")
            yield finding("stable-variable-lost", f"{change.text} ({change.code}), {outcome}", lines)


def _facts(difference: StableTypesDiff, silent: tuple[str, ...]) -> dict[str, object]:
    return {
        "compatible": difference.compatible,
        "unnoticed": list(silent),
        "changes": [_change(change) for change in difference.changes],
    }


def _change(change: TypeChange) -> dict[str, object]:
    return {
        "variable": change.variable,
        "path": change.path,
        "before": change.before,
        "after": change.after,
        "verdict": change.verdict.value,
        "code": change.code or None,
        "text": change.text,
    }
