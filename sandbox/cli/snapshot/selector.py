"""The snapshot or file that an argument names, by the rules of `sandbox.api.resolver`; `Misuse` if it names none."""

from __future__ import annotations

from pathlib import Path

from sandbox.api import Snapshot, resolver, runtime_of
from sandbox.cli.app import App, Misuse, Session
from sandbox.errors import AmbiguousName, UnknownName
from sandbox.principal import Principal

EXPECTED = "the id nor the label of a snapshot"
known = resolver.list_snapshots


class Ambiguous(Misuse):
    """Several snapshots are named."""


def resolve_file(session: Session, which: str) -> Path | None:
    """The file or directory that is meant; None if a snapshot is meant, or nothing."""
    try:
        source = resolver.resolve_source(runtime_of(session.sandbox), which)
    except UnknownName:
        return None
    return source if isinstance(source, Path) else None


def snapshot_id(session: Session, which: str, owner: Principal | None = None, expected: str = EXPECTED) -> bytes:
    """The id that is meant; an id that no snapshot has is left to the platform to refuse. `owner`: the canister whose
    labels are meant, None for all; `expected`: the things that `which` is neither of, for the error."""
    try:
        return resolver.resolve_snapshot(runtime_of(session.sandbox), which, owner, expected)
    except AmbiguousName as error:
        raise Ambiguous(str(error)) from None
    except UnknownName as error:
        raise Misuse(str(error)) from None


def short(session: Session, snapshot: Snapshot) -> str:
    """The shortest text that always means this snapshot: `CANISTER:NUMBER`."""
    return f"{session.names.of(snapshot.canister_id) or snapshot.canister_id}:{resolver.number_of(snapshot.id)}"


def note_same_label(app: App, session: Session, made: Snapshot) -> None:
    """Print the other snapshots of the canister that have the label of a new one."""
    own = session.sandbox.canister(made.canister_id).list_snapshots()
    same = [short(session, each) for each in own if each.label == made.label is not None and each.id != made.id]
    if same:
        app.note(f"it is not the only one with this label: {', '.join(same)}; the new one is {short(session, made)}")


def resolve_snapshot(
    session: Session, which: str, expected: str = EXPECTED, owner: Principal | None = None
) -> Snapshot:
    """The snapshot that is meant; `owner` as for `snapshot_id`."""
    chosen, every = snapshot_id(session, which, owner, expected), session.sandbox.snapshots.list()
    for snapshot in every:
        if snapshot.id == chosen:
            return snapshot
    raise Misuse(f"{which!r} is neither {expected} (there is {known(every)})")
