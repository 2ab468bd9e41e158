"""The end of guests from outside: of one thread, or of all at the exit of the interpreter.

A thread that is not waited for, such as that of a scenario after Ctrl-C, may be inside a guest when the interpreter
ends. CPython then ends the thread where it next asks for the interpreter's lock, which unwinds the frames of the engine
(`Py_FinalizeEx`): the process may crash. Here such guests are made to end first, and none begins any more.
"""

from __future__ import annotations

import atexit
import threading
import time
from typing import Final, Protocol

from sandbox.errors import EngineError

_ASK_AGAIN: Final = 0.005  # seconds
_PATIENCE: Final = 10.0  # seconds; a guest checks its counter much more often


class Guest(Protocol):
    """What a thread runs in the engine."""

    def remember(self, error: BaseException) -> None:
        """Keep an exception, and make the guest end at the next check of its counter."""


_guests: dict[int, Guest] = {}
"""What each thread runs, the innermost guest; by the thread's identity."""
_ending = False


def enter(guest: Guest) -> None:
    """Register what this thread runs from now on; EngineError if the interpreter is about to end."""
    _guests[threading.get_ident()] = guest
    if _ending:
        raise EngineError("the interpreter ends: no canister runs any more")


def leave(outer: Guest | None) -> None:
    """Register that this thread runs `outer` again, or nothing."""
    if outer is None:
        _guests.pop(threading.get_ident(), None)
    else:
        _guests[threading.get_ident()] = outer


def _others() -> list[Guest]:
    """Return what other threads run that are alive."""
    alive = {thread.ident for thread in threading.enumerate()} - {threading.get_ident()}
    return [guest for thread, guest in list(_guests.items()) if thread in alive]


def interrupt(thread: int, error: BaseException) -> None:
    """Make the guest that a thread runs end soon, with this exception; nothing if it runs none. May have to be repeated
    until it has ended."""
    guest = _guests.get(thread)
    if guest is not None:
        guest.remember(error)


@atexit.register
def _end_guests() -> None:
    """Make the guests of other threads end, and wait until none runs."""
    global _ending
    _ending = True
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and (guests := _others()):
        for guest in guests:
            guest.remember(EngineError("the interpreter ends: the canister was stopped"))
        time.sleep(_ASK_AGAIN)
