"""The commands `snapshot verify`, `prune`, `retain` and `policy`."""

from __future__ import annotations

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
from sandbox.units import nanoseconds

F = TypeVar("F", bound=Callable[..., Any])
_PERIODS = {"hourly": "hours", "daily": "days", "weekly": "weeks", "monthly": "months"}


def duration(text: str) -> int:
    """Return a time such as `45s`, `30m`, `12h`, `7d` or `2w` in seconds."""
    seconds, rest = divmod(nanoseconds(text) or -1, 1_000_000_000)
    if seconds < 0 or rest:
        raise click.BadParameter(f"{text!r} is not a time such as 45s, 30m, 12h, 7d or 2w")
    return seconds


def keep_options(command: F) -> F:
    """Add the options from which `_keep` makes a `Keep`."""
    texts = {"last": "Keep the newest N snapshots."}
    texts |= {
        name: f"Keep the newest of each of the last N {units} with snapshots." for name, units in _PERIODS.items()
    }
    for name, text in texts.items():
        command = click.option(f"--keep-{name}", type=click.IntRange(1), metavar="N", help=text)(command)
    text = "Keep all that are not older than TIME, such as 12h."
    command = click.option("--keep-within", type=duration, metavar="TIME", help=text)(command)
    text = "Keep all whose label matches, such as 'release-*'; may be repeated."
    return click.option("--pin", multiple=True, metavar="PATTERN", help=text)(command)


def _keep(options: dict[str, Any]) -> Keep | None:
    """Return the rules that the options give; None if they give none."""
    rules = {name.removeprefix("keep_"): value for name, value in options.items() if name.startswith("keep_") and value}
    pinned = options["pin"]
    return Keep(**rules, pinned=pinned) if rules or pinned else None


@click.command(cls=Command)
@click.argument("which", metavar="[SNAPSHOT]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Verify all snapshots of all canisters.")
@click.option("--every", is_flag=True, help="Name every part that differs, not only the first.")
@with_app
def verify(app: App, which: tuple[str, ...], everything: bool, every: bool) -> None:
    """Read every byte of each SNAPSHOT and compute its checksum again.

    SNAPSHOT is an id or a label, an .icsnap file, or a snapshot directory of dfx or icp-cli. The first part that
    differs is named, such as module, label, global 7, or heap page 0x2c1 (pages of 64 KiB). Exit code 1 if anything
    differs.
    """
    if bool(which) == everything:
        raise Misuse("give the snapshots to verify, or --all")
    with app.session(save=False) as session:
        every_id = [s.id for s in session.sandbox.snapshots.list()]
        paths = {name: resolve_file(session, name) for name in which}
        named = [resolve_snapshot(session, name).id for name, path in paths.items() if path is None]
        ids = every_id if everything else named
        with bar(app, "verifying") as progress:
            results = list(session.sandbox.snapshots.verify_all(ids, progress, every=every))
            files = [verified_file(path, progress) for path in paths.values() if path is not None]
        rows = [_verified_row(session, item) for item in results]
    headers = ("id", "canister", "label", "read", "content id", "result")
    listed: list[Any] = [output.Listing(headers, rows, ("read",))] if rows else []
    listed += [item.text for item in files]
    details = [Text(f"  {item.id.hex()} {d.part}: {d.why}", "dim") for item in results for d in item.differences]
    facts = [_verified_facts(item) for item in results] + [item.facts for item in files]
    app.emit(facts, *(listed or [Text("No snapshots.")]), *details)
    if not all([*(item.intact for item in results), *(item.intact for item in files)]):
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
        "content_id": item.content_id,
        "bytes_read": item.bytes_read,
    }


def _verified_row(session: Session, item: Verified) -> tuple[object, ...]:
    parts = ", ".join(d.part for d in item.differences)
    result = Text("intact", "green") if item.intact else Text(f"differs: {parts}", "bold red")
    name = session.names.of(item.canister_id) or item.canister_id
    return (
        item.id.hex(),
        name,
        output.one_line(item.label or ""),
        output.size(item.bytes_read),
        (item.content_id or "")[:16],
        result,
    )


@click.command(cls=Command)
@with_app
def prune(app: App) -> None:
    """Free the disk space that no snapshot and no canister needs any more."""
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
@click.option("--dry-run", is_flag=True, help="Delete nothing; show the snapshots that would stay and go.")
@click.option("--prune", "pruning", is_flag=True, help="Also free disk space, as `snapshot prune` does.")
@with_app
def retain(app: App, canister: str, dry_run: bool, pruning: bool, **options: Any) -> None:
    """Delete the snapshots of CANISTER that no rule keeps.

    A snapshot stays if any --keep rule or --pin pattern keeps it. Hours, days, weeks and months are those of the
    sandbox's own time, in UTC.
    """
    keep = _keep(options)
    if keep is None:
        raise Misuse("give at least one --keep rule or --pin: without any, all snapshots would be deleted")
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


def _short(snapshot: Snapshot) -> dict[str, Any]:
    return {"id": snapshot.id, "label": snapshot.label, "taken_on": snapshot.taken_on}


def _retained_text(done: Retained, dry_run: bool) -> Any:
    gone = Text("would go" if dry_run else "removed", "red")
    rows = [(*_cells(s), Text(f"stays: {', '.join(reasons)}", "green")) for s, reasons in done.kept]
    rows += [(*_cells(s), gone) for s in done.removed]
    return output.Listing(("id", "label", "taken", "result"), rows) if rows else "No snapshots."


def _cells(snapshot: Snapshot) -> tuple[str, str, str]:
    return snapshot.id.hex(), output.one_line(snapshot.label or ""), output.date(snapshot.taken_on)


@click.command(cls=Command)
@click.argument("canister", metavar="[CANISTER]", required=False)
@click.option(
    "--at-install/--not-at-install", default=None, help="Take one after the first installation of a module [yes]"
)
@click.option(
    "--before-upgrade/--not-before-upgrade", default=None, help="Take one before each upgrade or reinstallation [yes]"
)
@click.option(
    "--every",
    type=duration,
    metavar="TIME",
    help="Take one when the newest is older than TIME, if the canister has changed.",
)
@click.option("--none", "nothing", is_flag=True, help="Remove the policy.")
@keep_options
@with_app
def policy(app: App, canister: str | None, nothing: bool, **options: Any) -> None:
    """Show or set the rules by which snapshots of CANISTER are taken.

    Without CANISTER, the rules are those of all canisters that have no rules of their own. Without options, the rules
    are shown. Of the snapshots taken by rule, the newest 10 are kept unless --keep rules are given; they do not count
    for `snapshot take --keep`. Snapshots taken by hand are always kept.
    """
    keep = _keep(options)
    chosen = {name: options[name] for name in ("at_install", "before_upgrade", "every") if options[name] is not None}
    chosen |= {} if keep is None else {"keep": keep}
    changes = bool(chosen or nothing)
    if nothing and chosen:
        raise Misuse("--none cannot be combined with other options")
    with app.session(create=changes, save=changes) as session:
        manager = session.sandbox.snapshots
        target = None if canister is None else session.canister(canister).id
        if changes:
            rules = None if nothing else Policy(**chosen)
            manager.set_policy(rules, target, app.sender)
        current = manager.policy(target)
    app.emit(None if current is None else _facts(current), _policy_text(current))


def _facts(current: Policy) -> dict[str, Any]:
    return {
        "at_install": current.at_install,
        "before_upgrade": current.before_upgrade,
        "every": current.every,
        "keep": {field.name: getattr(current.keep, field.name) for field in fields(Keep)},
    }


def _policy_text(current: Policy | None) -> Any:
    if current is None:
        return "No policy: snapshots are taken by hand."
    facts = _facts(current)
    rules = facts.pop("keep")
    counts = [f"{name} {value}" for name, value in rules.items() if value and name not in ("pinned", "within")]
    keep = ", ".join(counts + ([f"within {rules['within']} s"] if rules["within"] else []))
    pinned = ", ".join(current.keep.pinned)
    pairs = {
        "at installation": "yes" if current.at_install else "no",
        "before upgrades": "yes" if current.before_upgrade else "no",
        "every": f"{current.every} s" if current.every else "never",
        "keeps": keep or "pinned ones alone",
    }
    return output.fields(pairs | ({"pinned": pinned} if pinned else {}))
