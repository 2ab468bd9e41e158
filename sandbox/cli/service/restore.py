"""The command `restore`: bring a backup back to its canister."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
from rich.text import Text

from sandbox.cli.app import App, Command, Misuse, with_app
from sandbox.cli.failures import FAILED, CheckFailed
from sandbox.cli.network.connection import PASSWORD, principal, warn_of
from sandbox.cli.service.common import CONFIG, print_report, repository_option, terminable
from sandbox.cli.snapshot.transfer import bar
from sandbox.network.connect import connect
from sandbox.network.remote import Remote
from sandbox.proofs.calls import Line
from sandbox.service.backups import Backups, opened_for_reading
from sandbox.service.config import Config, Target, read_config
from sandbox.service.drill import DrillFailed, Query, drill
from sandbox.service.report import append
from sandbox.service.restore import Restoration
from sandbox.snapshots.content_id import content_id


@click.command(cls=Command)
@click.argument("canister", metavar="CANISTER")
@click.argument("which", metavar="SNAPSHOT")
@repository_option
@click.option("--config", type=CONFIG, help="Configuration that has the network, the repository and the checks.")
@click.option("--check", "checks", multiple=True, metavar="QUERY", help="A query that must hold: 'get() == (5 : nat)'.")
@click.option("--dry-run", is_flag=True, help="Restore in a sandbox alone, with all checks; ask no network.")
@with_app
def restore(
    app: App, canister: str, which: str, repository: Path, config: Path | None, checks: tuple[str, ...], dry_run: bool
) -> int:
    """Bring the backup SNAPSHOT back to CANISTER at its network.

    SNAPSHOT is an id or `latest`. The backup is read again and restored in a sandbox first. It is then uploaded; the
    canister is stopped, a safety snapshot is taken, the backup is loaded, and the canister is started, whatever
    happens, and asked the checks. With --config, CANISTER may be a name in it.

    Exit codes: 0 restored; 1 failed, and the report says what is safe; 2 misuse.
    """
    settings, target = _chosen(app, canister, repository, config)
    queries = (*target.checks.queries, *map(_query, checks))
    target = replace(target, checks=replace(target.checks, queries=queries))
    if dry_run:
        return _rehearsed(app, settings, target, which)
    if not settings.network:
        raise Misuse("give the network with --network, and the key of a controller with --pem, or a --config")
    warn_of(settings.identity)
    with (
        Backups(settings.repository) as backups,
        connect(settings.network, settings.root_key, settings.identity, settings.password_env) as agent,
        terminable(),
        bar(app, "uploading") as progress,
    ):
        state = backups.find(target.id, which)
        report = Restoration(Remote(agent, target.id), target, backups, state, progress).run()
        append(backups.path, report)
    if app.json:
        app.emit(report.facts)
    else:
        print_report(report)
    return 0 if report.ok else FAILED


def _rehearsed(app: App, settings: Config, target: Target, which: str) -> int:
    with opened_for_reading(settings.repository) as backups:
        state = backups.find(target.id, which)
        known = content_id(state)
        try:
            seen = drill(state, target.checks, known)
        except DrillFailed as error:
            raise CheckFailed(str(error)) from error
    app.emit(
        {"dry_run": True, "canister_id": target.id, "snapshot": state.id, **seen},
        Text.assemble(("would restore ", "green"), f"snapshot {state.id.hex()} of {target.name}, content id {known}"),
    )
    return 0


def _query(text: str) -> Query:
    call, separator, expected = text.partition(" == ")
    line = Line(call.strip(), "--check")
    if not line.method:
        raise Misuse(f"--check takes a query, such as 'get() == (5 : nat)', not {text!r}")
    return Query(line, expected.strip() if separator else None)


def _chosen(app: App, canister: str, repository: Path, config: Path | None) -> tuple[Config, Target]:
    if config is not None:
        settings = read_config(config)
        for target in settings.targets:
            if canister in (target.name, str(target.id)):
                return settings, target
        raise Misuse(f"{config} has no canister {canister!r}")
    target = Target(canister, principal(canister))
    return Config(app.network or "", repository, (target,), app.pem, PASSWORD, app.root_key), target
