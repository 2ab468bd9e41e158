"""Growth: whether the hooks would fit their limit with more data, estimated from their cost without and with the
data."""

from __future__ import annotations

from sandbox.api.sandbox import Sandbox
from sandbox.errors import CallRejected
from sandbox.execution import CallResult
from sandbox.proofs.findings import Finding, finding
from sandbox.proofs.upgrade.report import Check
from sandbox.proofs.upgrade.start import OWNER, Version
from sandbox.proofs.upgrade.trial import Trial

FACTORS = (2, 5, 10)


def check(trial: Trial) -> Check:
    """Estimate the instructions of all hooks with 2, 5 and 10 times the data, on a straight line through the upgrade
    of an empty canister and this one. Without an empty one, in proportion to the data, which is at least as much."""
    assert isinstance(trial.upgraded, CallResult)
    here, empty = trial.upgraded.instructions, empty_cost(trial.old, trial.new)
    base = 0 if empty is None else min(empty, here)
    estimates = {factor: base + factor * (here - base) for factor in FACTORS}
    over = next((factor for factor, cost in estimates.items() if cost > trial.limit), None)
    parts = ", ".join(f"{factor}x {cost / trial.limit:.2%}" for factor, cost in estimates.items())
    findings: tuple[Finding, ...] = ()
    if over is not None:
        findings = (
            finding(
                "growth-exceeds-limit",
                f"at {over} times the data about {estimates[over]:,} of {trial.limit:,} instructions",
            ),
        )
    facts = {"empty": empty, "present": here, "estimates": estimates}
    return Check("growth", f"estimated part of the limit: {parts}", findings, facts)


def empty_cost(old: Version, new: Version) -> int | None:
    """Return the instructions of all hooks of an upgrade without data; None if the old version cannot be installed with
    its argument."""
    with Sandbox() as sandbox:
        canister = sandbox.create_canister([OWNER])
        try:
            canister.install(old.wasm, old.argument)
            return canister.upgrade(new.wasm, new.argument).instructions
        except CallRejected:
            return None
