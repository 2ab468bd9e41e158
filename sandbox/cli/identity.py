"""`identity`: the principals of users."""

from __future__ import annotations

import click

from sandbox.cli.app import App, Command, with_app
from sandbox.cli.app import user as principal_of


@click.command(cls=Command)
@click.argument("name", required=False)
@with_app
def identity(app: App, name: str | None) -> None:
    """Print the principal of user NAME, or of the one given with --as.

    A name is all that a user is: the same name is the same principal everywhere.
    """
    who = app.user if name is None else name
    principal = principal_of(who)
    app.emit({"name": who, "principal": principal}, str(principal))
