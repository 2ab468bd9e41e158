"""Rows about the system: calls between canisters, timers, a thousand canisters, certificates."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

from sandbox import Canister, Sandbox
from sandbox.candid import encode
from scripts.benchmarks import guests
from scripts.benchmarks.measure import Action, compare, divided, once
from scripts.benchmarks.row import Row, alone_within, memory, versus

_EMPTY = b"DIDL\0\0"
_MANY = 1_000
_ALIVE = 100
"""So few that all have an instance."""
_IDLE = 200 * 1024
_HELD = "pages of both memories that were ever touched; not in the rows above"


def between(seconds: float) -> Iterator[Row]:
    """Calls that canisters make, against a plain update."""
    sandbox = Sandbox()
    first, second, third = (guests.counter(sandbox) for _ in range(3))
    to_itself = _forward(first, "inc", _EMPTY)
    to_other = _forward(second, "inc", _EMPTY)
    chain = _forward(second, "forward", _forward(third, "inc", _EMPTY))
    for name, argument, aim, note in (
        ("a call to itself and back", to_itself, 3.5, "5 executions"),
        ("a call to another canister and back", to_other, 3.5, "5 executions"),
        ("a chain of 3 canisters and back", chain, 6, "9 executions"),
    ):
        found = compare(partial(first.update, "forward", argument), lambda: first.update("inc"), seconds)
        yield versus(name, found, "update", aim, note)


def _forward(callee: Canister, method: str, argument: bytes) -> bytes:
    return encode("(principal, text, blob)", [callee.id, method, argument])


def timer(seconds: float) -> Iterator[Row]:
    """A timer set by an update, time advanced, the round in which it fires."""
    sandbox = Sandbox()
    counter = guests.counter(sandbox)
    argument = encode("(nat)", [1])

    def fire() -> None:
        counter.update("tick_after", argument)
        sandbox.advance_time(seconds=2)
        sandbox.tick()

    found = compare(fire, lambda: counter.update("inc"), seconds)
    yield versus("a timer set and fired", found, "update", 4, "the timer calls its own canister")


def many(_: float) -> Iterator[Row]:
    """A thousand canisters, each answering one update; what one keeps in private memory, with an instance and idle."""
    sandbox = Sandbox()
    warm = guests.counter(sandbox)
    warm.update("inc")
    before = private_memory()
    canisters = [guests.counter(sandbox) for _ in range(_ALIVE)]
    for canister in canisters:
        canister.update("inc")
    alive = private_memory() - before
    yield memory("a canister with its instance: private memory", alive / _ALIVE, _IDLE)
    before = private_memory()
    canisters = []
    timing = once(lambda: canisters.extend(guests.counter(sandbox) for _ in range(_MANY)))
    yield alone_within(f"{_MANY:,} canisters: create and install, each", divided(timing, _MANY))
    installed = private_memory() - before
    timing = once(lambda: [canister.update("inc") for canister in canisters])
    yield alone_within(f"{_MANY:,} canisters: an update, each", divided(timing, _MANY), note="most have no instance")
    idle = private_memory() - before
    note = f"{installed / _MANY / 1024:,.0f} KiB before the update; most have no instance"
    yield memory(f"{_MANY:,} canisters: private memory, each", idle / _MANY, _IDLE, note)
    yield memory(f"{_MANY:,} canisters: committed state, each", _committed() / (_MANY + _ALIVE + 1), note=_HELD)


def certificate(seconds: float) -> Iterator[Row]:
    """Queries that ask for their certificate: the state as it was, and changed each time."""
    alone, among = Sandbox(), Sandbox()
    one, first = guests.counter(alone), guests.counter(among)
    for _ in range(_MANY - 1):
        guests.counter(among)
    found = compare(lambda: first.query_raw("certificate"), lambda: first.query_raw("get"), seconds)
    yield versus(f"a query that asks for its certificate, {_MANY:,} canisters", found, "plain query", 2)
    found = compare(_certified_anew(first), _certified_anew(one), seconds)
    yield versus(f"certified data set, then certified, {_MANY:,} canisters", found, "1 canister", 1.5)


def _certified_anew(canister: Canister) -> Action:
    numbers = count()

    def run() -> None:
        canister.update("set_certified", encode("(blob)", [next(numbers).to_bytes(8, "big")]))
        canister.query_raw("certificate")

    return run


def private_memory() -> int:
    """Bytes of this process that are nobody else's."""
    text = Path("/proc/self/smaps_rollup").read_text()
    found = re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+) kB", text, re.MULTILINE)
    return sum(map(int, found)) * 1024


def _committed() -> int:
    """Bytes in the files without a name that hold committed memories."""
    found = 0
    for entry in os.scandir("/proc/self/fd"):
        try:
            if "canister-memories" in os.readlink(entry.path):
                found += os.stat(entry.path).st_blocks * 512
        except OSError:  # the descriptor of this listing itself
            continue
    return found
