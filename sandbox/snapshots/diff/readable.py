"""Entries of data structures that differ, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sandbox.snapshots.diff.structures import EntryDiff
from sandbox.snapshots.inspect.cells import SAMPLE, column
from sandbox.snapshots.inspect.model import Cell
from sandbox.snapshots.inspect.value import Node, shortened

_ITEMS = 100
"""Most items of a vector that are shown."""

Readable = list[tuple[Any, str]]
"""Cells, each as JSON and as text."""


def readable_entries(
    entries: Sequence[EntryDiff], limit: int, names: tuple[str, ...]
) -> tuple[Readable, Readable, Readable]:
    """Return the keys, and the values before and after, of the first `limit` entries, each column in one format.

    `names`: field names of the interfaces (`cells.field_names`); Candid in memory has only their hashes.
    """
    some, sample = entries[:limit], entries[:SAMPLE]
    return _keys(some, sample, names), *_values(some, sample, names)


def _keys(entries: Iterable[EntryDiff], sample: Iterable[EntryDiff], names: tuple[str, ...]) -> Readable:
    keys = [entry.key for entry in entries]
    cells = [key for key in keys if not isinstance(key, int | str)]
    if len(cells) < len(keys):
        return [(key, str(key)) for key in keys]
    return _read(cells, [entry.key for entry in sample if not isinstance(entry.key, int | str)], names)


def _values(
    entries: Iterable[EntryDiff], sample: Iterable[EntryDiff], names: tuple[str, ...]
) -> tuple[Readable, Readable]:
    """Return the values before and after, all read in one format."""
    pairs = [(entry.before, entry.after) for entry in entries]
    read = iter(_read(_cells(entries), _cells(sample), names))
    read_pairs = [[(None, "") if cell is None else next(read) for cell in pair] for pair in pairs]
    return [pair[0] for pair in read_pairs], [pair[1] for pair in read_pairs]


def _cells(entries: Iterable[EntryDiff]) -> list[Cell]:
    return [cell for entry in entries for cell in (entry.before, entry.after) if cell is not None]


def _read(cells: list[Cell], sample: list[Cell], names: tuple[str, ...]) -> Readable:
    plain = [cell for cell in cells if not isinstance(cell, Node)]
    if not cells or len(plain) not in (0, len(cells)):
        return [(str(cell), str(cell)) for cell in cells]
    cells = [shortened(cell, _ITEMS) if isinstance(cell, Node) else cell for cell in cells]
    rendered = column(cells, names, sample=sample)
    return list(zip(rendered.json, rendered.text, strict=True))
