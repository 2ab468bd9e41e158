"""Claims about when backups run, and which are left: pure functions of time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from sandbox import Principal, Sandbox
from sandbox.service.config import Target
from sandbox.service.schedules.quiet import Sample, add_sample, quiet_hour, read_samples
from sandbox.service.schedules.schedule import DEFAULT_HOUR, LATE, SECOND, Last, Schedule, ScheduleError, next_start
from sandbox.service.simulate import Simulated, simulate
from sandbox.state import Keep

MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
DAILY = Schedule("0 3 * * *")


def at(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * SECOND


def dues(schedule: Schedule, start: int, count: int, zone: str = "UTC") -> list[str]:
    moments = islice(schedule.dues(start), count)
    return [datetime.fromtimestamp(due // SECOND, ZoneInfo(zone)).isoformat()[:16] for due in moments]


# --- due times


def test_a_cron_expression_is_of_its_time_zone_and_knows_summer_time() -> None:
    zurich = Schedule("30 2 * * *", zone="Europe/Zurich")
    spring = dues(zurich, at("2026-03-28", "Europe/Zurich"), 3, "Europe/Zurich")
    assert spring == ["2026-03-28T02:30", "2026-03-29T03:00", "2026-03-30T02:30"]
    autumn = dues(zurich, at("2026-10-24", "Europe/Zurich"), 3)
    assert autumn == ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"]


def test_an_interval_does_not_depend_on_when_the_service_began() -> None:
    six = Schedule(every=6 * HOUR)
    assert dues(six, at("2026-01-01T01:07"), 3) == ["2026-01-01T06:00", "2026-01-01T12:00", "2026-01-01T18:00"]
    assert dues(six, at("2026-01-01T06:00"), 1) == ["2026-01-01T12:00"]


def test_jitter_puts_off_by_less_than_its_most_and_always_by_the_same() -> None:
    schedule = Schedule("0 3 * * *", jitter=10 * MINUTE)
    moments = [*islice(schedule.dues(at("2026-01-01")), 50)]
    late = [schedule.put_off("wallet", due) - due for due in moments]
    assert all(0 <= each < 10 * MINUTE for each in late)
    assert len(set(late)) > 40
    assert late == [schedule.put_off("wallet", due) - due for due in moments]
    assert late != [schedule.put_off("ledger", due) - due for due in moments]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"cron": "61 * * * *"}, "Bad minute"),
        ({"cron": "@daily"}, "Wrong number of fields"),
        ({"cron": "0 3 * * *", "zone": "Mars/Base"}, "no time zone 'Mars/Base'"),
        ({"cron": "0 3 * * *", "zone": "../etc/passwd"}, "no time zone"),
        ({"every": SECOND}, "at least a minute"),
        ({}, "exactly one of"),
        ({"cron": "0 3 * * *", "quiet": True}, "exactly one of"),
    ],
)
def test_what_is_no_schedule_is_named(fields: dict[str, object], why: str) -> None:
    with pytest.raises(ScheduleError, match=why):
        Schedule(**fields)  # type: ignore[arg-type]


# --- the next start


def ran(began: str, minutes: int = 5, ok: bool = True) -> Last:
    return Last(at(began), at(began) + minutes * MINUTE, ok)


def test_without_an_earlier_run_nothing_was_missed() -> None:
    assert next_start(DAILY, "c", None, at("2026-01-05T10:00")) == at("2026-01-06T03:00")


def test_a_missed_start_is_made_up_for_once_or_skipped() -> None:
    last, now = ran("2026-01-01T03:00"), at("2026-01-05T10:00")
    assert next_start(DAILY, "c", last, now) < now
    assert next_start(DAILY, "c", ran("2026-01-05T10:00"), now + HOUR) == at("2026-01-06T03:00")
    skipping = Schedule("0 3 * * *", run_missed=False)
    assert next_start(skipping, "c", last, now) == at("2026-01-06T03:00")
    assert next_start(skipping, "c", ran("2026-01-04T03:00"), at("2026-01-05T03:00") + LATE // 2) == at(
        "2026-01-05T03:00"
    )


def test_a_start_during_a_run_is_skipped_or_follows_it() -> None:
    hourly, queueing = Schedule(every=HOUR), Schedule(every=HOUR, queue=True)
    long = ran("2026-01-01T03:00", minutes=150)
    assert next_start(hourly, "c", long, long.ended) == at("2026-01-01T06:00")
    assert next_start(queueing, "c", long, long.ended) == at("2026-01-01T04:00")


def test_a_failure_is_tried_again_soon_but_not_later_than_due() -> None:
    failed = ran("2026-01-01T03:00", ok=False)
    assert next_start(DAILY, "c", failed, failed.ended) == failed.ended + 15 * MINUTE
    often = Schedule(every=10 * MINUTE)
    assert next_start(often, "c", failed, failed.ended) == at("2026-01-01T03:10")


# --- quiet hours


def samples(days: int, zone: str, quiet: int) -> list[Sample]:
    """One sample an hour; the canister executes 10 messages in each hour but one, of which it executes 1."""
    moment, total, made = at("2026-01-01", zone), 0, list[Sample]()
    for _ in range(days * 24 + 1):
        made.append(Sample(moment, total, total * 2))
        total += 1 if datetime.fromtimestamp(moment // SECOND, ZoneInfo(zone)).hour == quiet else 10
        moment += HOUR
    return made


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_the_quietest_hour_is_that_of_the_time_zone(zone: str) -> None:
    found = quiet_hour(samples(3, zone, 5), zone)
    assert found.hour == 5
    assert "3.0 messages and queries between 5:00 and 6:00" in found.reason
    assert found.uses[5] == 3
    assert found.uses[6] == 30


@pytest.mark.parametrize("days", [0, 1])
def test_too_few_statistics_say_so(days: int) -> None:
    found = quiet_hour(samples(days, "UTC", 5), "UTC")
    assert found.hour == DEFAULT_HOUR
    assert "2 days are needed" in found.reason


def test_a_gap_says_nothing_about_single_hours() -> None:
    whole = samples(4, "UTC", 5)
    assert quiet_hour(whole[::12], "UTC").uses == {}


def test_samples_survive_a_torn_line(tmp_path: Path) -> None:
    taken = samples(1, "UTC", 5)
    for each in taken:
        add_sample(tmp_path, "c", each)
    with open(tmp_path / "c.jsonl", "a") as file:
        file.write("[1, 2")
    assert read_samples(tmp_path, "c") == taken


# --- a year


def year(schedule: Schedule, keep: Keep) -> Simulated:
    target = Target("c", Principal.management(), keep=keep, schedule=schedule)
    with Sandbox(max_snapshots=10_000) as sandbox:
        canister = sandbox.create_canister()
        canister.install(b"\0asm\1\0\0\0")
        sandbox.set_time(at("2027-01-01"))
        return simulate(target, sandbox, canister, 365)


RULES = {
    "daily": Keep(last=3, daily=7, weekly=5, monthly=12),
    "few": Keep(weekly=60, monthly=24),
}


def test_a_year_of_daily_backups_leaves_what_the_rules_keep() -> None:
    done = year(Schedule("0 3 * * *", zone="Europe/Zurich"), Keep(daily=7, weekly=4, monthly=12))
    assert len(done.taken) == 365
    kept = [datetime.fromtimestamp(snapshot.taken_on // SECOND, UTC) for snapshot, _ in done.kept]
    days = [each.date().isoformat() for each in kept]
    assert days[:7] == [f"2027-12-{day}" for day in range(31, 24, -1)]
    months = [day[:7] for day, (_, rules) in zip(days, done.kept, strict=True) if "monthly" in rules]
    assert months == [f"2027-{month:02}" for month in range(12, 0, -1)]
    assert len(kept) == len({*days}) <= 7 + 4 + 12


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("restic") is None, reason="restic is not installed")
@pytest.mark.parametrize("name", RULES)
def test_a_year_leaves_what_restic_would_keep(name: str, tmp_path: Path) -> None:
    keep = RULES[name]
    done = year(Schedule("20 4 */6 * *"), keep)
    env = {**os.environ, "RESTIC_PASSWORD": "x", "RESTIC_REPOSITORY": str(tmp_path / "repository"), "TZ": "UTC"}

    def restic(*arguments: str) -> str:
        command = ["restic", "--no-cache", *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout

    def forget() -> None:
        rules = (f"--keep-{rule}={getattr(keep, rule)}" for rule in ("last", "daily", "weekly", "monthly"))
        restic("forget", "--group-by=", *(rule for rule in rules if not rule.endswith("=0")))

    (tmp_path / "data").write_text("data")
    restic("init")
    for taken in done.taken:
        moment = datetime.fromtimestamp(taken // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S")
        restic("backup", f"--time={moment}", str(tmp_path / "data"))
        forget()
    left = [item["time"][:19] for item in json.loads(restic("snapshots", "--json"))]
    ours = [datetime.fromtimestamp(s.taken_on // SECOND, UTC).isoformat()[:19] for s, _ in done.kept]
    assert sorted(left) == sorted(ours)
