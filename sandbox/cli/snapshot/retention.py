"""`snapshot verify`, `prune`, `retain` and `policy`: snapshots over time."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import click
from rich.text import Text

from sandbox.api import Snapshot
from sandbox.api.snapshot_retention import Retained, Verified
from sandbox.cli.app import App, Command, Misuse, Session, canister_argument, with_app
from sandbox.cli.failures import FAILED
from sandbox.cli.render import output
from sandbox.cli.snapshot.selector import resolve_file, resolve_snapshot
from sandbox.cli.snapshot.transfer import bar
from sandbox.cli.snapshot.verify_file import verified_file
from sandbox.state import Keep, Policy
from sandbox.store import Pruned

F = TypeVar("F", bound=Callable[..., Any])
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def duration(text: str) -> int:
    """`45s`, `30m`, `12h`, `7d`, `2w`, as seconds."""
    found = re.fullmatch(r"(\d{1,12})([smhdw])", text)
    if found is None:
        raise click.BadParameter(f"{text!r} is no time such as 45s, 30m, 12h, 7d or 2w")
    return int(found[1]) * _UNITS[found[2]]


def keep_options(command: F) -> F:
    """The rules of a `Keep`; `_keep` takes them from the keywords."""
    for name in ("last", "hourly", "daily", "weekly", "monthly"):
        what = "The newest N" if name == "last" else f"The newest one of each of the newest N that are {name}"
        command = click.option(f"--keep-{name}", type=click.IntRange(1), metavar="N", help=f"{what} stay.")(command)
    command = click.option("--keep-within", type=duration, metavar="TIME", help="All that are newer stay.")(command)
    text = "Labels that match stay, whatever else, such as 'release-*'; may be repeated."
    return click.option("--pin", multiple=True, metavar="PATTERN", help=text)(command)


def _keep(options: dict[str, Any]) -> Keep | None:
    """The rules; None if there are none."""
    rules = {name.removeprefix("keep_"): value for name, value in options.items() if name.startswith("keep_") and value}
    pinned = options["pin"]
    return Keep(**rules, pinned=pinned) if rules or pinned else None


@click.command(cls=Command)
@click.argument("which", metavar="[SNAPSHOT]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All snapshots of all canisters.")
@click.option("--every", is_flag=True, help="Name every part that differs, not only the first.")
@with_app
def verify(app: App, which: tuple[str, ...], everything: bool, every: bool) -> None:
    """Read every byte of each SNAPSHOT, an id, a label, an .icsnap file or a directory of dfx and icp-cli, and compute
    its checksum again.

    The first part that differs from what it was is named: module, label, global 7, heap page 0x2c1 (pages of 64 KiB),
    ... Exit code 1 if anything differs.
    """
    if bool(which) == everything:
        raise Misuse("give the snapshots that are to be verified, or --all")
    with app.session(save=False) as session:
        every_id = [s.id for s in session.sandbox.snapshots.list()]
        paths = {name: resolve_file(session, name) for name in which}
        named = [resolve_snapshot(session, name).id for name, path in paths.items() if path is None]
        ids = every_id if everything else named
        with bar(app, "verifying") as tell:
            found = list(session.sandbox.snapshots.verify_all(ids, tell, every=every))
            files = [verified_file(path, tell) for path in paths.values() if path is not None]
        rows = [_verified_row(session, item) for item in found]
    headers = ("id", "canister", "label", "read", "result")
    listed: list[Any] = [output.Listing(headers, rows, ("read",))] if rows else []
    listed += [item.told for item in files]
    details = [Text(f"  {item.id.hex()} {d.part}: {d.why}", "dim") for item in found for d in item.differences]
    facts = [_verified_facts(item) for item in found] + [item.facts for item in files]
    app.emit(facts, *(listed or [Text("No snapshots.")]), *details)
    if not all([*(item.intact for item in found), *(item.intact for item in files)]):
        raise click.exceptions.Exit(FAILED)


def _verified_facts(item: Verified) -> dict[str, Any]:
    return {
        "id": item.id,
        "canister_id": item.canister_id,
        "label": item.label,
        "intact": item.intact,
        "differs": item.differs,
        "differences": [{"part": d.part, "why": d.why} for d in item.differences],
        "checksum": item.checksum,
        "bytes_read": item.bytes_read,
    }


def _verified_row(session: Session, item: Verified) -> tuple[object, ...]:
    parts = ", ".join(d.part for d in item.differences)
    result = Text("intact", "green") if item.intact else Text(f"differs: {parts}", "bold red")
    name = session.names.of(item.canister_id) or item.canister_id
    return item.id.hex(), name, output.one_line(item.label or ""), output.size(item.bytes_read), result


@click.command(cls=Command)
@with_app
def prune(app: App) -> None:
    """Give back the disk space of what no snapshot and no canister needs any more."""
    with app.session() as session:
        done = session.sandbox.snapshots.prune()
    app.emit(_pruned_facts(done), _pruned_text(done))


def _pruned_facts(done: Pruned) -> dict[str, int]:
    return {"packs": done.packs, "modules": done.modules, "freed": done.freed}


def _pruned_text(done: Pruned) -> Text:
    return Text.assemble(("pruned ", "green"), f"{output.size(max(done.freed, 0))} given back")


@click.command(cls=Command)
@canister_argument
@keep_options
@click.option("--dry-run", is_flag=True, help="Only say what would stay and what would go.")
@click.option("--prune", "pruning", is_flag=True, help="Give back the disk space as well.")
@with_app
def retain(app: App, canister: str, dry_run: bool, pruning: bool, **options: Any) -> None:
    """Delete the snapshots of CANISTER that no --keep rule names. A snapshot stays if any rule says so.

    Hours, days, weeks and months are those of the sandbox's own time, in UTC.
    """
    keep = _keep(options)
    if keep is None:
        raise Misuse("give at least one --keep rule or --pin: without any, no snapshot would stay")
    with app.session(save=not dry_run) as session:
        target = session.canister(canister)
        done = session.sandbox.snapshots.retain(target.id, keep, dry_run, app.sender)
        pruned = None
        if pruning and not dry_run:
            session.sandbox.save()
            pruned = session.sandbox.snapshots.prune()
    facts: dict[str, Any] = {
        "kept": [{**_short(s), "reasons": reasons} for s, reasons in done.kept],
        "removed": [_short(s) for s in done.removed],
        "dry_run": dry_run,
    }
    if pruned is not None:
        facts["pruned"] = _pruned_facts(pruned)
    app.emit(facts, _retained_text(done, dry_run), *([_pruned_text(pruned)] if pruned is not None else []))


def _short(found: Snapshot) -> dict[str, Any]:
    return {"id": found.id, "label": found.label, "taken_on": found.taken_on}


def _retained_text(done: Retained, dry_run: bool) -> Any:
    gone = Text("would go" if dry_run else "removed", "red")
    rows = [(*_cells(s), Text(f"stays: {', '.join(reasons)}", "green")) for s, reasons in done.kept]
    rows += [(*_cells(s), gone) for s in done.removed]
    return output.Listing(("id", "label", "taken", "result"), rows) if rows else "No snapshots."


def _cells(found: Snapshot) -> tuple[str, str, str]:
    return found.id.hex(), output.one_line(found.label or ""), found.taken_at.strftime("%Y-%m-%d %H:%M:%S")


@click.command(cls=Command)
@click.argument("canister", metavar="[CANISTER]", required=False)
@click.option("--at-install/--not-at-install", default=None, help="When the first module was installed [yes]")
@click.option("--before-upgrade/--not-before-upgrade", default=None, help="Before an upgrade or reinstallation [yes]")
@click.option("--every", type=duration, metavar="TIME", help="When the newest one is so old, if something changed.")
@click.option("--none", "nothing", is_flag=True, help="Take the policy away.")
@keep_options
@with_app
def policy(app: App, canister: str | None, nothing: bool, **options: Any) -> None:
    """Take snapshots of CANISTER by rule, or of all canisters that have no rules of their own.

    Without options, show the rules. The newest 10 of these snapshots stay, unless --keep rules say otherwise, and they
    do not count for `snapshot take --keep`; snapshots that were taken by hand always stay.
    """
    keep = _keep(options)
    chosen = {name: options[name] for name in ("at_install", "before_upgrade", "every") if options[name] is not None}
    chosen |= {} if keep is None else {"keep": keep}
    changes = bool(chosen or nothing)
    if nothing and chosen:
        raise Misuse("--none goes with no other option")
    with app.session(create=changes, save=changes) as session:
        manager = session.sandbox.snapshots
        target = None if canister is None else session.canister(canister).id
        if changes:
            rules = None if nothing else Policy(**chosen)
            manager.set_policy(rules, target, app.sender)
        found = manager.policy(target)
    app.emit(None if found is None else _facts(found), _policy_text(found))


def _facts(found: Policy) -> dict[str, Any]:
    return {
        "at_install": found.at_install,
        "before_upgrade": found.before_upgrade,
        "every": found.every,
        "keep": {field.name: getattr(found.keep, field.name) for field in fields(Keep)},
    }


def _policy_text(found: Policy | None) -> Any:
    if found is None:
        return "No policy: snapshots are taken by hand."
    facts = _facts(found)
    rules = facts.pop("keep")
    counts = [f"{name} {value}" for name, value in rules.items() if value and name not in ("pinned", "within")]
    keep = ", ".join(counts + ([f"within {rules['within']} s"] if rules["within"] else []))
    pinned = ", ".join(found.keep.pinned)
    told = {
        "at installation": "yes" if found.at_install else "no",
        "before upgrades": "yes" if found.before_upgrade else "no",
        "every": f"{found.every} s" if found.every else "never",
        "keeps": keep or "pinned ones alone",
    }
    return output.fields(told | ({"pinned": pinned} if pinned else {}))
