"""`snapshot verify`, `prune`, `retain`, `policy`; and what taking and loading leave of a canister's status."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import Canister, Principal, Sandbox, StillWaiting
from sandbox.api import runtime_of
from sandbox.candid import encode
from sandbox.replay.script import identified
from tests.cli.conftest import Cli, module

Make = Callable[..., Cli]


@pytest.fixture
def people(with_canister: Make) -> Cli:
    cli = with_canister("people", "people_v1.enhanced")
    cli("canister", "call", "people", "fill", "(100)")
    return cli


def take(cli: Cli, *labels: str) -> list[str]:
    return [cli.json("snapshot", "take", "people", "--keep", "50", "--label", label)["id"] for label in labels]


def test_verify(people: Cli) -> None:
    first, second = take(people, "a", "b")
    assert people("snapshot", "verify", "a").count("intact") == 1
    assert people("snapshot", "verify", "--all").count("intact") == 2
    facts = people.json("snapshot", "verify", second, "a")
    assert [f["id"] for f in facts] == [second, first]
    assert all(f["intact"] and f["differs"] is None for f in facts)
    assert [f["checksum"] for f in facts] == [s["checksum"] for s in reversed(people.json("snapshot", "list"))]
    assert "give the snapshots" in people("snapshot", "verify", code=2)
    assert "give the snapshots" in people("snapshot", "verify", "--all", "a", code=2)
    assert "neither the id nor the label" in people("snapshot", "verify", "c", code=2)


def test_files_are_verified_by_the_checksums_that_they_carry(people: Cli, tmp_path: Path) -> None:
    take(people, "a")
    file, directory = str(tmp_path / "a.icsnap"), str(tmp_path / "a.d")
    for path in (file, directory):
        people("snapshot", "download", "a", path)
    assert people("snapshot", "verify", file, directory, "a").count("intact") == 3
    assert all(f["intact"] and f["checksums"] for f in people.json("snapshot", "verify", file, directory))
    heap = Path(directory) / "wasm_memory.bin"
    data = heap.read_bytes()
    heap.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert "wasm_memory.bin" in people("snapshot", "verify", file, directory, code=1)
    (Path(directory) / "sandbox.json").unlink()
    assert "carries no checksums" in people("snapshot", "verify", directory)
    torn = tmp_path / "torn.icsnap"
    torn.write_bytes(Path(file).read_bytes()[:-100])
    [facts] = people.json("snapshot", "verify", str(torn), code=1)
    assert not facts["intact"]
    assert "torn" in facts["why"]
    assert "there is no file" in people("snapshot", "verify", str(tmp_path / "x.icsnap"), code=2)


def test_a_label_may_look_like_a_file(people: Cli) -> None:
    take(people, "release/1.2", "b.icsnap")
    for label in ("release/1.2", "b.icsnap"):
        assert "intact" in people("snapshot", "verify", label)
        assert label in people("snapshot", "inspect", label)
        assert people("snapshot", "query", label, "size") == "(100 : nat)\n"
        assert "No difference." in people("snapshot", "diff", label)


def test_what_differs_is_named_with_exit_code_1(people: Cli) -> None:
    take(people, "a")
    [manifest] = (people.state / "snapshots").iterdir()
    manifest.write_bytes(manifest.read_bytes().replace(b"elabelaa", b"elabelab"))
    shown = people("snapshot", "verify", "--all", code=1)
    assert "differs: label" in shown
    [facts] = people.json("snapshot", "verify", "--all", code=1)
    assert facts["intact"] is False
    assert facts["checksum"] is None
    assert facts["differences"][0]["why"]
    listed = people("snapshot", "list")
    assert "damaged" in listed
    assert people.json("snapshot", "list")[0]["damage"]
    before = people.json("canister", "status", "people")
    assert "is damaged" in people("snapshot", "load", "people", people.json("snapshot", "list")[0]["id"], code=2)
    assert people.json("canister", "status", "people") == before
    assert people("canister", "call", "people", "size") == "(100 : nat)\n"


def test_retain_and_prune(people: Cli) -> None:
    ids = take(people, "a", "release 1", "b", "c")
    planned = people.json("snapshot", "retain", "people", "--keep-last", "1", "--pin", "release*", "--dry-run")
    assert len(people.json("snapshot", "list")) == 4
    done = people.json("snapshot", "retain", "people", "--keep-last", "1", "--pin", "release*")
    assert done == planned | {"dry_run": False}
    assert [s["id"] for s in done["kept"]] == [ids[3], ids[1]]
    assert [s["reasons"] for s in done["kept"]] == [["last"], ["pinned"]]
    assert [s["id"] for s in people.json("snapshot", "list")] == [ids[1], ids[3]]
    shown = people("snapshot", "retain", "people", "--keep-daily", "7", "--keep-within", "2d", "--prune")
    assert "stays: daily, within" in shown
    assert "pruned" in shown
    assert "pruned" in people("snapshot", "prune")
    assert "at least one --keep rule" in people("snapshot", "retain", "people", code=2)
    assert "is not a time such as" in people("snapshot", "retain", "people", "--keep-within", "5", code=2)
    assert "IC0512" in people("--as", "bob", "snapshot", "retain", "people", "--keep-last", "1", code=1)


def test_policy(people: Cli) -> None:
    assert people.json("snapshot", "policy") is None
    assert "No policy" in people("snapshot", "policy", "people")
    facts = people.json("snapshot", "policy", "people", "--every", "1d", "--keep-last", "2", "--pin", "x*")
    assert facts["at_install"] is facts["before_upgrade"] is True
    assert facts["every"] == 86400
    assert people.json("snapshot", "policy", "people") == facts
    people("canister", "install", "people", module("people_v2_good.enhanced"), "--mode", "upgrade")
    [snapshot] = people.json("snapshot", "list")
    assert (snapshot["label"], snapshot["automatic"]) == ("before upgrade", True)
    people("snapshot", "policy", "people", "--none")
    assert people.json("snapshot", "policy", "people") is None
    people("snapshot", "policy", "--not-before-upgrade")
    assert people.json("snapshot", "policy", "people")["before_upgrade"] is False
    assert "last 2, within 3600 s" in people("snapshot", "policy", "people", "--keep-last", "2", "--keep-within", "1h")
    assert "cannot be combined with other options" in people("snapshot", "policy", "--none", "--every", "1h", code=2)
    people("canister", "create", "other")
    people("canister", "install", "other", module("counter.classical"))
    assert [s["label"] for s in people.json("snapshot", "list", "other")] == ["installed"]


@pytest.mark.parametrize(("command", "method"), [("take", "take_snapshot"), ("load", "load_snapshot")])
@pytest.mark.parametrize("status", ["running", "stopped"])
@pytest.mark.parametrize(("failure", "code"), [(KeyboardInterrupt, 130), (OSError("disk full"), 2)])
def test_whatever_happens_the_status_is_what_it_was(
    people: Cli,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    method: str,
    status: str,
    failure: BaseException,
    code: int,
) -> None:
    people("snapshot", "take", "people")
    if status == "stopped":
        people("canister", "stop", "people")
    before = people.json("canister", "status", "people")

    def fails(*_: Any, **__: Any) -> None:
        raise failure

    monkeypatch.setattr(Canister, method, fails)
    people("snapshot", command, "people", code=code)
    monkeypatch.undo()
    assert people.json("canister", "status", "people") == before
    assert before["status"] == status


@pytest.fixture
def waiting(with_canister: Make) -> Cli:
    """`waits` has called `silent`, which has not answered yet."""
    cli = with_canister("people", "counter.classical")
    with Sandbox.open(cli.state) as sandbox:
        [canister] = sandbox.canisters()
        sandbox.submit(canister, "forward", encode("(principal, text, blob)", [canister.id, "inc", b"DIDL\0\0"]))
        env = runtime_of(sandbox).environment()
        from sandbox.execution.rounds import step

        assert step(env)
        assert len(runtime_of(sandbox).subnet.contexts) == 1
    return cli


def test_open_calls_are_reported_and_recorded(waiting: Cli) -> None:
    result = waiting.run("snapshot", "take", "people")
    assert "1 calls were not finished (forward)" in result.stderr
    assert "open calls  1" in result.stdout
    [facts] = waiting.json("snapshot", "list")
    assert facts["open_calls"] == [{"method": "forward", "caller": "2vxsx-fae", "awaiting": 1}]
    assert waiting.json("canister", "status", "people")["status"] == "running"
    assert waiting("snapshot", "verify", "--all").count("intact") == 1
    result = waiting.run("snapshot", "load", "people", "--no-stop")
    assert "1 calls were not finished (forward): their answers will arrive at the loaded state" in result.stderr
    assert waiting.json("snapshot", "load", "people")["open_calls"] == facts["open_calls"]
    with Sandbox.open(waiting.state) as sandbox:
        sandbox.run_until_idle()
        [canister] = sandbox.canisters()
        assert canister.call("get") == 1
        assert canister.open_calls == canister.take_snapshot().open_calls == ()


@pytest.mark.parametrize("command", ["take", "load"])
def test_one_that_is_stopping_goes_on_stopping(waiting: Cli, command: str) -> None:
    waiting("snapshot", "take", "people")
    with Sandbox.open(waiting.state) as sandbox:
        with pytest.raises(StillWaiting):
            sandbox.canisters()[0].stop(max_rounds=0)
        sandbox.save()
    assert waiting.json("canister", "status", "people")["status"] == "stopping"
    waiting("snapshot", command, "people")
    assert waiting.json("canister", "status", "people")["status"] == "stopping"
    with Sandbox.open(waiting.state) as sandbox:
        sandbox.run_until_idle()
        assert sandbox.canisters()[0].status().status == "stopped"


def test_stop_waits_until_the_open_calls_have_ended(waiting: Cli) -> None:
    waiting("canister", "stop", "people")
    assert waiting.json("canister", "status", "people")["status"] == "stopped"


def test_stop_of_one_that_cannot_be_stopped_says_why_and_is_kept(with_canister: Make) -> None:
    cli = with_canister("people", "counter.classical")
    with Sandbox.open(cli.state) as sandbox:
        [canister] = sandbox.canisters()
        canister.update_settings(controllers=[*canister.status().settings.controllers, canister.id])
        stopping = [Principal.management(), "stop_canister", identified(canister.id)]
        sandbox.submit(canister, "forward", encode("(principal, text, blob)", stopping))
        sandbox.tick()
    assert "waits for aaaaa-aa.stop_canister" in cli("canister", "stop", "people", code=1)
    assert cli.json("canister", "status", "people")["status"] == "stopping"
