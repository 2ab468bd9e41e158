"""The commands `snapshot download` and `upload`, and the work of `canister create --from`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from sandbox.api import Canister
from sandbox.cli import completion
from sandbox.cli.app import App, Command, Session, canister_argument, on_network, with_app
from sandbox.cli.interrupt import saying
from sandbox.cli.render import output
from sandbox.cli.render.snapshot import snapshot_facts
from sandbox.cli.snapshot.selector import note_same_label, resolve_snapshot
from sandbox.snapshots import portable
from sandbox.snapshots.portable import FORMATS, SUFFIX
from sandbox.snapshots.portable.files import part_of

keep_time_option = click.option(
    "--keep-time", is_flag=True, help="Do not move the time of the sandbox forward to that of the snapshot."
)


@click.command(cls=Command)
@click.argument("which", metavar="SNAPSHOT", shell_complete=completion.snapshots)
@click.argument("path", metavar="PATH", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    help="One file, or a directory as of dfx and icp-cli [dir, unless PATH ends in .icsnap]",
)
@with_app
@on_network("snapshot")
def download(app: App, which: str, path: Path, form: str | None) -> None:
    """Write SNAPSHOT, an id or a label, to a file or directory.

    A directory has the format of dfx and icp-cli. Nothing is overwritten. After an interruption, the same command
    continues.
    """
    chosen = form or ("icsnap" if path.suffix == SUFFIX else "dir")
    with app.session(save=False) as session:
        snapshot = resolve_snapshot(session, which)
        with bar(app, "downloading") as progress, _interruption(path):
            session.sandbox.snapshots.download(snapshot.id, path, chosen, app.sender, progress)
        title = session.title(snapshot.canister_id)
    unreadable = _unreadable_globals(path) if chosen == "dir" else ()
    for index in unreadable:
        app.note(f"dfx and icp-cli cannot read global {index} in metadata.json; sandbox.json has its bits")
    facts = {"id": snapshot.id, "canister_id": snapshot.canister_id, "path": str(path), "format": chosen}
    app.emit(
        facts | {"unreadable_globals": unreadable},
        Text.assemble(("downloaded ", "green"), f"snapshot {snapshot.id.hex()} of {title} to {path}"),
    )


def _unreadable_globals(path: Path) -> tuple[int, ...]:
    with portable.opened(path) as content:
        return portable.unreadable_globals(content.fields)


@click.command(cls=Command)
@canister_argument
@click.argument("path", metavar="PATH", type=click.Path(path_type=Path))
@keep_time_option
@with_app
@on_network("snapshot")
def upload(app: App, canister: str, path: Path, keep_time: bool) -> None:
    """Make a new snapshot of CANISTER from a file or directory.

    PATH is an .icsnap file, or a snapshot directory of dfx or icp-cli. CANISTER itself does not change until `snapshot
    load` loads the snapshot. If the time of the sandbox is earlier than that of the snapshot, it is moved forward to
    it.
    """
    with app.session() as session:
        target = session.canister(canister)
        with _time_noted(app, session), saying("run it again to go on"), bar(app, "uploading") as progress:
            made = session.sandbox.snapshots.upload(target.id, path, app.sender, progress, keep_time)
        facts = snapshot_facts(made)
        title = session.title(target.id)
        note_same_label(app, session, made)
    app.emit(facts, Text.assemble(("uploaded ", "green"), f"snapshot {made.id.hex()} of {title} from {path}"))


def create_from(app: App, session: Session, source: str, arguments: dict[str, Any]) -> Canister:
    """Create a canister from a file, a directory, or a snapshot of this state by id or label.

    `arguments`: further keyword arguments of `snapshots.create_canister`.
    """
    place: str | bytes | Path = Path(source)
    if not Path(source).exists():
        place = resolve_snapshot(session, source, "a file nor the id or the label of a snapshot").id
    with _time_noted(app, session), bar(app, "creating") as progress:
        return session.sandbox.snapshots.create_canister(place, sender=app.sender, progress=progress, **arguments)


@contextmanager
def _time_noted(app: App, session: Session) -> Iterator[None]:
    """Print the time of the sandbox if it is another one at the end."""
    before = session.sandbox.time
    yield
    if session.sandbox.time != before:
        app.note(f"the time is now {output.date(session.sandbox.time)}, that of the snapshot (--keep-time keeps it)")


@contextmanager
def bar(app: App, title: str) -> Iterator[portable.Progress | None]:
    """Show a progress bar on standard error; None if that is no terminal, or with `--output json`."""
    from rich.progress import (  # imported late: most commands transfer nothing
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    app.quiet()
    target = output.console(stderr=True)
    if app.json or not target.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=target, transient=True) as drawn:
        task = drawn.add_task(title, total=None)
        yield lambda done, total: drawn.update(task, completed=done, total=total)


def _interruption(path: Path) -> AbstractContextManager[None]:
    """Let Ctrl-C name the partial file of a download."""
    return saying(f"{part_of(path)} is kept; run it again to go on")
