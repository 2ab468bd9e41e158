"""Which snapshot is meant, where an id or a label was given."""

from __future__ import annotations

from pathlib import Path

from sandbox.api import Snapshot
from sandbox.api.snapshot_access import as_id
from sandbox.cli.app import Misuse, Session
from sandbox.cli.render.output import named
from sandbox.snapshots import portable


class Ambiguous(Misuse):
    """Several snapshots have the label."""


def resolve_file(session: Session, which: str) -> Path | None:
    """The file or directory that is meant: there is one, or it could be the name of one (it ends in `.icsnap` or has a
    slash) and no snapshot has this label."""
    path = Path(which)
    if path.exists():
        return path
    if not (which.endswith(portable.SUFFIX) or "/" in which):
        return None
    return None if any(s.label == which for s in session.sandbox.snapshots.list()) else path


def resolve_snapshot(session: Session, which: str, what: str = "the id nor the label of a snapshot") -> Snapshot:
    """The snapshot with this id or label, of whichever canister. `what`: neither of which it is, if there is none."""
    every = session.sandbox.snapshots.list()
    meant = find_by_label(every, which)
    for snapshot in every:
        if snapshot.id == as_id(which if meant is None else meant):
            return snapshot
    raise Misuse(f"{which!r} is neither {what} (there is {known(every)})")


def find_by_label(snapshots: list[Snapshot], which: str) -> str | None:
    """The id of the only one with this label; None if there is none, or if `which` is itself the id of one."""
    found = [s for s in snapshots if s.label == which]
    if any(s.id == as_id(which) for s in snapshots) or not found:
        return None
    if len(found) > 1:
        raise Ambiguous(f"several snapshots are labelled {which!r}; give an id: {known(found)}")
    return found[0].id.hex()


def known(snapshots: list[Snapshot]) -> str:
    """The ids and labels, for an error."""
    return ", ".join(s.id.hex() + (f" ({named(s.label)})" if s.label else "") for s in snapshots) or "none"
