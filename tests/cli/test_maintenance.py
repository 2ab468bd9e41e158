"""Claims about `maintenance`: notices are written beside a running server, and say until when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sandbox import Sandbox
from tests.cli.conftest import Cli


@pytest.fixture
def shop(cli: Cli) -> Cli:
    cli("canister", "create", "shop")
    return cli


def ahead(**time: int) -> str:
    return (datetime.now(UTC) + timedelta(**time)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_announced_maintenance_is_listed_until_it_is_taken_back(shop: Cli) -> None:
    begins, ends = ahead(hours=1), ahead(hours=2)
    announced = shop.json("maintenance", "announce", "shop", "--from", begins, "--until", ends, "--message", "New till")
    assert (announced["status"], announced["from"], announced["until"]) == ("announced", begins, ends)
    [listed] = shop.json("maintenance", "list")
    assert (listed["name"], listed["message"], listed["status"]) == ("shop", "New till", "announced")
    assert "announced shop from" in shop("maintenance", "list")
    assert "ended maintenance of shop" in shop("maintenance", "end", "shop")
    assert shop.json("maintenance", "list") == []


def test_it_begins_as_announced_or_with_other_terms(shop: Cli, tmp_path: Path) -> None:
    page = tmp_path / "own.html"
    page.write_text("<p>{{message}}")
    shop("maintenance", "announce", "shop", "--from", "1h", "--until", "2h", "--message", "Old", "--page", str(page))
    begun = shop.json("maintenance", "begin", "shop")
    assert (begun["status"], begun["message"], 7195 < begun["seconds_left"] <= 7200) == ("active", "Old", True)
    again = shop.json("maintenance", "begin", "shop", "--until", "10m", "--message", "New")
    assert (again["message"], 595 < again["seconds_left"] <= 600) == ("New", True)


def test_it_needs_no_lock(shop: Cli) -> None:
    with Sandbox.open(shop.state):
        assert "under maintenance shop until" in shop("maintenance", "begin", "shop", "--until", "5m")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("begin", "shop"), "nothing was announced"),
        (("end", "shop"), "there is no maintenance of shop"),
        (("begin", "nobody", "--until", "5m"), "has the name 'nobody'"),
        (("announce", "shop", "--from", "2h", "--until", "1h"), "it would begin at"),
        (("announce", "shop", "--from", "2020-01-01", "--until", "2020-01-02"), "it would be over already"),
        (("announce", "shop", "--from", "soon", "--until", "1h"), "'soon' is neither a date"),
    ],
)
def test_what_makes_no_sense_is_misuse(shop: Cli, arguments: tuple[str, ...], says: str) -> None:
    assert says in shop("maintenance", *arguments, code=2)


def test_a_state_that_is_not_there_has_no_maintenance(cli: Cli) -> None:
    said = cli("maintenance", "begin", "rwlgt-iiaaa-aaaaa-aaaaa-cai", "--until", "5m", code=2)
    assert "there is no state directory" in said
    assert not cli.state.exists()
