"""The command `snapshot edit`: make a changed copy of a snapshot, which records its edits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from sandbox.cli.app import App, Command, with_app
from sandbox.cli.calls import FILE
from sandbox.cli.render import output
from sandbox.cli.render.snapshot import snapshot_facts
from sandbox.cli.snapshot.selector import resolve_snapshot
from sandbox.units import bytes_of


class Form(click.ParamType[Any]):
    """The type of an option whose text `parse` converts; ValueError of `parse` becomes a usage error."""

    def __init__(self, name: str, example: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._example = example
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._parse(value)
        except ValueError:
            raise click.BadParameter(f"{value!r} is not {self.name}, such as {self._example}", ctx, param) from None


def _patch(text: str) -> tuple[str, int, bytes]:
    part, offset, data = text.split(":")
    return _part(part), int(offset, 0), bytes.fromhex(data)


def _value(text: str) -> tuple[int | str, int | float]:
    name, equals, value = text.rpartition("=")
    if not name or not equals:
        raise ValueError(text)
    try:
        number: int | float = int(value, 0)
    except ValueError:
        number = float(value)
    return int(name) if name.isdecimal() else name, number


def _size(text: str) -> tuple[str, int]:
    part, number = text.split("=")
    size = bytes_of(number)
    if size is None:
        raise ValueError(text)
    return _part(part), size


def _part(text: str) -> str:
    if text not in ("heap", "stable"):
        raise ValueError(text)
    return text


_PATCH = Form("PART:OFFSET:HEX", "stable:0x40:00ff", _patch)
_GLOBAL = Form("INDEX=VALUE", "7=42", _value)
_SIZE = Form("PART=SIZE", "heap=10MiB", _size)
_HEX = Form("HEX", "00ff", bytes.fromhex)


@click.command(cls=Command)
@click.argument("which", metavar="SNAPSHOT")
@click.option(
    "--patch", "patches", type=_PATCH, multiple=True, help="Overwrite bytes of a memory, such as stable:0x40:00ff."
)
@click.option("--global", "values", type=_GLOBAL, multiple=True, help="Set a global of the module, such as 7=42.")
@click.option(
    "--resize", "sizes", type=_SIZE, multiple=True, help="Resize a memory before the patches, such as heap=10MiB."
)
@click.option("--wasm", type=FILE, help="Replace the module by one with the same globals.")
@click.option("--certified-data", type=_HEX, help="Set the certified data.")
@click.option("--label", metavar="TEXT", help="Label of the new snapshot.")
@click.option(
    "--keep",
    type=click.IntRange(1),
    help="Set how many snapshots each canister of this state may have.",
)
@with_app
def edit(app: App, which: str, wasm: Path | None, label: str | None, keep: int | None, **options: Any) -> None:
    """Make a changed copy of SNAPSHOT, an id or a label.

    SNAPSHOT does not change, so --keep must allow one more. `snapshot list` marks the new snapshot as edited, and
    `snapshot inspect` lists the edits. Edits that a canister could not run with are refused.
    """
    edits: dict[str, Any] = {f"{part}_size": size for part, size in options["sizes"]}
    for part in ("heap", "stable"):
        edits[part] = [(offset, data) for name, offset, data in options["patches"] if name == part]
    if wasm is not None:
        edits["wasm"] = wasm.read_bytes()
    if options["certified_data"] is not None:
        edits["certified_data"] = options["certified_data"]
    with app.session(max_snapshots=keep) as session:
        parent = resolve_snapshot(session, which)
        made = session.sandbox.snapshots.edit(parent.id, label, app.sender, globals=options["values"], **edits)
        facts, title = snapshot_facts(made), session.title(made.canister_id)
    app.emit(
        facts,
        Text.assemble(("made ", "green"), f"snapshot {made.id.hex()} of {title}, edited from {parent.id.hex()}"),
        output.fields(
            {
                "label": label or "none",
                "size": f"{made.total_size:,} bytes",
                "checksum": made.checksum,
                "edits": "\n".join(made.derived[-1].edits),
            }
        ),
    )
