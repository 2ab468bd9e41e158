"""The command `verify-upgrade`: verdict, exit code, and what cannot begin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, module

V1, GOOD, DROPS = (module(f"people_v{name}.classical") for name in ("1", "2_good", "2_drops"))


@pytest.fixture
def calls(tmp_path: Path) -> str:
    (tmp_path / "calls").write_text("fill(3)\n")
    return str(tmp_path / "calls")


def test_a_safe_upgrade_is_said_to_be_safe(cli: Cli, calls: str) -> None:
    text = cli("verify-upgrade", V1, GOOD, "--calls", calls)
    assert text.startswith("safe: nothing was lost in what was looked at\n")
    for check in ("interface", "hooks", "data", "queries", "second upgrade", "downgrade", "growth", "rollback"):
        assert f"✓  {check} " in text


def test_a_loss_is_named_with_an_example_and_advice(cli: Cli, calls: str) -> None:
    result = cli.run("verify-upgrade", V1, DROPS, "--calls", calls)
    assert result.exit_code == 1
    assert result.stdout.startswith("broken: Data of the old version is gone after the upgrade: 3 values: people.")
    assert 'people.blocks[1][0]?.email: "person0@example.org" → gone' in result.stdout
    assert "→ Keep the field or structure" in result.stdout


def test_the_json_has_every_check_and_finding(cli: Cli, calls: str) -> None:
    facts = cli.json("verify-upgrade", V1, DROPS, "--calls", calls, code=1)
    assert (facts["verdict"], facts["old"]) == ("broken", "people_v1.classical.wasm")
    assert {"data-lost", "query-differs", "downgrade-loses"} <= {finding["id"] for finding in facts["findings"]}
    [hooks] = [check for check in facts["checks"] if check["name"] == "hooks"]
    assert [hook["hook"] for hook in hooks["hooks"]] == ["canister_pre_upgrade", "start", "canister_post_upgrade"]


def test_a_snapshot_of_the_state_directory_is_a_starting_point(with_canister: Callable[..., Cli]) -> None:
    cli = with_canister("people", "people_v1.classical")
    cli("canister", "call", "people", "fill", "(4)")
    cli("snapshot", "take", "people", "--label", "filled")
    facts = cli.json("verify-upgrade", V1, DROPS, "--state", "filled", code=1)
    assert "4 values: people.blocks[][].email gone" in [finding["text"] for finding in facts["findings"]]
    error = cli("verify-upgrade", V1, GOOD, "--state", str(cli.state), code=2)
    assert "is a state directory, not a snapshot" in error


def test_findings_are_accepted_by_id(cli: Cli) -> None:
    back = ("verify-upgrade", module("people_stable_rs_v2_good"), module("people_stable_rs_v1"))
    cli(*back, code=1)
    assert "interface-breaks (accepted)" in cli(*back, "--accept", "interface-breaks")
    assert "there is no finding 'interface'; there are: little-proved" in cli(*back, "--accept", "interface", code=2)


def test_what_cannot_begin_is_misuse(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("fill(3)\nfil(1)\n")
    error = cli("verify-upgrade", V1, GOOD, "--calls", str(tmp_path / "bad"), code=2)
    assert f"{tmp_path / 'bad'}:2: fil: the service has no method fil" in error
    assert "neither the id nor the label of a snapshot" in cli("verify-upgrade", V1, GOOD, "--state", "no", code=2)
    (tmp_path / "cut").write_bytes(Path(V1).read_bytes()[:100])
    assert "the proof cannot begin with cut: " in cli("verify-upgrade", str(tmp_path / "cut"), GOOD, code=2)


def test_the_page_holds_verdict_findings_and_data(cli: Cli, calls: str, tmp_path: Path) -> None:
    cli("verify-upgrade", V1, DROPS, "--calls", calls, "--html", str(tmp_path / "proof.html"), code=1)
    page = (tmp_path / "proof.html").read_text()
    assert "<title>people_v1.classical.wasm → people_v2_drops.classical.wasm</title>" in page
    for text in ("broken", "data-lost", "people.blocks[][].email", "canister_post_upgrade", "checksum()"):
        assert text in page
    nowhere = cli("verify-upgrade", V1, DROPS, "--html", str(tmp_path / "none" / "proof.html"), code=2)
    assert "cannot be written" in nowhere


def test_calls_are_made_up_and_the_fewest_are_shown(cli: Cli, tmp_path: Path) -> None:
    result = cli.run("verify-upgrade", V1, DROPS, "--explore", "6", "--seed", "2")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    [at] = [
        at
        for at, line in enumerate(lines)
        if line.startswith("# the fewest calls that show data-lost, not-idempotent-loses")
    ]
    (tmp_path / "saved").write_text("\n".join(lines[at : at + 2]))
    again = cli.json("verify-upgrade", V1, DROPS, "--calls", str(tmp_path / "saved"), code=1)
    assert "data-lost" in {finding["id"] for finding in again["findings"]}


def test_making_up_calls_needs_a_number_and_an_interface(cli: Cli) -> None:
    assert "give --explore N, too" in cli("verify-upgrade", V1, GOOD, "--seed", "1", code=2)
    assert "is not in the range x>=1" in cli("verify-upgrade", V1, GOOD, "--explore", "0", code=2)
    bare = module("universal.wasm32")
    assert "universal.wasm32.wasm carries no candid:service" in cli(
        "verify-upgrade", bare, bare, "--explore", "1", code=2
    )
