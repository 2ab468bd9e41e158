"""`deploy`, and settings that change controllers or have units; words of other tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Cli, module

HI = '(record { greeting = "Hi"; owner = null })'
V1, V2 = module("people_v1.enhanced"), module("people_v2_good.enhanced")


def test_it_creates_installs_and_upgrades_as_needed(cli: Cli) -> None:
    assert cli("deploy", "people", V1).startswith("created it, installed people_v1.enhanced.wasm, people (")
    cli("canister", "call", "people", "fill", "(3)")
    assert cli("deploy", "people", V1).startswith("unchanged: people_v1.enhanced.wasm, people (")
    done = cli.json("deploy", "people", V2)
    assert (done["mode"], done["created"], done["dry_run"]) == ("upgrade", False, False)
    assert cli("canister", "call", "people", "size") == "(3 : nat)\n"
    assert cli("deploy", done["canister_id"], V2, "--mode", "reinstall").startswith("reinstalled ")
    assert cli("canister", "call", "people", "size") == "(0 : nat)\n"


def test_a_dry_run_changes_nothing_and_says_what_would(cli: Cli) -> None:
    assert cli("deploy", "people", V1, "--dry-run").startswith("would create it, would install ")
    assert not cli.state.exists()
    cli("deploy", "people", V1)
    cli("canister", "call", "people", "fill", "(3)")
    before = cli.json("canister", "status", "people")
    would = cli.json("deploy", "people", V2, "--dry-run")
    assert would["mode"] == "upgrade"
    assert would["diff"]["module"]
    assert would["instructions"] > 0
    assert "would upgrade to people_v2_good" in cli("deploy", "people", V2, "--dry-run")
    traps = module("people_v2_traps.enhanced")
    assert "refuses on purpose" in cli("deploy", "people", traps, "--dry-run", code=1)
    assert cli.json("canister", "status", "people") == before


def test_an_argument_that_is_missing_is_asked_for(cli: Cli) -> None:
    greeter = module("greeter.enhanced")
    assert "the module expects an argument" in cli("deploy", "greeter", greeter, code=2)
    assert cli.json("canister", "list") == [], "nothing was saved"
    cli("deploy", "greeter", greeter, "--arg", HI)
    assert cli.json("deploy", "greeter", greeter, "--arg", HI)["mode"] == "upgrade"
    assert "cannot be a name" in cli("deploy", "no name", greeter, code=2)


def controllers(cli: Cli) -> list[str]:
    facts: list[str] = cli.json("canister", "settings", "c")["controllers"]
    return facts


def test_controllers_are_added_and_removed(cli: Cli) -> None:
    cli("canister", "create", "c", "--status-visibility", "public")
    default, bob = (cli("identity", name).strip() for name in ("default", "bob"))
    cli("canister", "settings", "c", "--add-controller", "bob", "--add-controller", "aaaaa-aa")
    assert controllers(cli) == [default, bob, "aaaaa-aa"]
    cli("canister", "settings", "c", "--remove-controller", "aaaaa-aa", "--remove-controller", "default")
    assert controllers(cli) == [bob]
    add = ("canister", "settings", "c", "--as", "bob", "--add-controller", "default")
    assert "replaces all controllers" in cli(*add, "--controller", "bob", code=2)
    assert "is not a controller" in cli("canister", "settings", "c", "--remove-controller", "eve", code=2)


@pytest.mark.parametrize("change", [("--remove-controller", "default"), ("--controller", "aaaaa-aa")])
def test_nobody_is_locked_out_unasked(cli: Cli, change: tuple[str, str]) -> None:
    cli("canister", "create", "c", "--status-visibility", "public")
    before = controllers(cli)
    assert "nobody could control the canister" in cli("canister", "settings", "c", *change, code=2)
    assert controllers(cli) == before
    cli("canister", "settings", "c", *change, "--yes")
    assert controllers(cli) != before


def test_settings_have_units(cli: Cli) -> None:
    cli("canister", "create", "c", "--memory-allocation", "64KiB", "--freezing-threshold", "1w")
    cli("canister", "settings", "c", "--wasm-memory-limit", "1.5GiB", "--wasm-memory-threshold", "10_000")
    facts = cli.json("canister", "settings", "c")
    assert facts["memory_allocation"] == 65_536
    assert facts["freezing_threshold"] == 604_800
    assert facts["wasm_memory_limit"] == 3 << 29
    assert facts["wasm_memory_threshold"] == 10_000
    assert "not a size, such as 10MiB" in cli("canister", "settings", "c", "--wasm-memory-limit", "much", code=2)
    for wrong in ("soon", "1.5s", "-1"):
        assert "not a duration" in cli("canister", "settings", "c", "--freezing-threshold", wrong, code=2)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("upgrade", "c"), "canister install CANISTER FILE --mode upgrade"),
        (("snapshot", "create", "c"), "snapshot take"),
        (("snapshot", "restore", "c"), "snapshot load"),
        (("canister", "list", "--json"), "--output json"),
    ],
)
def test_words_of_other_tools_get_a_hint(cli: Cli, words: tuple[str, ...], hint: str) -> None:
    assert f"here it is: {hint}" in cli(*words, code=2).replace("canister create, or ", "")


def test_a_state_that_is_not_there_is_named(cli: Cli, tmp_path: Path) -> None:
    result = cli.run("canister", "list")
    assert f"there is no state directory {tmp_path / 'state'}" in result.stderr
    cli("canister", "create", "c")
    assert cli.run("canister", "list").stderr == ""
