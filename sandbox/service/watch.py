"""The service that follows schedules: it sleeps until something is due, and backs up what is.

What was run when stands in the log of the repository, so that a restart goes on with the same schedule.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from sandbox.errors import SandboxError
from sandbox.network.connect import connect
from sandbox.network.remote import Remote
from sandbox.service.config import Config, Target
from sandbox.service.failure import BackupsLocked
from sandbox.service.fleet import Fleet
from sandbox.service.report import Report, read_log
from sandbox.service.schedules.quiet import INTERVAL, Quiet, add_sample, quiet_hour, read_samples, sample
from sandbox.service.schedules.schedule import SECOND, Last, next_start

_BUSY: Final = 60 * SECOND
"""Nanoseconds until another attempt while another process works in the repository."""


class Clock(Protocol):
    """Time in nanoseconds since 1970, real or virtual."""

    def now(self) -> int:
        """Return the time."""

    def sleep_until(self, moment: int) -> None:
        """Return when it is `moment` or later."""


class RealClock:
    """The clock of this machine."""

    def now(self) -> int:
        return time.time_ns()

    def sleep_until(self, moment: int) -> None:
        while (rest := moment - time.time_ns()) > 0:
            time.sleep(min(rest / SECOND, 30.0))  # short, so that a clock that is set is noticed


@dataclass(frozen=True, slots=True)
class Planned:
    """A canister and when it is backed up next; `quiet`: why at this hour, for quiet schedules."""

    target: Target
    start: int
    quiet: Quiet | None = None


@dataclass(slots=True)
class Watch:
    """A running service. `say`: called with what happens, for people."""

    config: Config
    clock: Clock = field(default_factory=RealClock)
    fleet: Fleet | None = None
    say: Callable[[str], None] = lambda text: None
    _started: int = 0
    _sampled: int = 0
    _postponed: int = 0

    def plan(self) -> list[Planned]:
        """Return the next start of every canister that has a schedule, the soonest first."""
        now, lasts = self.clock.now(), last_runs(self.config.repository)
        planned = []
        for target in self.config.targets:
            if target.schedule is None:
                continue
            quiet = self.quiet(target) if target.schedule.quiet else None
            hours = {} if quiet is None else {"hour": quiet.hour}
            last = lasts.get(str(target.id)) or self._none_missed()
            start = next_start(target.schedule, target.name, last, now, **hours)
            planned.append(Planned(target, max(start, self._postponed), quiet))
        return sorted(planned, key=lambda item: (item.start, item.target.name))

    def _none_missed(self) -> Last | None:
        """A canister without a run is due as if the service had run it when it began."""
        return Last(self._started, self._started, ok=True) if self._started else None

    def quiet(self, target: Target) -> Quiet:
        """Return the quietest hour of a canister."""
        assert target.schedule is not None
        return quiet_hour(read_samples(self._usage, str(target.id)), target.schedule.zone)

    @property
    def _usage(self) -> Path:
        return self.config.repository / "usage"

    def run_due(self) -> Iterator[Report]:
        """Back up what is due now, and yield the reports."""
        now = self.clock.now()
        due = tuple(item.target for item in self.plan() if item.start <= now)
        if not due:
            return
        fleet = self.fleet or Fleet(self.config, clock=self.clock.now, warn=self.say)
        try:
            yield from fleet.run(due)
        except BackupsLocked as error:
            self._postponed = self.clock.now() + _BUSY
            self.say(str(error))

    def run(self, until: int | None = None) -> Iterator[Report]:
        """Follow the schedules for ever, or until a time, and yield the report of each run.

        A canister that an earlier process left stopped is started first.
        """
        self._started = self.clock.now()
        fleet = self.fleet or Fleet(self.config, clock=self.clock.now, warn=self.say)
        while True:
            unstarted = fleet.recover()
            self._sample()
            planned = self.plan()
            if not planned:
                return
            moment = min([planned[0].start, *([self._sampled + INTERVAL] if self._quiet_targets() else [])])
            if unstarted:
                moment = min(moment, self.clock.now() + _BUSY)
            if until is not None and moment > until:
                return
            self.clock.sleep_until(moment)
            yield from self.run_due()

    def _quiet_targets(self) -> list[Target]:
        return [target for target in self.config.targets if target.schedule is not None and target.schedule.quiet]

    def _sample(self) -> None:
        """Ask the canisters with quiet schedules for their statistics, once an hour."""
        now, targets = self.clock.now(), self._quiet_targets()
        if not targets or now < self._sampled + INTERVAL:
            return
        self._sampled = now
        try:
            with connect(
                self.config.network, self.config.root_key, self.config.identity, self.config.password_env
            ) as agent:
                for target in targets:
                    add_sample(self._usage, str(target.id), sample(Remote(agent, target.id), now))
        except (SandboxError, OSError) as error:
            self.say(f"no statistics now: {error}")


def last_runs(repository: Path) -> dict[str, Last]:
    """Return the last backup of each canister by the log."""
    lines = (line for line in read_log(repository) if line["kind"] == "backup")
    return {
        line["canister_id"]: Last(line["at"], line["at"] + round(line["seconds"] * SECOND), line["ok"])
        for line in lines
    }
