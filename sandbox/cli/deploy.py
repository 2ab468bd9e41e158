"""The command `deploy`: create, install or upgrade, as needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.text import Text

from sandbox.api import Canister, runtime_of
from sandbox.api.names import problem_with
from sandbox.cli import completion
from sandbox.cli.app import App, Command, Misuse, Session, with_app
from sandbox.cli.calls import DID_HELP, FILE, Request, init_argument
from sandbox.errors import PrincipalError
from sandbox.principal import Principal
from sandbox.state import WasmModule

_DONE = {"install": "installed", "reinstall": "reinstalled", "upgrade": "upgraded", "none": "unchanged:"}
_WOULD = {
    "install": "would install",
    "reinstall": "would reinstall",
    "upgrade": "would upgrade to",
    "none": "unchanged:",
}


@click.command(cls=Command)
@click.argument("name", metavar="CANISTER", shell_complete=completion.canisters)
@click.argument("file", type=FILE)
@click.option(
    "--mode",
    type=click.Choice(["auto", "install", "reinstall", "upgrade"]),
    default="auto",
    show_default=True,
    help="auto: install into an empty canister, upgrade any other unless it has this module already.",
)
@click.option("--arg", metavar="CANDID", help="The argument in Candid, such as '(record { greeting = \"Hi\" })'.")
@click.option("--arg-file", type=FILE, help="File with the argument in Candid.")
@click.option("--did", type=FILE, help=DID_HELP)
@click.option("--dry-run", is_flag=True, help="Change nothing; show what would change.")
@with_app
def deploy(app: App, name: str, file: Path, mode: str, dry_run: bool, **options: Any) -> None:
    """Create CANISTER if there is none, and install the module FILE or upgrade to it.

    CANISTER is a name or an id. Its controller is the user given with --as. With --dry-run everything is done and
    undone again, hooks included; `verify-upgrade` proves more of an upgrade.
    """
    wasm = file.read_bytes()
    request = Request("", options["arg"], options["arg_file"], options["did"], raw=False)
    with app.session(create=not dry_run) as session:
        if dry_run:
            with session.sandbox.anchor():
                facts = _deploy(session, name, wasm, mode, request, compared=True)
        else:
            facts = _deploy(session, name, wasm, mode, request)
    rendered = facts.pop("rendered", None)
    facts |= {"dry_run": dry_run}
    words = _WOULD if dry_run else _DONE
    created = ("would create it, " if dry_run else "created it, ") if facts["created"] else ""
    line = f"{created}{words[facts['mode']]} "
    parts: list[Any] = [Text.assemble((line, "green"), f"{file.name}, {name} ({facts['canister_id']})")]
    if rendered is not None:
        facts["diff"] = rendered[0]
        parts += [Text(), *rendered[1]]
    app.emit(facts, *parts)


def _deploy(
    session: Session, name: str, wasm: bytes, mode: str, request: Request, compared: bool = False
) -> dict[str, Any]:
    """Deploy, and return what was done; `compared`: with the changes of the canister, unless it is new."""
    target, created = _target(session, name)
    code = runtime_of(session.sandbox).state_of(target.id).code
    digest = WasmModule.from_bytes(wasm).hash
    if mode == "auto":
        same = code is not None and code.hash == digest and request.argument is None and request.file is None
        mode = "install" if code is None else "none" if same else "upgrade"
    facts: dict[str, Any] = {"canister_id": target.id, "created": created, "mode": mode, "module_hash": digest}
    if mode == "none":
        return facts | {"instructions": 0, "logs": ()}
    argument, sender = init_argument(wasm, request, mode), session.app.sender
    changes = target.changes() if compared and code is not None else None
    if mode == "upgrade":
        result = target.upgrade(wasm, argument, sender)
    else:
        result = target.install(wasm, argument, mode, sender)
    if changes is not None:
        from sandbox.cli.render.diff import DiffOptions, render_diff  # imported late: it brings pictures

        facts["rendered"] = render_diff(changes.diff, DiffOptions())
    return facts | {"instructions": result.instructions, "logs": result.logs}


def _target(session: Session, name: str) -> tuple[Canister, bool]:
    """Return the canister, and whether it was made for this."""
    try:
        known = session.names.get(name) or Principal.from_text(name)
        return session.canister(str(known)), False
    except PrincipalError:
        problem = problem_with(name)
        if problem is not None:
            raise Misuse(problem) from None
    return session.sandbox.create_canister([session.app.sender], name=name), True
