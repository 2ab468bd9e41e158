"""A schedule as a pure function of time: cron expressions by `cronsim` (with Debian's rules for summer time),
intervals, or the quietest hour of each day; each in a time zone, with jitter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

SECOND: Final = 1_000_000_000
LATE: Final = 3600 * SECOND
"""Nanoseconds: a start that is later than this was missed."""
DEFAULT_HOUR: Final = 3
"""The hour of a quiet schedule while statistics are too few."""


class ScheduleError(ValueError):
    """A text that is no schedule; says why."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Exactly one of `cron` (five fields), `every` (nanoseconds, counted from 1970) and `quiet` (once a day, at the
    quietest hour). `zone`: of cron and quiet hours; `jitter`: the most nanoseconds by which a start is put off;
    `run_missed`: whether a start that was missed is made up for, once; `queue`: whether one that fell due during a run
    follows it; `retry`: nanoseconds after a failure until the next attempt.
    """

    cron: str | None = None
    every: int | None = None
    quiet: bool = False
    zone: str = "UTC"
    jitter: int = 0
    run_missed: bool = True
    queue: bool = False
    retry: int = 900 * SECOND

    def __post_init__(self) -> None:
        if sum((self.cron is not None, self.every is not None, self.quiet)) != 1:
            raise ScheduleError("a schedule has exactly one of cron, every and quiet")
        if self.every is not None and self.every < 60 * SECOND:
            raise ScheduleError("an interval has at least a minute")
        zone_of(self.zone)
        if self.cron is not None:
            _cron(self.cron, datetime.fromtimestamp(0, zone_of(self.zone)))

    def after(self, time: int, hour: int = DEFAULT_HOUR) -> int:
        """Return the first due time after `time`, both in nanoseconds since 1970, without jitter; `hour`: the quietest
        one."""
        if self.every is not None:
            return (time // self.every + 1) * self.every
        return next(self.dues(time, hour))

    def dues(self, time: int, hour: int = DEFAULT_HOUR) -> Iterator[int]:
        """Yield all due times after `time`."""
        if self.every is not None:
            while True:
                time = self.after(time)
                yield time
        local = datetime.fromtimestamp(time // SECOND, zone_of(self.zone))
        for due in _cron(self.cron or f"0 {hour} * * *", local):
            yield round(due.timestamp()) * SECOND

    def put_off(self, name: str, due: int) -> int:
        """Return a due time with its jitter: always the same for the same name and time, so that a restart changes
        nothing."""
        if not self.jitter:
            return due
        digest = hashlib.sha256(f"{name} {due}".encode()).digest()
        return due + int.from_bytes(digest[:8], "big") % self.jitter

    @property
    def text(self) -> str:
        """The schedule for people."""
        if self.every is not None:
            return f"every {timedelta(seconds=self.every // SECOND)}"
        return f"{self.cron or 'the quietest hour of each day'}, {self.zone}"


def _cron(expression: str, local: datetime) -> CronSim:
    try:
        return CronSim(expression, local)
    except CronSimError as error:
        raise ScheduleError(f"{expression!r} is no cron expression of five fields: {error}") from None


def zone_of(name: str) -> tzinfo:
    """Return a time zone by its name in the tz database; `ScheduleError` if there is none."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise ScheduleError(f"there is no time zone {name!r}, such as UTC or Europe/Zurich") from None


@dataclass(frozen=True, slots=True)
class Last:
    """The last run of a canister. `began`, `ended`: nanoseconds since 1970; `ok`: whether it went well."""

    began: int
    ended: int
    ok: bool


def next_start(schedule: Schedule, name: str, last: Last | None, now: int, hour: int = DEFAULT_HOUR) -> int:
    """Return when the canister `name` is to be backed up next: a time that has passed means now.

    After a failure, `retry` later, or when it is due if that is sooner. `last` None: no run is known, and none was
    missed.
    """
    if last is None:
        return schedule.put_off(name, schedule.after(now, hour))
    due = schedule.after(last.began if schedule.queue else max(last.began, last.ended), hour)
    start = schedule.put_off(name, due)
    if not last.ok:
        start = min(start, last.ended + schedule.retry)
    if start < now - LATE and not schedule.run_missed:
        return schedule.put_off(name, schedule.after(now, hour))
    return start
