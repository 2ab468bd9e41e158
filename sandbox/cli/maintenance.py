"""The commands `maintenance announce`, `begin`, `end` and `list`: notices that a server shows to users."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import time_ns

import click
from rich.text import Text

from sandbox.api.names import Names
from sandbox.cli.app import App, Group, Misuse, canister_argument, with_app
from sandbox.cli.options import F
from sandbox.cli.render import output
from sandbox.cli.time import moment_of
from sandbox.errors import PrincipalError
from sandbox.http.maintenance.notice import ANNOUNCED, LATEST, OVER, Notice, moment
from sandbox.http.maintenance.notices import read_notices, write_notices
from sandbox.principal import Principal
from sandbox.units import nanoseconds

_LARGEST_PAGE = 1 << 20


@click.group(cls=Group)
def maintenance() -> None:
    """Tell users of a served canister that it is under maintenance.

    A server shows notices as soon as they are written. Before, its pages carry the header X-Maintenance. Meanwhile the
    canister's pages are answered with a page that counts down (status 503), and calls of users are rejected; those of
    its controllers and of other canisters are not. Afterwards all is as before, without a command. Facts are at
    /.well-known/maintenance.json of the canister's pages.
    """


def _terms(function: F) -> F:
    """Add the options that both commands have."""
    message = click.option("--message", metavar="TEXT", help="What users are told.")
    page = click.option(
        "--page",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="An own page, HTML with {{message}}, {{from}}, {{until}}, {{seconds}} and {{canister}} in it.",
    )
    return message(page(function))


@maintenance.command()
@canister_argument
@click.option("--from", "begins", metavar="WHEN", required=True, help="When it begins.")
@click.option("--until", "ends", metavar="WHEN", required=True, help="When it is over.")
@_terms
@with_app
def announce(app: App, canister: str, begins: str, ends: str, **terms: str | Path | None) -> None:
    """Announce maintenance of CANISTER; it begins and ends by itself.

    WHEN is a date such as 2026-07-01T12:00, in UTC unless it names a zone, or a duration from now such as 30m. What was
    announced before is replaced.
    """
    now = time_ns()
    _write(app, _noticed(app, canister, (_when(begins, now), _when(ends, now)), terms), now)


@maintenance.command()
@canister_argument
@click.option("--until", "ends", metavar="WHEN", help="When it is over [as announced]")
@_terms
@with_app
def begin(app: App, canister: str, ends: str | None, **terms: str | Path | None) -> None:
    """Begin maintenance of CANISTER now, as it was announced or until WHEN."""
    now = time_ns()
    known = read_notices(app.state).get(_canister(app, canister))
    if ends is None and (known is None or known.status(now) == OVER):
        raise Misuse("nothing was announced: say with --until when it is over")
    until = known.ends if ends is None and known is not None else _when(ends or "", now)
    notice = _noticed(app, canister, (now, until), terms)
    if known is not None:
        message = known.message if terms["message"] is None else notice.message
        notice = replace(notice, message=message, page=notice.page or known.page)
    _write(app, notice, now)


@maintenance.command()
@canister_argument
@with_app
def end(app: App, canister: str) -> None:
    """End maintenance of CANISTER now, or take back what was announced."""
    target = _canister(app, canister)
    notices = read_notices(app.state)
    known = notices.pop(target, None)
    if known is None or known.status(time_ns()) == OVER:
        raise Misuse(f"there is no maintenance of {canister}")
    write_notices(app.state, notices.values())
    app.emit({"canister_id": target, "status": OVER}, Text.assemble(("ended ", "green"), f"maintenance of {canister}"))


@maintenance.command(name="list")
@with_app
def list_(app: App) -> None:
    """List what is announced or in force."""
    now, names = time_ns(), Names(app.state)
    notices = [notice for notice in read_notices(app.state).values() if notice.status(now) != OVER]
    facts = [{**notice.facts(now), "name": names.of(notice.canister_id)} for notice in notices]
    app.emit(facts, *(_text(names.of(notice.canister_id), notice, now) for notice in notices))


def _noticed(app: App, canister: str, times: tuple[int, int], terms: dict[str, str | Path | None]) -> Notice:
    begins, ends = times
    if not begins < ends <= LATEST:
        raise Misuse(f"it would begin at {output.date(begins)} and be over at {output.date(min(ends, LATEST))}")
    return Notice(_canister(app, canister), begins, ends, str(terms["message"] or ""), _page(terms["page"]))


def _page(file: str | Path | None) -> str | None:
    if file is None:
        return None
    content = Path(file).read_bytes()
    if len(content) > _LARGEST_PAGE:
        raise Misuse(f"{file} has more than {_LARGEST_PAGE:,} bytes")
    return content.decode(errors="replace")


def _write(app: App, notice: Notice, now: int) -> None:
    if notice.status(now) == OVER:
        raise Misuse(f"it would be over already, at {output.date(notice.ends)}")
    if not app.state.is_dir():
        raise Misuse(f"there is no state directory {app.state}")
    write_notices(app.state, [*_others(app, notice, now), notice])
    app.emit(notice.facts(now), _text(Names(app.state).of(notice.canister_id), notice, now))


def _others(app: App, notice: Notice, now: int) -> list[Notice]:
    """The notices of other canisters that are not over."""
    known = read_notices(app.state).values()
    return [other for other in known if other.canister_id != notice.canister_id and other.status(now) != OVER]


def _text(name: str | None, notice: Notice, now: int) -> Text:
    announced = notice.status(now) == ANNOUNCED
    when = f"from {moment(notice.begins)} until" if announced else "until"
    said = f": {notice.message}" if notice.message else ""
    head = ("announced ", "yellow") if announced else ("under maintenance ", "red")
    return Text.assemble(head, f"{name or notice.canister_id} {when} {moment(notice.ends)}{said}")


def _canister(app: App, text: str) -> Principal:
    """The canister with this id or name. The state is not opened: a server may have it."""
    try:
        return Principal.from_text(text)
    except PrincipalError:
        found = Names(app.state).get(text)
    if found is None:
        raise Misuse(f"no canister of {app.state} has the name {text!r}, and it is no id")
    return found


def _when(text: str, now: int) -> int:
    """A time: a date, or a duration from now."""
    span = nanoseconds(text)
    return moment_of(text) if span is None else now + span
