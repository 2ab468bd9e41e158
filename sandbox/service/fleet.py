"""All backups of a configuration, one canister after the other, and their reports."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from sandbox.errors import SandboxError
from sandbox.network.agent import Agent
from sandbox.network.connect import connect
from sandbox.network.remote import Remote
from sandbox.network.transport import DEFAULT, Patience, post_json
from sandbox.service.backup import Backup
from sandbox.service.backups import Backups
from sandbox.service.config import Config, Reporting, Target
from sandbox.service.report import Report, append, read_log, write_metrics
from sandbox.snapshots.portable import Progress


@dataclass(frozen=True, slots=True)
class Fleet:
    """The canisters of a configuration. `clock`: nanoseconds since 1970; `warn`: called with failed deliveries."""

    config: Config
    patience: Patience = DEFAULT
    clock: Callable[[], int] = time.time_ns
    warn: Callable[[str], None] = lambda text: None

    def run(self, targets: tuple[Target, ...] | None = None, progress: Progress | None = None) -> Iterator[Report]:
        """Back up canisters and yield their reports; without `targets`, all.

        Canisters that an interrupted run left stopped, also those that the configuration no longer names, are started
        first. `BackupsLocked` if another process does the same.
        """
        config = self.config
        with Backups(config.repository) as backups:
            try:
                agent = connect(config.network, config.root_key, config.identity, config.password_env, self.patience)
            except SandboxError as error:
                for target in targets or config.targets:
                    yield self._told(backups, self._unconnected(backups, target, error))
                return
            with agent:
                yield from self._backups(agent, backups, targets or config.targets, progress)

    def recover(self) -> int:
        """Start the canisters that an interrupted run left stopped; return how many could not be started."""
        config = self.config
        if not (config.repository / "runs").is_dir():
            return 0
        try:
            with Backups(config.repository) as backups:
                stopped = [name for name in backups.unfinished() if backups.journal(name).entry.stopped]
                if not stopped:
                    return 0
                with connect(
                    config.network, config.root_key, config.identity, config.password_env, self.patience
                ) as agent:
                    return sum(not self._start(Remote(agent, name), backups) for name in stopped)
        except SandboxError as error:
            self.warn(str(error))
            return 1

    def _backups(
        self, agent: Agent, backups: Backups, targets: tuple[Target, ...], progress: Progress | None
    ) -> Iterator[Report]:
        for canister_id in backups.unfinished():
            if backups.journal(canister_id).entry.stopped:
                self._start(Remote(agent, canister_id), backups)
        for target in targets:
            report = Backup(Remote(agent, target.id), target, backups, progress, self.clock).run()
            yield self._told(backups, report)

    def _start(self, remote: Remote, backups: Backups) -> bool:
        """Start a canister and say so in its journal; return whether it could be done."""
        try:
            remote.start()
        except SandboxError as error:
            self.warn(f"{remote.id} may be stopped and could not be started: {error}")
            return False
        backups.journal(remote.id).note(stopped=False)
        return True

    def _unconnected(self, backups: Backups, target: Target, error: SandboxError) -> Report:
        stopped = backups.journal(target.id).entry.stopped
        return Report("backup", target.name, target.id, self.clock(), (), None, None, "connect", str(error), stopped)

    def _told(self, backups: Backups, report: Report) -> Report:
        """Write the report to the log, and deliver it; a failed delivery is a warning."""
        try:
            append(backups.path, report)
        except OSError as error:
            self.warn(f"the log in {backups.path} cannot be written: {error.strerror}")
        tell(self.config.reporting, backups, report, self.warn)
        return report


def tell(reporting: Reporting, backups: Backups, report: Report, warn: Callable[[str], None]) -> None:
    """Send the report to the webhook and write the metrics; failures are warned of, without the secrets of the URL."""
    if reporting.metrics is not None:
        try:
            write_metrics(reporting.metrics, read_log(backups.path))
        except OSError as error:
            warn(f"the metrics {reporting.metrics} cannot be written: {error.strerror}")
    if reporting.webhook is not None:
        why = post_json(reporting.webhook, report.facts)
        if why is not None:
            warn(f"the webhook at {urlsplit(reporting.webhook).hostname} was not told: {why}")
