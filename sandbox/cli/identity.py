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
    principal is printed as it is. With --pem, the principal of the key in the file is printed.
    """
    if app.pem is not None:
        from sandbox.cli.network.connection import PASSWORD  # imported late: it brings the client of networks
        from sandbox.network.connect import identity_of

        owner = identity_of(app.pem, PASSWORD).principal
        app.emit({"name": str(app.pem), "principal": owner}, str(owner))
        return
    user_name = app.user if name is None else name
    principal = user(user_name)
    app.emit({"name": user_name, "principal": principal}, str(principal))
