"""`snapshot diff` and `canister call --diff`: what differs, for people and as JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, module

Make = Callable[..., Cli]
ZOE = '(record { name = "Zoe"; email = "z@example.org"; age = 3; tags = vec {} })'


@pytest.fixture
def registry(with_canister: Make) -> Cli:
    cli = with_canister("registry", "people_stable_rs_v1")
    cli("canister", "call", "registry", "fill", "(30)")
    cli("snapshot", "take", "registry", "--label", "thirty", "--keep", "5")
    return cli


def test_a_snapshot_and_the_canister_now(registry: Cli) -> None:
    assert "No difference." in registry("snapshot", "diff", "thirty")
    registry("canister", "call", "registry", "add", ZOE)
    registry("canister", "call", "registry", "set_age", "(7, 99)")
    shown = registry("snapshot", "diff", "thirty", "--bytes", "--picture")
    first, *lines = shown.splitlines()
    assert first.startswith("snapshot 0000")
    assert first.endswith(", now")
    assert "memory 0: BTreeMap, 30 → 31 entries: 1 added, 0 removed, 1 changed" in lines
    assert any(line.startswith("+  30") for line in lines)
    assert any('name = "Zoe"' in line for line in lines)
    assert any(line.startswith("~  7") for line in lines)
    assert any("+ added" in line for line in lines)
    facts = registry.json("snapshot", "diff", "thirty", "--bytes")
    assert facts["different"] is True
    assert facts["heap"]["pages"]["changed"] == sum(length for _, length in facts["heap"]["runs"]["changed"]) // 4096
    [entries] = [each["entries"] for each in facts["structures"] if each["name"] == "memory 0"]
    assert {entry["key"] for entry in entries} == {7, 30}
    [added] = [entry for entry in entries if entry["before"] is None]
    assert "Zoe" in added["after"]
    assert facts["bytes"]["stable"]["changes"][0]["before"] != facts["bytes"]["stable"]["changes"][0]["after"]


def test_by_every_name(registry: Cli, tmp_path: Path) -> None:
    registry("canister", "call", "registry", "add", ZOE)
    registry("snapshot", "take", "registry", "--label", "more")
    listed = registry.json("snapshot", "list")
    file = str(tmp_path / "thirty.icsnap")
    registry("snapshot", "download", "thirty", file)
    ways = [["thirty", "more"], [s["id"] for s in listed], [file, "more"], ["thirty", "registry"], ["thirty"]]
    facts = [registry.json("snapshot", "diff", *way) for way in ways]
    same = ("globals", "heap", "stable", "fields", "structures")
    assert all({name: each[name] for name in same} == {name: facts[0][name] for name in same} for each in facts)
    assert "B is missing" in registry("snapshot", "diff", file, code=2)
    assert "B is missing" in registry("snapshot", "diff", "registry", code=2)
    assert "neither the id nor the label" in registry("snapshot", "diff", "no", code=2)


def test_limits_and_maps(registry: Cli, tmp_path: Path) -> None:
    registry("canister", "call", "registry", "fill", "(30)")
    png = tmp_path / "map.png"
    shown = registry("snapshot", "diff", "thirty", "--limit", "3", "--bytes", "--map", str(png))
    assert "and 27 more (--limit)" in shown
    assert f"map written to {png}" in shown
    assert png.read_bytes().startswith(b"\x89PNG")
    assert registry.json("snapshot", "diff", "thirty", "--limit", "3", "--bytes")["bytes"]["heap"]["more"]


def test_of_two_modules(with_canister: Make) -> None:
    cli = with_canister("people", "people_v1.classical")
    cli("snapshot", "take", "people", "--label", "v1")
    cli("canister", "install", "people", module("people_v2_good.classical"), "--mode", "upgrade")
    shown = cli("snapshot", "diff", "v1")
    assert "candid" in shown
    assert "old clients" in shown
    assert cli.json("snapshot", "diff", "v1")["module"]["candid"]["changed"]


def test_what_a_call_changed(registry: Cli) -> None:
    shown = registry("canister", "call", "registry", "add", ZOE, "--diff")
    assert shown.startswith("(30 : nat)\n")
    assert "memory 0: BTreeMap, 30 → 31 entries: 1 added, 0 removed, 0 changed" in shown
    facts = registry.json("canister", "call", "registry", "add", ZOE, "--diff")
    assert facts["reply"] == [31]
    assert facts["diff"]["different"]
    assert "No difference." in registry("canister", "call", "registry", "size", "--diff")
    assert "diff" not in registry.json("canister", "call", "registry", "size")
    assert "No difference." in registry("canister", "call", "registry", "size", "--raw", "--diff")


@pytest.mark.parametrize("mode", ["classical", "enhanced"])
def test_motokos_variables_are_compared_via_hooks_and_a_plain_diff_says_so(with_canister: Make, mode: str) -> None:
    cli = with_canister("people", f"people_v1.{mode}")
    cli("canister", "call", "people", "fill", "(3)")
    for label, more in (("plain", []), ("saved", ["--via-hooks"])):
        cli("snapshot", "take", "people", "--label", label, "--keep", "5", *more)
    cli("canister", "call", "people", "set_age", "(1, 99)")
    assert "--via-hooks" in cli("snapshot", "diff", "plain")
    assert "--via-hooks" in cli.json("snapshot", "diff", "plain")["notes"][0]
    cli("snapshot", "take", "people", "--label", "later", "--keep", "5", "--via-hooks")
    shown = cli("snapshot", "diff", "saved", "later")
    assert any(line.startswith("~  edits") and "1 : nat" in line for line in shown.splitlines())
    assert cli.json("snapshot", "diff", "saved", "later")["notes"] == []


def test_a_map_of_what_a_call_changed(registry: Cli, tmp_path: Path) -> None:
    png = tmp_path / "call.png"
    assert "--map requires --diff" in registry("canister", "call", "registry", "size", "--map", str(png), code=2)
    shown = registry("canister", "call", "registry", "set_age", "(7, 55)", "--diff", "--map", str(png))
    assert f"map written to {png}" in shown
    assert png.read_bytes().startswith(b"\x89PNG")
