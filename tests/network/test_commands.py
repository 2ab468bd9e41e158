"""Claims about commands with `--network`."""

from __future__ import annotations

import json
from pathlib import Path

from sandbox.snapshots import portable
from tests.network.place import Place, command


def test_a_snapshot_goes_through_its_whole_life(place: Place, tmp_path: Path) -> None:
    canister, path = str(place.canister), tmp_path / "s.icsnap"
    taken = place.run("snapshot", "take", canister)
    assert [s["id"] for s in place.run("snapshot", "list", canister)] == [taken["id"]]
    downloaded = place.run("snapshot", "download", taken["id"], str(path))
    with portable.opened(path) as content:
        assert content.fields.id is not None
        assert content.fields.id.hex() == downloaded["id"] == taken["id"]
    count = place.run("canister", "call", canister, "inc")["reply"]
    assert place.run("snapshot", "load", canister, f"{taken['id']}")["loaded"] == taken["id"]
    assert place.run("canister", "query", canister, "get")["reply"] == [count[0] - 1]
    uploaded = place.run("snapshot", "upload", canister, str(path))
    assert place.run("snapshot", "delete", f"{canister}:1")["deleted"] == taken["id"]
    assert [s["id"] for s in place.run("snapshot", "list", canister)] == [uploaded["id"]]
    status = place.run("canister", "status", canister)
    assert status["status"] == "running"
    assert status["controllers"] == [str(place.identity.principal)]


def test_a_canister_is_stopped_and_started(place: Place) -> None:
    canister = str(place.canister)
    place.run("canister", "stop", canister)
    assert place.run("canister", "status", canister)["status"] == "stopped"
    place.run("canister", "start", canister)
    assert place.run("canister", "status", canister)["status"] == "running"


def test_what_a_network_does_not_have_is_misuse(place: Place, tmp_path: Path) -> None:
    canister = str(place.canister)
    for arguments, why in (
        (["snapshot", "take", canister, "--label", "x"], "--label is the sandbox's own"),
        (["canister", "call", canister, "inc", "--diff"], "--diff and --map look into the sandbox"),
        (["snapshot", "list"], "give the CANISTER"),
        (["snapshot", "list", "counter"], "given by its id"),
        (["snapshot", "prune"], "snapshot prune works on a state directory, not with --network"),
        (["canister", "call", "aaaaa-aa", "raw_rand"], "not supported"),
    ):
        assert why in place.run(*arguments, code=2)["error"]["message"], arguments


def test_a_key_that_others_may_read_is_warned_of(place: Place, tmp_path: Path) -> None:
    loose = tmp_path / "loose.pem"
    loose.write_bytes(place.pem.read_bytes())
    loose.chmod(0o644)
    shared = ["--output", "json", "--network", place.server.url, "--pem", str(loose)]
    done = command(tmp_path, *shared, "canister", "status", str(place.canister))
    assert json.loads(done.stdout)["status"] == "running"
    assert "warning: others may read the key file" in " ".join(done.stderr.split())


def test_a_key_of_somebody_else_is_rejected_and_a_wrong_file_is_misuse(place: Place, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("secret, but no key")
    shared = ["--output", "json", "--network", place.server.url]
    done = command(tmp_path, *shared, "--pem", str(wrong), "snapshot", "take", str(place.canister))
    assert done.returncode == 2
    assert "not a PEM file" in done.stdout
    assert "secret, but" not in done.stdout + done.stderr
    done = command(tmp_path, *shared, "snapshot", "take", str(place.canister))
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["kind"] == "rejected"


def test_a_network_that_is_not_there_is_named(place: Place, tmp_path: Path) -> None:
    done = command(tmp_path, "--network", "http://127.0.0.1:9", "canister", "status", str(place.canister))
    assert done.returncode == 2
    assert "http://127.0.0.1:9 does not answer" in " ".join(done.stderr.split())
