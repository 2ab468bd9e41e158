"""The check of hooks: whether they run, and the share of their limits that they need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

from sandbox.canister.install import HookMeasure
from sandbox.errors import CallRejected, ErrorCode
from sandbox.execution import CallResult
from sandbox.limits import STABLE_MEMORY
from sandbox.proofs.findings import Finding, finding
from sandbox.proofs.upgrade.report import Check
from sandbox.proofs.upgrade.texts import why
from sandbox.proofs.upgrade.trial import Trial

NEAR = 0.5
"""The part of a limit above which a hook is near it."""
PRE_UPGRADE = "canister_pre_upgrade"
_REFUSED = {ErrorCode.CANISTER_CONTRACT_VIOLATION, ErrorCode.CANISTER_INVALID_WASM}


def check(trial: Trial) -> Check:
    """Upgrade the canister to the new version, and report the instructions of its hooks."""
    try:
        with trial.sandbox.profile() if trial.profiled else nullcontext():
            trial.upgraded = trial.upgrade(trial.new)
    except CallRejected as rejected:
        trial.upgraded = rejected
        measures = rejected.result.hooks if rejected.result is not None else ()
        failed = _failure(rejected, measures)
        return Check("hooks", f"the upgrade fails: {failed.text}", (failed,), _facts(trial, measures))
    measures = trial.upgraded.hooks
    spent = sum(measure.instructions for measure in measures)
    part = spent / trial.limit
    text = f"{spent:,} instructions in all hooks, {part:.2%} of the limit" if measures else "there are no hooks"
    return Check("hooks", text, tuple(_near_limits(trial, measures)), _facts(trial, measures))


def _facts(trial: Trial, measures: tuple[HookMeasure, ...]) -> dict[str, object]:
    rows = [
        {"hook": each.name, "instructions": each.instructions, "heap": each.heap, "stable": each.stable}
        for each in measures
    ]
    return {"hooks": rows, "limit": trial.limit}


def _failure(rejected: CallRejected, measures: tuple[HookMeasure, ...]) -> Finding:
    result: CallResult | None = rejected.result
    backtrace = () if result is None else tuple(f"in {name}" for name in result.backtrace)
    text = reason(rejected)
    if not measures:
        rule = "module-refused" if rejected.error_code == ErrorCode.CANISTER_INVALID_WASM else "upgrade-refused"
        return finding(rule, text)
    last = measures[-1].name
    if last == PRE_UPGRADE and rejected.error_code in _REFUSED:
        return finding("upgrade-refused", text)
    rule = "pre-upgrade-traps" if last == PRE_UPGRADE else "post-upgrade-traps"
    return finding(rule, f"{last} after {measures[-1].instructions:,} instructions: {text}", backtrace)


def reason(rejected: CallRejected) -> str:
    """Return the message of a reject in one line."""
    return why(rejected.message)


def _near_limits(trial: Trial, measures: tuple[HookMeasure, ...]) -> Iterator[Finding]:
    spent = sum(measure.instructions for measure in measures)
    if spent > NEAR * trial.limit:
        yield finding(
            "hook-near-limit",
            f"all hooks execute {spent:,} of {trial.limit:,} instructions ({spent / trial.limit:.0%})",
        )
    status = trial.canister.status()
    limits = {"heap": status.settings.wasm_memory_limit, "stable memory": STABLE_MEMORY}
    peaks = {
        "heap": max((each.heap for each in measures), default=0),
        "stable memory": max((each.stable for each in measures), default=0),
    }
    for name, limit in limits.items():
        if limit and peaks[name] > NEAR * limit:
            yield finding("hook-near-limit", f"the {name} reaches {peaks[name]:,} of {limit:,} bytes")
