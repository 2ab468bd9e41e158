"""The group `backup`: run backups, list them, write one to a file."""

from __future__ import annotations

from pathlib import Path

import click
from rich.text import Text

from sandbox.cli.app import App, Group, Misuse, with_app
from sandbox.cli.failures import FAILED
from sandbox.cli.network.connection import PASSWORD, principal, warn_of
from sandbox.cli.render import output
from sandbox.cli.service.common import CONFIG, print_report, repository_option, terminable, warn
from sandbox.cli.service.schedule import quiet, schedule, simulate, unit
from sandbox.cli.snapshot.transfer import bar
from sandbox.service.backups import opened_for_reading
from sandbox.service.config import Config, Target, read_config
from sandbox.service.fleet import Fleet
from sandbox.service.report import read_log
from sandbox.snapshots import portable
from sandbox.snapshots.content_id import content_id


@click.group(cls=Group)
def backup() -> None:
    """Back up canisters of a network, prove the backups, and list them.

    A backup is a snapshot of the network in a directory: equal pages are kept once. It counts when every byte was read
    again from the disk, and the canister was restored from it in a sandbox and passed its checks.
    """


@backup.command("run")
@click.argument("config", type=CONFIG)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@with_app
def run(app: App, config: Path, names: tuple[str, ...]) -> int:
    """Back up the canisters of the YAML file CONFIG, or only those with these NAMEs.

    A canister that is stopped for its snapshot is started again, whatever happens: also after a kill, by the next run,
    which goes on where the killed one was. Exit codes: 0 all went well; 1 a backup failed, and its report says what is
    safe and what to do next; 2 misuse.
    """
    settings = read_config(config)
    known = {target.name: target for target in settings.targets}
    for name in names:
        if name not in known:
            raise Misuse(f"{config} has no canister {name!r}; it has: {', '.join(known)}")
    return _run(app, settings, tuple(known[name] for name in names) or settings.targets)


@backup.command("canister")
@click.argument("canister", metavar="CANISTER")
@repository_option
@click.option("--no-stop", is_flag=True, help="Do not stop a running canister while its snapshot is taken.")
@click.option("--delete", is_flag=True, help="Delete the snapshot at the network once the backup is proven.")
@with_app
def canister_(app: App, canister: str, repository: Path, no_stop: bool, delete: bool) -> int:
    """Back up CANISTER of the network given with --network, without a configuration."""
    if app.network is None:
        raise Misuse("give the network with --network, and the key of a controller with --pem")
    canister_id = principal(canister)
    target = Target(canister, canister_id, not no_stop, delete)
    config = Config(app.network, repository, (target,), app.pem, PASSWORD, app.root_key)
    return _run(app, config, config.targets)


def _run(app: App, config: Config, targets: tuple[Target, ...]) -> int:
    warn_of(config.identity)
    fleet = Fleet(config, warn=warn)
    reports = []
    with terminable(), bar(app, "downloading") as progress:
        for report in fleet.run(targets, progress):
            reports.append(report)
            if not app.json:
                print_report(report)
    if app.json:
        app.emit([report.facts for report in reports])
    return 0 if all(report.ok for report in reports) else FAILED


@backup.command("list")
@repository_option
@click.argument("canister", metavar="[CANISTER]", required=False)
@with_app
def list_(app: App, repository: Path, canister: str | None) -> None:
    """List the backups in a repository, of CANISTER or of all."""
    with opened_for_reading(repository) as backups:
        states = backups.snapshots(None if canister is None else principal(canister))
        facts = [
            {
                "id": state.id,
                "canister_id": state.canister_id,
                "name": state.label,
                "taken_on": state.taken_at,
                "size": state.heap.size + state.stable.size,
                "content_id": content_id(state) if state.damage is None else None,
                "damage": state.damage,
            }
            for state in states
        ]
    rows = [
        (
            state.id.hex(),
            state.label or str(state.canister_id),
            output.date(state.taken_at),
            output.size(state.heap.size + state.stable.size),
            str(fact["content_id"])[:16] if state.damage is None else Text("damaged", "bold red"),
        )
        for state, fact in zip(states, facts, strict=True)
    ]
    headers = ("id", "canister", "taken", "size", "content id")
    app.emit(facts, output.Listing(headers, rows, ("size",)) if rows else "No backups.")


@backup.command()
@repository_option
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, help="Number of runs.")
@with_app
def log(app: App, repository: Path, last: int) -> None:
    """Show the newest runs: what went well, what failed, what is safe and what to do."""
    lines = read_log(repository)[-last:]
    rows = [
        (
            output.date(line["at"]),
            line["kind"],
            line["name"],
            Text("ok", "green") if line["ok"] else Text(f"{line['failed']}: {line['error']}", "bold red"),
            line["next"] or "",
        )
        for line in lines
    ]
    app.emit(lines, output.Listing(("at", "kind", "canister", "result", "next"), rows) if rows else "No runs.")


@backup.command()
@repository_option
@click.argument("canister", metavar="CANISTER")
@click.argument("which", metavar="SNAPSHOT")
@click.argument("path", metavar="PATH", type=click.Path(path_type=Path))
@with_app
def export(app: App, repository: Path, canister: str, which: str, path: Path) -> None:
    """Write the backup SNAPSHOT of CANISTER, an id or `latest`, to a file or directory.

    PATH.icsnap is one file; anything else is a directory as dfx and icp-cli read it.
    """
    with opened_for_reading(repository) as backups, bar(app, "writing") as progress:
        state = backups.find(principal(canister), which)
        portable.write(portable.of_state(state), path, None, progress)
    app.emit(
        {"id": state.id, "canister_id": state.canister_id, "path": str(path)},
        Text.assemble(("wrote ", "green"), f"snapshot {state.id.hex()} to {path}"),
    )


for command in (schedule, quiet, unit, simulate):
    backup.add_command(command)
