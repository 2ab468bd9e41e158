"""The command `serve`: the platform's HTTP interface over the state directory."""

from __future__ import annotations

import ipaddress
import os
import time
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from sandbox.api import Sandbox
from sandbox.cli.app import App, Command, Misuse, with_app
from sandbox.cli.interrupt import released
from sandbox.cli.render import output
from sandbox.http.network import install_system
from sandbox.http.replica import Replica
from sandbox.http.worker import Worker

_NEEDS = "serve needs starlette and uvicorn: pip install 'canister-sandbox[serve]'"


@click.command(cls=Command)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 takes any free one."
)
@click.option(
    "--port-file", type=click.Path(dir_okay=False, path_type=Path), help="File to write the port to when ready."
)
@click.option(
    "--saving",
    type=click.Choice(["update", "interval", "exit"]),
    default="interval",
    show_default=True,
    help="When to save the state: before every answer to an update, every 5 seconds and at the end, only at the end.",
)
@click.option(
    "--system/--no-system",
    default=None,
    help="Whether to install the system canisters that tools expect (ledgers of cycles and ICP, the cycles minting "
    "canister) where they are not there. [default: only in an empty state]",
)
@with_app
def serve(app: App, host: str, port: int, port_file: Path | None, saving: str, system: bool | None) -> None:
    """Serve the state to agents and tools, as a replica does.

    It ends with Ctrl-C. Time follows the clock, and timers run. The interface is that of the platform (/api/v2/status
    and so on), which has no secret: whoever reaches the port can call the canisters and create new ones. Certificates
    are signed with the root key of this state, which agents fetch from /api/v2/status.
    """
    try:
        from sandbox.http.server import application, listen, run
    except ImportError:
        raise Misuse(_NEEDS) from None

    with app.session(create=True) as session:
        try:
            listening = listen(host, port)
        except OSError as error:
            raise Misuse(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
        with listening:
            bound: Any = listening.getsockname()
            root_key = session.sandbox.root_key
            if system or (system is None and not session.sandbox.canisters()):
                _install_system(session.sandbox)

            def ready() -> None:
                _announce(app, host, bound[1], root_key)
                if port_file is not None:
                    _write(port_file, bound[1])

            worker = Worker(Replica(session.sandbox, time.time_ns), saving)
            app.quiet()
            with released():
                run(application(worker, ready), listening)


def _install_system(sandbox: Sandbox) -> None:
    for taken in install_system(sandbox):
        _warn(f"there is no {taken.name}: another canister has its id, {taken.canister_id}")


def _announce(app: App, host: str, port: int, root_key: bytes) -> None:
    where = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    facts = {"url": where, "port": port, "root_key": root_key}
    app.emit(facts, Text.assemble(("serving ", "green"), where), Text(f"root key {root_key.hex()}", "dim"))
    if not _loopback(host):
        _warn(f"{host} is reachable from other machines, and everybody who reaches it can use the canisters")


def _warn(text: str) -> None:
    output.show(Text.assemble(("warning: ", "bold yellow"), text), stderr=True)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _write(path: Path, port: int) -> None:
    """Write the port so that a reader sees all of the file or none."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_text(f"{port}\n")
    part.replace(path)
