"""Claims about the service that follows schedules, on a clock of its own, at a served network."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.service.backups import Backups
from sandbox.service.config import read_config
from sandbox.service.fleet import Fleet
from sandbox.service.schedules.schedule import SECOND
from sandbox.service.watch import Watch
from tests.network.place import EMPTY, HASTY, Place, command, placed
from tests.network.proxy import LOSE, PASS, proxied
from tests.service.test_backup import config
from tests.service.test_schedule import DAY, HOUR, at

BEGIN = "2027-03-01T10:00"


@dataclass
class VirtualClock:
    """Time that passes by sleeping alone. `slept`: to which moments."""

    time: int
    slept: list[int] = field(default_factory=list)

    def now(self) -> int:
        return self.time

    def sleep_until(self, moment: int) -> None:
        self.time = max(self.time, moment)
        self.slept.append(moment)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with placed(tmp_path_factory.mktemp("watch")) as made:
        yield made


def scheduled(place: Place, folder: Path, schedule: Any, **more: Any) -> Path:
    return config(place, repository=folder / "backups", schedule=schedule, delete=True, **more)


def watch(path: Path, clock: VirtualClock) -> Watch:
    settings = read_config(path)
    return Watch(settings, clock, Fleet(settings, HASTY, clock.now))


def test_a_service_backs_up_when_it_is_due(place: Place, tmp_path: Path) -> None:
    path, clock = scheduled(place, tmp_path, "0 3 * * *", keep={"last": 2}), VirtualClock(at(BEGIN))
    reports = [*watch(path, clock).run(until=at(BEGIN) + 3 * DAY)]
    assert [report.at for report in reports] == [at(f"2027-03-0{day}T03:00") for day in (2, 3, 4)]
    assert all(report.ok for report in reports)
    with Backups(tmp_path / "backups") as backups:
        kept = [state.id.hex() for state in backups.snapshots()]
    assert kept == [report.snapshot for report in reports[1:]]


def test_a_restart_makes_up_for_what_was_missed_once(place: Place, tmp_path: Path) -> None:
    path, clock = scheduled(place, tmp_path, "0 3 * * *"), VirtualClock(at(BEGIN))
    assert len([*watch(path, clock).run(until=at(BEGIN) + DAY)]) == 1
    clock.time = at(BEGIN) + 5 * DAY
    again = [*watch(path, clock).run(until=clock.time + DAY)]
    assert [report.at for report in again] == [at(BEGIN) + 5 * DAY, at("2027-03-07T03:00")]


def test_a_failed_run_is_tried_again(place: Place, tmp_path: Path) -> None:
    path, clock = scheduled(place, tmp_path, {"every": "6h", "retry": "10m"}), VirtualClock(at(BEGIN))
    with proxied(place.server.port, lambda number, p, body: LOSE if number < 6 else PASS) as proxy:
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"network": proxy.url}))
        reports = [*watch(path, clock).run(until=at(BEGIN) + 3 * HOUR)]
    assert [report.ok for report in reports][-1:] == [True]
    assert not reports[0].ok
    assert all(later.at - sooner.at < 11 * 60 * SECOND for sooner, later in pairwise(reports))


@pytest.mark.slow
def test_a_quiet_hour_is_found_from_the_use_of_the_canister(place: Place, tmp_path: Path) -> None:
    path = scheduled(place, tmp_path, {"quiet": True})
    clock = VirtualClock(at("2027-03-01T00:00"))
    made = watch(path, clock)
    busy = [hour for hour in range(24) if hour != 14]
    with place.remote() as remote:
        for hour in range(3 * 24 + 1):
            made._sample()
            if hour % 24 in busy:
                remote.agent.update(place.canister, "inc", EMPTY)
            clock.time += HOUR
    [planned] = made.plan()
    assert planned.quiet is not None
    assert planned.quiet.hour == 14
    assert "between 14:00 and 15:00" in planned.quiet.reason
    assert planned.start == at("2027-03-04T14:00")


def test_a_canister_that_a_killed_run_left_stopped_is_started_at_once(place: Place, tmp_path: Path) -> None:
    path, clock = scheduled(place, tmp_path, "0 3 * * *"), VirtualClock(at(BEGIN))
    with Backups(tmp_path / "backups") as backups:
        backups.journal(place.canister).note(stopped=True)
    with place.remote() as remote:
        remote.stop()
        assert [*watch(path, clock).run(until=at(BEGIN) + HOUR)] == []
        assert remote.state() == "running"


def test_the_plan_says_when_and_why(place: Place, tmp_path: Path) -> None:
    path = scheduled(place, tmp_path, {"quiet": True, "zone": "Asia/Tokyo"})
    [planned] = json.loads(command(place.folder, "--output", "json", "backup", "schedule", "--plan", str(path)).stdout)
    assert planned["schedule"] == "the quietest hour of each day, Asia/Tokyo"
    assert "2 days are needed" in planned["reason"]
    quiet = json.loads(command(place.folder, "--output", "json", "backup", "quiet", str(path), "counter").stdout)
    assert quiet["hour"] == 3


def test_once_backs_up_what_is_due(place: Place, tmp_path: Path) -> None:
    path = scheduled(place, tmp_path, {"every": "1m"})
    assert command(place.folder, "--output", "json", "backup", "run", str(path)).returncode == 0
    log = tmp_path / "backups" / "log.jsonl"
    line = json.loads(log.read_text())
    once = ["--output", "json", "backup", "schedule", "--once", str(path)]
    log.write_text(json.dumps({**line, "at": time.time_ns()}) + "\n")
    assert command(place.folder, *once).stdout == ""
    log.write_text(json.dumps({**line, "at": line["at"] - 3600 * SECOND}) + "\n")
    assert json.loads(command(place.folder, *once).stdout)["ok"]


def test_sigterm_ends_the_service_in_order(place: Place, tmp_path: Path) -> None:
    path = scheduled(place, tmp_path, "0 3 1 1 *")
    process = subprocess.Popen(
        [sys.executable, "-c", "from sandbox.cli import main; main()", "backup", "schedule", str(path)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "following the schedules of 1 canisters" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 130
    process.stderr.close()
