"""`canister call` and `canister query`: Candid text in, Candid text or JSON out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import wasmtime

from tests.cli.conftest import Cli, module

Make = Callable[..., Cli]
PERSON = '(record { name = "Ada"; email = "ada@example.org"; age = 36; tags = vec { "a" } })'

ECHO = bytes(
    wasmtime.wat2wasm("""(module
  (import "ic0" "msg_arg_data_size" (func $size (result i32)))
  (import "ic0" "msg_arg_data_copy" (func $copy (param i32 i32 i32)))
  (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
  (import "ic0" "msg_reply" (func $reply))
  (memory 1)
  (func (export "canister_update echo")
    (call $copy (i32.const 0) (i32.const 0) (call $size))
    (call $append (i32.const 0) (call $size)) (call $reply))
  (func (export "canister_update nothing") (call $reply)))""")
)


@pytest.fixture
def people(with_canister: Make) -> Cli:
    return with_canister("people", "people_stable_rs_v1")


def test_reply_is_pretty_candid_text(people: Cli) -> None:
    assert people("canister", "call", "people", "add", PERSON) == "(0 : nat)\n"
    assert people("canister", "call", "people", "get", "(0)") == (
        "(\n  opt record {\n    id = 0 : nat;\n    age = 36 : nat;\n"
        '    name = "Ada";\n    tags = vec { "a" };\n    email = "ada@example.org";\n  },\n)\n'
    )


def test_reply_as_json(people: Cli) -> None:
    people("canister", "call", "people", "add", PERSON)
    facts = people.json("canister", "call", "people", "get", "(0)")
    [person] = facts["reply"]
    assert person == {"id": 0, "name": "Ada", "email": "ada@example.org", "age": 36, "tags": ["a"]}
    assert facts["candid"].startswith("(")
    assert facts["reply_hex"].startswith("4449444c")
    assert facts["instructions"] > 0
    assert people.json("canister", "call", "people", "get", "(1)")["reply"] == [None]


def test_a_bare_word_is_a_single_text(with_canister: Make, tmp_path: Path) -> None:
    cli = with_canister("greeter", "greeter.classical", "--arg", 'record { greeting = "Hi"; owner = null }')
    for argument, name in (
        ("everyone", "everyone"),
        ("every one", "every one"),
        ("12", "12"),
        ("a(b)", "a(b)"),
        ("", ""),
        ('"quoted"', "quoted"),
        ('("in parentheses")', "in parentheses"),
    ):
        assert f"Hi, {name}!" in cli("canister", "call", "greeter", "greet", argument)
        assert f"Hi, {name}!" in cli("canister", "query", "greeter", "peek", argument)
    assert "expected" in cli("canister", "call", "greeter", "greet", "(everyone)", code=2)


def test_a_bare_word_for_no_text_is_misuse(people: Cli) -> None:
    assert people("canister", "call", "people", "fill", "2") == "(2 : nat)\n"
    assert "expected a value" in people("canister", "call", "people", "fill", "two", code=2)


def test_query_changes_nothing_and_update_of_a_query_neither(with_canister: Make) -> None:
    cli = with_canister("c", "counter.enhanced")
    assert cli("canister", "query", "c", "inc_in_query") == "(1 : nat)\n"
    assert cli("canister", "call", "c", "inc_in_query") == "(1 : nat)\n"
    assert cli("canister", "call", "c", "inc_in_query", "--update") == "(1 : nat)\n"
    assert cli("canister", "query", "c", "get") == "(0 : nat)\n"
    assert "has no query method 'inc'" in cli("canister", "query", "c", "inc", code=1)


def test_arguments_are_typed_by_the_interface(people: Cli) -> None:
    for argument, reason in (
        ("(x)", "expected a value"),
        ("(true)", "expected nat, got bool"),
        ("(1, 2)", "expected 1 argument"),
        ("()", "nat is missing"),
        ("(-1)", "nat"),
    ):
        assert reason in people("canister", "call", "people", "get", argument, code=2)
    missing = people("canister", "call", "people", "add", '(record { name = "x"; age = 3; tags = vec {} })', code=2)
    assert "the field email" in missing


def test_unknown_method_names_the_known_ones(people: Cli) -> None:
    refused = people("canister", "call", "people", "gte", "(1)", code=1)
    assert "IC0536" in refused
    assert "Methods of its interface: add, add_many" in refused


def test_argument_from_a_file(people: Cli, tmp_path: Path) -> None:
    file = tmp_path / "ada.candid"
    file.write_text(PERSON)
    assert people("canister", "call", "people", "add", "--arg-file", str(file)) == "(0 : nat)\n"
    assert "not both" in people("canister", "call", "people", "add", PERSON, "--arg-file", str(file), code=2)
    file.write_bytes(b"\xff")
    assert "is not text" in people("canister", "call", "people", "add", "--arg-file", str(file), code=2)


def test_raw_bytes(people: Cli) -> None:
    assert people("canister", "call", "people", "size", "--raw", "4449444c0000") == "4449444c00017d00\n"
    assert "not hexadecimal" in people("canister", "call", "people", "size", "--raw", "(1)", code=2)
    assert "IC0503" in people("canister", "call", "people", "get", "--raw", "00", code=1)


def test_interface_from_a_file(with_canister: Make, tmp_path: Path) -> None:
    cli = with_canister("c", "counter.classical")
    did = tmp_path / "other.did"
    did.write_text("service : { inc : () -> (int); work : (nat16) -> (nat64) }")
    assert cli("canister", "call", "c", "inc", "--did", str(did)) == "(1 : int)\n"
    assert "out of the range of nat16" in cli("canister", "call", "c", "work", "(70000)", "--did", str(did), code=2)
    did.write_text("service : { inc : () -> (text) }")
    result = cli.run("canister", "call", "c", "inc", "--did", str(did))
    assert (result.exit_code, result.stdout) == (0, "(2 : nat)\n")
    assert "does not fit the interface" in result.stderr
    did.write_text("service : {")
    assert "line 1" in cli("canister", "call", "c", "inc", "--did", str(did), code=2)


def test_a_trap_shows_codes_text_and_backtrace(with_canister: Make) -> None:
    cli = with_canister("c", "counter.classical")
    shown = cli("canister", "call", "c", "boom", code=1)
    assert shown.startswith("rejected: CANISTER_ERROR (5) IC0503\n")
    assert "'boom: on purpose'" in shown
    assert shown.count("Canister Backtrace:") == 1
    assert "Canister Backtrace:" in cli("--as", "bob", "canister", "call", "c", "boom", code=1)


def test_a_trap_as_json(with_canister: Make) -> None:
    cli = with_canister("c", "counter.classical")
    error = cli.json("canister", "call", "c", "print_then_trap", '("a clue")', code=1)["error"]
    assert (error["kind"], error["reject_code"], error["reject_name"]) == ("rejected", 5, "CANISTER_ERROR")
    assert error["error_code"] == "IC0503"
    assert "on purpose" in error["message"]
    assert error["backtrace"]
    assert error["logs"] == ["a clue"]
    assert error["instructions"] > 0


def test_a_failed_upgrade_carries_the_same_evidence(people: Cli) -> None:
    upgrade = ("canister", "install", "people", module("people_stable_rs_v2_traps"), "--mode", "upgrade")
    error = people.json(*upgrade, code=1)["error"]
    assert error["error_code"] == "IC0503"
    assert error["backtrace"][-1] == "canister_post_upgrade"
    assert error["instructions"] > 0


def test_every_kind_of_value_has_json(with_canister: Make, tmp_path: Path) -> None:
    cli = with_canister("c", "counter.classical")
    assert cli.json("canister", "call", "c", "echo", '(blob "\\00\\ff")')["reply"] == ["00ff"]
    assert cli.json("canister", "--as", "anonymous", "call", "c", "whoami")["reply"] == ["2vxsx-fae"]


def test_a_canister_without_interface(cli: Cli, tmp_path: Path) -> None:
    wasm = tmp_path / "echo.wasm"
    wasm.write_bytes(ECHO)
    cli("canister", "create", "e")
    cli("canister", "install", "e", str(wasm))
    assert cli("canister", "call", "e", "echo", '(1, "x", record { a = 2.5 })') == (
        '(1 : int, "x", record { 97 = 2.5 : float64 })\n'
    )
    raw = cli.run("canister", "call", "e", "nothing")
    assert (raw.exit_code, raw.stdout) == (0, "\n")
    assert "is not Candid" in raw.stderr
    assert cli.json("canister", "call", "e", "nothing")["reply"] is None


def test_the_management_canister_is_called_like_any_other(with_canister: Make) -> None:
    cli = with_canister("counter", "counter.classical")
    target = cli.json("canister", "status", "counter")["canister_id"]
    taken = cli.json("canister", "call", "aaaaa-aa", "take_snapshot", f'(principal "{target}", opt "x")')["reply"][0]
    [listed] = cli.json("snapshot", "list")
    assert (taken["id"], taken["checksum"], taken["label"]) == (listed["id"], listed["checksum"], "x")
    cli("canister", "call", "counter", "inc")
    asked = f'(record {{ canister_id = principal "{target}"; snapshot_id = blob "{_escaped(taken["id"])}" }})'
    assert cli("canister", "call", "aaaaa-aa", "load_canister_snapshot", asked) == "()\n"
    assert cli("canister", "call", "counter", "get") == "(0 : nat)\n"
    status = cli.json(
        "canister", "query", "aaaaa-aa", "canister_status", f'(record {{ canister_id = principal "{target}" }})'
    )
    assert status["reply"][0]["status"] == {"running": None}
    assert "IC0512" in cli("--as", "eve", "canister", "call", "aaaaa-aa", "load_canister_snapshot", asked, code=1)
    assert "take_canister_snapshot" in cli("canister", "call", "aaaaa-aa", "take_canister", code=1)
    assert "aaaaa-aa has no state" in cli("canister", "call", "aaaaa-aa", "take_canister", "--diff", code=2)


def _escaped(digits: str) -> str:
    return "".join(f"\\{digits[k : k + 2]}" for k in range(0, len(digits), 2))


LONG = "panicked at src/lib.rs: " + "x" * 40_000
PANICS = bytes(
    wasmtime.wat2wasm(f"""(module
  (import "ic0" "debug_print" (func $print (param i32 i32)))
  (import "ic0" "trap" (func $trap (param i32 i32)))
  (memory 1)
  (data (i32.const 0) "{LONG}")
  (func (export "canister_update panic")
    (call $print (i32.const 0) (i32.const {len(LONG)})) (call $trap (i32.const 0) (i32.const {len(LONG)}))))""")
)


def test_a_long_panic_is_printed_once_and_cut_and_whole_in_json(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "panics.wasm").write_bytes(PANICS)
    cli("canister", "create", "c")
    cli("canister", "install", "c", str(tmp_path / "panics.wasm"))
    shown = cli("canister", "call", "c", "panic", code=1)
    assert len(shown) < 4_000
    assert shown.count("x" * 1_000) == 1
    assert "more characters; --output json has all)" in shown
    error = cli.json("canister", "call", "c", "panic", code=1)["error"]
    assert LONG[:8_000] in error["message"], "the platform cuts it"
    assert LONG.startswith(error["logs"][0][:30_000])
    assert len(error["logs"][0]) >= 30_000


def test_an_interface_that_does_not_agree_with_the_module_warns(people: Cli, tmp_path: Path) -> None:
    (tmp_path / "other.did").write_text("service : { size : () -> (text) query }")
    warned = people.run("canister", "call", "people", "size", "--did", str(tmp_path / "other.did")).stderr
    assert "other.did does not agree with the interface of the module: " in warned
    (tmp_path / "same.did").write_text("service : { size : () -> (nat) query }")
    assert people.run("canister", "call", "people", "size", "--did", str(tmp_path / "same.did")).stderr == ""
