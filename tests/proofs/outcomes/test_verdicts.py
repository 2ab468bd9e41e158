"""The proof of an upgrade knows each outcome of the table by its finding, and finds nothing where nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.proofs.findings import RULES, Severity
from sandbox.proofs.upgrade import Version, verify_upgrade
from tests.conftest import fixture
from tests.proofs.outcomes.cases import CASES, EACH, Case

SPOKEN = {"query-fails", "write-fails", "next-upgrade-fails", "post-upgrade-traps"}
"""Findings that repeat what the canister says."""


@pytest.mark.parametrize("case", EACH)
def test_the_proof_of_an_upgrade_knows_its_outcome(case: Case, tmp_path: Path) -> None:
    subject = case.start()
    state = subject.canister.take_snapshot(label="begin")
    subject.sandbox.snapshots.download(state, tmp_path / "begin.icsnap")
    old, new = fixture(case.module(case.between or case.old)), fixture(case.module(case.new))
    report = verify_upgrade(
        Version("old", old), Version("new", new, case.arg), state=tmp_path / "begin.icsnap", accept=["downgrade-loses"]
    )
    weighty = {finding.id: finding for finding in report.findings if finding.severity > Severity.NOTE}
    if not case.finding:
        assert (report.verdict, weighty) == ("safe", {})
        return
    assert case.finding in weighty
    assert report.verdict == ("broken" if RULES[case.finding].severity is Severity.BROKEN else report.verdict)
    assert report.verdict != "safe"
    if case.finding in SPOKEN:
        assert case.says[:20] in weighty[case.finding].text


def test_findings_of_writes_have_their_cases() -> None:
    assert {"write-fails", "write-loses", "write-damages"} <= {case.finding for case in CASES}
