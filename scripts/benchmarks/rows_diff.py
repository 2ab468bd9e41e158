"""Rows about differences: two snapshots of a 1 GiB heap of which 1 % of the pages, scattered, differ."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from sandbox.snapshots.diff import compare_memories
from sandbox.store import Repository
from scripts.benchmarks.measure import alone, once
from scripts.benchmarks.row import Row, alone_within
from scripts.benchmarks.rows_keep import Heap

_MOST = 1.0


def difference(seconds: float) -> Iterator[Row]:
    """In memory, with every byte that differs; from disk in a new process' place; the state now and one from disk."""
    with tempfile.TemporaryDirectory(prefix="canister-sandbox-bench-") as scratch:
        heap = Heap(Path(scratch) / "repository")
        heap.persist()
        before = heap.memory.image()
        heap.change(scattered=True)
        after = heap.memory.image()
        yield alone_within("diff 1 % of 1 GiB", alone(lambda: compare_memories(before, after), seconds), _MOST)
        bytes_ = alone(lambda: list(compare_memories(before, after).byte_changes()), seconds)
        yield alone_within("the same, and which bytes differ", bytes_, _MOST)
        heap.persist()
        repository = Repository(heap.path)
        one, two = (repository.get(entry).heap for entry in repository.entries())
        yield alone_within("diff the same from disk, cold", once(lambda: compare_memories(one, two)), _MOST)
        yield alone_within("diff the same from disk, again", alone(lambda: compare_memories(one, two), seconds), _MOST)
        now = alone(lambda: compare_memories(one, after), seconds)
        yield alone_within("diff one from disk and the state now", now, _MOST)
