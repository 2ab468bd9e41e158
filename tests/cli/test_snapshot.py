"""`snapshot`: keep the state of a canister and bring it back."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import CallRejected, Canister, ErrorCode, Sandbox
from sandbox.errors import Reject
from tests.cli.conftest import Cli, module
from tests.conftest import guest

Make = Callable[..., Cli]


@pytest.fixture
def people(with_canister: Make) -> Cli:
    cli = with_canister("people", "people_v1.enhanced")
    cli("canister", "call", "people", "fill", "(100)")
    return cli


def test_take_break_load(people: Cli) -> None:
    checksum = people("canister", "call", "people", "checksum")
    taken = people("snapshot", "take", "people", "--label", "before v2")
    assert "taken snapshot" in taken
    assert "before v2" in taken
    people("canister", "install", "people", module("people_v2_drops.enhanced"), "--mode", "upgrade")
    assert people("canister", "call", "people", "checksum") != checksum
    for which in ([], ["before v2"], [people.json("snapshot", "list")[0]["id"]]):
        people("canister", "call", "people", "fill", "(1)")
        assert "loaded snapshot" in people("snapshot", "load", "people", *which)
        assert people("canister", "call", "people", "checksum") == checksum


def test_take_as_json_and_list(people: Cli) -> None:
    facts = people.json("snapshot", "take", "people", "--label", "x")
    assert facts["label"] == "x"
    assert len(facts["checksum"]) == 64
    listed = people.json("snapshot", "list", "people")
    assert listed == people.json("snapshot", "list") == [{k: v for k, v in facts.items() if k != "replaced"}]
    header, row = people("snapshot", "list").splitlines()
    assert header.split() == [
        "id",
        "canister",
        "label",
        "holds",
        "taken",
        "open",
        "calls",
        "size",
        "checksum",
        "content",
        "id",
    ]
    assert row.split()[:3] == [facts["id"], "people", "x"]


def test_a_new_snapshot_replaces_the_old_and_says_so(people: Cli) -> None:
    first = people.json("snapshot", "take", "people")
    result = people.run("snapshot", "take", "people")
    assert f"it replaces snapshot {first['id']}" in result.stderr
    assert len(people.json("snapshot", "list")) == 1


def test_keep_several(people: Cli) -> None:
    people("snapshot", "take", "people", "--label", "a", "--keep", "2")
    assert people.json("snapshot", "take", "people", "--label", "a")["replaced"] == []
    assert "maximum number of snapshots" in people("snapshot", "take", "people", code=1)
    assert "which snapshot?" in people("snapshot", "load", "people", code=2)
    assert "several snapshots" in people("snapshot", "load", "people", "a", code=2)
    people("snapshot", "load", "people", people.json("snapshot", "list")[0]["id"])


def test_delete(people: Cli) -> None:
    taken = people.json("snapshot", "take", "people")["id"]
    assert taken in people("snapshot", "delete", taken)
    assert people.json("snapshot", "list") == []
    assert "IC0305" in people("snapshot", "delete", taken, code=1)


def test_delete_by_label(people: Cli) -> None:
    ids = [people.json("snapshot", "take", "people", "--keep", "9", "--label", label)["id"] for label in "aab"]
    assert "give an id" in people("snapshot", "delete", "a", code=2)
    assert people.json("snapshot", "delete", "b") == {"deleted": ids[2]}
    people("snapshot", "delete", ids[0])
    people("snapshot", "delete", "a")
    assert people.json("snapshot", "list") == []


def test_unknown_snapshot(people: Cli) -> None:
    assert "has none" in people("snapshot", "load", "people", code=2)
    assert "neither the id" in people("snapshot", "load", "people", "before v2", code=2)
    assert "IC0305" in people("snapshot", "load", "people", "00" * 18, code=1)
    assert "IC0305" in people("snapshot", "delete", "00" * 18, code=1)
    assert "neither the id" in people("snapshot", "delete", "what?", code=2)


def test_only_controllers(people: Cli) -> None:
    assert "IC0512" in people("--as", "bob", "snapshot", "take", "people", code=1)
    taken = people.json("snapshot", "take", "people")["id"]
    for command in (("load", "people"), ("delete", taken), ("list", "people")):
        assert "IC0512" in people("--as", "bob", "snapshot", *command, code=1)
    assert people.json("canister", "status", "people")["status"] == "running"


def test_snapshot_of_an_empty_canister(cli: Cli) -> None:
    cli("canister", "create", "empty")
    assert "empty canister" in cli("snapshot", "take", "empty", code=1)
    assert cli.json("canister", "status", "empty")["status"] == "running"


def _spied(monkeypatch: pytest.MonkeyPatch, method: str, seen: list[str], fails: bool = False) -> None:
    original = getattr(Canister, method)

    def spy(self: Canister, *args: Any, **options: Any) -> Any:
        seen.append(self.status().status)
        if fails:
            raise CallRejected(Reject.of(ErrorCode.CANISTER_OUT_OF_CYCLES, "no cycles"))
        return original(self, *args, **options)

    monkeypatch.setattr(Canister, method, spy)


@pytest.mark.parametrize(("command", "method"), [("take", "take_snapshot"), ("load", "load_snapshot")])
def test_a_running_canister_is_stopped_meanwhile(
    people: Cli, monkeypatch: pytest.MonkeyPatch, command: str, method: str
) -> None:
    people("snapshot", "take", "people")
    seen: list[str] = []
    _spied(monkeypatch, method, seen)
    people("snapshot", command, "people")
    people("snapshot", command, "people", "--no-stop")
    assert seen == ["stopped", "running"]
    assert people.json("canister", "status", "people")["status"] == "running"
    people("canister", "stop", "people")
    people("snapshot", command, "people")
    assert people.json("canister", "status", "people")["status"] == "stopped"


@pytest.mark.parametrize(("command", "method"), [("take", "take_snapshot"), ("load", "load_snapshot")])
def test_it_is_started_again_when_something_fails_in_between(
    people: Cli, monkeypatch: pytest.MonkeyPatch, command: str, method: str
) -> None:
    people("snapshot", "take", "people")
    seen: list[str] = []
    _spied(monkeypatch, method, seen, fails=True)
    assert "IC0207" in people("snapshot", command, "people", code=1)
    assert seen == ["stopped"]
    assert people.json("canister", "status", "people")["status"] == "running"
    assert people("canister", "call", "people", "size") == "(100 : nat)\n"


def test_state_of_the_command_line_is_that_of_python(people: Cli) -> None:
    taken = people.json("snapshot", "take", "people", "--label", "shared")
    with Sandbox.open(people.state) as sandbox:
        [canister] = sandbox.canisters()
        [snapshot] = canister.list_snapshots()
        assert (snapshot.id.hex(), snapshot.label, snapshot.checksum) == (taken["id"], "shared", taken["checksum"])
        canister.call("fill", 1)
    assert people("canister", "call", "people", "size") == "(101 : nat)\n"


def test_the_hook_path(people: Cli) -> None:
    version = people.json("canister", "status", "people")["version"]
    taken = people.json("snapshot", "take", "people", "--via-hooks", "--no-stop")
    assert taken["via_hooks"]
    assert people.json("canister", "status", "people")["version"] == version
    assert "stable memory" in people("snapshot", "list")
    before = people.json("canister", "call", "people", "checksum")["reply"]
    people("canister", "call", "people", "fill", "(2)")
    assert "load it via hooks" in people("snapshot", "load", "people", code=1)
    loaded = people.json("snapshot", "load", "people", "--via-hooks")
    assert loaded["instructions"] > 0
    assert people.json("canister", "call", "people", "checksum")["reply"] == before


def test_a_stable_image_and_its_argument(cli: Cli, tmp_path: Path) -> None:
    wasm, image = module("people_stable_rs_v1"), tmp_path / "image.gz"
    with Sandbox() as sandbox:
        kept = sandbox.create_canister()
        kept.install(wasm)
        kept.call("fill", 4)
        image.write_bytes(gzip.compress(kept.raw_state().stable))
    cli("canister", "create", "new")
    arg = '(opt record { title = "x"; max_people = null })'
    torn = tmp_path / "torn.gz"
    torn.write_bytes(image.read_bytes()[:-20])
    assert "not a whole gzip file" in cli(
        "snapshot", "load", "new", "--stable-image", str(torn), "--wasm", wasm, code=1
    )
    text = cli("snapshot", "load", "new", "--stable-image", str(image), "--wasm", wasm, "--arg", arg)
    assert text.startswith("loaded image.gz into new")
    assert cli.json("canister", "call", "new", "size")["reply"] == [4]
    assert 'title = "x"' in cli("canister", "call", "new", "config")


BARE = guest("""
(global $size (mut i32) (i32.const 0))
(func (export "canister_post_upgrade")
  (global.set $size (call $msg_arg_data_size))
  (call $msg_arg_data_copy (i32.const 0) (i32.const 0) (global.get $size)))
(func (export "canister_query seen") (call $reply (i32.const 0) (global.get $size)))
""")
"""Carries no interface; `seen` replies the argument of post_upgrade."""


@pytest.mark.parametrize("source", ["snapshot", "image"])
def test_the_argument_of_a_module_without_an_interface(source: str, cli: Cli, tmp_path: Path) -> None:
    wasm, did, arg, image = (tmp_path / name for name in ("bare.wasm", "bare.did", "arg.txt", "image.gz"))
    wasm.write_bytes(BARE)
    did.write_text("service : (opt nat8, text) -> { seen : () -> (opt nat8, text) query }")
    arg.write_text('(opt 7, "x")')
    image.write_bytes(gzip.compress(bytes(65536)))
    cli("canister", "create", "bare")
    cli("canister", "install", "bare", str(wasm))
    cli("snapshot", "take", "bare")
    how = {"snapshot": ("--via-hooks",), "image": ("--stable-image", str(image))}[source]
    for given in (("--arg-file", str(arg)), ("--arg", arg.read_text())):
        cli("snapshot", "load", "bare", *how, *given, "--did", str(did))
        assert cli("canister", "call", "bare", "seen", "--did", str(did)) == '(opt (7 : nat8), "x")\n'


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--wasm", "FILE"], "--wasm, --arg, --arg-file and --did require"),
        (["--arg", "()"], "--wasm, --arg, --arg-file and --did require"),
        (["--arg-file", "FILE"], "--wasm, --arg, --arg-file and --did require"),
        (["--did", "FILE"], "--wasm, --arg, --arg-file and --did require"),
        (["--via-hooks", "--arg", "()", "--arg-file", "FILE"], "--arg-file, not both"),
        (["--skip-pre-upgrade"], "--skip-pre-upgrade requires --via-hooks"),
        (["--via-hooks", "--stable-image", "FILE"], "not both"),
        (["00", "--stable-image", "FILE"], "not both"),
    ],
)
def test_options_of_the_hook_path_that_contradict_each_other(people: Cli, options: list[str], problem: str) -> None:
    file = module("people_stable_rs_v1")
    assert problem in people("snapshot", "load", "people", *[file if o == "FILE" else o for o in options], code=2)
