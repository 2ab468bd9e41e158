"""The commands `time`, `tick` and `run`: virtual time, and what is due at it."""

from __future__ import annotations

from datetime import UTC, datetime
from time import time_ns
from typing import Any

import click
from rich.text import Text

from sandbox.api import Sandbox
from sandbox.cli.app import App, Command, Group, Misuse, with_app
from sandbox.cli.profiling import Profiled, profile_options
from sandbox.cli.render import output
from sandbox.limits import ROUNDS
from sandbox.units import nanoseconds

_SECOND = 1_000_000_000
_ROUNDS = click.option(
    "--max-rounds",
    type=click.IntRange(1),
    default=ROUNDS,
    show_default=True,
    help="Give up after N rounds at one time.",
)


def _duration(text: str) -> int:
    """Return a duration such as `90s` in nanoseconds."""
    span = nanoseconds(text)
    if span is None:
        raise click.BadParameter(f"{text!r} is not a duration such as 500ms, 90s, 5m, 2h or 1d")
    return span


@click.group(cls=Group)
def time() -> None:
    """Show the time of the sandbox, or let time pass.

    Time is virtual: it moves only by these commands, by `run --for`, and when a later snapshot is brought in from a
    file. Timers and policies run in the rounds of `run`, `tick` and calls.
    """


@time.command()
@with_app
def show(app: App) -> None:
    """Show the time, and when the next timer or snapshot of a policy is due."""
    with app.session(save=False) as session:
        facts = _facts(session.sandbox)
    _emit(app, facts)


@time.command(name="set")
@click.argument("when", metavar="WHEN")
@with_app
def set_(app: App, when: str) -> None:
    """Move the time forward to WHEN.

    WHEN is a date such as 2026-07-01 or 2026-07-01T12:00:00, in UTC unless it names a zone, nanoseconds since 1970, or
    `now`, the time of this machine.
    """
    target = moment_of(when)
    with app.session(create=True) as session:
        if target < session.sandbox.time:
            raise Misuse(f"time never goes back: it is {output.date(session.sandbox.time)}")
        session.sandbox.set_time(target)
        facts = _facts(session.sandbox)
    _emit(app, facts)


@time.command()
@click.argument("span", metavar="DURATION", type=_duration)
@with_app
def advance(app: App, span: int) -> None:
    """Let time pass: 500ms, 90s, 5m, 2h, 1d, 2w. Nothing runs by itself."""
    with app.session(create=True) as session:
        session.sandbox.advance_time(nanoseconds=span)
        facts = _facts(session.sandbox)
    _emit(app, facts)


@click.command(cls=Command)
@click.argument("rounds", metavar="[ROUNDS]", type=click.IntRange(1), default=1)
@profile_options
@with_app
def tick(app: App, rounds: int, profile: str | None, coverage: bool) -> None:
    """Execute one round, or ROUNDS: due timers and heartbeats, then messages."""
    profiled = Profiled(profile, coverage)
    with app.session() as session, profiled.during(app, session):
        session.sandbox.tick(rounds)
    done = Text.assemble(("executed ", "green"), _counted(rounds))
    app.emit({"rounds": rounds, **profiled.facts}, done, *profiled.parts)


@click.command(cls=Command)
@click.option("--for", "span", type=_duration, default="0s", metavar="DURATION", help="Let time pass meanwhile.")
@click.option(
    "--step",
    type=_duration,
    metavar="DURATION",
    help="Let at most so much time pass at once, as for heartbeats [from one due timer to the next]",
)
@_ROUNDS
@profile_options
@with_app
def run(app: App, span: int, step: int | None, max_rounds: int, **options: Any) -> None:
    """Execute rounds until no message and no due timer is left.

    With --for, time passes, and each timer, message and snapshot of a policy runs at its own time.
    """
    if step == 0:
        raise Misuse("--step is longer than nothing")
    profiled = Profiled(options["profile"], options["coverage"])
    with app.session() as session, app.working() as working, profiled.during(app, session):

        def progress(done: int, whole: int) -> None:
            working(f"{100 * done // max(whole, 1)} %, {output.date(session.sandbox.time)}")

        seconds = None if step is None else step / _SECOND
        rounds = session.sandbox.run_for(nanoseconds=span, step=seconds, max_rounds=max_rounds, progress=progress)
        facts = _facts(session.sandbox)
    done = Text.assemble(("idle ", "green"), f"after {_counted(rounds)}")
    app.emit({"rounds": rounds, **facts, **profiled.facts}, done, _text(facts), *profiled.parts)


def _counted(rounds: int) -> str:
    return f"{rounds:,} round{'' if rounds == 1 else 's'}"


def moment_of(when: str) -> int:
    """Return a point in time in nanoseconds since 1970."""
    if when == "now":
        return time_ns()
    if when.isdecimal() and len(when) > 8:
        return int(when)
    try:
        date = datetime.fromisoformat(when)
    except ValueError:
        raise Misuse(f"{when!r} is neither a date such as 2026-07-01T12:00:00 nor nanoseconds nor `now`") from None
    moment = date if date.tzinfo else date.replace(tzinfo=UTC)
    whole = int(moment.timestamp() // 1)
    return whole * _SECOND + moment.microsecond * 1_000


def _facts(sandbox: Sandbox) -> dict[str, Any]:
    due = sandbox.next_due
    return {
        "time": sandbox.time,
        "date": output.date(sandbox.time),
        "next_due": due,
        "next_due_date": None if due is None else output.date(due),
    }


def _text(facts: dict[str, Any]) -> Any:
    due = facts["next_due"]
    later = "" if due is None or due > facts["time"] else " (run: canister-sandbox run)"
    pairs = {"time": facts["date"], "next due": "nothing" if due is None else f"{facts['next_due_date']}{later}"}
    return output.fields(pairs)


def _emit(app: App, facts: dict[str, Any]) -> None:
    app.emit(facts, _text(facts))
