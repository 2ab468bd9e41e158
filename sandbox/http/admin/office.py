"""What the sandbox's own interface stands on. Made when a server starts: it loads nothing that only requests need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.http.admin.desk import Desk
from sandbox.http.admin.feed import Feed
from sandbox.http.admin.rights import Rights
from sandbox.http.worker import Worker

if TYPE_CHECKING:
    from sandbox.http.admin import model
    from sandbox.http.admin.operations import Operation


@dataclass(frozen=True)
class Office:
    """All that the interface stands on."""

    worker: Worker
    rights: Rights
    desk: Desk
    feed: Feed

    async def perform(self, operation: Operation, parameters: model.Asked) -> object:
        """Carry out an operation in the thread that uses the sandbox."""
        return await self.worker.use(operation.run, self.desk, parameters, changes=operation.changes)


def office(worker: Worker, rights: Rights) -> Office:
    """Open the interface of a worker that is not started yet."""
    desk = Desk(worker.replica, worker.saving, lambda: worker.unsaved, worker.save, rights.link)
    worker.paused = lambda: bool(desk.anchors)
    worker.before_end = desk.end
    return Office(worker, rights, desk, Feed(worker.replica.sandbox))
