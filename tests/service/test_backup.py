"""Claims about backups of a canister at a served network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from sandbox.service.backups import Backups
from tests.network.place import EMPTY, Place, command


def config(place: Place, repository: Path | str = "backups", **more: Any) -> Path:
    """Write a configuration for the counter; `more`: keys of its canister."""
    content = {
        "network": place.server.url,
        "identity": "alice.pem",
        "repository": str(repository),
        "canisters": {"counter": {"id": str(place.canister), **more}},
    }
    path = place.folder / "backup.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def run(place: Place, path: Path, code: int = 0) -> dict[str, Any]:
    """Run a configuration; the report of its canister."""
    done = command(place.folder, "--output", "json", "backup", "run", str(path))
    assert done.returncode == code, done.stdout + done.stderr
    [report] = json.loads(done.stdout)
    assert isinstance(report, dict)
    return report


def test_a_backup_is_taken_stored_proven_and_the_canister_runs(place: Place) -> None:
    report = run(place, config(place, checks={"queries": ["get() == (1 : nat)"]}))
    assert report["ok"], report
    assert list(report["steps"]) == ["stop", "take", "start", "download", "store", "verify", "drill"]
    with place.remote() as remote:
        assert remote.state() == "running"
        [there] = remote.snapshots()
    with Backups(place.folder / "backups") as backups:
        [kept] = backups.snapshots()
        assert kept.id.hex() == report["snapshot"] == there.id.hex()
        assert not backups.unfinished()


def test_the_second_backup_costs_what_changed(place: Place) -> None:
    path = config(place, delete=True, keep={"last": 5})
    first = run(place, path)
    with place.remote() as remote:
        remote.agent.update(place.canister, "inc", EMPTY)
    second = run(place, path)
    assert second["content_id"] != first["content_id"]
    assert second["steps"]["store"]["bytes_on_disk"] < first["steps"]["store"]["bytes_on_disk"] / 5
    with place.remote() as remote:
        assert remote.snapshots() == []
