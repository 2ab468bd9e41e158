"""Which snapshot is meant, where no canister was named."""

from __future__ import annotations

from sandbox.api import Snapshot
from sandbox.api.access import as_id
from sandbox.cli.app import Misuse, Session


def snapshot_named(session: Session, which: str, what: str = "the id nor the label of a snapshot") -> Snapshot:
    """The snapshot with this id or label, of whichever canister. `what`: neither of which it is, if there is none."""
    every = session.sandbox.snapshots.list()
    found = [s for s in every if s.id == as_id(which)] or [s for s in every if s.label == which]
    if len(found) == 1:
        return found[0]
    if found:
        raise Misuse(f"several snapshots are labelled {which!r}; give an id: {', '.join(s.id.hex() for s in found)}")
    known = ", ".join(s.id.hex() + (f" ({s.label})" if s.label else "") for s in every) or "none"
    raise Misuse(f"{which!r} is neither {what} (there is {known})")
