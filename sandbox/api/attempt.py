"""Calls of the public interface are done as a whole or not at all, wherever an exception interrupts them.

An exception may come at any step: Ctrl-C, a test's time-out, a signal handler of the user. A sandbox notes what changes
while a call runs: the subnet's tables, the bytes of memories, the record. If the call ends with an exception, all of it
is taken back. Taking back may be interrupted too; it is then finished before anything else is done.

An exception that is the call's own answer takes nothing back (`OUTCOMES`): a reject, which keeps what the platform
keeps; calls that still wait; a call that comes too late; Candid that does not fit, which is seen before or after the
call; and what the user's own function that answers HTTP outcalls raises: the canister gets a reject with its text.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from types import FrameType
from typing import Any, TypeVar

from sandbox.api.names import Names
from sandbox.canister.instances import InstanceCache
from sandbox.errors import CallRejected, CandidError, RequestExpired, RequestTooLarge, StillWaiting
from sandbox.memory import Overwritten, PoolMark
from sandbox.principal import Principal
from sandbox.record import Position, Watcher
from sandbox.state import Moment, Subnet, moment, release, return_to
from sandbox.store import StateDirectory

OUTCOMES = (CallRejected, StillWaiting, RequestExpired, RequestTooLarge, CandidError)
Method = TypeVar("Method", bound=Callable[..., Any])


class Attempt:
    """A call that runs, and what was there before it."""

    __slots__ = ("begun", "frame", "names", "noted", "position")

    def __init__(self, frame: FrameType) -> None:
        self.frame: FrameType | None = frame
        self.begun: Moment | None = None
        self.names: Mapping[str, Principal] | None = None
        self.noted: list[Overwritten] = []
        self.position: Position | None = None


@dataclass(frozen=True, slots=True)
class Anchor:
    """What was there when an anchor began."""

    begun: Moment
    mark: PoolMark
    watcher: Watcher | None
    names: Mapping[str, Principal] | None


class Attempts:
    """Takes one sandbox back: what was interrupted, and what was done within an anchor."""

    def __init__(self, subnet: Subnet, instances: InstanceCache, names: Names) -> None:
        self.running: Attempt | None = None
        self.watcher: Watcher | None = None
        self.directory: StateDirectory | None = None
        self.passed_on: BaseException | None = None
        """An exception of the user's own function that ended a call as a reject does."""
        self._subnet = subnet
        self._names = names
        self._instances = instances
        self._anchors: tuple[Anchor, ...] = ()
        self.ending: Anchor | None = None
        """The anchor whose end is due; `settle` undoes what was done since it began."""

    def inside(self, frame: FrameType | None) -> bool:
        """Whether the attempt that began last still runs, further out on the stack of `frame`."""
        running = self.running
        if running is None:
            return False
        wanted = running.frame
        while frame is not None:
            if frame is wanted:
                return True
            frame = frame.f_back
        return False

    def settle(self) -> None:
        """Finish what was interrupted while it was taken back; free if there is nothing."""
        if (self.running is not None or self.ending is not None) and not self.inside(sys._getframe(1)):
            running, ending = self.running, self.ending
            if running is not None:
                self.undo(running)
                self.running = None
            if ending is not None:
                self._end(ending)

    def begin(self, attempt: Attempt) -> None:
        """Note what changes from now on."""
        anchors = self._anchors
        self._subnet.savepoints.release(anchors[-1].begun.savepoint if anchors else None)
        self._instances.used.clear()
        if self.watcher is not None:
            attempt.position = self.watcher.position()
        attempt.names = self._names.mark()
        attempt.begun = moment(self._subnet)
        attempt.noted = self._subnet.pool.note_changes()

    def keep(self, attempt: Attempt) -> None:
        """Note no more. Until the attempt is forgotten it can still be undone."""
        self._subnet.pool.keep_changes()
        if attempt.begun is not None:
            release(self._subnet, attempt.begun)

    def undo(self, attempt: Attempt) -> None:
        """Make everything what it was before. May be repeated until it returns."""
        if self.directory is not None:
            self.directory.settle()
        self._instances.drop_used()
        self._subnet.pool.take_back(attempt.noted)
        if attempt.begun is not None:
            return_to(self._subnet, attempt.begun)
            self._names.return_to(attempt.names)
        if self.watcher is not None and attempt.position is not None:
            self.watcher.back_to(attempt.position)

    def begin_anchor(self) -> Anchor:
        """The present moment, to which `settle` goes back when it is `ending`."""
        if self.watcher is not None:
            self.watcher.begin(self._subnet)
        anchor = Anchor(moment(self._subnet), self._subnet.pool.mark(), self.watcher, self._names.mark())
        self._anchors = (*self._anchors, anchor)
        return anchor

    def _end(self, anchor: Anchor) -> None:
        if anchor in self._anchors:
            anchor.mark.undo()
            return_to(self._subnet, anchor.begun)
            self._names.return_to(anchor.names)
            self._anchors = self._anchors[: self._anchors.index(anchor)]
            if self.watcher is not None:
                self.watcher.undo(self._subnet, known=self.watcher is anchor.watcher)
        self.ending = None


def whole(method: Method) -> Method:
    """Make a method of the public interface be done as a whole or not at all, in one thread at a time;
    `self._runtime` is the runtime that it works on."""

    @wraps(method)
    def attempted(self: Any, *args: Any, **options: Any) -> Any:
        runtime = self._runtime
        gate, attempts = runtime.gate, runtime.attempts
        outside = gate.__enter__()
        try:
            if attempts.running is not None and attempts.inside(sys._getframe()):
                return method(self, *args, **options)
            attempts.settle()
            attempts.running = attempt = Attempt(sys._getframe())
            try:
                attempts.begin(attempt)
                value = method(self, *args, **options)
                attempts.keep(attempt)
            except BaseException as error:
                if isinstance(error, OUTCOMES) or error is attempts.passed_on:
                    attempts.keep(attempt)
                else:
                    attempts.undo(attempt)
                attempts.running = attempts.passed_on = attempt.frame = None
                raise
            attempts.running = attempt.frame = None
            return value
        finally:  # no call here: an exception that came now would find the attempt kept
            gate.depth = outside
            if outside <= 0:
                gate.claim = {}

    return attempted  # type: ignore[return-value]
