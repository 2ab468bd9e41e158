"""Entries of the data structures in stable memory that were added, removed or changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import TypeVar

from blake3 import blake3

from sandbox.snapshots.diff.values import differences
from sandbox.snapshots.inspect.model import Cell, Decoded, Part, Row
from sandbox.snapshots.inspect.motoko.tree import WHOLE
from sandbox.snapshots.inspect.source import Damaged, InspectError, Plain
from sandbox.snapshots.inspect.target import InspectionTarget
from sandbox.snapshots.inspect.value import Node, Scalar

_MOST = 2_000_000
"""The most entries that may differ."""
_SURELY = 1 << 20
"""The entries of a list that are compared even if they outnumber its bytes of data."""
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class EntryDiff:
    """One entry: `before` is None where it was added, `after` where it was removed.

    `key`: the key in a map or set; the index in a list; the name of a variable, with the path in its value if only a
    part changed, such as `people[3].email`.
    """

    key: Cell | int | str
    before: Cell | None
    after: Cell | None


@dataclass(frozen=True, slots=True)
class StructureDiff:
    """A structure that differs. `counts`: its entries before and after, None if it was absent or has no entries.
    `problem`: why the entries cannot be compared. `damages`: unreadable or contradictory bytes on one side; if entries
    of a map are unreadable, those that only the other side has are left out."""

    name: str
    kind: str
    counts: tuple[int | None, int | None]
    entries: tuple[EntryDiff, ...] = ()
    problem: str | None = None
    damages: tuple[str, ...] = ()

    @property
    def added(self) -> int:
        return sum(entry.before is None for entry in self.entries)

    @property
    def removed(self) -> int:
        return sum(entry.after is None for entry in self.entries)

    @property
    def changed(self) -> int:
        return len(self.entries) - self.added - self.removed


def compare_structures(old: InspectionTarget, new: InspectionTarget) -> tuple[StructureDiff, ...]:
    """Compare all structures, in the order of the new state, entries by key or index; none if no decoder fits."""
    try:
        before, after = _parts(old.decode(WHOLE)), _parts(new.decode(WHOLE))
    except InspectError as error:
        return (StructureDiff("stable memory", "unknown", (None, None), problem=str(error)),)
    names = [*after, *(name for name in before if name not in after)]
    diffs = (_compared(before.get(name), after.get(name)) for name in names)
    return tuple(diff for diff in diffs if diff is not None)


def _parts(decoded: Decoded) -> dict[str, Part]:
    return {part.name: part for part in decoded.parts if part.columns or part.problem is not None}


def _compared(old: Part | None, new: Part | None) -> StructureDiff | None:
    part = new or old
    assert part is not None
    counts = (None if old is None else old.count, None if new is None else new.count)
    kind = _kind(old, new)
    problem = next((each.problem for each in (new, old) if each is not None and each.problem is not None), None)
    if problem is not None:
        return StructureDiff(part.name, kind, counts, problem=problem)
    before, after = _Side(old), _Side(new)
    try:
        entries = tuple(islice(_entries(before, after), _MOST + 1))
        if len(entries) > _MOST:
            raise InspectError(f"more than {_MOST:,} entries differ")
    except InspectError as error:
        return StructureDiff(part.name, kind, counts, problem=str(error))
    alike = old is not None and new is not None and not entries and before.damages == after.damages
    named = (("before", before), ("after", after))
    damages = tuple(f"{when}: {damage}" for when, side in named for damage in side.damages)
    return None if alike else StructureDiff(part.name, kind, counts, entries, damages=damages)


class _Side:
    """One of the two states of a structure, None if absent, and the damages met in reading it."""

    def __init__(self, part: Part | None) -> None:
        self.part = part
        self.damages: dict[str, None] = {}
        self.lost = False
        """Whether entries were unreadable: an absent one may be one of them."""

    def rows(self) -> Iterator[Row]:
        return iter(()) if self.part is None else self.read(self.part.rows())

    def read(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """Yield the items; note the damages of a `Damaged` at their end."""
        try:
            yield from items
        except Damaged as error:
            self.damages |= dict.fromkeys(error.damages)
            self.lost |= error.lost


def _kind(old: Part | None, new: Part | None) -> str:
    """Return the kind, or the change of it; an empty map looks like an empty set and takes the kind of the other."""
    kinds = dict.fromkeys(part.kind for part in (old, new) if part is not None)
    filled = dict.fromkeys(part.kind for part in (old, new) if part is not None and part.count)
    if kinds.keys() == {"BTreeMap", "BTreeSet"} and len(filled) == 1:
        kinds = filled
    return ", now ".join(kinds)


def _entries(old: _Side, new: _Side) -> Iterator[EntryDiff]:
    before, after = old.part, new.part
    columns = after.columns if after is not None else before.columns if before is not None else ()
    if before is not None and after is not None and _COMPARERS.get(before.columns) is not _COMPARERS.get(columns):
        yield from _entries(old, _Side(None))
        yield from _entries(_Side(None), new)
        return
    kind = after.kind if after is not None else before.kind if before is not None else ""
    form = _COMPARERS.get(columns, _listed)
    yield from (_bag if kind == "MinHeap" else form)(old, new)


def _keyed(old: _Side, new: _Side) -> Iterator[EntryDiff]:
    """Compare maps and sets by the bytes of their keys. Nodes that are equal in both are skipped."""
    before, after = _groups(old), _groups(new)
    then = {_raw(row[0]): row for digest, rows in before.items() if digest not in after for row in old.read(rows())}
    now = {_raw(row[0]): row for digest, rows in after.items() if digest not in before for row in new.read(rows())}
    for key in sorted(then.keys() | now.keys()):
        was, has = then.get(key), now.get(key)
        if (was is None and old.lost) or (has is None and new.lost):
            continue
        if was is None or has is None or _values(was) != _values(has):
            cell = (has or was or ())[0]
            yield EntryDiff(cell, None if was is None else was[-1], None if has is None else has[-1])


def _values(row: Row) -> bytes:
    """Return the bytes of the value; empty in a set."""
    return b"".join(map(_raw, row[1:]))


def _groups(side: _Side) -> dict[bytes, Callable[[], Iterable[Row]]]:
    part = side.part
    if part is None:
        return {}
    if part.groups is None:
        return {b"": part.rows}
    return {blake3(data or b"").digest(): rows for data, rows in side.read(part.groups())}


def _listed(old: _Side, new: _Side) -> Iterator[EntryDiff]:
    """Compare vectors, logs and cells by index."""
    for first, before, after in _blocks(old, new):
        for place, (was, now) in enumerate(zip_longest(before, after), first):
            if was is None or now is None or _raw(was[0]) != _raw(now[0]):
                yield EntryDiff(place, None if was is None else was[0], None if now is None else now[0])


def _blocks(old: _Side, new: _Side) -> Iterator[tuple[int, Iterable[Row], Iterable[Row]]]:
    """Yield the blocks of two lists that may differ: the index of the first entry, the old and the new entries. Equal
    blocks are skipped."""
    before, after = old.part, new.part
    for part in (before, after):
        if part is not None and (part.count or 0) > max(_SURELY, sum(length for _, length in part.data.extents())):
            raise InspectError(f"{part.count:,} entries are more than bytes that hold anything")
    if before is None or after is None or before.groups is None or after.groups is None or before.block != after.block:
        yield 0, old.rows(), new.rows()
        return
    for number, (was, now) in enumerate(zip_longest(before.groups(), after.groups())):
        if was is None or now is None or was[0] is None or was[0] != now[0]:
            then = () if was is None else old.read(was[1]())
            yield number * after.block, then, () if now is None else new.read(now[1]())


def _bag(old: _Side, new: _Side) -> Iterator[EntryDiff]:
    """Compare the values of heaps without regard to their places."""
    counts: tuple[Counter[bytes], Counter[bytes]] = (Counter(), Counter())
    for _, *rows in _blocks(old, new):
        for count, some in zip(counts, rows, strict=True):
            count.update(_raw(row[0]) for row in some)
    for values, added in ((counts[1] - counts[0], True), (counts[0] - counts[1], False)):
        for value in values.elements():
            cell = Plain(value)
            yield EntryDiff(cell, None if added else cell, cell if added else None)


def _variables(old: _Side, new: _Side) -> Iterator[EntryDiff]:
    """Compare Motoko's variables, or the values of a Candid message, down to their smallest differing parts."""
    values = [{_name(row[0]): row[-1] for row in side.rows()} for side in (old, new)]
    for name in (*values[1], *(name for name in values[0] if name not in values[1])):
        was, now = (_node(each.get(name)) for each in values)
        yield from (EntryDiff(*difference) for difference in differences(name, was, now))


_COMPARERS: dict[tuple[str, ...], Callable[[_Side, _Side], Iterator[EntryDiff]]] = {
    ("key", "value"): _keyed,
    ("key",): _keyed,
    ("variable", "type", "value"): _variables,
    ("number", "value"): _variables,
}


def _raw(cell: Cell) -> bytes:
    assert not isinstance(cell, Node)
    return cell.read(0, cell.size)


def _node(cell: Cell | None) -> Node | None:
    assert cell is None or isinstance(cell, Node)
    return cell


def _name(cell: Cell) -> str:
    return str(cell.value) if isinstance(cell, Scalar) else str(cell)
