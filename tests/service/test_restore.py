"""Claims about bringing a backup back to its canister."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.candid import NAT, decode
from sandbox.service.backups import Backups
from tests.network.place import EMPTY, Place, command
from tests.service.test_backup import config, run


def count(place: Place) -> int:
    with place.remote() as remote:
        [value] = decode([NAT], remote.agent.query(place.canister, "get", EMPTY))
    assert isinstance(value, int)
    return value


def restore(place: Place, path: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = command(place.folder, "--output", "json", "restore", "counter", "latest", "--config", str(path), *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.fixture
def backed_up(place: Place) -> Path:
    """A configuration with a backup of the counter at 1; it is at 3 now."""
    path = config(place, delete=True, checks={"queries": "get() == (1 : nat)"})
    run(place, path)
    with place.remote() as remote:
        for _ in range(2):
            remote.agent.update(place.canister, "inc", EMPTY)
    return path


def test_a_backup_comes_back_after_a_safety_snapshot(place: Place, backed_up: Path) -> None:
    report = restore(place, backed_up)
    steps = ["verify", "drill", "upload", "stop", "safety", "load", "start", "check", "delete"]
    assert list(report["steps"]) == steps
    assert count(place) == 1
    with place.remote() as remote:
        assert remote.state() == "running"
        [safety] = remote.snapshots()
        assert safety.id.hex() == report["steps"]["safety"]["snapshot"]
        remote.stop()
        remote.load(safety.id)
        remote.start()
    assert count(place) == 3


def test_a_dry_run_asks_no_network(place: Place, backed_up: Path) -> None:
    place.server.end()
    report = restore(place, backed_up, "--dry-run", "--check", "get()")
    assert report["queries"] == 2
    failed = restore(place, backed_up, "--dry-run", "--check", "get() == (2 : nat)", code=1)
    assert "answered (1 : nat), expected (2 : nat)" in failed["error"]["message"]


def test_a_check_that_fails_keeps_the_canister_as_it_is(place: Place, backed_up: Path) -> None:
    report = restore(place, backed_up, "--check", "get() == (7 : nat)", code=1)
    assert report["failed"] == "drill"
    assert count(place) == 3
    with place.remote() as remote:
        assert remote.snapshots() == []


def test_a_damaged_backup_is_not_uploaded(place: Place, backed_up: Path) -> None:
    [pack, *_] = sorted((place.folder / "backups" / "packs").iterdir(), key=lambda file: -file.stat().st_size)
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(content)
    report = restore(place, backed_up, code=1)
    assert (report["failed"], count(place)) == ("verify", 3)
    assert "damaged" in report["error"]


def test_what_is_not_there_is_named(place: Place, backed_up: Path) -> None:
    done = command(place.folder, "restore", "counter", "ffff", "--config", str(backed_up))
    assert done.returncode == 2
    with Backups(place.folder / "backups", read_only=True) as backups:
        [kept] = backups.snapshots()
    assert kept.id.hex() in "".join(done.stderr.split())
