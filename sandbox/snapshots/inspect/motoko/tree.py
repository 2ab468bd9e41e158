"""Read trees of typed values without recursion and within limits: the part common to messages and graph copies.

A reader of a compound value is a generator: it yields what it wants, its parts, and is sent their trees; one loop runs
the innermost one. Nesting therefore costs heap memory, never the interpreter's stack.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from typing import Generic, TypeVar

from sandbox.snapshots.inspect.source import InspectError
from sandbox.snapshots.inspect.value import Elided, Node, Same, Var

MAX_NESTING = 100_000
FREE_VALUES = 200_000
"""The values that may be read whatever the number of bytes."""
ELIDED = Elided("...")
Want = TypeVar("Want")
"""What a reader needs to read one value."""


@dataclass(frozen=True)
class DecodeLimits:
    """The limits of the values kept: levels of nesting, items of a vector, bytes of a text, bytes of a blob
    (None: as of a text), values in all.

    `whole`: nothing may be left out: a value beyond the limits is an InspectError, and values of flat types (`skip`)
    are `Packed`.
    """

    depth: int = 48
    items: int = 100
    text: int = 4096
    blob: int | None = None
    values: int = 100_000
    whole: bool = False

    @property
    def blob_bytes(self) -> int:
        """The bytes of a blob that are kept."""
        return self.text if self.blob is None else self.blob


WHOLE = DecodeLimits(depth=10_000, items=1 << 40, text=1 << 24, values=1 << 22, whole=True)
"""The limits for comparing."""


class TreeReader(ABC, Generic[Want]):
    """A reader of values. `shared`: mutable things that occurred more than once, in that order."""

    def __init__(self, keep: DecodeLimits) -> None:
        self._keep = keep
        self._vars: dict[int, Var | None] = {}
        self._kept = 0
        self.shared: list[Var] = []

    @property
    @abstractmethod
    def _where(self) -> str:
        """The place of the present value, for errors."""

    @abstractmethod
    def _plain(self, want: Want) -> Node | None:
        """Read a value that needs no others; else None."""

    @abstractmethod
    def _compound(self, want: Want) -> Generator[Want, Node, Node]:
        """Read a value that consists of others."""

    @abstractmethod
    def _count(self) -> None:
        """Count a value; InspectError if there are more than the bytes can hold."""

    def _run(self, want: Want) -> Node:
        first = self._plain(want)
        return self._driven(self._compound(want)) if first is None else first

    def _driven(self, reading: Generator[Want, Node, Node]) -> Node:
        readings = [reading]
        value: Node | None = None
        while readings:
            try:
                wanted = readings[-1].send(value) if value is not None else next(readings[-1])
            except StopIteration as done:
                readings.pop()
                value = done.value
                continue
            value = self._plain(wanted)
            if value is None:
                if len(readings) >= MAX_NESTING:
                    raise InspectError(f"values are nested more than {MAX_NESTING:,} levels, at {self._where}")
                readings.append(self._compound(wanted))
        assert value is not None
        return value

    def _spend(self, depth: int) -> bool:
        """Count a value and return whether it is kept."""
        self._count()
        if depth <= 0 or self._kept >= self._keep.values:
            self._left_out()
            return False
        self._kept += 1
        return True

    def _left_out(self) -> None:
        """Raise InspectError if nothing may be left out."""
        if self._keep.whole:
            raise InspectError(f"values are nested too deeply, or too many, to be read as a whole, at {self._where}")

    def _check_length(self, size: int) -> None:
        if self._keep.whole and size > self._keep.text:
            raise InspectError(f"{size:,} bytes are too long to be read as a whole, at {self._where}")

    def _begun(self, place: int, kept: int) -> Var:
        """Begin a mutable thing."""
        var = Var(place)
        self._vars[place] = var if kept else None
        return var

    def _seen(self, place: int) -> Same | None:
        """Return the reference to a mutable thing that was begun here; None if there is none."""
        if place not in self._vars:
            return None
        var = self._vars[place]
        if var is None:
            return Same(place)
        if var.shared is None:
            self.shared.append(var)
            var.shared = len(self.shared)
        return Same(var)
