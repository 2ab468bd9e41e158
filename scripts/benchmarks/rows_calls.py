"""Rows about single calls: update, query, typed calls, anchors, stable memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from sandbox import Canister, Sandbox
from sandbox.pytest_plugin.observation import Observation
from scripts.benchmarks import guests
from scripts.benchmarks.bare import BareCounter
from scripts.benchmarks.guests import COUNTER, GIB, MIB
from scripts.benchmarks.measure import Action, alone, compare, divided
from scripts.benchmarks.row import Row, alone_within, duration, versus

_PER_SECOND = 10_000
_ISOLATED = 0.5e-3
"""Seconds."""


def update(seconds: float) -> Iterator[Row]:
    """An update of the Motoko counter, commit included, against a bare call of the same export."""
    counter = guests.counter(Sandbox())
    found = compare(lambda: counter.update("inc"), BareCounter(COUNTER).update("canister_update inc"), seconds)
    yield versus("update of the Motoko counter, with commit", found, "bare call", 1)
    rate = 1 / found.ours.wall
    yield Row(
        "updates in a second", aim=f"{_PER_SECOND:,} /s", met=rate >= _PER_SECOND, note=f"{rate:,.0f} updates a second"
    )


def query(seconds: float) -> Iterator[Row]:
    """A query against a bare call of the same export."""
    counter = guests.counter(Sandbox())
    found = compare(lambda: counter.query_raw("get"), BareCounter(COUNTER).query("canister_query get"), seconds)
    yield versus("query", found, "bare call", 1, f"{1 / found.ours.wall:,.0f} queries a second")


def typed(seconds: float) -> Iterator[Row]:
    """What Candid values cost beyond raw bytes."""
    counter = guests.counter(Sandbox())
    found = compare(lambda: counter.call("inc"), lambda: counter.update("inc"), seconds)
    yield versus("typed update", found, "raw update", 1.2)
    found = compare(lambda: counter.call("get"), lambda: counter.query_raw("get"), seconds)
    yield versus("typed query", found, "raw query")


def profile(seconds: float) -> Iterator[Row]:
    """Updates within a profile, and after one, against the same updates without."""
    profiled, plain = Sandbox(), Sandbox()
    counter, caller = guests.counter(profiled), guests.calls(profiled)
    plain_counter, plain_caller = guests.counter(plain), guests.calls(plain)
    with profiled.profile():
        found = compare(lambda: counter.update("inc"), lambda: plain_counter.update("inc"), seconds)
        yield versus("update of the Motoko counter within a profile", found, "the update alone", 3)
        found = compare(lambda: caller.update("calls"), lambda: plain_caller.update("calls"), seconds)
        yield versus("22,000 calls of functions within a profile", found, "the update alone", 6)
    found = compare(lambda: counter.update("inc"), lambda: plain_counter.update("inc"), seconds)
    yield versus("update of the Motoko counter after a profile", found, "the update alone", 1.05)


def anchor(seconds: float) -> Iterator[Row]:
    """An anchor around one update, undo included."""
    sandbox = Sandbox()
    counter = guests.counter(sandbox)
    found = compare(_anchored(sandbox, counter, "inc"), lambda: counter.update("inc"), seconds)
    yield versus("anchor around an update, Motoko counter", found, "the update alone", 2)
    anchored: list[Action] = []
    for size, name in ((6 * MIB, "6 MiB"), (GIB, "1 GiB")):
        sandbox = Sandbox()
        canister = guests.heap(sandbox, size)
        anchored.append(_anchored(sandbox, canister, "touch"))
        found = compare(anchored[-1], partial(canister.update, "touch"), seconds)
        yield versus(f"anchor around an update, 5 pages, {name} heap", found, "the update alone", 2)
    found = compare(anchored[1], anchored[0], seconds)
    yield versus("anchor around an update, 5 pages, 1 GiB heap", found, "6 MiB heap", 1.25)


def isolation(seconds: float) -> Iterator[Row]:
    """What the pytest plugin adds to a test: an anchor, the states that it began with, the undoing of what it did."""
    sandbox = Sandbox()
    canister = guests.heap(sandbox, 100 * MIB)
    observation = Observation(canister)

    def test() -> None:
        observation.begin()
        with sandbox.anchor():
            canister.update("touch")
        observation.end()

    found = compare(test, partial(canister.update, "touch"), seconds)
    row = versus("isolated test with an update, 5 pages, 100 MiB heap", found, "the update alone")
    yield replace(row, aim=f"≤ {duration(_ISOLATED)} CPU", met=found.ours.cpu <= _ISOLATED)


def _anchored(sandbox: Sandbox, canister: Canister, method: str) -> Action:
    def run() -> None:
        with sandbox.anchor():
            canister.update(method)

    return run


def record(seconds: float) -> Iterator[Row]:
    """What a record costs: input, outcome and the hash of what changed, written as it happens."""
    with TemporaryDirectory() as directory:
        plain, recorded = guests.counter(Sandbox()), guests.counter(_recorded(Path(directory, "counter")))
        found = compare(lambda: recorded.update("inc"), lambda: plain.update("inc"), seconds)
        yield versus("recorded update of the Motoko counter", found, "the update alone", 1.5)
        small = guests.heap(_recorded(Path(directory, "small")), 6 * MIB)
        large = guests.heap(_recorded(Path(directory, "large")), GIB)
        found = compare(partial(large.update, "touch"), partial(small.update, "touch"), seconds)
        yield versus("recorded update, 5 pages, 1 GiB heap", found, "6 MiB heap")


def _recorded(path: Path) -> Sandbox:
    sandbox = Sandbox()
    sandbox.record(path)
    return sandbox


def stable(seconds: float) -> Iterator[Row]:
    """One stable64_write of 8 bytes inside a loop, the loop included."""
    canister = guests.stable(Sandbox())
    timing = divided(alone(lambda: canister.update("write"), seconds), guests.WRITES)
    yield alone_within("stable64_write of 8 bytes, in a loop", timing, 100e-9)
    timing = divided(alone(lambda: canister.update("spread"), seconds), guests.SPREAD)
    yield alone_within("the same, a new page each time, commit included", timing)
