"""Values that a canister knows: keys and values decoded from stable memory, and answers of its queries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import TypeVar

from sandbox import candid
from sandbox.errors import CandidError
from sandbox.proofs.generate import Pool, readings
from sandbox.proofs.upgrade.observe import Observation
from sandbox.proofs.upgrade.start import OWNER, Version
from sandbox.snapshots.inspect.model import Cell, Part, Row
from sandbox.snapshots.inspect.source import InspectError
from sandbox.snapshots.inspect.value import Node, Opt, Record, Scalar, Var, Variant, Vec

_ROWS = 8
"""Entries of a structure, and items of a list in a reply, that give values."""
_READ = 200
"""Entries of a structure from which they are chosen."""
_LONGEST = 1024
"""Bytes of the longest cell that gives values."""
_Item = TypeVar("_Item")


def known_values(version: Version, seen: Observation) -> Pool:
    """Return values of some entries of each structure and of each reply: keys first, then values, then replies."""
    rows = [row for part in seen.decoded.parts for row in _rows(part)]
    width = max((len(row) for row in rows), default=0)
    stored = [value for column in range(width) for row in rows for value in _values(row[column : column + 1])]
    return Pool.of([*stored, *_replies(version, seen), OWNER])


def _rows(part: Part) -> Sequence[Row]:
    rows: list[Row] = []
    with suppress(InspectError):  # entries before the damage are yielded
        rows.extend(islice(part.rows(), _READ))
    return _some(rows)


def _some(items: Sequence[_Item]) -> Sequence[_Item]:
    """Return items from the first to the last, evenly spread."""
    if len(items) <= _ROWS:
        return items
    return [items[index * (len(items) - 1) // (_ROWS - 1)] for index in range(_ROWS)]


def _values(cells: Sequence[Cell]) -> Iterator[object]:
    for cell in cells:
        if isinstance(cell, Node):
            yield from _scalars(cell)
        elif cell.size <= _LONGEST:
            yield from readings(cell.read(0, cell.size))


def _scalars(node: Node) -> Iterator[object]:
    """Yield the values without parts in a value; of a vector some items."""
    waiting: list[Node] = [node]
    while waiting:
        match waiting.pop():
            case Scalar(value, _, size) if size <= _LONGEST:
                yield value
            case Record(fields):
                waiting += [value for _, value in reversed(fields)]
            case Vec(items):
                waiting += reversed(_some(items))
            case Opt(value) | Var(value=value) | Variant(value=value):
                waiting.append(value)


def _replies(version: Version, seen: Observation) -> Iterator[object]:
    """Yield the answers of the queries; of a list some items."""
    if version.interface is None:
        return
    for result in seen.answers.values():
        function = version.interface.methods.get(result.method)
        if result.reply is None or function is None:
            continue
        try:
            replies = candid.decode(function.results, result.reply)
        except CandidError:
            continue  # the reply does not match the interface
        for reply in replies:
            yield _some(reply) if isinstance(reply, list) else reply
