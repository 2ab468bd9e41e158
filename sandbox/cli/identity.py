"""The command `identity`: the principals of users."""

from __future__ import annotations

import click

from sandbox.cli.app import App, Command, user, with_app


@click.command(cls=Command)
@click.argument("name", required=False)
@with_app
def identity(app: App, name: str | None) -> None:
    """Print the principal of user NAME, or of the user given with --as.

    A principal depends on the name alone: the same name gives the same principal in every state. A NAME that is a
    principal is printed as it is.
    """
    user_name = app.user if name is None else name
    principal = user(user_name)
    app.emit({"name": user_name, "principal": principal}, str(principal))
