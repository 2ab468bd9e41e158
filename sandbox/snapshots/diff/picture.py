"""A map of the pages that differ, for `inspect.picture`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from sandbox.memory import Run
from sandbox.pagestore.hash_tree import PAGE
from sandbox.snapshots.diff.memories import MemoryDiff
from sandbox.snapshots.inspect.picture import Look, Style


class Fate(IntEnum):
    """The change of a page; a greater one takes precedence in the picture."""

    ZERO = 0
    SAME = 1
    ADDED = 2
    REMOVED = 3
    CHANGED = 4


STYLE = Style(
    {
        Fate.ZERO: Look("zero", (24, 26, 32), " "),
        Fate.SAME: Look("same", (110, 116, 128), "·"),
        Fate.ADDED: Look("added", (80, 200, 120), "+"),
        Fate.REMOVED: Look("removed", (235, 80, 80), "-"),
        Fate.CHANGED: Look("changed", (250, 190, 60), "█"),
    },
    chosen=max,
)
"""A point that stands for several pages shows that one of them differs."""


@dataclass(frozen=True)
class FateMap:
    """The map of both states together, an `inspect.picture.Map`."""

    diff: MemoryDiff

    @property
    def page(self) -> int:
        return PAGE

    @property
    def pages(self) -> int:
        return max(self.diff.before, self.diff.after) // PAGE

    @cached_property
    def classes(self) -> dict[int, IntEnum]:
        """The fates of pages with data before or after."""
        diff = self.diff
        fates: dict[int, IntEnum] = dict.fromkeys(_pages(diff.filled), Fate.SAME)
        for fate, runs in ((Fate.ADDED, diff.added), (Fate.REMOVED, diff.removed), (Fate.CHANGED, diff.changed)):
            fates |= dict.fromkeys(_pages(runs), fate)
        return fates

    @cached_property
    def counts(self) -> dict[str, int]:
        counts = Counter(self.classes.values())
        counts[Fate.ZERO] = self.pages - len(self.classes)
        return {look.label: counts[fate] for fate, look in STYLE.looks.items()}


def _pages(runs: Iterable[Run]) -> Iterable[int]:
    for offset, length in runs:
        yield from range(offset // PAGE, -(-(offset + length) // PAGE))
