"""How things are measured: two sides alternately in small batches of one run, medians, so that noise hits both alike.

Both the clock on the wall and the processor time of this process (all its threads) are taken: where other processes
run beside, the second is the steadier one.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

Action = Callable[[], object]

_BATCH = 0.005  # seconds that a batch of one side takes, about
_ROUNDS = (5, 401)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds for one operation."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Operation:
    """What is timed. With `prepare`, which is not timed, every single operation is timed by itself."""

    action: Action
    prepare: Action | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Medians of both sides, and the medians of the ratios of neighbouring batches."""

    ours: Timing
    reference: Timing
    ratio: float
    cpu_ratio: float


def compare(ours: Operation | Action, reference: Operation | Action, seconds: float) -> Comparison:
    """Time both sides in turn for about `seconds`, the one that begins changing with every round."""
    one, other = _operation(ours), _operation(reference)
    sizes = _batch(one), _batch(other)
    gc.collect()
    pairs: list[tuple[Timing, Timing]] = []
    end = time.perf_counter() + seconds
    while len(pairs) < _ROUNDS[0] or (time.perf_counter() < end and len(pairs) < _ROUNDS[1]):
        if len(pairs) % 2:
            b = _timed(other, sizes[1])
            a = _timed(one, sizes[0])
        else:
            a = _timed(one, sizes[0])
            b = _timed(other, sizes[1])
        pairs.append((a, b))
    return Comparison(
        _median([a for a, _ in pairs]),
        _median([b for _, b in pairs]),
        statistics.median(a.wall / b.wall for a, b in pairs),
        statistics.median(a.cpu / max(b.cpu, 1e-9) for a, b in pairs),
    )


def alone(action: Operation | Action, seconds: float) -> Timing:
    """Median of one side without another, for about `seconds`."""
    operation = _operation(action)
    size = _batch(operation)
    gc.collect()
    timings: list[Timing] = []
    end = time.perf_counter() + seconds
    while len(timings) < _ROUNDS[0] or (time.perf_counter() < end and len(timings) < _ROUNDS[1]):
        timings.append(_timed(operation, size))
    return _median(timings)


def once(action: Action) -> Timing:
    """An operation that can be done only once."""
    return _timed(Operation(action), 1)


def divided(timing: Timing, by: int) -> Timing:
    """The share of one of `by` equal operations."""
    return Timing(timing.wall / by, timing.cpu / by)


def _operation(given: Operation | Action) -> Operation:
    return given if isinstance(given, Operation) else Operation(given)


def _batch(operation: Operation) -> int:
    """How many operations make a batch; warms up."""
    took = _timed(operation, 1).wall
    if took < _BATCH:
        took = _timed(operation, max(1, min(20, int(_BATCH / max(took, 1e-9))))).wall
    return max(1, min(100_000, round(_BATCH / max(took, 1e-9))))


def _timed(operation: Operation, count: int) -> Timing:
    """Of `count` operations, the mean."""
    action, prepare = operation.action, operation.prepare
    if prepare is not None:
        return _timed_singly(action, prepare, count)
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(count):
        action()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Timing(wall / count, cpu / count)


def _timed_singly(action: Action, prepare: Action, count: int) -> Timing:
    walls = cpus = 0.0
    for _ in range(count):
        prepare()
        cpu, wall = time.process_time(), time.perf_counter()
        action()
        walls += time.perf_counter() - wall
        cpus += time.process_time() - cpu
    clocks = _clocks()
    return Timing(max(walls / count - clocks.wall, 1e-9), max(cpus / count - clocks.cpu, 1e-9))


@cache
def _clocks() -> Timing:
    """What reading the clocks around a single operation adds to it."""
    found = []
    for _ in range(1_000):
        cpu, wall = time.process_time(), time.perf_counter()
        wall = time.perf_counter() - wall
        found.append(Timing(wall, time.process_time() - cpu))
    return _median(found)


def _median(timings: list[Timing]) -> Timing:
    return Timing(statistics.median(t.wall for t in timings), statistics.median(t.cpu for t in timings))
