"""The result of decoders: parts, their rows and their checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sandbox.snapshots.inspect.source import Bytes
from sandbox.snapshots.inspect.value import Node

Cell = Bytes | Node
"""Bytes of unknown type, or a typed value."""
Row = tuple[Cell, ...]
Group = tuple[bytes | None, Callable[[], Iterable[Row]]]
"""(fingerprint, entries): equal fingerprints imply equal entries; None if no fingerprint is cheap."""


def no_rows() -> Iterator[Row]:
    return iter(())


@dataclass(frozen=True)
class Check:
    """The result of reading a structure: facts, and its damages (unreadable or contradictory bytes, and where). `whole`
    is False if only the first part of a very large structure was checked."""

    facts: Mapping[str, object] = field(default_factory=dict)
    damages: tuple[str, ...] = ()
    whole: bool = True


@dataclass(frozen=True)
class Part:
    """One decoded structure: a map, a list of variables, a region.

    `count` and `rows()` are its entries, in its own order, with a cell for each of `columns`. Rows are read lazily;
    malformed bytes end the iteration with an InspectError, which is `Damaged` if all readable entries were given.
    `data`: the bytes that belong to it. `problem`: why it could not be decoded. `groups()`: the same entries in groups
    with fingerprints, for comparing two states: those of a map in any order, those of a list in its order, `block` in
    each; each group, and the groups together, end in `Damaged` as `rows()` does.
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
        """The result of `check()`, computed once."""
        return self.check()


@dataclass(frozen=True)
class Decoded:
    """A decoded stable memory. `layout`: the name of the decoder; `notes`: sentences for the user."""

    layout: str
    parts: tuple[Part, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def part(self, name: str) -> Part | None:
        """Return the part with this name, or whose name ends in this number; None if there is none."""
        return next((p for p in self.parts if name in (p.name, p.name.rpartition(" ")[2])), None)
