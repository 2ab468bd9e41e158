"""The differences of two states of a canister, as one record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from sandbox.snapshots.diff.memories import MemoryDiff, compare_memories
from sandbox.snapshots.diff.modules import ModuleDiff, compare_modules
from sandbox.snapshots.diff.structures import StructureDiff, compare_structures
from sandbox.snapshots.inspect.globals import GlobalValue
from sandbox.snapshots.inspect.motoko.decode import ELSEWHERE
from sandbox.snapshots.inspect.source import InspectError
from sandbox.snapshots.inspect.target import InspectionTarget

_FIELDS: Final = ("via_hooks", "certified_data", "global_timer", "low_memory_hook", "chunks")


@dataclass(frozen=True, slots=True)
class GlobalDiff:
    """A global that differs; None in a state that lacks it."""

    before: GlobalValue | None
    after: GlobalValue | None


@dataclass(frozen=True, slots=True)
class FieldDiff:
    """A field that differs: certified data (bytes), timer (nanoseconds, 0 inactive), hook status, chunks (their
    SHA-256), `via_hooks`."""

    name: str
    before: object
    after: object


@dataclass(frozen=True)
class Diff:
    """The differences of two states; false if there are none.

    Ids, labels, times and versions are not compared: they identify the states. A field that one of the two lacks, such
    as the timer of an upload, is no difference. `structures` are computed on use. Holding this object pins the old
    contents of pages (copy-on-write).
    """

    old: InspectionTarget = field(repr=False, compare=False)
    new: InspectionTarget = field(repr=False, compare=False)
    module: ModuleDiff | None
    globals: tuple[GlobalDiff, ...]
    heap: MemoryDiff
    stable: MemoryDiff
    fields: tuple[FieldDiff, ...]

    def __bool__(self) -> bool:
        return bool(self.module or self.globals or self.heap or self.stable or self.fields)

    @cached_property
    def structures(self) -> tuple[StructureDiff, ...]:
        """The data structures in stable memory that differ, with their entries. Costs the nodes of maps and the entries
        of lists."""
        return compare_structures(self.old, self.new) if self.stable else ()

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user: where the data is, if it is in a heap that differs and is not decoded."""
        if not self.heap:
            return ()
        try:
            notes = [note for target in (self.old, self.new) for note in target.decode().notes]
        except InspectError:
            return ()
        return tuple(dict.fromkeys(note for note in notes if note in ELSEWHERE))


def compare(old: InspectionTarget, new: InspectionTarget) -> Diff:
    """Compare two states."""
    module = compare_modules(old, new)
    return Diff(
        old=old,
        new=new,
        module=module,
        globals=tuple(_globals(old, new, by_name=module is not None)),
        heap=compare_memories(old.heap, new.heap),
        stable=compare_memories(old.stable, new.stable),
        fields=tuple(_fields(old, new)),
    )


def _globals(old: InspectionTarget, new: InspectionTarget, by_name: bool) -> Iterator[GlobalDiff]:
    """Compare globals by index; those of two different modules by name if they have one."""
    before, after = ({_key(g, n, by_name): g for n, g in enumerate(opened.globals)} for opened in (old, new))
    for key in (*after, *(key for key in before if key not in after)):
        was, now = before.get(key), after.get(key)
        if was is None or now is None or (was.type, was.bits) != (now.type, now.bits):
            yield GlobalDiff(was, now)


def _key(value: GlobalValue, place: int, by_name: bool) -> str | int:
    if by_name and value.name is not None:
        return value.name
    return place if value.index is None else value.index


def _fields(old: InspectionTarget, new: InspectionTarget) -> Iterator[FieldDiff]:
    for name in _FIELDS:
        default = False if name == "via_hooks" else None
        was, now = old.fields.get(name, default), new.fields.get(name, default)
        if was is not None and now is not None and was != now:
            yield FieldDiff(name, was, now)
