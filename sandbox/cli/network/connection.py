"""The connection of a command to a network: URL, root key, private key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.text import Text

from sandbox.cli.app import App, Misuse
from sandbox.cli.render import output
from sandbox.errors import PrincipalError
from sandbox.network.agent import Agent
from sandbox.network.connect import connect
from sandbox.network.identity import warning_of
from sandbox.network.remote import Remote
from sandbox.principal import Principal

PASSWORD = "CANISTER_SANDBOX_PEM_PASSWORD"
"""The environment variable with the password of an encrypted key file."""


@contextmanager
def remote_of(app: App, canister: str) -> Iterator[Remote]:
    """Connect to the network, as the user of the key file, for one canister."""
    canister_id = principal(canister)
    with agent_of(app) as agent:
        yield Remote(agent, canister_id)


@contextmanager
def agent_of(app: App) -> Iterator[Agent]:
    """Connect to the network of the shared options."""
    assert app.network is not None
    warn_of(app.pem)
    with connect(app.network, app.root_key, app.pem, PASSWORD) as agent:
        yield agent


def warn_of(pem: Path | None) -> None:
    """Warn of a key file that others may read."""
    text = None if pem is None else warning_of(pem)
    if text is not None:
        output.show(Text.assemble(("warning: ", "bold yellow"), text), stderr=True)


def principal(text: str) -> Principal:
    """Return the id of a canister at a network, where names are not known."""
    try:
        return Principal.from_text(text)
    except PrincipalError as error:
        raise Misuse(f"at a network a canister is given by its id, not {text!r}: {error}") from None
