"""Keys and values of data structures, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sandbox import candid
from sandbox.errors import CandidError
from sandbox.snapshots.inspect import formats
from sandbox.snapshots.inspect.model import Cell
from sandbox.snapshots.inspect.source import Bytes
from sandbox.snapshots.inspect.target import InspectionTarget
from sandbox.snapshots.inspect.value import Node, Scalar, node_json, node_text

SAMPLE = 32
"""So many cells tell in what form a column is read, however many are shown."""


@dataclass(frozen=True)
class Column:
    """`form`: how bytes were read; None for values whose type is known."""

    form: str | None
    text: list[str]
    json: list[Any]


def column(
    cells: Sequence[Cell], names: tuple[str, ...], form: str | None = None, sample: Sequence[Cell] | None = None
) -> Column:
    """Cells of one kind, read in one form: the given one, or one that fits those of `sample`, else these.

    As JSON, a cell that is too long to be read as a whole is `{"start": ..., "size": ...}`: one of more than 64 KiB, of
    16 MiB where Candid is asked for.
    """
    nodes = [cell for cell in cells if isinstance(cell, Node)]
    if nodes:
        return Column(None, [node_cell(cell) for cell in nodes], [node_json(cell) for cell in nodes])
    data = [cell for cell in cells if not isinstance(cell, Node)]
    most = formats.MOST_CANDID if form == "candid" else formats.MOST
    form = form or _form(cells if sample is None else sample, names)
    values = [formats.value(cell, form, names, most) for cell in data]
    text = [_text(value, form, cell, most) for value, cell in zip(values, data, strict=True)]
    return Column(form, text, [_json(value, cell, most) for value, cell in zip(values, data, strict=True)])


def _text(value: Any, form: str, cell: Bytes, most: int) -> str:
    shown = formats.shown(value, form, cell.size)
    return f"{shown}: too long to be read as Candid" if form == "candid" and cell.size > most else shown


def _form(sample: Sequence[Cell], names: tuple[str, ...]) -> str:
    """What fits those that can be read as a whole, or where there are none, their beginnings."""
    cells = [cell for cell in sample[:SAMPLE] if not isinstance(cell, Node)]
    whole = [cell for cell in cells if cell.size <= formats.MOST] or cells
    return formats.guess_format([cell.read(0, min(cell.size, formats.MOST)) for cell in whole], names)


def _json(value: Any, cell: Bytes, most: int) -> Any:
    return value if cell.size <= most else {"start": value, "size": cell.size}


def node_cell(node: Node) -> str:
    """A value; names and types as they are."""
    return str(node.value) if isinstance(node, Scalar) and node.type in ("name", "type") else node_text(node)


def field_names(found: InspectionTarget) -> tuple[str, ...]:
    """The names that the module's interface uses: Candid in memory has only their hashes."""
    text = found.metadata.get("candid:service")
    try:
        return tuple(candid.parse_did(text.decode("utf-8", "replace")).field_names()) if text else ()
    except CandidError:
        return ()
