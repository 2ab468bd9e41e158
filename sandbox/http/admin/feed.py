"""What canisters print, as it happens, for any number of readers."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

from sandbox.api import Sandbox
from sandbox.principal import Principal

_KEPT: Final = 200
"""Lines that a new reader gets, and that may wait for a slow one."""
_LONGEST: Final = 4_000
"""Characters of a line."""


@dataclass(frozen=True, slots=True)
class Line:
    """One text that a canister printed; `time`: nanoseconds since 1970."""

    canister: Principal
    time: int
    text: str


class Feed:
    """The texts that the canisters of a sandbox print. Lines come from any thread, readers are of one event loop."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._next = sandbox.on_log
        self._time = sandbox.time
        self._recent: deque[Line] = deque(maxlen=_KEPT)
        self._readers: set[asyncio.Queue[Line]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        sandbox.on_log = self._printed

    def _printed(self, canister: Principal, text: str) -> None:
        if self._next is not None:
            self._next(canister, text)
        line = Line(canister, self.clock(), text[:_LONGEST])
        self._recent.append(line)
        if self._loop is not None and self._readers:
            self._loop.call_soon_threadsafe(self._deliver, line)

    def clock(self) -> int:
        """The sandbox's time; it does not move while a canister prints."""
        return self._sandbox.time

    def _deliver(self, line: Line) -> None:
        for reader in self._readers:
            if reader.full():
                reader.get_nowait()
            reader.put_nowait(line)

    @property
    def recent(self) -> tuple[Line, ...]:
        """The lines of late, oldest first."""
        return tuple(self._recent)

    def subscribe(self) -> asyncio.Queue[Line]:
        """A queue of the lines from now on; the oldest of one that is full are dropped."""
        self._loop = asyncio.get_running_loop()
        reader: asyncio.Queue[Line] = asyncio.Queue(_KEPT)
        self._readers.add(reader)
        return reader

    def unsubscribe(self, reader: asyncio.Queue[Line]) -> None:
        """Forget a queue."""
        self._readers.discard(reader)
