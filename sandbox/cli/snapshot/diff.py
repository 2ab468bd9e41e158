"""`snapshot diff`: what differs between two states."""

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
    click.option("--bytes", is_flag=True, help="The bytes that differ."),
    click.option("--picture", is_flag=True, help="A map of the pages that differ."),
    click.option("--map", "png", type=click.Path(dir_okay=False, path_type=Path), help="The map as a PNG file."),
    click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Entries, globals, bytes."),
)


def show_options(function: F) -> F:
    """What of a difference is shown; `Show` takes them as keywords."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.command(cls=Command)
@click.argument("one", metavar="A")
@click.argument("two", metavar="[B]", required=False)
@show_options
@with_app
def diff(app: App, one: str, two: str | None, **options: Any) -> None:
    """What differs from A to B, of which nothing is loaded and no code runs.

    Each is a snapshot (id or label), an .icsnap file or a directory of dfx and icp-cli, or a canister (name or id) as
    it is now. Without B, it is the canister that snapshot A is of.
    """
    with app.session(save=False) as session:
        old = _source(session, one)
        if two is None and not isinstance(old, Snapshot):
            raise Misuse(f"say what {one} is to be compared with")
        new = None if two is None else _source(session, two)
        found = session.sandbox.snapshots.diff(old, new, app.sender)
        emit(app, found, DiffOptions(**options))


def emit(app: App, found: Diff, show: DiffOptions) -> None:
    """The difference, under what it is a difference of."""
    facts, parts = render_diff(found, show)
    app.emit(facts, Text(f"{title(found.old)} → {title(found.new)}", "bold"), *parts)


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
