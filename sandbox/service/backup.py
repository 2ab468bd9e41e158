"""One backup of one canister: stop, take, start, download, store, verify, drill, delete, retain.

Whatever happens, the canister is started again: at the end of the block that stopped it, or, where the process was
killed or the network was gone, by the next run, which reads the journal first. An unfinished run is continued: its
snapshot is downloaded, not another one taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from sandbox.errors import SandboxError
from sandbox.network.download import fetched
from sandbox.network.remote import Remote
from sandbox.service.backups import Backups
from sandbox.service.config import Target
from sandbox.service.drill import drill
from sandbox.service.failure import BackupError
from sandbox.service.guard import delete, resume, stopped
from sandbox.service.journal import Journal
from sandbox.service.report import Report
from sandbox.service.steps import Steps
from sandbox.snapshots.portable import Progress


@dataclass(slots=True)
class Backup:
    """A backup of a canister at a network into a repository. `clock`: nanoseconds since 1970."""

    remote: Remote
    target: Target
    backups: Backups
    progress: Progress | None = None
    clock: Callable[[], int] = time.time_ns
    steps: Steps = field(default_factory=Steps)

    def run(self) -> Report:
        """Do it all, and report; nothing is raised for what can go wrong outside this program."""
        began = self.clock()
        snapshot: str | None = None
        content: str | None = None
        failed: str | None = None
        error: str | None = None
        journal = self.backups.journal(self.remote.id)
        try:
            self.backups.check_network(self.remote.agent.root_key)
            snapshot = self._taken(journal)
            content = self._kept(journal, bytes.fromhex(snapshot))
        except (SandboxError, OSError) as problem:
            failed, error = self.steps.present, str(problem)
        return Report(
            "backup",
            self.target.name,
            self.remote.id,
            began,
            tuple(self.steps.done),
            snapshot or journal.entry.snapshot,
            content,
            failed,
            error,
            journal.entry.stopped,
        )

    def _taken(self, journal: Journal) -> str:
        """Return the snapshot at the network to keep: that of an unfinished run, or a new one."""
        if not journal.empty:
            with self.steps.step("resume") as facts:
                resumed = resume(self.remote, journal)
                facts["snapshot"] = resumed
            if resumed is not None:
                return resumed
        with stopped(self.remote, journal, self.steps, stop=self.target.stop), self.steps.step("take") as facts:
            journal.note(before=tuple(snapshot.id.hex() for snapshot in self.remote.snapshots()))
            taken = self.remote.take()
            journal.note(snapshot=taken.id.hex())
            facts["bytes"] = taken.total_size
        return taken.id.hex()

    def _kept(self, journal: Journal, snapshot_id: bytes) -> str:
        """Bring the snapshot into the repository, prove it, and give up what is no longer needed."""
        if not journal.entry.stored:
            self._fetch(journal, snapshot_id)
        with self.steps.step("verify") as facts:
            checked = self.backups.verify(snapshot_id)
            facts["bytes_read"] = checked.bytes_read
            if checked.difference is not None or checked.content_id is None:
                journal.note(stored=False)
                raise BackupError(f"the backup on the disk is damaged: {checked.difference}")
        with self.steps.step("drill") as facts:
            facts |= self._drilled(journal, snapshot_id, checked.content_id)
        if self.target.delete and not journal.entry.guessed:
            with self.steps.step("delete"):
                delete(self.remote, snapshot_id)
        journal.clear()
        if self.target.keep is not None:
            with self.steps.step("retain") as facts:
                judged = self.backups.retain(self.remote.id, self.target.keep, self.clock())
                facts["kept"] = sum(bool(item.reasons) for item in judged)
                facts["removed"] = [item.snapshot.id.hex() for item in judged if not item.reasons]
                facts["freed"] = self.backups.prune().freed if facts["removed"] else 0
        return checked.content_id

    def _drilled(self, journal: Journal, snapshot_id: bytes, content: str) -> dict[str, Any]:
        """Drill; after a failure the next run takes a new snapshot."""
        try:
            return drill(self.backups.get(snapshot_id), self.target.checks, content)
        except SandboxError:
            journal.clear()
            raise

    def _fetch(self, journal: Journal, snapshot_id: bytes) -> None:
        with ExitStack() as stack:
            with self.steps.step("download") as facts:
                folder = self.backups.incoming(self.remote.id)
                content = stack.enter_context(fetched(self.remote, snapshot_id, folder, self.progress))
                facts["bytes"] = sum(part.size for part in content.parts().values())
            with self.steps.step("store") as facts:
                before = self.backups.size()
                self.backups.add(content, self.target.name)
                facts["bytes_on_disk"] = self.backups.size() - before
                journal.note(stored=True)
        self.backups.received(self.remote.id)
