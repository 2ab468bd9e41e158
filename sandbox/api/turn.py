"""The turn of one of two threads that share a subnet: one that changes it, one that queries beside it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turn:
    """Held, `with turn:`, by the thread that reads or changes the subnet. The one that changes it gives the turn away
    while a message of a canister runs: until the message ends, nothing of the subnet changes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    @contextmanager
    def given(self) -> Iterator[None]:
        """Let the other thread have the turn meanwhile."""
        self._lock.release()
        try:
            yield
        finally:
            self._lock.acquire()
