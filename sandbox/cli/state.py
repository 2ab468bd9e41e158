"""`state check` and `canister recover`: damage of the files, and ways back."""

from __future__ import annotations

from typing import Any

import click
from rich.text import Text

from sandbox.api.recovery import StateCheck
from sandbox.cli.app import App, Command, Group, Misuse, Session, canister_argument, with_app
from sandbox.cli.failures import FAILED
from sandbox.cli.render import output
from sandbox.cli.snapshot.selector import resolve_snapshot
from sandbox.errors import StateCorrupt


@click.group(cls=Group)
def state() -> None:
    """Look after the directory in which the state is kept."""


@state.command()
@click.option("--deep", is_flag=True, help="Read every byte of memories, snapshots, packs and modules.")
@with_app
def check(app: App, deep: bool) -> None:
    """Look for damaged files. Exit code 1 if there are any.

    Opening the state reads its manifest, all records, the modules of canisters, the manifests of snapshots, and every
    page of a memory whose file something else has written to since the last save. Beyond that, the check looks at the
    index of every pack and at the top of what every snapshot needs of packs and modules. With --deep, every byte is
    read, also of memories whose files look untouched.
    """
    try:
        with app.session(save=False) as session:
            found = session.sandbox.check(deep=deep)
            rows = [(_owner(session, p.canister_id), p.part, output.one_line(p.why)) for p in found.problems]
    except StateCorrupt as error:
        app.emit({"intact": False, "deep": deep, "error": str(error)}, Text(f"damaged: {error}", "bold red"))
        raise click.exceptions.Exit(FAILED) from None
    app.emit(_facts(found), *_texts(found, rows))
    if not found.intact:
        raise click.exceptions.Exit(FAILED)


def _owner(session: Session, canister_id: Any) -> str:
    return "" if canister_id is None else session.names.of(canister_id) or str(canister_id)


def _facts(found: StateCheck) -> dict[str, Any]:
    problems = [{"canister_id": p.canister_id, "part": p.part, "why": p.why} for p in found.problems]
    return {"intact": found.intact, "deep": found.deep, "unchecked": found.unchecked, "problems": problems}


def _texts(found: StateCheck, rows: list[tuple[str, str, str]]) -> list[Any]:
    texts: list[Any] = [output.Listing(("canister", "part", "why"), rows)] if rows else [Text("intact", "green")]
    if found.unchecked:
        texts.append(Text(f"{found.unchecked} memories have no checks before the next save", "dim"))
    return texts


@click.command(cls=Command)
@canister_argument
@click.option("--snapshot", "which", metavar="SNAPSHOT", help="An id or a label [the newest that is intact]")
@click.option("--accept-damage", is_flag=True, help="Take no snapshot: go on with the bytes that are left.")
@with_app
def recover(app: App, canister: str, which: str | None, accept_damage: bool) -> None:
    """Bring CANISTER back from a snapshot when its memory on disk is damaged, torn or missing.

    What it did after the snapshot is lost. With --accept-damage it stays what it is, damaged bytes included and zeros
    where nothing is left, and every damage is printed: nobody knows what its code makes of that.
    """
    if which is not None and accept_damage:
        raise Misuse("--accept-damage goes without --snapshot")
    with app.session() as session:
        target = session.canister(canister)
        title = session.title(target.id)
        if accept_damage:
            accepted = target.accept_damage()
            facts: dict[str, Any] = {"canister_id": target.id, "accepted": accepted}
            texts = [Text.assemble(("accepted ", "bold red"), damage) for damage in accepted]
            texts = texts or [Text(f"nothing of {title} is damaged")]
        else:
            wanted = None if which is None else resolve_snapshot(session, which).id
            taken = target.recover(wanted, app.sender)
            facts = {"canister_id": target.id, "snapshot_id": taken.id, "label": taken.label}
            label = f" {taken.label}" if taken.label else ""
            texts = [Text.assemble(("recovered ", "green"), f"{title} from snapshot {taken.id.hex()}{label}")]
    app.emit(facts, *texts)
