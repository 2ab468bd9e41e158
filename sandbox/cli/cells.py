"""Keys and values of data structures, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sandbox import candid
from sandbox.errors import CandidError
from sandbox.snapshots.inspect import guess
from sandbox.snapshots.inspect.found import Cell
from sandbox.snapshots.inspect.motoko_value import Node, Scalar, node_json, node_text
from sandbox.snapshots.inspect.opened import Opened
from sandbox.snapshots.inspect.source import Bytes

_SAMPLE = 32


@dataclass(frozen=True)
class Column:
    """`form`: how bytes were read; None for values whose type is known."""

    form: str | None
    text: list[str]
    json: list[Any]


def column(cells: Sequence[Cell], names: tuple[str, ...], form: str | None = None) -> Column:
    """Cells of one kind, read in one form: the given one, or one that fits."""
    nodes = [cell for cell in cells if isinstance(cell, Node)]
    if nodes:
        return Column(None, [node_cell(cell) for cell in nodes], [node_json(cell) for cell in nodes])
    data = [cell for cell in cells if not isinstance(cell, Node)]
    form = form or guess.guess([_head(cell) for cell in data[:_SAMPLE]], names)
    values = [guess.value(cell, form, names) for cell in data]
    text = [guess.shown(value, form, cell.size) for value, cell in zip(values, data, strict=True)]
    return Column(form, text, values)


def _head(cell: Bytes) -> bytes:
    return cell.read(0, min(cell.size, guess.MOST))


def node_cell(node: Node) -> str:
    """A value; names and types as they are."""
    return str(node.value) if isinstance(node, Scalar) and node.type in ("name", "type") else node_text(node)


def field_names(found: Opened) -> tuple[str, ...]:
    """The names that the module's interface uses: Candid in memory has only their hashes."""
    text = found.metadata.get("candid:service")
    try:
        return tuple(candid.parse_did(text.decode("utf-8", "replace")).field_names()) if text else ()
    except CandidError:
        return ()
