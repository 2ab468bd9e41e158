"""Rows about memory: dirty pages and snapshots of small and large heaps."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator

from sandbox import Canister, Sandbox
from sandbox.memory import Memory, Pool, View
from scripts.benchmarks import guests
from scripts.benchmarks.guests import GIB, MIB, PAGE
from scripts.benchmarks.measure import Action, Comparison, Operation, Timing, alone, compare
from scripts.benchmarks.row import Row, versus

_SAME = 1.25
_SHARE = GIB // PAGE // 100  # pages in 1 % of a 1 GiB heap
_SMALL = 64 * MIB  # a heap in which so many scattered pages still lie apart


def pages(seconds: float) -> Iterator[Row]:
    """Commit and rollback of k dirty pages: the same for a small and a large heap.

    `near`: the same places in both heaps, within 6 MiB. `far`: all over the heap, so that in the large one nearly every
    page has a page table of its own, all of which the kernel searches.
    """
    small, large = _filled(6 * MIB), _filled(GIB)
    for name, reach in (("near", small.size), ("far", large.size)):
        for end in ("commit", "rollback"):
            for count in (1, 5, 50):
                one, other = (
                    _ending(memory, end, _scattered(min(reach, memory.size), count)) for memory in (large, small)
                )
                found = compare(one, other, seconds)
                yield versus(f"{end}, {count} dirty pages {name}, 1 GiB heap", found, "6 MiB heap", _SAME)


def _ending(memory: Memory, end: str, offsets: list[int]) -> Operation:
    """`end` of a view of its own to which, untimed, something was written before."""
    view = memory.view(reserve=4 * GIB)
    return Operation(getattr(view, end), _writer(view, offsets))


def _filled(size: int) -> Memory:
    """A memory of which every page holds something."""
    memory = Pool().memory(size)
    piece = os.urandom(MIB)
    for offset in range(0, size, MIB):
        memory.write(offset, piece)
    return memory


def _scattered(size: int, count: int) -> list[int]:
    """Offsets of pages all over the first `size` bytes, always the same ones."""
    return [page * PAGE for page in random.Random(1).sample(range(size // PAGE), count)]


def _writer(view: View, offsets: list[int]) -> Callable[[], None]:
    def write() -> None:
        for offset in offsets:
            view.write(offset, b"changed!")

    return write


def snapshot(seconds: float) -> Iterator[Row]:
    """Take and load with 1 % of the heap changed between: in proportion to the 1 %, not to the heap."""
    large, small = guests.heap(Sandbox(), GIB), guests.heap(Sandbox(), _SMALL)
    copied = _copying(seconds)
    for method, name in (("change", "scattered"), ("change_together", "together")):
        title = f"take + load, 1 % of 1 GiB {name}"
        found = compare(_round_trip(large, method, _SHARE), _round_trip(small, method, _SHARE), seconds)
        yield versus(title, found, "64 MiB, as many pages", _SAME)
        yield _against(title, found.ours, copied, "copying 1 GiB", 0.1)
        found = compare(_round_trip(large, method, _SHARE), _round_trip(large, method, _SHARE // 10), seconds)
        yield versus(title, found, "0.1 % changed")
    found = compare(_after_load(large, _SHARE), _after_load(small, _SHARE), seconds)
    yield versus("update of 5 pages after such a load, 1 GiB", found, "64 MiB heap", _SAME)
    found = compare(lambda: large.take_snapshot(), lambda: small.take_snapshot(), seconds)
    yield versus("take alone, 1 GiB heap", found, "64 MiB heap", _SAME)
    found = compare(_change(large, _take(large)), _change(large, _forget(large)), seconds)
    yield versus("update of 1 % of 1 GiB after a snapshot", found, "no snapshot", note="keeps the old bytes")


def _round_trip(canister: Canister, method: str, count: int) -> Operation:
    """Load and take; before, untimed, an update writes `count` pages over what the snapshot keeps."""
    argument = count.to_bytes(4, "little")
    taken = canister.take_snapshot().id

    def change() -> None:
        nonlocal taken
        taken = canister.list_snapshots()[-1].id
        canister.update(method, argument)

    def load_and_take() -> None:
        canister.load_snapshot(taken)
        canister.take_snapshot()

    return Operation(load_and_take, change)


def _after_load(canister: Canister, count: int) -> Operation:
    """The first update after a load: its view must show what was loaded."""
    back, argument = _round_trip(canister, "change", count), count.to_bytes(4, "little")

    def load() -> None:
        assert back.prepare is not None
        back.prepare()
        back.action()

    return Operation(lambda: canister.update("touch", argument), load)


def _copying(seconds: float) -> Timing:
    """What it takes to copy 1 GiB between files in memory that have all their pages already."""
    files = [os.memfd_create(name) for name in ("source", "target")]
    piece = os.urandom(MIB)
    for file in files:
        for offset in range(0, GIB, MIB):
            os.pwrite(file, piece, offset)

    def copy() -> None:
        for offset in range(0, GIB, MIB):
            os.pwrite(files[1], os.pread(files[0], MIB, offset), offset)

    found = alone(copy, seconds)
    for file in files:
        os.close(file)
    return found


def _against(title: str, ours: Timing, reference: Timing, against: str, most: float) -> Row:
    found = Comparison(ours, reference, ours.wall / reference.wall, ours.cpu / reference.cpu)
    return versus(title, found, against, most)


def _change(canister: Canister, before: Action) -> Operation:
    argument = _SHARE.to_bytes(4, "little")
    return Operation(lambda: canister.update("change", argument), before)


def _take(canister: Canister) -> Action:
    return lambda: canister.take_snapshot()


def _forget(canister: Canister) -> Action:
    def forget() -> None:
        for one in canister.list_snapshots():
            canister.delete_snapshot(one.id)

    return forget
