"""Ctrl-C: it ends the process at once and says what holds, also within a message of a canister.

Python runs its own signal handlers between two of its instructions only, and a message of a canister is one of them.
So a thread waits for the signal, says what holds, and ends the process by the same signal.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from threading import Thread
from types import FrameType

NOTHING = "nothing changed"
_SHOW_CURSOR = "\x1b[?25h"


class _State:
    """What holds after the next Ctrl-C."""

    holds = NOTHING


def watch() -> None:
    """Answer Ctrl-C from now on. For the entry point of the process, in its main thread."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    Thread(target=_wait, args=(reader,), daemon=True, name="interrupts").start()


@contextmanager
def saying(holds: str) -> Iterator[None]:
    """Let Ctrl-C say `holds` within, instead of that nothing changed."""
    before = _State.holds
    _State.holds = holds
    try:
        yield
    finally:
        _State.holds = before


@contextmanager
def interruptible() -> Iterator[None]:
    """Let the first Ctrl-C raise `KeyboardInterrupt`; a second one ends the process."""

    def interrupt(_: int, __: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        with released():
            yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)


@contextmanager
def released() -> Iterator[None]:
    """Leave Ctrl-C to the signal handlers of what runs within."""
    woken = signal.set_wakeup_fd(-1)
    try:
        yield
    finally:
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)


def wants_json(arguments: Sequence[str]) -> bool:
    """Return whether arguments ask for JSON, before they are understood."""
    return "--output=json" in arguments or ("--output", "json") in pairwise(arguments)


def _wait(reader: int) -> None:
    while received := os.read(reader, 1):
        if received[0] == signal.SIGINT:
            _end(f"interrupted: {_State.holds}")


def _end(text: str) -> None:
    """Print the text, and end the process as the signal would."""
    import ctypes  # imported late: it is needed here alone

    with suppress(OSError):
        if wants_json(sys.argv[1:]):
            os.write(1, (json.dumps({"error": {"kind": "interrupted", "message": text}}) + "\n").encode())
        else:
            os.write(2, ((f"\r\x1b[K{_SHOW_CURSOR}" if os.isatty(2) else "") + text + "\n").encode())
    ctypes.CDLL(None).signal(signal.SIGINT, ctypes.c_void_p(0))
    os.kill(os.getpid(), signal.SIGINT)
