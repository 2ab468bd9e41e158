"""The group `snapshot`, and its commands `take`, `load`, `list` and `delete`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click
from rich.text import Text

from sandbox.api import Canister, Snapshot
from sandbox.cli import completion
from sandbox.cli.app import App, Group, Misuse, Session, canister_argument, on_network, with_app
from sandbox.cli.render import output
from sandbox.cli.render.snapshot import calls_facts, snapshot_facts
from sandbox.cli.snapshot.diff import diff
from sandbox.cli.snapshot.edit import edit
from sandbox.cli.snapshot.hooks import HookOptions, hook_options
from sandbox.cli.snapshot.inspect import inspect, query
from sandbox.cli.snapshot.retention import policy, prune, retain, verify
from sandbox.cli.snapshot.selector import known, note_same_label, short
from sandbox.cli.snapshot.selector import snapshot_id as id_of
from sandbox.cli.snapshot.transfer import download, upload
from sandbox.errors import StillWaiting
from sandbox.state import OpenCall

_HEADERS = ("id", "short", "label", "holds", "taken", "open calls", "size", "checksum", "content id")
_NO_STOP = click.option("--no-stop", is_flag=True, help="Do not stop a running canister first.")


@click.group(cls=Group)
def snapshot() -> None:
    """Take, load, inspect, compare and manage snapshots of canisters.

    SNAPSHOT is an id or its first digits, a label, `latest`, or, short and of one canister, CANISTER:LABEL,
    CANISTER:latest or CANISTER:NUMBER as `snapshot list` shows it. CANISTER is an id or a name.
    """


@snapshot.command()
@canister_argument
@click.option("--label", metavar="TEXT", help="Label of the new snapshot.")
@click.option(
    "--keep",
    type=click.IntRange(1),
    help="Set how many snapshots each canister of this state may have. With 1, the default, a new one replaces the "
    "old.",
)
@click.option("--via-hooks", is_flag=True, help="Take stable memory alone, after pre_upgrade of the canister.")
@_NO_STOP
@with_app
@on_network("snapshot")
def take(app: App, canister: str, label: str | None, keep: int | None, via_hooks: bool, no_stop: bool) -> None:
    """Take a snapshot of CANISTER.

    A running canister is stopped first and started again afterwards, which increments its version. With --via-hooks,
    pre_upgrade runs on a copy; together with --no-stop, CANISTER does not change at all.
    """
    with app.session(max_snapshots=keep) as session:
        target = session.canister(canister)
        before = _ids(target)
        with _stopped(app, target, no_stop):
            taken = target.take_snapshot(label, app.sender, via_hooks=via_hooks)
        gone = before - _ids(target)
        facts = snapshot_facts(taken)
        title = session.title(target.id)
        note_same_label(app, session, taken)
    app.emit(
        facts | {"replaced": sorted(gone)},
        Text.assemble(("taken ", "green"), f"snapshot {taken.id.hex()} of {title}"),
        output.fields(
            {
                "label": label or "none",
                "size": f"{taken.total_size:,} bytes",
                "checksum": taken.checksum,
                "content id": taken.content_id,
                **({"open calls": len(taken.open_calls)} if taken.open_calls else {}),
            }
        ),
    )
    if taken.open_calls:
        app.note(f"{_unfinished(taken.open_calls)}: they are not part of the snapshot")
    for snapshot_id in sorted(gone):
        app.note(f"it replaces snapshot {snapshot_id} (--keep 2 keeps both)")


@snapshot.command()
@canister_argument
@click.argument("which", metavar="[SNAPSHOT]", required=False, shell_complete=completion.snapshots)
@hook_options
@_NO_STOP
@with_app
@on_network("snapshot")
def load(app: App, canister: str, which: str | None, no_stop: bool, **options: Any) -> None:
    """Load SNAPSHOT, an id or a label, into CANISTER.

    SNAPSHOT may be left out if CANISTER has one snapshot only. The module, globals, heap, stable memory and certified
    data of the snapshot replace those of CANISTER. A running canister is stopped first and started again afterwards.

    With --via-hooks or --stable-image, loading is an upgrade from stable memory instead: a fresh instance of the
    module runs post_upgrade over it.
    """
    hooks = HookOptions.of(options)
    if hooks.stable_image is not None and which is not None:
        raise Misuse("give SNAPSHOT or --stable-image, not both")
    with app.session() as session:
        target = session.canister(canister)
        source = str(hooks.stable_image) if hooks.stable_image else _which(session, target, which)
        with _stopped(app, target, no_stop):
            unfinished = target.open_calls
            result = hooks.load(session, target, source, app.sender)
        title = session.title(target.id)
    source_text = hooks.stable_image.name if hooks.stable_image else f"snapshot {source}"
    app.emit(
        {
            "canister_id": target.id,
            "loaded": source,
            "instructions": result.instructions,
            "logs": result.logs,
            "open_calls": calls_facts(unfinished),
        },
        Text.assemble(("loaded ", "green"), f"{source_text} into {title}", hooks.instructions_text(result)),
    )
    if unfinished:
        app.note(f"{_unfinished(unfinished)}: their answers will arrive at the loaded state")


@snapshot.command(name="list")
@click.argument("canister", metavar="[CANISTER]", required=False, shell_complete=completion.canisters)
@with_app
@on_network("snapshot")
def list_(app: App, canister: str | None) -> None:
    """List the snapshots of CANISTER, or of all canisters.

    The checksum covers all of a snapshot, its time and label too; the content id is the same for equal content.
    """
    with app.session(save=False) as session:
        targets = session.sandbox.canisters() if canister is None else [session.canister(canister)]
        sender = None if canister is None else app.sender
        snapshots = [s for target in targets for s in target.list_snapshots(sender)]
        facts = [snapshot_facts(s) for s in snapshots]
        rows = [_row(session, s) for s in snapshots]
    if rows:
        app.emit(facts, output.Listing(_HEADERS, rows, ("open calls", "size")))
    else:
        app.emit(facts, "No snapshots.")


@snapshot.command()
@click.argument("which", metavar="SNAPSHOT", shell_complete=completion.snapshots)
@with_app
@on_network("snapshot")
def delete(app: App, which: str) -> None:
    """Delete SNAPSHOT, an id or a label."""
    with app.session() as session:
        gone = id_of(session, which).hex()
        session.sandbox.snapshots.delete(gone, app.sender)
    app.emit({"deleted": gone}, Text.assemble(("deleted ", "green"), f"snapshot {gone}"))


@contextmanager
def _stopped(app: App, target: Canister, no_stop: bool) -> Iterator[None]:
    """Stop a running canister for the duration of the block, and start it again, also after an exception.

    With open calls it is `stopping`, not `stopped`, within the block.
    """
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
    """Return the snapshot id for an id, a label, or None if there is one snapshot only.

    An unknown id is returned as it is: the platform rejects it. Misuse for other text, or if None is ambiguous.
    """
    own = target.list_snapshots()
    if which is None:
        if len(own) != 1:
            raise Misuse(f"which snapshot? {session.title(target.id)} has {known(own)}")
        return own[0].id.hex()
    return id_of(session, which, target.id).hex()


def _ids(target: Canister) -> set[str]:
    return {s.id.hex() for s in target.list_snapshots()}


def _row(session: Session, snapshot: Snapshot) -> tuple[object, ...]:
    return (
        snapshot.id.hex(),
        short(session, snapshot),
        output.one_line(snapshot.label or ""),
        ("stable memory" if snapshot.via_hooks else "everything") + (", edited" if snapshot.derived else ""),
        output.date(snapshot.taken_on),
        len(snapshot.open_calls),
        output.size(snapshot.total_size),
        snapshot.checksum[:16] if snapshot.damage is None else Text("damaged", "bold red"),
        snapshot.content_id[:16] if snapshot.damage is None else "",
    )


for command in (download, upload, edit, inspect, query, diff, verify, prune, retain, policy):
    snapshot.add_command(command)
