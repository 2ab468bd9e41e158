"""`snapshot download`, `snapshot upload` and `canister create --from`: a state leaves one place for another."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import Sandbox
from tests.cli.conftest import Cli, module
from tests.conftest import wat

Make = Callable[..., Cli]
each_name = pytest.mark.parametrize("name", ["people.icsnap", "people-snapshot"])


@pytest.fixture
def people(with_canister: Make) -> Cli:
    cli = with_canister("people", "people_v1.enhanced")
    cli("canister", "call", "people", "fill", "(100)")
    cli("snapshot", "take", "people", "--label", "before v2")
    return cli


@each_name
def test_there_and_back(people: Cli, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    checksum = people("canister", "call", "people", "checksum")
    taken = people.json("snapshot", "list")[0]
    assert f"downloaded snapshot {taken['id']} of people" in people("snapshot", "download", "before v2", str(path))
    assert path.is_dir() == ("." not in name)
    elsewhere = Cli(tmp_path / "elsewhere")
    assert "created copy" in elsewhere("canister", "create", "copy", "--from", str(path))
    assert elsewhere("canister", "call", "copy", "checksum") == checksum
    people("canister", "install", "people", module("people_v2_drops.enhanced"), "--mode", "upgrade")
    made = people.json("snapshot", "upload", "people", str(path))
    assert (made["label"], made["total_size"]) == ("before v2", taken["total_size"])
    assert people.json("snapshot", "list")[1] == made
    people("snapshot", "load", "people", made["id"])
    assert people("canister", "call", "people", "checksum") == checksum


def test_the_time_is_that_of_the_snapshot(people: Cli, tmp_path: Path) -> None:
    path = str(tmp_path / "people.icsnap")
    with Sandbox.open(people.state) as sandbox:
        sandbox.set_time(1_780_000_000_000_000_000)
        sandbox.canister("people").take_snapshot("of 2026")
    people("snapshot", "download", "of 2026", path)
    elsewhere = Cli(tmp_path / "elsewhere")
    elsewhere("canister", "create", "copy", "--from", path, "--keep-time")
    for arguments in (("snapshot", "upload", "copy", path), ("canister", "create", "other", "--from", path)):
        result = elsewhere.run(*arguments)
        assert ("the time is now 2026-05-28 20:26:40" in result.stderr) == (arguments[0] == "snapshot")
    assert elsewhere.json("snapshot", "list")[0]["taken_on"] == 1_780_000_000_000_000_000


def test_download_as_json_and_by_id(people: Cli, tmp_path: Path) -> None:
    taken = people.json("snapshot", "list")[0]
    path = tmp_path / "x"
    assert people.json("snapshot", "download", taken["id"], str(path), "--format", "icsnap") == {
        "id": taken["id"],
        "canister_id": taken["canister_id"],
        "path": str(path),
        "format": "icsnap",
        "unreadable_globals": [],
    }
    assert path.is_file()


def test_globals_that_other_tools_cannot_read_are_named(cli: Cli, tmp_path: Path) -> None:
    text = "(global (mut f64) (f64.const 0.1)) (global (mut f64) (f64.const nan))"
    (tmp_path / "floats.wasm").write_bytes(wat(f'(module (memory (export "memory") 1) {text})'))
    made = cli.json("canister", "create")["canister_id"]
    cli("canister", "install", made, str(tmp_path / "floats.wasm"))
    taken = cli.json("snapshot", "take", made)["id"]
    note = "dfx and icp-cli cannot read global 1 in metadata.json; sandbox.json has its bits"
    assert note in cli.run("snapshot", "download", taken, str(tmp_path / "a")).stderr
    assert cli.run("snapshot", "download", taken, str(tmp_path / "b.icsnap")).stderr == ""
    assert cli.json("snapshot", "download", taken, str(tmp_path / "c"))["unreadable_globals"] == [1]


def test_create_from_a_snapshot_here_with_settings_of_its_own(people: Cli) -> None:
    for source in ("before v2", people.json("snapshot", "list")[0]["id"]):
        made = people.json("canister", "create", "--from", source, "--freezing-threshold", "7", "--cycles", "12345678")
        status = people.json("canister", "status", made["canister_id"])
        assert (status["settings"]["freezing_threshold"], status["cycles"]) == (7, 12345678)
        assert status["snapshots_size"] == 0
        assert people("canister", "call", made["canister_id"], "size") == "(100 : nat)\n"


def test_what_does_not_work_says_so_and_changes_nothing(people: Cli, tmp_path: Path) -> None:
    path, listed = tmp_path / "s.icsnap", people("canister", "list")
    people("snapshot", "download", "before v2", str(path))
    assert "there already" in people("snapshot", "download", "before v2", str(path), code=2)
    assert "there is before v2" not in people("snapshot", "download", "what", str(tmp_path / "y"), code=2)
    assert "neither a file nor the id or the label" in people("canister", "create", "--from", "what", code=2)
    assert "no file or directory" in people("snapshot", "upload", "people", "what", code=2)
    assert "IC0512" in people("--as", "bob", "snapshot", "upload", "people", str(path), code=1)
    assert "IC0512" in people("--as", "bob", "snapshot", "download", "before v2", str(tmp_path / "z"), code=1)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "contradicts its checksum" in people("snapshot", "upload", "people", str(path), code=1)
    assert "contradicts its checksum" in people("canister", "create", "new", "--from", str(path), code=1)
    assert people("canister", "list") == listed
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["s.icsnap", "state"]


def test_two_with_one_label(people: Cli, tmp_path: Path) -> None:
    people("canister", "create", "--from", "before v2", "twin")
    people("snapshot", "take", "twin", "--label", "before v2")
    assert "several snapshots are labelled" in people("snapshot", "download", "before v2", str(tmp_path / "x"), code=2)


def test_a_bar_on_a_terminal_and_only_there(people: Cli, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from sandbox.cli import main; main()", "--state", str(people.state), "snapshot"]
    master, slave = pty.openpty()
    done = subprocess.run(
        [*command, "download", "before v2", str(tmp_path / "a.icsnap")],
        stdout=subprocess.PIPE,
        stderr=slave,
        timeout=120,
        check=True,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(slave)
    shown = os.read(master, 100_000).decode()
    os.close(master)
    assert re.search("downloading.*[KM]iB", shown)
    assert done.stdout.startswith(b"downloaded snapshot")
    quiet = subprocess.run(
        [*command, "download", "before v2", str(tmp_path / "b.icsnap")], capture_output=True, timeout=120, check=True
    )
    assert quiet.stderr == b""
