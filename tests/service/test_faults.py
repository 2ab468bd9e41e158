"""Claims about what can go wrong: nothing is lost, the canister is never left stopped, the next run goes on."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.candid import NAT, decode
from sandbox.service.backups import Backups
from sandbox.service.config import read_config
from sandbox.service.fleet import Fleet
from sandbox.service.report import SAFE
from tests.network.place import EMPTY, HASTY, Place, command, placed
from tests.network.proxy import LOSE, MUTE, PASS, Proxy, proxied
from tests.service.test_backup import config, run

METHODS = {
    "stop_canister": "stop",
    "take_canister_snapshot": "take",
    "start_canister": "start",
    "read_canister_snapshot_metadata": "download",
    "read_canister_snapshot_data": "download",
    "delete_canister_snapshot": "delete",
}
"""Calls of a backup, and the steps that make them."""
LOCAL = {"store": "Backups.add", "verify": "Backups.verify", "drill": "drill"}
"""Steps that ask no network, and the functions of `sandbox.service.backup` that do them."""
QUICK = {("take_canister_snapshot", MUTE)}


def matrix(methods: dict[str, str]) -> Iterator[Any]:
    """Every call, lost on its way there or on its way back; most only with all tests."""
    for method in methods:
        for fault in (LOSE, MUTE):
            marks = () if (method, fault) in QUICK else (pytest.mark.slow,)
            yield pytest.param(method, fault, marks=marks)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with placed(tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest.fixture
def path(place: Place, tmp_path: Path) -> Path:
    """A configuration with a repository of its own; the counter runs and has no snapshots."""
    with place.remote() as remote:
        remote.start()
        for snapshot in remote.snapshots():
            remote.delete(snapshot.id)
    return config(place, repository=tmp_path / "backups", delete=True)


def at(path: Path, url: str) -> Path:
    """The configuration for another URL, in place."""
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"network": url}))
    return path


def attempt(path: Path) -> dict[str, Any]:
    """Run the configuration in this process, without patience; the facts of the report."""
    [report] = Fleet(read_config(path), HASTY).run()
    return report.facts


def settled(place: Place, path: Path, snapshots: int = 0) -> None:
    """The next run goes well, and everything is as after an undisturbed one."""
    report = attempt(at(path, place.server.url))
    assert report["ok"], report
    with place.remote() as remote:
        assert remote.state() == "running"
        assert len(remote.snapshots()) == snapshots
    with Backups(read_config(path).repository) as backups:
        assert backups.snapshots(place.canister)[-1].id.hex() == report["snapshot"]
        assert backups.unfinished() == []
        assert not backups.incoming(place.canister).exists()


def lost_from(proxy: Proxy, method: str, fault: str) -> None:
    """From the first call of a method on the network is dead; `MUTE`: that call itself arrives."""
    dead = False

    def rule(_: int, __: str, body: bytes) -> str:
        nonlocal dead
        first = not dead and method.encode() in body
        dead = dead or first
        return fault if first else LOSE if dead else PASS

    proxy.rule = rule


@pytest.mark.parametrize(("method", "fault"), [*matrix(METHODS)])
def test_a_network_that_dies_in_a_step(place: Place, path: Path, method: str, fault: str) -> None:
    with proxied(place.server.port) as proxy:
        lost_from(proxy, method, fault)
        report = attempt(at(path, proxy.url))
    assert (report["ok"], report["failed"]) == (False, METHODS[method])
    assert report["safe"] == SAFE[METHODS[method]][0]
    with place.remote() as remote:
        assert report["stopped"] or remote.state() == "running"
    assert report["stopped"] == (METHODS[method] in ("stop", "take", "start"))
    guessed = (method, fault) == ("take_canister_snapshot", MUTE)
    settled(place, path, int(guessed))


@pytest.mark.parametrize(("method", "fault"), [*matrix(METHODS)])
def test_a_kill_in_a_step(place: Place, path: Path, method: str, fault: str) -> None:
    with proxied(place.server.port) as proxy:
        process = subprocess.Popen(
            [sys.executable, "-c", "from sandbox.cli import main; main()", "backup", "run", str(at(path, proxy.url))],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def rule(_: int, __: str, body: bytes) -> str:
            if method.encode() not in body:
                return PASS
            if fault == LOSE:
                process.send_signal(signal.SIGKILL)
            return fault

        proxy.rule = rule
        if fault == MUTE:  # the client would try again: it is killed when the answer is lost
            proxy.muted = lambda: process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    guessed = (method, fault) == ("take_canister_snapshot", MUTE)
    settled(place, path, int(guessed))


@pytest.mark.parametrize("step", [pytest.param(s, marks=() if s == "store" else pytest.mark.slow) for s in LOCAL])
def test_a_kill_in_a_step_that_asks_no_network(place: Place, path: Path, step: str) -> None:
    script = (
        f"import os, sandbox.service.backup as module; module.{LOCAL[step]} = lambda *a, **b: os.kill(os.getpid(), 9); "
        "from sandbox.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", script, "backup", "run", str(path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    settled(place, path)


def test_sigterm_starts_the_canister_before_the_end(place: Place, path: Path) -> None:
    with proxied(place.server.port) as proxy:
        process = subprocess.Popen(
            [sys.executable, "-c", "from sandbox.cli import main; main()", "backup", "run", str(at(path, proxy.url))],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def rule(_: int, __: str, body: bytes) -> str:
            if b"take_canister_snapshot" in body:
                process.send_signal(signal.SIGTERM)
            return PASS

        proxy.rule = rule
        assert process.wait(60) == 130
    with place.remote() as remote:
        assert remote.state() == "running"


def test_two_backups_at_once_do_not_mix(place: Place, path: Path) -> None:
    with Backups(read_config(path).repository):
        done = command(place.folder, "backup", "run", str(path))
    assert done.returncode == 2
    assert f"another backup is at work in {read_config(path).repository}"[:40] in " ".join(done.stderr.split())
    assert f"(process {os.getpid()})" in " ".join(done.stderr.split())
    settled(place, path)


def test_the_limit_of_snapshots_is_named_and_the_canister_runs(place: Place, path: Path) -> None:
    with place.remote() as remote:
        for _ in range(10):
            remote.take()
        report = attempt(path)
        assert report["failed"] == "take"
        assert "10" in report["error"]
        assert "delete one" in report["next"]
        assert remote.state() == "running"
        remote.delete(remote.snapshots()[0].id)
    settled(place, path, 9)


def test_a_full_disk_loses_nothing(place: Place, path: Path) -> None:
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    done = subprocess.run(
        [sys.executable, "-c", "from sandbox.cli import main; main()", "--output", "json", "backup", "run", str(path)],
        capture_output=True,
        preexec_fn=small,
        check=False,
        timeout=60,
    )
    [report] = json.loads(done.stdout)
    assert (done.returncode, report["failed"], report["stopped"]) == (1, "download", False)
    assert "cannot be written" in report["error"]
    settled(place, path)


def test_a_canister_that_was_stopped_stays_stopped(place: Place, path: Path) -> None:
    with place.remote() as remote:
        remote.stop()
        report = attempt(path)
        assert report["ok"]
        assert "start" not in report["steps"]
        assert remote.state() == "stopped"


def test_a_failed_drill_gives_up_no_earlier_backup(place: Place, path: Path) -> None:
    with place.remote() as remote:
        [value] = decode([NAT], remote.agent.query(place.canister, "get", EMPTY))
    content = yaml.safe_load(path.read_text())
    content["canisters"]["counter"] |= {"checks": {"queries": [f"get() == ({value} : nat)"]}, "keep": {"last": 1}}
    path.write_text(yaml.safe_dump(content))
    first = attempt(path)
    assert first["ok"], first
    with place.remote() as remote:
        remote.agent.update(place.canister, "inc", EMPTY)
    second = attempt(path)
    assert second["failed"] == "drill"
    assert f"answered ({value + 1} : nat), expected ({value} : nat)" in second["error"]
    with Backups(read_config(path).repository) as backups:
        assert {state.id.hex() for state in backups.snapshots()} == {first["snapshot"], second["snapshot"]}
    third = attempt(path)
    assert third["snapshot"] != second["snapshot"]


def test_a_repository_is_of_one_network(place: Place, path: Path) -> None:
    assert attempt(path)["ok"]
    (read_config(path).repository / "network").write_text("00\n")
    report = attempt(path)
    assert report["failed"] == "connect"
    assert "another network" in report["error"]


def test_a_damaged_journal_is_named(place: Place, path: Path) -> None:
    runs = read_config(path).repository / "runs"
    runs.mkdir(parents=True)
    (runs / f"{place.canister}.json").write_text("{torn")
    done = command(place.folder, "backup", "run", str(path))
    assert done.returncode == 2
    assert "is damaged" in " ".join(done.stderr.split())


def test_encryption_is_not_supported_by_name(place: Place, path: Path) -> None:
    path.write_text(path.read_text() + "encryption: key\n")
    done = command(place.folder, "backup", "run", str(path))
    assert done.returncode == 2
    assert "encryption of backups is not supported" in " ".join(done.stderr.split())


@pytest.mark.slow
def test_the_run_of_the_command_line_reports_what_is_safe(place: Place, path: Path) -> None:
    at(path, "http://127.0.0.1:9")
    report = run(place, path, code=1)
    assert report["failed"] == "connect"
    assert report["safe"] == "nothing was changed"


def test_a_check_that_cannot_be_asked_does_not_stop_later_backups(place: Place, path: Path) -> None:
    content = yaml.safe_load(path.read_text())
    content["canisters"]["counter"]["checks"] = {"queries": ["no_such_query()"]}
    path.write_text(yaml.safe_dump(content))
    first, second = attempt(path), attempt(path)
    assert first["failed"] == second["failed"] == "drill"
    assert "no_such_query" in first["error"]
    assert first["snapshot"] != second["snapshot"]
