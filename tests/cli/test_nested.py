"""Replies that are nested more deeply than the interpreter's stack: typed calls, text, JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import Sandbox
from sandbox.candid import encode, parse_did
from sandbox.candid.as_json import to_json
from sandbox.cli.render.output import json_text
from tests.candid.test_nesting import VALUES, same
from tests.cli.conftest import Cli
from tests.conftest import guest

LEVELS = 2_000
DID = "type List = opt record { nat; List }; service : { echo : (List) -> (List) query }"
LIST = parse_did(DID).types["List"]
ECHO = guest("""(func (export "canister_query echo")
  (call $msg_arg_data_copy (i32.const 0) (i32.const 0) (call $msg_arg_data_size))
  (call $reply (i32.const 0) (call $msg_arg_data_size)))""")


def test_a_typed_call(sandbox: Sandbox) -> None:
    canister = sandbox.create_canister()
    canister.install(ECHO)
    canister.did = DID
    value = VALUES["List"](LEVELS)
    assert same(canister.call("echo", value), value)


@pytest.fixture
def called(cli: Cli, tmp_path: Path) -> list[str]:
    """The words of a query with such an argument."""
    for name, content in {"echo.wasm": ECHO, "echo.did": DID.encode(), "deep": _text().encode()}.items():
        (tmp_path / name).write_bytes(content)
    made = cli.json("canister", "create")["canister_id"]
    cli("canister", "install", made, str(tmp_path / "echo.wasm"))
    return ["canister", "query", made, "echo", "--arg-file", str(tmp_path / "deep")]


def _text() -> str:
    return "(" + "opt record { 7 : nat; " * LEVELS + "null" + " }" * LEVELS + ")"


@pytest.mark.parametrize("did", [True, False])
def test_text_and_json(cli: Cli, called: list[str], tmp_path: Path, did: bool) -> None:
    options = ["--did", str(tmp_path / "echo.did")] if did else []
    text = cli(*called, *options)
    assert text.count("opt record {") == LEVELS
    document = cli.run("--output", "json", *called, *options).stdout
    assert document.count("[") + document.count("{") >= LEVELS
    if did:
        assert f'"reply_hex": "{encode([LIST], [VALUES["List"](LEVELS)]).hex()}"' in document


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.text()
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_is_laid_out_as_the_standard_library_does(value: Any) -> None:
    assert json_text(to_json(value)) == json.dumps(value, indent=2, ensure_ascii=False)


def test_deep_json_is_not_indented_without_end() -> None:
    value: Any = 1
    for _ in range(5_000):
        value = {"a": [value]}
    text = json_text(to_json(value))
    assert len(text) < 100_000
    assert text.replace("\n", "").replace(" ", "") == '{"a":[' * 5_000 + "1" + "]}" * 5_000
