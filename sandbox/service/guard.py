"""What is done with a canister at a network so that it is never left stopped, and no snapshot is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sandbox.errors import CallRejected, ErrorCode, SandboxError
from sandbox.network.remote import Remote
from sandbox.service.journal import Journal
from sandbox.service.steps import Steps


@contextmanager
def stopped(remote: Remote, journal: Journal, steps: Steps, *, stop: bool = True) -> Iterator[None]:
    """Stop a running canister for the block and start it again, whatever happens in it.

    The journal says so beforehand; if the network cannot be reached for the start, the next run does it.
    """
    steps.present = "stop"
    if not stop or remote.state() != "running":
        yield
        return
    try:
        with steps.step("stop"):
            journal.note(stopped=True)
            remote.stop()
        yield
    except BaseException:
        failed = steps.present
        with suppress(SandboxError):
            _start(remote, journal, steps)
        steps.present = failed
        raise
    _start(remote, journal, steps)


def _start(remote: Remote, journal: Journal, steps: Steps) -> None:
    with steps.step("start"):
        remote.start()
        journal.note(stopped=False)


def resume(remote: Remote, journal: Journal) -> str | None:
    """Start a canister that an interrupted run left stopped, and return the snapshot that it took, hexadecimal; None if
    it took none, or it is gone, and the journal is empty then.

    Where the run was interrupted before it knew the id, it is the newest that was not there before.
    """
    entry = journal.entry
    if entry.stopped:
        remote.start()
        journal.note(stopped=False)
    listed = [snapshot.id.hex() for snapshot in remote.snapshots()]
    if entry.snapshot is None and entry.before is not None:
        new = [name for name in listed if name not in entry.before]
        if new:
            journal.note(snapshot=new[-1], guessed=True)
    found = journal.entry.snapshot
    if found is not None and (entry.stored or found in listed):
        return found
    journal.clear()
    return None


def delete(remote: Remote, snapshot_id: bytes) -> None:
    """Delete a snapshot at the network; one that is not there counts as deleted."""
    try:
        remote.delete(snapshot_id)
    except CallRejected as error:
        if error.error_code is not ErrorCode.CANISTER_SNAPSHOT_NOT_FOUND:
            raise
