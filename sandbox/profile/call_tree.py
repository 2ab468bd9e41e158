"""The tree of call paths: instructions and calls of each function below each chain of callers.

A tree may be as deep as a canister's stack, so that nothing here is recursive: nodes stand in lists, a parent always
before its children.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class FrameKind(StrEnum):
    """What a node of the tree stands for."""

    ROOT = "root"
    ENTRY = "entry"
    """Executions of one entry point, which is no function of the module: it has no instructions of its own."""
    FUNCTION = "function"
    SYSTEM = "system"
    """A function of the system: what the platform charges for a call of it, besides the instruction that calls it."""
    CHARGE = "charge"
    """What the platform charges after the execution has ended."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A function, or another cause of instructions. `module`: the hash of the submitted module. Of entry points alone:
    `canister`, an id, and `title`, the canister's name or else its id."""

    name: str
    kind: FrameKind = FrameKind.FUNCTION
    module: bytes = field(default=b"", repr=False)
    index: int = -1
    canister: str = ""
    title: str = ""


ROOT: Final = Frame("all", FrameKind.ROOT)
CHANGED_PAGES: Final = Frame("[changed heap pages]", FrameKind.CHARGE)

Node = tuple[int, Frame, int, int]
"""The position of the parent in the same sequence, the frame, instructions of its own, calls. The first has no
parent; every other one stands behind its parent."""


class CallTree:
    """Call paths, merged from any number of executions. Node 0 is the root; lists have an item for each node."""

    def __init__(self) -> None:
        self.frames = [ROOT]
        self.parents = [-1]
        self.own = [0]
        self.calls = [0]
        self._places: dict[tuple[int, Frame], int] = {}

    def place(self, parent: int, frame: Frame) -> int:
        """Return the node of `frame` below `parent`, made if there is none."""
        place = self._places.get((parent, frame))
        if place is None:
            place = self._places[parent, frame] = len(self.frames)
            self.frames.append(frame)
            self.parents.append(parent)
            self.own.append(0)
            self.calls.append(0)
        return place

    def add(self, nodes: Iterable[Node]) -> None:
        """Add the tree of one execution below the root."""
        places: list[int] = []
        for parent, frame, own, calls in nodes:
            place = self.place(places[parent] if places else 0, frame)
            places.append(place)
            self.own[place] += own
            self.calls[place] += calls

    def totals(self) -> list[int]:
        """Return the instructions of each node with its children."""
        totals = list(self.own)
        for place in range(len(totals) - 1, 0, -1):
            totals[self.parents[place]] += totals[place]
        return totals

    def depth(self) -> int:
        """Return the number of frames on the longest path, the root included."""
        depths = [1]
        for parent in self.parents[1:]:
            depths.append(depths[parent] + 1)
        return max(depths)

    def walk(self) -> Iterator[tuple[int, bool]]:
        """Yield (node, True) where each node begins and (node, False) where it ends, children in between, those with
        most instructions first."""
        totals = self.totals()
        children: list[list[int]] = [[] for _ in totals]
        for place in range(1, len(totals)):
            children[self.parents[place]].append(place)
        stack = [(0, True)]
        while stack:
            place, begins = stack.pop()
            yield place, begins
            if begins:
                stack.append((place, False))
                stack.extend((child, True) for child in sorted(children[place], key=totals.__getitem__))
