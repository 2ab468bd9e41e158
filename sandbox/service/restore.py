"""Bring a backup back to its canister at the network: upload, stop, safety snapshot, load, start, checks.

The upload comes first, while the canister still runs: it takes the longest and changes nothing. The safety snapshot
has what the canister held at the moment before the load.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox import candid
from sandbox.candid import Interface
from sandbox.errors import CallRejected, CandidError, SandboxError
from sandbox.network.remote import Remote
from sandbox.network.upload import upload
from sandbox.proofs.calls import call_of
from sandbox.service.backups import Backups
from sandbox.service.config import Target
from sandbox.service.drill import Query, answer_differs, drill
from sandbox.service.failure import BackupError
from sandbox.service.guard import delete, stopped
from sandbox.service.journal import Journal
from sandbox.service.report import Report
from sandbox.service.steps import Steps
from sandbox.snapshots import portable
from sandbox.snapshots.portable import Progress
from sandbox.state import SnapshotState


@dataclass(slots=True)
class Restoration:
    """A backup on its way back. `clock`: nanoseconds since 1970."""

    remote: Remote
    target: Target
    backups: Backups
    state: SnapshotState
    progress: Progress | None = None
    clock: Callable[[], int] = time.time_ns
    steps: Steps = field(default_factory=Steps)

    def run(self) -> Report:
        """Do it all, and report; nothing is raised for what can go wrong outside this program."""
        began = self.clock()
        failed: str | None = None
        error: str | None = None
        content: str | None = None
        journal = self.backups.journal(self.remote.id)
        try:
            self.backups.check_network(self.remote.agent.root_key)
            content = self._proven()
            self._restored(journal)
        except (SandboxError, OSError) as problem:
            failed, error = self.steps.present, str(problem)
        done, name = tuple(self.steps.done), self.state.id.hex()
        stays = journal.entry.stopped
        return Report("restore", self.target.name, self.remote.id, began, done, name, content, failed, error, stays)

    def _proven(self) -> str:
        """Prove the backup before anything is done with it; its content id."""
        with self.steps.step("verify") as facts:
            checked = self.backups.verify(self.state.id)
            facts["bytes_read"] = checked.bytes_read
            if checked.content_id is None:
                raise BackupError(f"the backup on the disk is damaged: {checked.difference}")
        with self.steps.step("drill") as facts:
            facts |= drill(self.state, self.target.checks, checked.content_id)
        return checked.content_id

    def _restored(self, journal: Journal) -> None:
        with self.steps.step("upload") as facts:
            log = self.backups.incoming(self.remote.id).with_suffix(".upload")
            made = upload(self.remote, portable.of_state(self.state), log, self.progress)
            facts["snapshot"] = made.hex()
        if journal.entry.stopped:  # an earlier run did not get to its start
            self.remote.start()
            journal.note(stopped=False)
        with stopped(self.remote, journal, self.steps):
            with self.steps.step("safety") as facts:
                facts["snapshot"] = self.remote.take().id.hex()
            with self.steps.step("load"):
                self.remote.load(made)
        with self.steps.step("check") as facts:
            facts |= self._checked()
        with self.steps.step("delete"):
            delete(self.remote, made)

    def _checked(self) -> dict[str, Any]:
        """Ask the canister at the network what it is now."""
        assert self.state.upload is not None
        module = self.state.upload.module.read(0, self.state.upload.module_size)
        if self.remote.status()["module_hash"] != hashlib.sha256(module).digest():
            raise BackupError("the module of the canister is not that of the backup")
        interface = self._interface()
        for query in self.target.checks.queries:
            self._ask(query, interface)
        return {"queries": len(self.target.checks.queries)}

    def _interface(self) -> Interface | None:
        text = self.remote.section("candid:service")
        try:
            return None if text is None else candid.parse_did(text.decode("utf-8", "replace"))
        except CandidError:
            return None

    def _ask(self, query: Query, interface: Interface | None) -> None:
        call = call_of(query.line, interface, query.line.where)
        try:
            reply = self.remote.agent.query(self.remote.id, call.method, call.arg)
        except CallRejected as error:
            raise BackupError(f"the query {query.line.text} was rejected: {error}") from error
        why = answer_differs(query, call.method, reply, interface)
        if why is not None:
            raise BackupError(why)
