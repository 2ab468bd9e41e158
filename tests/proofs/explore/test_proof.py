"""Upgrade proofs without any data of the user: calls are made up, and the fewest that show a finding are said."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sandbox import Version, verify_upgrade
from sandbox.proofs.upgrade import ProofError
from sandbox.proofs.upgrade.page import upgrade_page
from tests.conftest import FIXTURES, fixture, guest
from tests.proofs.explore.guests import BREAKS_IF_ON, SWITCHED, canister

DROPS = {
    "people_v1.classical": "people_v2_drops.classical",
    "people_v1.enhanced": "people_v2_drops.enhanced",
    "people_stable_rs_v1": "people_stable_rs_v2_drops",
}
GOOD = {
    "people_v1.classical": "people_v2_good.classical",
    "people_v1.enhanced": "people_v2_good.enhanced",
    "people_stable_rs_v1": "people_stable_rs_v2_good",
    "people_heap_rs_v1": "people_heap_rs_v2_good",
}
ONE_PERSON = ("fill(1 : nat)", 'add(record { age = 0 : nat; name = ""; tags = vec {}; email = "" })')


def parameters(versions: Mapping[str, str], *quick: str) -> list[Any]:
    """The old versions as parameters, of which only these are quick."""
    return [pytest.param(old, marks=() if old in quick else pytest.mark.slow) for old in versions]


@pytest.mark.parametrize("old", parameters(DROPS, "people_v1.enhanced", "people_stable_rs_v1"))
def test_lost_data_is_found_and_shown_with_one_call(old: str) -> None:
    report = verify_upgrade(fixture(old), fixture(DROPS[old]), explore=6)
    assert report.verdict == "broken"
    [lost] = [finding.text for finding in report.findings if finding.id == "data-lost"]
    assert "email gone" in lost
    shown = next(each for each in report.sequences if "data-lost" in each.findings)
    assert len(shown.lines) == 1
    assert shown.lines[0] in ONE_PERSON
    again = verify_upgrade(fixture(old), fixture(DROPS[old]), calls=shown.lines)
    assert {finding.id for finding in again.findings} >= set(shown.findings)


@pytest.mark.parametrize("old", parameters(GOOD, "people_v1.enhanced"))
def test_an_upgrade_that_loses_nothing_is_safe(old: str) -> None:
    report = verify_upgrade(fixture(old), fixture(GOOD[old]), explore=4)
    assert (report.verdict, report.sequences) == ("safe", ())
    assert "little-proved" not in {finding.id for finding in report.findings}
    queries = report.check("queries")
    assert queries is not None
    assert {"get", "list"} <= {row["query"].partition("(")[0] for row in queries.facts["queries"]}


def test_the_same_seed_gives_the_same_report() -> None:
    def report(seed: int) -> dict[str, object]:
        return verify_upgrade(SWITCHED, BREAKS_IF_ON, explore=6, seed=seed).to_dict()

    first = report(3)
    assert report(3) == first
    assert report(4) != first
    assert first["start"] == "a canister just installed, calls made up with seed 3"


def test_a_finding_that_more_calls_hide_is_found_in_a_smaller_state() -> None:
    report = verify_upgrade(SWITCHED, BREAKS_IF_ON, explore=12)
    hooks, explored = report.check("hooks"), report.check("explore")
    assert hooks is not None
    assert explored is not None
    assert not hooks.findings
    assert [finding.id for finding in explored.findings] == ["post-upgrade-traps"]
    [shown] = report.sequences
    assert (shown.findings, shown.lines) == (("post-upgrade-traps",), ("on()",))
    assert ">The fewest calls that show it<" in upgrade_page(report)


def test_findings_that_need_no_data_have_no_sequence() -> None:
    traps = guest('(func (export "canister_post_upgrade") unreachable)')
    report = verify_upgrade(SWITCHED, traps, explore=5)
    assert "post-upgrade-traps" in {finding.id for finding in report.findings}
    assert report.sequences == ()


def test_the_proof_begins_with_the_given_calls() -> None:
    report = verify_upgrade(SWITCHED, SWITCHED, calls=["on()"], explore=3)
    assert report.start == "a canister just installed, 1 calls, calls made up with seed 0"


def test_a_canister_without_update_methods_is_said_to_have_none() -> None:
    asks = canister(
        "service : { a : () -> () query }",
        '(func (export "canister_query a") (call $reply (i32.const 0) (i32.const 6)))',
    )
    report = verify_upgrade(asks, asks, explore=4)
    check = report.check("explore")
    assert check is not None
    assert (check.done, check.text) == (False, "the old version has no update method that can be called")
    assert "little-proved" in {finding.id for finding in report.findings}


def test_without_an_interface_nothing_can_be_made_up() -> None:
    bare = Version("bare.wasm", guest(""))
    with pytest.raises(ProofError, match=r"bare\.wasm carries no candid:service, and no \.did was given"):
        verify_upgrade(bare, bare, explore=1)
    with pytest.raises(ValueError, match="explore is the number of sequences, not -1"):
        verify_upgrade(bare, bare, explore=-1)


def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)


def test_without_hypothesis_the_error_names_the_extra(tmp_path: Path) -> None:
    old = FIXTURES / "people_v1.classical.wasm"
    program = f"""import sys
sys.modules["hypothesis"] = None
import sandbox
sandbox.verify_upgrade({str(old)!r}, {str(old)!r}, explore=1)"""
    done = run(program, tmp_path)
    assert (
        "ProofError: making up calls (explore) needs hypothesis: pip install 'canister-sandbox[explore]'" in done.stderr
    )


def test_nothing_is_written_where_the_command_runs(tmp_path: Path) -> None:
    old, new = (str(FIXTURES / f"people_v{name}.classical.wasm") for name in ("1", "2_drops"))
    program = f"""import sys
from sandbox.cli import main
sys.argv = ["canister-sandbox", "--output", "json", "verify-upgrade", {old!r}, {new!r}, "--explore", "3"]
main()"""
    done = run(program, tmp_path)
    first = json.loads(done.stdout)["sequences"][0]
    assert (first["findings"][0], len(first["sequence"])) == ("data-lost", 1)
    assert "--calls FILE" in first["hint"]
    assert list(tmp_path.iterdir()) == []
