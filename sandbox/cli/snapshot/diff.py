"""The command `snapshot diff`: the differences between two states."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from sandbox.api import Snapshot
from sandbox.api.snapshots import Source
from sandbox.cli.app import App, Command, F, Misuse, Session, with_app
from sandbox.cli.render.diff import DiffOptions, render_diff, title
from sandbox.cli.snapshot.selector import Ambiguous, resolve_file, resolve_snapshot
from sandbox.snapshots.diff import Diff

_OPTIONS: tuple[Callable[[F], F], ...] = (
    click.option("--bytes", is_flag=True, help="Show the bytes that differ."),
    click.option("--picture", is_flag=True, help="Show a map of the pages that differ."),
    click.option("--map", "png", type=click.Path(dir_okay=False, path_type=Path), help="Write the map to a PNG file."),
    click.option(
        "--limit", type=click.IntRange(1), default=20, show_default=True, help="Most entries, globals and bytes shown."
    ),
)


def show_options(function: F) -> F:
    """Add the options of `DiffOptions`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.command(cls=Command)
@click.argument("one", metavar="A")
@click.argument("two", metavar="[B]", required=False)
@show_options
@with_app
def diff(app: App, one: str, two: str | None, **options: Any) -> None:
    """Show the differences from A to B.

    A and B are each a snapshot (id or label), an .icsnap file, a snapshot directory of dfx or icp-cli, or a canister
    (name or id) in its current state. Without B, snapshot A is compared with its canister. Nothing is loaded, and no
    code of a canister runs.
    """
    with app.session(save=False) as session:
        old = _source(session, one)
        if two is None and not isinstance(old, Snapshot):
            raise Misuse(f"B is missing: give the state to compare {one} with")
        new = None if two is None else _source(session, two)
        emit(app, session.sandbox.snapshots.diff(old, new, app.sender), DiffOptions(**options))


def emit(app: App, difference: Diff, options: DiffOptions) -> None:
    """Print a difference, under a title that names both states."""
    facts, parts = render_diff(difference, options)
    old, new = difference.old.content_id, difference.new.content_id
    ids = f"content id {old}" if old == new else f"content id {old} → {new}"
    app.emit(
        {**facts, "a": {**facts["a"], "content_id": old}, "b": {**facts["b"], "content_id": new}},
        Text(f"{title(difference.old)} → {title(difference.new)}", "bold"),
        Text(ids, "dim"),
        *parts,
    )


def _source(session: Session, which: str) -> Source:
    if session.names.get(which) is not None:
        return session.canister(which)
    path = resolve_file(session, which)
    if path is not None:
        return path
    try:
        return resolve_snapshot(session, which)
    except Ambiguous:
        raise
    except Misuse as problem:
        try:
            return session.canister(which)
        except Misuse:
            raise Misuse(f"{problem.message}, nor a canister, nor a file") from None
