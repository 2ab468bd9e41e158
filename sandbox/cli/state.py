"""The commands `state check` and `canister recover`: damaged files, and recovery from them."""

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
    """Check the files of the state directory."""


@state.command()
@click.option("--deep", is_flag=True, help="Read every byte of memories, snapshots, packs and modules.")
@with_app
def check(app: App, deep: bool) -> None:
    """Look for damaged files, and exit with code 1 if there are any.

    Opening the state reads its manifest, all records, the modules of canisters, the manifests of snapshots, and every
    page of a memory whose file another program has written to since the last save. The check then also reads the
    index of every pack, and for every snapshot its module and the root nodes of its memories. With --deep, every byte
    is read, also of memories whose files look unchanged.
    """
    if not app.state.exists():
        raise Misuse(f"there is no state directory {app.state}")
    try:
        with app.session(save=False) as session:
            result = session.sandbox.check(deep=deep)
            rows = [(_owner(session, p.canister_id), p.part, output.one_line(p.why)) for p in result.problems]
    except StateCorrupt as error:
        app.emit({"intact": False, "deep": deep, "error": str(error)}, Text(f"damaged: {error}", "bold red"))
        raise click.exceptions.Exit(FAILED) from None
    app.emit(_facts(result), *_texts(result, rows))
    if not result.intact:
        raise click.exceptions.Exit(FAILED)


def _owner(session: Session, canister_id: Any) -> str:
    return "" if canister_id is None else session.names.of(canister_id) or str(canister_id)


def _facts(result: StateCheck) -> dict[str, Any]:
    problems = [{"canister_id": p.canister_id, "part": p.part, "why": p.why} for p in result.problems]
    return {"intact": result.intact, "deep": result.deep, "unchecked": result.unchecked, "problems": problems}


def _texts(result: StateCheck, rows: list[tuple[str, str, str]]) -> list[Any]:
    texts: list[Any] = [output.Listing(("canister", "part", "why"), rows)] if rows else [Text("intact", "green")]
    if result.unchecked:
        texts.append(Text(f"{result.unchecked} memories have no checks before the next save", "dim"))
    return texts


@click.command(cls=Command)
@canister_argument
@click.option("--snapshot", "which", metavar="SNAPSHOT", help="Snapshot to load, by id or label [the newest intact]")
@click.option("--accept-damage", is_flag=True, help="Load no snapshot: keep the damaged memory as it is.")
@with_app
def recover(app: App, canister: str, which: str | None, accept_damage: bool) -> None:
    """Restore CANISTER, whose memory on disk is damaged, from a snapshot.

    All changes after the snapshot are lost. With --accept-damage the canister keeps its memory instead, with the
    damaged bytes, and with zeros where bytes are missing. Every damage is printed; the behaviour of the canister's
    code on such bytes is unpredictable.
    """
    if which is not None and accept_damage:
        raise Misuse("--accept-damage cannot be combined with --snapshot")
    with app.session() as session:
        target = session.canister(canister)
        title = session.title(target.id)
        if accept_damage:
            accepted = target.accept_damage()
            facts: dict[str, Any] = {"canister_id": target.id, "accepted": accepted}
            texts = [Text.assemble(("accepted ", "bold red"), damage) for damage in accepted]
            texts = texts or [Text(f"the memory of {title} is not damaged")]
        else:
            wanted = None if which is None else resolve_snapshot(session, which, owner=target.id).id
            taken = target.recover(wanted, app.sender)
            facts = {"canister_id": target.id, "snapshot_id": taken.id, "label": taken.label}
            label = f" {taken.label}" if taken.label else ""
            texts = [Text.assemble(("recovered ", "green"), f"{title} from snapshot {taken.id.hex()}{label}")]
    app.emit(facts, *texts)
