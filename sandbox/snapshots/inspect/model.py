"""What decoders answer with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sandbox.snapshots.inspect.source import Bytes
from sandbox.snapshots.inspect.value import Node

Cell = Bytes | Node
"""Bytes whose type is not known, or a value that is."""
Row = tuple[Cell, ...]
Group = tuple[bytes | None, Callable[[], Iterable[Row]]]
"""Bytes that are equal only if the entries are, None where they are not at hand, and the entries."""


def no_rows() -> Iterator[Row]:
    return iter(())


@dataclass(frozen=True)
class Check:
    """Facts that take reading a structure, and its damages: what cannot be read, or cannot be true, and where. The
    first part of a very large structure is checked; `whole` is False then."""

    facts: Mapping[str, object] = field(default_factory=dict)
    damages: tuple[str, ...] = ()
    whole: bool = True


@dataclass(frozen=True)
class Part:
    """One structure that was found: a map, a list of variables, a region.

    `count` and `rows()` are its entries, in its own order, with a cell for each of `columns`; rows are read as they are
    asked for, and where the bytes turn out to be wrong the iteration ends in an InspectError, which is `Damaged` if all
    entries that can be read were given. `data` are the bytes that belong to it. `problem`: why it could not be decoded.
    `groups()`: the same entries in groups, where they lie so that many need not be looked at to compare two states:
    those of a map in any order, those of a list in its order and so many in each as `block` says; each group, and the
    groups together, end in `Damaged` as `rows()` does.
    """

    name: str
    kind: str
    data: Bytes
    facts: Mapping[str, object] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    count: int | None = None
    rows: Callable[[], Iterator[Row]] = no_rows
    problem: str | None = None
    groups: Callable[[], Iterator[Group]] | None = None
    block: int = 0
    check: Callable[[], Check] = Check

    @cached_property
    def checked(self) -> Check:
        """The answer of `check()`, which reads the structure once."""
        return self.check()


@dataclass(frozen=True)
class Decoded:
    """What a stable memory holds. `layout` names the decoder that fits; `notes` are sentences for the reader."""

    layout: str
    parts: tuple[Part, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def part(self, name: str) -> Part | None:
        """The part with this name, or whose name ends in this number."""
        return next((p for p in self.parts if name in (p.name, p.name.rpartition(" ")[2])), None)
