"""`canister`: the life of a canister from the command line."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import Principal, Sandbox
from tests.cli.conftest import Cli, module

Make = Callable[..., Cli]
FIRST_ID = "rwlgt-iiaaa-aaaaa-aaaaa-cai"


def test_create_prints_name_and_id(cli: Cli) -> None:
    assert cli("canister", "create", "people") == f"created people ({FIRST_ID})\n"
    assert cli("canister", "create").startswith("created ")
    assert [c["name"] for c in cli.json("canister", "list")] == ["people", None]


def test_create_with_id_cycles_settings_and_controllers(cli: Cli) -> None:
    wanted = str(Principal.from_index(77))
    options = ("--id", wanted, "--cycles", "5000", "--freezing-threshold", "9", "--controller", "alice")
    made = cli.json("canister", "create", "x", *options, "--controller", "aaaaa-aa")
    assert made == {"canister_id": wanted, "name": "x"}
    status = cli.json("--as", "alice", "canister", "status", "x")
    assert (status["cycles"], status["settings"]["freezing_threshold"]) == (5000, 9)
    assert status["settings"]["controllers"] == [str(Sandbox().identity("alice")), "aaaaa-aa"]


def test_name_and_id_mean_the_same(with_canister: Make) -> None:
    cli = with_canister("counter", "counter.classical")
    assert cli("canister", "call", "counter", "inc") == "(1 : nat)\n"
    assert cli("canister", "call", FIRST_ID, "inc") == "(2 : nat)\n"


def test_a_name_is_given_once_and_free_again_after_delete(cli: Cli) -> None:
    cli("canister", "create", "x")
    assert FIRST_ID in cli("canister", "create", "x", code=2)
    cli("canister", "stop", "x")
    assert cli("canister", "delete", "x") == f"deleted x ({FIRST_ID})\n"
    assert "names: none" in cli("canister", "status", "x", code=2)
    assert FIRST_ID not in cli("canister", "create", "x")


@pytest.mark.parametrize("name", ["", "7up", "a b", "ä", "x" * 64, FIRST_ID, "aaaaa-aa"])
def test_what_cannot_be_a_name(cli: Cli, name: str) -> None:
    assert "cannot be a name" in cli("canister", "create", name, code=2)
    assert not cli.state.exists()


def test_names_survive_as_json_and_damage_is_reported(cli: Cli) -> None:
    cli("canister", "create", "x")
    file = cli.state / "names.json"
    assert file.read_text() == f'{{\n  "x": "{FIRST_ID}"\n}}\n'
    file.write_text("{")
    assert "names.json is damaged" in cli("canister", "list", code=2)


def test_install_modes(with_canister: Make) -> None:
    cli = with_canister("people", "people_v1.classical")
    cli("canister", "call", "people", "fill", "(3)")
    again = cli("canister", "install", "people", module("people_v1.classical"), code=1)
    assert "IC0514" in again
    assert "not empty" in again
    assert "upgraded people_v2_good.classical.wasm" in cli(
        "canister", "install", "people", module("people_v2_good.classical"), "--mode", "upgrade"
    )
    assert cli("canister", "call", "people", "active_count") == "(3 : nat)\n"
    cli("canister", "install", "people", module("people_v1.classical"), "--mode", "reinstall")
    assert cli("canister", "call", "people", "size") == "(0 : nat)\n"
    cli("canister", "uninstall", "people")
    assert "IC0537" in cli("canister", "call", "people", "size", code=1)


def test_install_says_what_it_did(cli: Cli) -> None:
    cli("canister", "create", "c")
    facts = cli.json("canister", "install", "c", module("counter.classical"))
    assert facts["canister_id"] == FIRST_ID
    assert facts["module_hash"] == cli.json("canister", "status", "c")["module_hash"]
    assert facts["instructions"] > 1000


def test_install_gzip(cli: Cli, tmp_path: Path) -> None:
    packed = tmp_path / "counter.wasm.gz"
    packed.write_bytes(gzip.compress(Path(module("counter.classical")).read_bytes()))
    cli("canister", "create", "c")
    cli("canister", "install", "c", str(packed))
    assert cli("canister", "call", "c", "inc") == "(1 : nat)\n"


def test_install_argument_is_typed_by_the_new_module(cli: Cli, tmp_path: Path) -> None:
    cli("canister", "create", "g")
    install = ("canister", "install", "g", module("greeter.enhanced"))
    assert "greeting" in cli(*install, "--arg", '(record { greting = "Hi"; owner = null })', code=2)
    cli(*install, "--arg", '(record { greeting = "Hi"; owner = null })')
    assert cli("canister", "call", "g", "peek", '("you")') == '("Hi, you!")\n'
    file = tmp_path / "arg.txt"
    file.write_text('(record { greeting = "Hallo" })')
    cli(*install, "--mode", "reinstall", "--arg-file", str(file))
    assert cli("canister", "call", "g", "peek", '("you")') == '("Hallo, you!")\n'


def test_bad_module_is_rejected_with_or_without_argument(cli: Cli, tmp_path: Path) -> None:
    nonsense = tmp_path / "x.wasm"
    nonsense.write_bytes(b"nonsense")
    cli("canister", "create", "c")
    for options in ((), ("--arg", "(1)")):
        assert "IC0505" in cli("canister", "install", "c", str(nonsense), *options, code=1)
    assert cli.json("canister", "status", "c")["module_hash"] is None


def test_upgrade_options(with_canister: Make) -> None:
    cli = with_canister("people", "people_v1_pretraps.classical")
    cli("canister", "call", "people", "fill", "(3)")
    upgrade = ("canister", "install", "people", module("people_v2_good.classical"), "--mode", "upgrade")
    assert "pre_upgrade refuses on purpose" in cli(*upgrade, code=1)
    assert cli("canister", "call", "people", "size") == "(3 : nat)\n"
    cli(*upgrade, "--skip-pre-upgrade")
    assert cli("canister", "call", "people", "size") == "(0 : nat)\n"


def test_enhanced_persistence_keeps_the_heap_unless_told_otherwise(with_canister: Make) -> None:
    cli = with_canister("people", "people_v1.enhanced")
    cli("canister", "call", "people", "fill", "(3)")
    upgrade = ("canister", "install", "people", module("people_v2_good.enhanced"), "--mode", "upgrade")
    cli(*upgrade)
    assert cli("canister", "call", "people", "size") == "(3 : nat)\n"
    cli("canister", "install", "people", module("people_v1.enhanced"), "--mode", "reinstall")
    replaced = cli.run(*upgrade, "--wasm-memory-persistence", "replace")
    assert replaced.exit_code in (0, 1)
    cli("canister", "install", "people", module("people_v1.enhanced"), "--mode", "reinstall")
    classical = ("canister", "install", "people", module("people_v1.classical"), "--mode", "upgrade")
    assert "Invalid upgrade option" in cli(*classical, "--wasm-memory-persistence", "keep", code=1)


def test_upgrade_options_belong_to_upgrades(with_canister: Make) -> None:
    cli = with_canister("c", "counter.classical")
    install = ("canister", "install", "c", module("counter.classical"))
    assert "require --mode upgrade" in cli(*install, "--skip-pre-upgrade", code=2)


def test_start_stop_delete(with_canister: Make) -> None:
    cli = with_canister("c", "counter.classical")
    assert "must be stopped" in cli("canister", "delete", "c", code=1)
    assert cli("canister", "stop", "c") == f"stopped c ({FIRST_ID})\n"
    assert "IC0508" in cli("canister", "call", "c", "inc", code=1)
    assert cli.json("canister", "status", "c")["status"] == "stopped"
    assert cli.json("canister", "start", "c") == {"canister_id": FIRST_ID, "done": "started"}
    assert cli("canister", "call", "c", "inc") == "(1 : nat)\n"


def test_only_controllers_manage_and_anybody_calls(with_canister: Make) -> None:
    cli = with_canister("c", "counter.classical")
    refused = cli("--as", "bob", "canister", "stop", "c", code=1)
    assert "IC0512" in refused
    assert str(Sandbox().identity("bob")) in refused
    assert cli("--as", "bob", "canister", "call", "c", "whoami").strip() == (
        f'(principal "{Sandbox().identity("bob")}")'
    )
    assert "2vxsx-fae" in cli("--as", "anonymous", "canister", "call", "c", "whoami")


MAINNET = "2h2jz-zk4g2-2pfz7-b5grj-mztv4-bpc56-pijvi-ignlj-yb2ki-bzarn-aae"


def test_a_principal_is_that_principal(with_canister: Make) -> None:
    cli = with_canister("c", "counter.classical")
    for who in (MAINNET, MAINNET.upper(), "aaaaa-aa"):
        assert cli("--as", who, "canister", "call", "c", "whoami").strip() == f'(principal "{who.lower()}")'
    assert cli("--as", MAINNET, "identity") == cli("identity", MAINNET) == MAINNET + "\n"
    cli("canister", "settings", "c", "--controller", MAINNET)
    assert MAINNET in cli("canister", "stop", "c", code=1)
    assert cli("--as", MAINNET, "canister", "stop", "c").startswith("stopped")


def test_a_mistyped_principal_is_no_name_of_a_user(with_canister: Make) -> None:
    cli = with_canister("c", "counter.classical")
    wrong = MAINNET.replace("zk4g2", "zk4g3")
    for arguments in (
        ("--as", wrong, "canister", "call", "c", "whoami"),
        ("identity", wrong),
        ("canister", "settings", "c", "--controller", wrong),
    ):
        assert "wrong checksum" in cli(*arguments, code=2)
    assert cli("--as", "alice-smith", "identity") == str(Sandbox().identity("alice-smith")) + "\n"


def test_identity_prints_the_principal_of_a_name(cli: Cli) -> None:
    bob = str(Sandbox().identity("bob"))
    assert cli("identity", "bob") == cli("--as", "bob", "identity") == bob + "\n"
    assert cli.json("identity", "anonymous") == {"name": "anonymous", "principal": "2vxsx-fae"}
    assert not cli.state.exists()


def test_settings_are_shown_and_changed(cli: Cli) -> None:
    cli("canister", "create", "c")
    assert cli.json("canister", "settings", "c")["log_visibility"] == "controllers"
    options = ("--wasm-memory-limit", "1000000", "--log-visibility", "public", "--snapshot-visibility", "bob,aaaaa-aa")
    facts = cli.json("canister", "settings", "c", *options, "--environment-variable", "A=1=2")
    assert (facts["wasm_memory_limit"], facts["log_visibility"]) == (1_000_000, "public")
    assert facts["snapshot_visibility"] == [str(Sandbox().identity("bob")), "aaaaa-aa"]
    assert facts["environment_variables"] == {"A": "1=2"}
    assert cli.json("canister", "settings", "c", "--environment-variable", "")["environment_variables"] == {}
    text = cli("canister", "settings", "c")
    assert re.search(r"^wasm memory limit +1,000,000$", text, re.MULTILINE)
    assert re.search(r"^environment variables +none$", text, re.MULTILINE)


def test_a_refused_setting_changes_nothing(cli: Cli) -> None:
    cli("canister", "create", "c")
    before = cli.json("canister", "status", "c")
    refused = cli("canister", "settings", "c", "--compute-allocation", "101", "--freezing-threshold", "1", code=1)
    assert "compute_allocation" in refused
    assert "cannot be empty" in cli("canister", "settings", "c", "--log-visibility", "bob,", code=2)
    assert "NAME=VALUE" in cli("canister", "settings", "c", "--environment-variable", "A", code=2)
    assert cli.json("canister", "status", "c") == before


def test_list_and_status_read_well(with_canister: Make) -> None:
    cli = with_canister("c", "counter.classical")
    header, row = cli("canister", "list").splitlines()
    assert header.split() == ["name", "id", "status", "module", "heap", "stable", "snapshots"]
    assert row.split()[:4] == ["c", FIRST_ID, "running", "9120e7e9c6a7"]
    text = cli("canister", "status", FIRST_ID)
    assert text.startswith("canister ")
    assert f"c ({FIRST_ID})" in text
    assert "9120e7e9c6a7e05adac8ba2cba74cee9a10929a57c57b0a12aca458e58418333" in text


def test_looking_around_leaves_no_state_behind(cli: Cli) -> None:
    assert "No canisters yet" in cli("canister", "list")
    assert "No snapshots" in cli("snapshot", "list")
    assert cli.json("canister", "list") == []
    cli("canister", "status", "x", code=2)
    cli("canister", "status", FIRST_ID, code=1)
    assert not cli.state.exists()


def test_logs(with_canister: Make) -> None:
    cli = with_canister("c", "counter.classical")
    assert cli("canister", "logs", "c") == ""
    printed = cli.run("canister", "call", "c", "print", '("hello\\n[bold]there")')
    assert printed.stderr == "[c] hello\n[bold]there\n"
    assert printed.stdout == "()\n"
    assert cli("canister", "logs", "c") == "   0  hello\n      [bold]there\n"
    assert cli.json("canister", "logs", "c")[0]["text"] == "hello\n[bold]there"


def test_a_rejected_call_keeps_its_log(with_canister: Make) -> None:
    cli = with_canister("c", "counter.classical")
    cli("canister", "call", "c", "print_then_trap", '("a clue")', code=1)
    texts = [record["text"] for record in cli.json("canister", "logs", "c")]
    assert texts[0] == "a clue"
    assert texts[1].startswith("[TRAP]: print_then_trap: on purpose")
    assert cli("canister", "call", "c", "get") == "(0 : nat)\n"


def test_metadata(with_canister: Make) -> None:
    cli = with_canister("c", "counter.classical")
    assert "service" in cli("canister", "metadata", "c", "candid:service")
    assert cli.json("canister", "metadata", "c", "candid:args")["text"] == "()"
    names = {row["name"]: row for row in cli.json("canister", "metadata", "c")}
    assert names["candid:service"]["visibility"] == "public"
    assert "candid:service" in cli("canister", "metadata", "c", "nope", code=2)
    cli("canister", "create", "empty")
    assert cli("canister", "metadata", "empty") == "The module has no metadata.\n"


def test_private_metadata_is_for_controllers(with_canister: Callable[..., Cli]) -> None:
    cli = with_canister("c", "counter.enhanced")
    private = "motoko:stable-types"
    assert private in cli("canister", "metadata", "c")
    assert "actor {" in cli("canister", "metadata", "c", private)
    assert private not in cli("--as", "mallory", "canister", "metadata", "c")
    assert f"no metadata section '{private}'" in cli("--as", "mallory", "canister", "metadata", "c", private, code=2)
    assert "service" in cli("--as", "mallory", "canister", "metadata", "c", "candid:service")


def test_status_and_logs_are_for_those_who_may_see_them(with_canister: Callable[..., Cli]) -> None:
    cli = with_canister("c", "counter.classical")
    for command, visibility, text in (
        ("status", "--status-visibility", "is not allowed to read the canister status"),
        ("settings", "--status-visibility", "is not allowed to read the canister status"),
        ("logs", "--log-visibility", "is not allowed to access canister logs"),
    ):
        cli("canister", command, "c")
        for stranger in ("eve", "anonymous"):
            assert text in cli("--as", stranger, "canister", command, "c", code=1)
        cli("canister", "settings", "c", visibility, "alice")
        cli("--as", "alice", "canister", command, "c")
        assert text in cli("--as", "eve", "canister", command, "c", code=1)
        cli("canister", "settings", "c", visibility, "public")
        cli("--as", "eve", "canister", command, "c")
        cli("canister", "settings", "c", visibility, "controllers")
