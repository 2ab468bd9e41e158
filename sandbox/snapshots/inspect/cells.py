"""Keys and values of data structures as text and as JSON."""

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
"""Cells from which the format of a column is guessed, however many are shown."""


@dataclass(frozen=True)
class Column:
    """The cells of one column. `form`: the format in which bytes were read; None for values with a known type."""

    form: str | None
    text: list[str]
    json: list[Any]


def column(
    cells: Sequence[Cell], names: tuple[str, ...], form: str | None = None, sample: Sequence[Cell] | None = None
) -> Column:
    """Render cells of one kind, all in one format: `form`, or else a guess from `sample`, or else from `cells`.

    A cell above 64 KiB, or above 16 MiB for the form `candid`, is not read as a whole. Its JSON is `{"start": ...,
    "size": ...}`, with the size in bytes.
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
    text = formats.shown(value, form, cell.size)
    return f"{text}: too long to be read as Candid" if form == "candid" and cell.size > most else text


def _form(sample: Sequence[Cell], names: tuple[str, ...]) -> str:
    """Guess the format from the cells that can be read as a whole, or else from the beginnings of all."""
    cells = [cell for cell in sample[:SAMPLE] if not isinstance(cell, Node)]
    whole = [cell for cell in cells if cell.size <= formats.MOST] or cells
    return formats.guess_format([cell.read(0, min(cell.size, formats.MOST)) for cell in whole], names)


def _json(value: Any, cell: Bytes, most: int) -> Any:
    return value if cell.size <= most else {"start": value, "size": cell.size}


def node_cell(node: Node) -> str:
    """Return a decoded value as text; names and types are not quoted."""
    return str(node.value) if isinstance(node, Scalar) and node.type in ("name", "type") else node_text(node)


def field_names(target: InspectionTarget) -> tuple[str, ...]:
    """Return the field names in the module's interface; Candid in memory has only their hashes."""
    text = target.metadata.get("candid:service")
    try:
        return tuple(candid.parse_did(text.decode("utf-8", "replace")).field_names()) if text else ()
    except CandidError:
        return ()
