"""The check of the Candid interface: whether clients of the old version can use the new one, method by method."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.candid import explain_subtype
from sandbox.candid.labels import name_text
from sandbox.proofs.findings import Finding, finding
from sandbox.proofs.upgrade.report import Check
from sandbox.proofs.upgrade.trial import Trial


def check(trial: Trial) -> Check:
    """Compare the interfaces of the two versions."""
    old, new = trial.old.interface, trial.new.interface
    if old is None or new is None:
        which = trial.old.name if old is None else trial.new.name
        return Check("interface", f"not compared: {which} carries no candid:service, and no .did was given", done=False)
    findings = tuple(_breaks(trial))
    added = [name for name in new.methods if name not in old.methods]
    text = f"{len(old.methods)} methods, {len(findings)} broken, {len(added)} added"
    facts = {"methods": len(old.methods), "added": added, "broken": [each.text for each in findings]}
    return Check("interface", text, findings, facts)


def _breaks(trial: Trial) -> Iterator[Finding]:
    assert trial.old.interface is not None
    assert trial.new.interface is not None
    given = trial.new.interface.methods
    for name, wanted in trial.old.interface.methods.items():
        if name not in given:
            yield finding("interface-breaks", f"the method {name_text(name)} is missing")
            continue
        verdict = explain_subtype(given[name], wanted)
        if not verdict:
            yield finding(
                "interface-breaks",
                f"{name_text(name)}: {verdict.reason}",
                (f"old  {name_text(name)} : {wanted}", f"new  {name_text(name)} : {given[name]}"),
            )
