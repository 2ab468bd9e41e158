"""`demo`: every proof holds, and a proof that fails is not hidden."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.cli.demo import command, story
from sandbox.cli.demo.cast import ROLES
from sandbox.cli.demo.facts import lost_fields
from tests.cli.conftest import Cli


@pytest.fixture(autouse=True)
def few_people(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole story, with fewer people."""
    monkeypatch.setattr(story, "PEOPLE", 500)


def test_every_proof_holds(cli: Cli) -> None:
    facts = cli.json("demo")
    assert (facts["holds"], facts["proofs"]) == (True, 20)
    assert [canister["title"] for canister in facts["canisters"]] == [role.title for role in ROLES]
    assert not cli.state.exists()
    for canister in facts["canisters"]:
        by_proof = {step["proof"]: step for step in canister["steps"] if "proof" in step}
        assert by_proof["trap undone"]["reject"]["error_code"] == "IC0503"
        assert "post_upgrade refuses on purpose" in by_proof["trap undone"]["reject"]["message"]
        assert by_proof["trap undone"]["reject"]["backtrace"]
        assert by_proof["loss detected"]["lost_fields"] == {"email": 500}
        parts = {part["part"]: part for part in by_proof["rollback 2"]["parts"]}
        assert list(parts) == ["module", "globals", "heap", "stable"]
        assert all(p["sha256"] == p["sha256_after_rollback"] and p["identical"] for p in parts.values())
        assert parts["module"]["changed_when_broken"]
        assert parts["heap"]["changed_when_broken"]
        assert by_proof["good upgrade"]["records"] == by_proof["good upgrade"]["active"] == 501


def test_skipping_pre_upgrade_is_shown_to_be_dangerous_without_harm(cli: Cli) -> None:
    steps = [step for canister in cli.json("demo")["canisters"] for step in canister["steps"]]
    enhanced, classical = (s for s in steps if s.get("proof") == "pre_upgrade trap")
    assert "Memory-incompatible program upgrade" in enhanced["skip_pre_upgrade"]
    assert "0 of 250 people are there" in classical["skip_pre_upgrade"]
    assert "pre_upgrade refuses on purpose" in enhanced["reject"]["message"]


def test_the_story_is_plain_in_a_pipe(cli: Cli) -> None:
    text = cli("demo")
    assert "\x1b" not in text
    assert text.isascii()
    assert "backtrace: ic0::trap < " in text
    assert "lost: email of 500 of 500 people" in text
    assert text.splitlines()[-1].startswith("All 20 proofs hold. ")
    assert all(line == line.rstrip() for line in text.splitlines())


def test_a_proof_that_fails_is_shown_and_ends_with_1(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "ROLES", (replace(ROLES[1], drops=ROLES[1].good),))
    text = cli("demo", code=1)
    assert "FAILED" in text
    assert "proofs FAIL" in text
    assert cli.json("demo", code=1)["holds"] is False


def test_a_story_that_breaks_off_fails(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "ROLES", (replace(ROLES[1], good=ROLES[1].drops),))
    text = cli("demo", code=1)
    assert "FAILED aborted: the service has no method active_count" in text


def test_without_fixtures(cli: Cli, tmp_path: Path) -> None:
    text = cli("demo", "--fixtures", str(tmp_path), code=2)
    assert f"{tmp_path} lacks people_v1.enhanced.wasm" in text
    assert "--fixtures" in text
    assert "does not exist" not in text


def test_lost_fields() -> None:
    before = [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    assert lost_fields(before, before) == {}
    assert lost_fields(before, [{"a": 1, "b": 0, "c": 5}]) == {"b": 2, "a": 1}
