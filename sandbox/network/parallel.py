"""Work on many slices at a time, and the names of their parts."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Final

WORKERS: Final = 8
"""Slices on their way at once."""
KINDS: Final = {"module": "wasm_module", "heap": "wasm_memory", "stable": "stable_memory"}
"""The parts of a snapshot, and their names at the network."""


def run_all(tasks: Sequence[Callable[[], None]], workers: int = WORKERS) -> None:
    """Run all tasks, a limited number at once; the first error ends it, after those that have begun."""
    with ThreadPoolExecutor(max(1, min(workers, len(tasks))), "slices") as pool:
        pending: set[Future[None]] = set()
        try:
            for task in tasks:
                pending.add(pool.submit(task))
                if len(pending) >= workers:
                    pending = _one(pending)
            while pending:
                pending = _one(pending)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _one(pending: set[Future[None]]) -> set[Future[None]]:
    """Wait until one is done; raise its error."""
    done, rest = wait(pending, return_when=FIRST_COMPLETED)
    for future in done:
        future.result()
    return rest


def opened(stack: ExitStack, file: Path, flags: int) -> int:
    """Return the descriptor of a file, made if the flags say so; the stack closes it."""
    descriptor = os.open(file, flags | os.O_CLOEXEC, 0o644)
    stack.callback(os.close, descriptor)
    return descriptor
