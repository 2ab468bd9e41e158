"""The commands `snapshot inspect` and `snapshot query`: read a snapshot without loading it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sandbox.api import runtime_of
from sandbox.cli import calls, completion
from sandbox.cli.app import App, Command, F, Misuse, Session, with_app
from sandbox.cli.failures import FAILED
from sandbox.cli.render import inspection
from sandbox.cli.render.inspect_options import InspectOptions
from sandbox.cli.snapshot.selector import Ambiguous, resolve_file, resolve_snapshot
from sandbox.errors import PrincipalError
from sandbox.memory import Pool
from sandbox.principal import Principal
from sandbox.snapshots import portable
from sandbox.snapshots.inspect.formats import FORMS
from sandbox.snapshots.inspect.pages import SIZES
from sandbox.snapshots.inspect.target import PARTS, InspectionTarget, inspection_target, opened_stable
from sandbox.snapshots.portable.stable_image import read_stable_image


class Range(click.ParamType[tuple[int, int]]):
    """START:LENGTH in bytes, decimal or `0x` hexadecimal; 256 bytes without LENGTH."""

    name = "START:LENGTH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        start, colon, length = str(value).partition(":")
        try:
            result = int(start, 0), int(length, 0) if colon else 256
        except ValueError:
            self.fail(f"{value!r} is not START:LENGTH, such as 0x1000:256", param, ctx)
        if min(result) < 0:
            self.fail(f"{value!r} is negative", param, ctx)
        return result


_FORM = click.Choice(sorted(FORMS))
_OPTIONS: tuple[Callable[[F], F], ...] = (
    click.option("--decode", "structures", is_flag=True, help="Decode the data structures in stable memory."),
    click.option(
        "--region", metavar="N", help="Select one structure: show its entries, or use its bytes for the options below."
    ),
    click.option(
        "--limit",
        type=click.IntRange(1),
        default=20,
        show_default=True,
        help="Most entries, items, texts and bytes of a blob shown.",
    ),
    click.option("--key-form", type=_FORM, help="Format of keys [guessed from their bytes]"),
    click.option("--value-form", type=_FORM, help="Format of values [guessed from their bytes]"),
    click.option("--globals", "values", is_flag=True, help="List the globals of the module and their values."),
    click.option("--candid", is_flag=True, help="Print the Candid interface of the module."),
    click.option("--part", type=click.Choice(PARTS), help="Part that the options below read [heap]"),
    click.option("--strings", is_flag=True, help="List the texts in the part."),
    click.option("--min-length", type=click.IntRange(1), default=6, show_default=True, help="Shortest text listed."),
    click.option("--pattern", metavar="REGEX", help="List only texts that match."),
    click.option("--hexdump", type=Range(), help="Show bytes in hexadecimal."),
    click.option("--picture", is_flag=True, help="Show a map of the classes of pages."),
    click.option("--map", "png", type=click.Path(dir_okay=False, path_type=Path), help="Write the map to a PNG file."),
    click.option(
        "--page",
        type=click.Choice([str(size) for size in SIZES]),
        default="4096",
        show_default=True,
        help="Page size of maps, in bytes.",
    ),
)


def _options(function: F) -> F:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.command(cls=Command)
@click.argument("which", metavar="SNAPSHOT", shell_complete=completion.snapshots)
@_options
@click.option(
    "--stable-image", is_flag=True, help="Read SNAPSHOT as a file with the bytes of a stable memory, raw or gzip."
)
@click.option("--wasm", type=calls.FILE, help="With --stable-image: the module that wrote it.")
@with_app
def inspect(app: App, which: str, page: str, **options: Any) -> None:
    """Show the module, memories and data structures of SNAPSHOT.

    SNAPSHOT is an id or a label, an `.icsnap` file, a snapshot directory of dfx or icp-cli, or the name or id of a
    canister, for its current state. Nothing is loaded, and no code of a canister runs.
    """
    image, wasm = options.pop("stable_image"), options.pop("wasm")
    selection = InspectOptions(page=int(page), **options)
    if wasm is not None and not image:
        raise Misuse("--wasm requires --stable-image")
    if image:
        stable = read_stable_image(Pool(), Path(which))
        _show(app, opened_stable(stable, b"" if wasm is None else wasm.read_bytes()), selection)
        return
    path: Path | None = Path(which)
    if not Path(which).exists():
        with app.session(save=False) as session:
            path = resolve_file(session, which)
            if path is None:
                _show(app, find(app, session, which), selection)
    if path is None:
        return
    with portable.opened(path) as content:
        _show(app, inspection_target(content), selection)


def _show(app: App, target: InspectionTarget, selection: InspectOptions) -> None:
    facts, parts = (
        inspection.render_overview(target, selection)
        if selection.overview
        else inspection.render_selected(target, selection)
    )
    app.emit(facts, *parts)
    if "entries" in facts and (facts.get("problem") or facts.get("damages")):
        raise click.exceptions.Exit(FAILED)


def find(app: App, session: Session, which: str) -> InspectionTarget:
    """Return the snapshot with this id or label, or else the current state of the canister with this name or id."""
    try:
        return session.sandbox.snapshots.inspect(resolve_snapshot(session, which).id, app.sender)
    except Ambiguous:
        raise
    except Misuse as problem:
        if session.names.get(which) is None and not _is_principal(which):
            raise Misuse(f"{problem.message}, nor a canister") from None
    return inspection_target(runtime_of(session.sandbox).state_of(session.principal(which)))


def _is_principal(text: str) -> bool:
    try:
        Principal.from_text(text)
    except PrincipalError:
        return False
    return True


@click.command(cls=Command)
@click.argument("which", metavar="SNAPSHOT", shell_complete=completion.snapshots)
@click.argument("method")
@click.argument("argument", metavar="[CANDID]", required=False)
@click.option("--arg-file", "file", type=calls.FILE, help="File with the argument in Candid.")
@click.option("--did", type=calls.FILE, help=calls.DID_HELP)
@click.option("--raw", is_flag=True, help=calls.RAW_HELP)
@with_app
def query(app: App, which: str, **options: Any) -> None:
    """Query METHOD of SNAPSHOT, with the code and the memory in it.

    SNAPSHOT is an id or a label, an `.icsnap` file, or a snapshot directory of dfx or icp-cli. It is not loaded, and
    no canister changes. The time of the query is the time at which the snapshot was taken. In a file or directory, the
    query cannot call other canisters.
    """
    request = calls.Request(**options)
    with app.session(save=False) as session:
        snapshots = session.sandbox.snapshots
        source: bytes | Path
        path = resolve_file(session, which)
        if path is not None:
            source = path
            with portable.opened(path) as content:
                service = inspection_target(content).metadata.get("candid:service")
        else:
            source = resolve_snapshot(session, which).id
            service = snapshots.inspect(source, app.sender).metadata.get("candid:service")
        interface = calls.interface_of(app, service, request.did)
        result = calls.asked(
            request, interface, lambda argument: snapshots.query_raw(source, request.method, argument, app.sender)
        )
    calls.emit(app, result, request, interface)
