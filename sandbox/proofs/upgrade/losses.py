"""Losses between two states: differences entry by entry, grouped by their place, without values that only moved.

A place is a path with its indices left out, such as `people[].email` or `memory 0 .email` (in every entry of a map). A
value that disappears at one place and appears as often at another has moved: the migration put it elsewhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from blake3 import blake3

from sandbox.candid.labels import name_text
from sandbox.snapshots.diff import compare_memories
from sandbox.snapshots.diff.structures import EntryDiff, StructureDiff, compare_structures
from sandbox.snapshots.diff.values import differences
from sandbox.snapshots.inspect import formats
from sandbox.snapshots.inspect.decode_candid import MAGIC, read_values
from sandbox.snapshots.inspect.identifiers import names_in_data
from sandbox.snapshots.inspect.model import Cell
from sandbox.snapshots.inspect.source import Bytes, InspectError, Plain
from sandbox.snapshots.inspect.target import InspectionTarget
from sandbox.snapshots.inspect.value import (
    Elided,
    Node,
    Opt,
    Packed,
    Record,
    Region,
    Same,
    Scalar,
    Var,
    Variant,
    Vec,
    node_text,
)

_INDEX = re.compile(r"\[\d+\]|\?")
_ID = re.compile(r"\._(\d{1,10})_")
"""A field without a name in a path."""
_EXAMPLES = 3
_NULL = Scalar(None, "null")
_PLAIN = frozenset({"true", "false", "null", ""})
_DIGITS = 4
"""Digits of a number that does not turn up by chance."""
_SAMPLE = 32
"""Keys from which their format is guessed."""
_TEXT = 120
"""Characters of a value in an example."""


@dataclass
class Group:
    """The differences at one place: values lost, changed, added, and `reshaped`, that is the same ones in another form,
    such as `7` and `opt 7`. `left`, `arrived`: the lost values, and those that were not there before, by their texts.
    `keyed`: whether the place is within the entries of a map or list."""

    place: str
    structure: str
    keyed: bool = False
    lost: int = 0
    changed: int = 0
    added: int = 0
    reshaped: int = 0
    left: Counter[str] = field(default_factory=Counter)
    arrived: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    moved: bool = False
    """Whether every lost value is elsewhere now."""

    def note(self, where: str, before: Node | None, after: Node | None) -> None:
        """Count one difference."""
        gone, new = after is None or after == _NULL, before is None or before == _NULL
        if gone and new:
            return
        was, now = Counter(leaves(before)), Counter(leaves(after))
        self.arrived += now - was
        if gone:
            self.lost += 1
            self.left += was
        elif new:
            self.added += 1
        elif was <= now:
            self.reshaped += 1
        else:
            self.changed += 1
        if not new and len(self.examples) < _EXAMPLES:
            assert before is not None
            self.examples.append(f"{where}: {_short(before)} → {'gone' if after is None else _short(after)}")


@dataclass(frozen=True)
class Losses:
    """The groups of differences, and the structures that could not be compared, with reasons. `counts`: entries before
    and after of every structure that differs."""

    groups: tuple[Group, ...]
    problems: tuple[str, ...]
    counts: Mapping[str, tuple[int | None, int | None]]

    @property
    def lost(self) -> list[Group]:
        """Groups of lost values."""
        return [group for group in self.groups if group.lost and not group.moved]

    @property
    def changed(self) -> list[Group]:
        """Groups of changed values."""
        return [group for group in self.groups if group.changed and group not in self.lost]

    @property
    def moved(self) -> list[Group]:
        """Groups whose values are all there, elsewhere or in another form."""
        return [group for group in self.groups if (group.moved or group.reshaped) and not group.changed]

    @property
    def added(self) -> list[Group]:
        """Groups without values before."""
        return [group for group in self.groups if not (group.lost or group.changed or group.reshaped)]


NO_LOSSES = Losses((), (), {})


def find_losses(old: InspectionTarget, new: InspectionTarget, names: Mapping[int, str]) -> Losses:
    """Group the differences of the data structures of two states. `names`: field names of Candid values by field id;
    others are taken from the data of the two modules."""
    groups: dict[str, Group] = {}
    problems = []
    structures = compare_structures(old, new) if compare_memories(old.stable, new.stable) else ()
    for structure in structures:
        problems += [f"{structure.name}: {structure.problem}"] if structure.problem is not None else []
        problems += [f"{structure.name}: {damage}" for damage in structure.damages]
        for place, where, before, after in _Entries(structure, names):
            keyed = structure.entries[0].key.__class__ is not str
            groups.setdefault(place, Group(place, structure.name, keyed)).note(where, before, after)
    arrived = Counter[str]()
    for group in groups.values():
        arrived += group.arrived
    for group in groups.values():
        group.moved = bool(group.lost) and _is_elsewhere(group, arrived, groups.values())
    _name_fields(groups.values(), (old, new))
    counts = {structure.name: structure.counts for structure in structures}
    return Losses(tuple(groups.values()), tuple(problems), counts)


def _is_elsewhere(group: Group, arrived: Counter[str], groups: Iterable[Group]) -> bool:
    """Return whether all values that left a place have arrived somewhere. Values such as `true` or `3` are anywhere:
    they count only if exactly these have arrived at one place."""
    if all(value in _PLAIN or (value.isdigit() and len(value) < _DIGITS) for value in group.left):
        return any(group.left == other.arrived for other in groups)
    return group.left <= arrived


def _name_fields(groups: Iterable[Group], states: Iterable[InspectionTarget]) -> None:
    """Replace field ids in the places of groups by the names that the modules have."""
    ids = {int(match[1]) for group in groups for match in _ID.finditer(group.place)}
    names: dict[int, str] = {}
    for target in states:
        if ids and target.facts is not None:
            names = names_in_data(target.facts, ids) | names

    def name(match: re.Match[str]) -> str:
        return f".{name_text(names[int(match[1])])}" if int(match[1]) in names else match[0]

    for group in groups if names else ():
        group.place = _ID.sub(name, group.place)
        group.examples = [_ID.sub(name, example) for example in group.examples]


_Difference = tuple[str, str, Node | None, Node | None]
"""A place, the path with its indices or key, the value before and after."""


class _Entries:
    """The differences of one structure, down to the smallest parts that have a type."""

    def __init__(self, structure: StructureDiff, names: Mapping[int, str]) -> None:
        self.structure = structure
        self.names = names
        sample = structure.entries[:_SAMPLE]
        self.key_form = self.form([entry.key for entry in sample])
        self.value_form = self.form([cell for entry in sample for cell in (entry.before, entry.after)])

    def form(self, cells: Sequence[Cell | int | str | None]) -> str:
        """Guess the format of the cells that are bytes; empty if none are."""
        raw = [
            cell.read(0, min(cell.size, formats.MOST))
            for cell in cells
            if cell is not None and not isinstance(cell, int | str | Node)
        ]
        return formats.guess_format(raw, tuple(self.names.values())) if raw else ""

    def __iter__(self) -> Iterator[_Difference]:
        for entry in self.structure.entries:
            if isinstance(entry.key, str):
                place = _INDEX.sub(lambda match: "" if match[0] == "?" else "[]", entry.key)
                yield place, entry.key, self.value(entry.before), self.value(entry.after)
            else:
                yield from self.of_entry(entry)

    def of_entry(self, entry: EntryDiff) -> Iterator[_Difference]:
        """Yield the differences of an entry of a map or list, field by field if both values have the same shape."""
        name, before, after = self.structure.name, self.value(entry.before), self.value(entry.after)
        key = self.key(entry.key)
        if before is None or after is None:
            yield f"{name}[]", f"{name}[{key}]", before, after
            return
        for path, was, now in differences("", before, after):
            place = _INDEX.sub(lambda match: "" if match[0] == "?" else "[]", path)
            yield f"{name}[]{place}", f"{name}[{key}]{path}", was, now

    def key(self, key: Cell | int | str) -> str:
        """Return the text of a key."""
        if isinstance(key, int | str):
            return str(key)
        if isinstance(key, Node):
            return _short(key)
        return self.text(key, self.key_form)

    def text(self, cell: Bytes, form: str) -> str:
        """Return bytes as text in a format; of long ones the beginning and a hash of all."""
        text = formats.shown(formats.value(cell, form, tuple(self.names.values()), formats.MOST), form, cell.size)
        return text if cell.size <= formats.MOST else f"{text} (BLAKE3 {blake3(cell.read(0, cell.size)).hexdigest()})"

    def value(self, cell: Cell | None) -> Node | None:
        """Return a cell as a value: bytes that are a Candid message as its values, other bytes as their text."""
        if cell is None or isinstance(cell, Node):
            return cell
        raw = cell.read(0, cell.size)
        if raw[:4] == MAGIC:
            with suppress(InspectError):
                values = read_values(Plain(raw), self.names)
                return values[0] if len(values) == 1 else Record(tuple(enumerate(values)))
        return Scalar(self.text(cell, self.value_form), "name")


def leaves(node: Node | None) -> Iterator[str]:
    """Yield the innermost parts of a value, as texts without their types: `5`, `a`, `#tag`."""
    waiting: list[Node] = [] if node is None else [node]
    while waiting:
        part = waiting.pop()
        match part:
            case Scalar():
                yield part.value if isinstance(part.value, str) else node_text(part).partition(" : ")[0]
            case Record():
                waiting += [value for _, value in part.fields]
            case Vec():
                waiting += part.items
            case Opt() | Var():
                waiting.append(part.value)
            case Variant():
                yield f"#{part.tag}"
                waiting.append(part.value)
            case Packed():
                waiting.append(part.read())
            case Region():
                yield node_text(part)
            case Same() | Elided():
                pass


def _short(node: Node) -> str:
    text = re.sub(r"\s+", " ", node_text(node))
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"
