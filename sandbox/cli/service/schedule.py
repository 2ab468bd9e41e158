"""The commands `backup schedule`, `quiet`, `unit` and `simulate`."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from sandbox.api import Sandbox
from sandbox.cli.app import App, Command, Misuse, with_app
from sandbox.cli.failures import FAILED
from sandbox.cli.network.connection import warn_of
from sandbox.cli.render import output
from sandbox.cli.service.common import CONFIG, print_report, terminable, warn
from sandbox.pagestore.durable_files import write_durably
from sandbox.service.config import Config, Target, read_config
from sandbox.service.simulate import simulate as simulated
from sandbox.service.units import github_workflow, systemd_unit
from sandbox.service.watch import Planned, Watch

_EMPTY_MODULE = b"\0asm\1\0\0\0"
_MOST = 1_000_000


@click.command(cls=Command)
@click.argument("config", type=CONFIG)
@click.option("--once", is_flag=True, help="Back up what is due now, and end: for cron and workflows.")
@click.option("--plan", "planning", is_flag=True, help="Only show when each canister is backed up next, and why then.")
@with_app
def schedule(app: App, config: Path, once: bool, planning: bool) -> int:
    """Back up the canisters of CONFIG by their schedules, until Ctrl-C or SIGTERM.

    A start that was missed while this did not run is made up for once; one that falls due during another run is left
    out; a failure is tried again after 15 minutes. CONFIG can say otherwise. At its start, canisters that an
    interrupted run left stopped are started.
    """
    settings = _scheduled(config)
    watch = Watch(settings, say=warn)
    if planning:
        planned = watch.plan()
        app.emit([_plan_facts(item) for item in planned], _plan_text(planned))
        return 0
    warn_of(settings.identity)
    ok = True
    with terminable():
        if not once:
            app.quiet()
            app.note(f"following the schedules of {len(settings.targets)} canisters; Ctrl-C ends")
        for report in watch.run_due() if once else watch.run():
            ok = ok and report.ok
            if app.json:
                app.emit(report.facts)
            else:
                print_report(report)
    return 0 if ok else FAILED


def _scheduled(path: Path) -> Config:
    config = read_config(path)
    if not any(target.schedule for target in config.targets):
        raise Misuse(f"{path} has no schedule: give one, such as  schedule: '0 3 * * *'")
    return config


def _plan_facts(item: Planned) -> dict[str, Any]:
    assert item.target.schedule is not None
    return {
        "name": item.target.name,
        "canister_id": item.target.id,
        "schedule": item.target.schedule.text,
        "start": item.start,
        "reason": None if item.quiet is None else item.quiet.reason,
    }


def _plan_text(planned: list[Planned]) -> Any:
    rows = []
    for item in planned:
        assert item.target.schedule is not None
        reason = "" if item.quiet is None else item.quiet.reason
        rows.append((item.target.name, item.target.schedule.text, output.date(item.start), reason))
    return output.Listing(("canister", "schedule", "next (UTC)", "why then"), rows)


@click.command(cls=Command)
@click.argument("config", type=CONFIG)
@click.argument("name", metavar="NAME")
@with_app
def quiet(app: App, config: Path, name: str) -> None:
    """Show the quietest hour of the canister NAME, and its use in each hour.

    `backup schedule` asks a canister with a quiet schedule once an hour for its version, which every executed message
    raises, and for the calls in its query_stats. canister_metrics is not asked.
    """
    settings = _scheduled(config)
    target = _target(settings, name, config)
    if target.schedule is None:
        raise Misuse(f"{name} has no schedule")
    found = Watch(settings).quiet(target)
    rows = [(f"{hour}:00", f"{use:.1f}") for hour, use in found.uses.items()]
    app.emit(
        {"name": name, "hour": found.hour, "reason": found.reason, "uses": found.uses},
        Text(f"{found.hour}:00, {found.reason}"),
        *([output.Listing(("hour", "messages and queries"), rows, ("messages and queries",))] if rows else []),
    )


def _target(config: Config, name: str, path: Path) -> Target:
    for target in config.targets:
        if target.name == name:
            return target
    raise Misuse(f"{path} has no canister {name!r}; it has: {', '.join(t.name for t in config.targets)}")


@click.command(cls=Command)
@click.argument("config", type=CONFIG)
@click.option("--kind", type=click.Choice(["systemd", "github"]), required=True, help="Which file to write.")
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="Where to write it [print it]")
@click.option("--user", help="User of the systemd service [the present one]")
@with_app
def unit(app: App, config: Path, kind: str, out: Path | None, user: str | None) -> None:
    """Write a systemd unit or a GitHub workflow that follows the schedules of CONFIG."""
    settings = _scheduled(config)
    if kind == "systemd":
        text = systemd_unit(settings, config, user or getpass.getuser())
    else:
        text = github_workflow(settings, config)
    if out is None:
        click.echo(text, nl=False)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    write_durably(out, text.encode(), 0o644)
    app.emit({"kind": kind, "path": str(out)}, Text.assemble(("wrote ", "green"), str(out)))


@click.command(cls=Command)
@click.argument("config", type=CONFIG)
@click.argument("name", metavar="NAME")
@click.option("--days", type=click.FloatRange(0, min_open=True), default=365.0, show_default=True, help="How long.")
@with_app
def simulate(app: App, config: Path, name: str, days: float) -> None:
    """Show which backups of NAME there would be after a year.

    The schedule and the rules are those of CONFIG.

    Time is virtual: an empty canister in a sandbox lives through it, and the rules of CONFIG give up its snapshots.
    """
    settings = _scheduled(config)
    target = _target(settings, name, config)
    with Sandbox(max_snapshots=_MOST) as sandbox:
        canister = sandbox.create_canister()
        canister.install(_EMPTY_MODULE)
        done = simulated(target, sandbox, canister, days)
    rows = [(output.date(snapshot.taken_on), ", ".join(rules)) for snapshot, rules in done.kept]
    app.emit(
        {"taken": len(done.taken), "kept": [{"taken_on": s.taken_on, "reasons": rules} for s, rules in done.kept]},
        output.Listing(("taken (UTC)", "kept by"), rows),
        Text(f"{len(done.taken)} taken, {len(done.kept)} kept"),
    )
