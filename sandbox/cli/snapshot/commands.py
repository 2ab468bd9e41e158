"""`snapshot`: keep the state of a canister and bring it back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click
from rich.text import Text

from sandbox.api import Canister, Snapshot
from sandbox.cli.app import App, Group, Misuse, Session, canister_argument, with_app
from sandbox.cli.render import output
from sandbox.cli.render.snapshot import calls_facts, snapshot_facts
from sandbox.cli.snapshot.diff import diff
from sandbox.cli.snapshot.edit import edit
from sandbox.cli.snapshot.hooks import HookOptions, hook_options
from sandbox.cli.snapshot.inspect import inspect, query
from sandbox.cli.snapshot.retention import policy, prune, retain, verify
from sandbox.cli.snapshot.selector import known
from sandbox.cli.snapshot.selector import snapshot_id as id_of
from sandbox.cli.snapshot.transfer import download, upload
from sandbox.errors import StillWaiting
from sandbox.state import OpenCall

_HEADERS = ("id", "canister", "label", "holds", "taken", "open calls", "size", "checksum")
_NO_STOP = click.option("--no-stop", is_flag=True, help="Do not stop a running canister meanwhile.")


@click.group(cls=Group)
def snapshot() -> None:
    """Take, load, list and delete snapshots, carry them out and in, look into them."""


@snapshot.command()
@canister_argument
@click.option("--label", metavar="TEXT", help="What to remember it by.")
@click.option(
    "--keep",
    type=click.IntRange(1),
    help="How many snapshots a canister of this state may have; kept for later. With 1, the default, a new one "
    "replaces the old.",
)
@click.option("--via-hooks", is_flag=True, help="Keep only stable memory, as the canister's own pre_upgrade leaves it.")
@_NO_STOP
@with_app
def take(app: App, canister: str, label: str | None, keep: int | None, via_hooks: bool, no_stop: bool) -> None:
    """Keep the present state of CANISTER.

    A running canister is stopped before and started again afterwards, which its version shows. With --via-hooks the
    hook runs on a copy; with --no-stop too, nothing of CANISTER changes.
    """
    with app.session(max_snapshots=keep) as session:
        target = session.canister(canister)
        before = _ids(target)
        with _stopped(app, target, no_stop):
            taken = target.take_snapshot(label, app.sender, via_hooks=via_hooks)
        gone = before - _ids(target)
        facts = snapshot_facts(taken)
        title = session.title(target.id)
    app.emit(
        facts | {"replaced": sorted(gone)},
        Text.assemble(("taken ", "green"), f"snapshot {taken.id.hex()} of {title}"),
        output.fields(
            {
                "label": label or "none",
                "size": f"{taken.total_size:,} bytes",
                "checksum": taken.checksum,
                **({"open calls": len(taken.open_calls)} if taken.open_calls else {}),
            }
        ),
    )
    if taken.open_calls:
        app.note(f"{_unfinished(taken.open_calls)}: loaded later, they are not part of it")
    for snapshot_id in sorted(gone):
        app.note(f"it replaces snapshot {snapshot_id} (--keep 2 keeps both)")


@snapshot.command()
@canister_argument
@click.argument("which", metavar="[SNAPSHOT]", required=False)
@hook_options
@_NO_STOP
@with_app
def load(app: App, canister: str, which: str | None, no_stop: bool, **options: Any) -> None:
    """Bring CANISTER back to SNAPSHOT, an id or a label; not needed where it has only one.

    Module, globals, heap, stable memory and certified data are then what they were. A running canister is stopped
    before and started again afterwards.

    With --via-hooks, or from a file with --stable-image, it is an upgrade from stable memory: a fresh instance runs
    post_upgrade over it.
    """
    how = HookOptions.of(options)
    if how.stable_image is not None and which is not None:
        raise Misuse("give SNAPSHOT or --stable-image, not both")
    with app.session() as session:
        target = session.canister(canister)
        source = str(how.stable_image) if how.stable_image else _which(session, target, which)
        with _stopped(app, target, no_stop):
            unfinished = target.open_calls
            result = how.load(session, target, source, app.sender)
        title = session.title(target.id)
    what = how.stable_image.name if how.stable_image else f"snapshot {source}"
    app.emit(
        {
            "canister_id": target.id,
            "loaded": source,
            "instructions": result.instructions,
            "logs": result.logs,
            "open_calls": calls_facts(unfinished),
        },
        Text.assemble(("loaded ", "green"), f"{what} into {title}", how.told(result)),
    )
    if unfinished:
        app.note(f"{_unfinished(unfinished)}: their answers will come to what was loaded")


@snapshot.command(name="list")
@click.argument("canister", metavar="[CANISTER]", required=False)
@with_app
def list_(app: App, canister: str | None) -> None:
    """List the snapshots of CANISTER, or of all canisters."""
    with app.session(save=False) as session:
        targets = session.sandbox.canisters() if canister is None else [session.canister(canister)]
        sender = None if canister is None else app.sender
        found = [s for target in targets for s in target.list_snapshots(sender)]
        facts = [snapshot_facts(s) for s in found]
        rows = [_row(session, s) for s in found]
    if rows:
        app.emit(facts, output.Listing(_HEADERS, rows, ("open calls", "size")))
    else:
        app.emit(facts, "No snapshots.")


@snapshot.command()
@click.argument("which", metavar="SNAPSHOT")
@with_app
def delete(app: App, which: str) -> None:
    """Delete SNAPSHOT, an id or a label."""
    with app.session() as session:
        gone = id_of(session, which).hex()
        session.sandbox.snapshots.delete(gone, app.sender)
    app.emit({"deleted": gone}, Text.assemble(("deleted ", "green"), f"snapshot {gone}"))


@contextmanager
def _stopped(app: App, target: Canister, no_stop: bool) -> Iterator[None]:
    """Within, the canister is stopped if it was running, or stopping while calls are open; afterwards it runs again,
    whatever happened."""
    if no_stop or target.status().status != "running":
        yield
        return
    with suppress(StillWaiting):
        target.stop(app.sender, max_rounds=0)
    try:
        yield
    finally:
        target.start(app.sender)


def _unfinished(calls: tuple[OpenCall, ...]) -> str:
    methods = ", ".join(sorted({call.method for call in calls}))
    return f"{len(calls)} calls were not finished ({methods})"


def _which(session: Session, target: Canister, which: str | None) -> str:
    """The id meant by an id, a label, or nothing. What is not known here is left to the platform to refuse."""
    own = target.list_snapshots()
    if which is None:
        if len(own) != 1:
            raise Misuse(f"which snapshot? {session.title(target.id)} has {known(own)}")
        return own[0].id.hex()
    return id_of(session, which, target.id).hex()


def _ids(target: Canister) -> set[str]:
    return {s.id.hex() for s in target.list_snapshots()}


def _row(session: Session, found: Snapshot) -> tuple[object, ...]:
    return (
        found.id.hex(),
        session.names.of(found.canister_id) or found.canister_id,
        output.one_line(found.label or ""),
        ("stable memory" if found.via_hooks else "everything") + (", edited" if found.derived else ""),
        found.taken_at.strftime("%Y-%m-%d %H:%M:%S"),
        len(found.open_calls),
        output.size(found.total_size),
        found.checksum[:16] if found.damage is None else Text("damaged", "bold red"),
    )


for command in (download, upload, edit, inspect, query, diff, verify, prune, retain, policy):
    snapshot.add_command(command)
