"""Rows about growth: the same operation at two sizes; work that does not concern the rest must not cost its number."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

from sandbox import Canister, Sandbox
from scripts.benchmarks import guests
from scripts.benchmarks.measure import Action, Operation, alone, compare, once
from scripts.benchmarks.row import Row, alone_within, memory, versus
from scripts.benchmarks.rows_system import private_memory

_FEW, _MORE, _MANY, _IDLE = 100, 400, 1_000, 5_000


def growth(seconds: float) -> Iterator[Row]:
    """All rows of this file."""
    with tempfile.TemporaryDirectory() as place:
        for count in (_FEW, _MANY):
            yield from _on_disk(Path(place, str(count)), count, seconds)

    yield _in_turn(seconds)
    yield from _builds()
    for count in (_FEW, _MANY):
        yield from _snapshots(count)
        yield _anchor(count * 9, seconds)
    for count in (_FEW, _IDLE):
        sandbox = Sandbox()
        for _ in range(count):
            guests.small(sandbox)
        yield alone_within(f"tick() with {count:,} canisters, nothing due", alone(sandbox.tick, seconds), 0.0002)


def _in_turn(seconds: float) -> Row:
    """Updates of canisters in turn, of which instances stay."""
    few, more = (_counters(Sandbox(), count) for count in (_FEW, _MORE))

    def updates(canisters: list[Canister]) -> Action:
        each = cycle(canisters)
        for canister in canisters:
            canister.update("inc")
        return lambda: next(each).update("inc")

    found = compare(updates(more), updates(few), seconds)
    return versus(f"an update of {_MORE:,} canisters in turn", found, f"of {_FEW:,}", 1.3)


def _snapshots(count: int) -> Iterator[Row]:
    """Snapshots of one canister, a message between each."""
    sandbox = Sandbox(max_snapshots=count)
    canister = guests.counter(sandbox)
    taken = []
    for _ in range(count):
        taken.append(canister.take_snapshot())
        canister.update("inc")
    yield alone_within(f"the first state hash with {count:,} snapshots", once(sandbox.state_hash))
    yield alone_within(f"load the oldest of {count:,} snapshots", once(lambda: canister.load_snapshot(taken[0].id)))


def _anchor(count: int, seconds: float) -> Row:
    """An empty anchor beside answered calls."""
    sandbox = Sandbox()
    canister = guests.small(sandbox)
    for number in range(count):
        sandbox.submit(canister, "nothing", number.to_bytes(4, "big"))
    sandbox.run_until_idle()

    def empty() -> None:
        with sandbox.anchor():
            pass

    return alone_within(f"an empty anchor, {count:,} calls answered", alone(empty, seconds), 0.0001)


def _builds() -> Iterator[Row]:
    """Builds of one canister, one after the other: what a process keeps of them."""
    for count in (_FEW // 5, _FEW):
        canister = Sandbox().create_canister()
        before = private_memory()
        for number in range(count):
            canister.install(guests.build(count * _MANY + number), mode="reinstall")
        yield memory(f"{count:,} builds of one canister: private memory", private_memory() - before, 256 * guests.MIB)


def _on_disk(path: Path, count: int, seconds: float) -> Iterator[Row]:
    """Save a state directory of `count` canisters after one has changed, and open it."""
    with Sandbox.open(path) as sandbox:
        canister = _counters(sandbox, count)[0]

        def change() -> None:
            canister.update("inc")

        sandbox.save()
        change()
        sandbox.save()
        saved = alone(Operation(sandbox.save, change), seconds)
        yield alone_within(f"save, one canister of {count:,} changed", saved, 0.01 if count == _MANY else None)
    opened: list[Sandbox] = []
    yield alone_within(
        f"open a state directory of {count:,} canisters",
        once(lambda: opened.append(Sandbox.open(path))),
        0.4 if count == _MANY else None,
    )
    opened[0].close()


def _counters(sandbox: Sandbox, count: int) -> list[Canister]:
    return [guests.counter(sandbox) for _ in range(count)]
