"""Rows about the release matrix: a cell beside the same work written by hand, and two worker processes beside one."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from sandbox import Build, MatrixOptions, Sandbox, Workers, verify_matrix
from scripts.benchmarks.measure import Timing, divided, once
from scripts.benchmarks.row import Row, faster

_MODULE = Path(__file__).resolve().parents[2] / "fixtures" / "wasm" / "people_stable_rs_v1.wasm"
_CALLS = ("fill(1000)",)
_QUERIES = ("size", "edit_count", "checksum", "config")
_HAND = 24
"""Cells that are done by hand, half before the matrix and half after it."""
_MOST, _FASTER = 0.4, 1.7


def matrix(seconds: float) -> Iterator[Row]:
    """Cells of 20 builds with equal data and with data of their own, and the same in two processes."""
    count = 20 if seconds >= 3 else 6
    for name, own in (("one of {} cells", False), ("one of {} cells, all states different", True)):
        builds = _builds(count, own)
        _by_hand(builds, len(builds))  # the code is warm
        before = once(lambda builds=builds: _by_hand(builds, _HAND // 2))  # type: ignore[misc]
        ours = once(lambda builds=builds: verify_matrix(builds, calls=_CALLS))  # type: ignore[misc]
        after = once(lambda builds=builds: _by_hand(builds, _HAND // 2))  # type: ignore[misc]
        yield _cell(name.format(count * count), divided(ours, count * count), _mean(before, after), own)
    builds = _builds(count, own=True)
    one, two = (_spread(builds, processes) for processes in (1, 2))
    yield faster(f"{count * count} cells in two processes", two, one, "in one", _FASTER)


def _builds(count: int, own: bool) -> list[Build]:
    """Builds of one module that differ in a custom section. `own`: each has a title of its own in its data."""
    module = _MODULE.read_bytes()
    return [
        Build(f"v{number}", module + bytes([0, 7, 5]) + b"build" + bytes([number]), init_arg=_config(number, own))
        for number in range(count)
    ]


def _config(number: int, own: bool) -> dict[str, object] | None:
    return {"title": f"v{number}", "max_people": None} if own else None


def _by_hand(builds: list[Build], count: int) -> None:
    """Do what a script over the public interface would do, for some pairs of builds."""
    pairs = [(old, new) for old in builds for new in builds][:: max(1, len(builds) ** 2 // count)]
    for old, new in pairs[:count]:
        with Sandbox() as sandbox:
            canister = sandbox.create_canister()
            canister.install(old.wasm, old.init_arg)
            canister.call("fill", 1_000)
            canister.upgrade(new.wasm)
            for query in _QUERIES:
                canister.call(query)


def _mean(one: Timing, other: Timing) -> Timing:
    return divided(Timing(one.wall + other.wall, one.cpu + other.cpu), _HAND)


def _cell(name: str, ours: Timing, reference: Timing, own: bool) -> Row:
    ratio, cpu_ratio = ours.wall / reference.wall, ours.cpu / reference.cpu
    aim = "" if own else f"≤ {_MOST:g}×"
    return Row(name, ours, reference, "the same by hand", ratio, cpu_ratio, aim, None if own else cpu_ratio <= _MOST)


def _spread(builds: list[Build], processes: int) -> Timing:
    """Time a matrix in processes that are started and have loaded the code."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context) as executor:
        options = MatrixOptions(workers=Workers(executor, processes))
        verify_matrix(builds, calls=("fill(10)",), options=options)
        return once(lambda: verify_matrix(builds, calls=_CALLS, options=options))
