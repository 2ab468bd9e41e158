"""How things are measured: two sides alternately in small batches, medians, so that noise hits both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One result. `ours` and `reference` in seconds for one operation; `aim`: the largest ratio wished for, or None."""

    name: str
    ours: float
    reference: float | None = None
    against: str = ""
    aim: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return None if not self.reference else self.ours / self.reference

    @property
    def met(self) -> bool | None:
        return None if self.ratio is None or self.aim is None else self.ratio <= self.aim


def alternate(
    ours: Callable[[], object], reference: Callable[[], object], batch: int, rounds: int
) -> tuple[float, float]:
    """(seconds of `ours`, seconds of `reference`): the reference's median, and it times the median of the ratios."""
    _timed(ours, batch), _timed(reference, batch)
    pairs = [(_timed(ours, batch), _timed(reference, batch)) for _ in range(rounds)]
    median = statistics.median(b for _, b in pairs)
    return median * statistics.median(a / b for a, b in pairs), median


def alone(action: Callable[[], object], batch: int, rounds: int) -> float:
    """Median seconds of one action."""
    _timed(action, batch)
    return statistics.median(_timed(action, batch) for _ in range(rounds))


def once(action: Callable[[], object]) -> float:
    """Seconds of an action that can be done only once."""
    return _timed(action, 1)


def _timed(action: Callable[[], object], batch: int) -> float:
    begin = time.perf_counter()
    for _ in range(batch):
        action()
    return (time.perf_counter() - begin) / batch


def shown(seconds: float) -> str:
    """A duration with a unit that fits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
