"""A gate that admits one thread at a time to a sandbox, in the process that made it, and refuses others by name."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import wraps
from threading import get_ident
from types import FrameType
from typing import Any, TypeVar, cast

from sandbox import fork
from sandbox.errors import SandboxError

_NEVER = 1 << 62
_OWNER, _NOBODY = "owner", -1
M = TypeVar("M", bound=Callable[..., Any])


class Gate:
    """Entered for every operation, `with gate:`; a thread that is inside may enter again.

    `SandboxError` for another thread while one is inside, and for ever in a forked child and once it is shut. An
    exception that interrupts entering or leaving may leave the gate claimed: the next thread that comes looks whether
    the claimant still runs code of this package, and takes the gate over if not.
    """

    __slots__ = ("__weakref__", "_process", "claim", "depth", "is_shut")

    def __init__(self) -> None:
        self.claim: dict[str, int] = {}
        """The thread inside, empty if there is none. Assigning an empty one and setting `depth` leaves the gate without
        a call that a signal could interrupt."""
        self.depth = 0
        """How often the thread inside has entered."""
        self.is_shut = False
        self._process: int | None = None
        fork.own(self)

    def __enter__(self) -> int:
        """Enter; the depth before."""
        me = get_ident()
        if self.claim.setdefault(_OWNER, me) != me:  # one step: it is claimed as a whole or not at all
            self._take_over(me)
        self.depth += 1
        return self.depth - 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1
        if self.depth <= 0:
            self.claim, self.depth = {}, 0

    @property
    def foreign(self) -> bool:
        """Whether the sandbox belongs to the process from which this one was forked."""
        return self._process is not None

    @property
    def used_elsewhere(self) -> bool:
        """Whether another thread is inside."""
        owner = self.claim.get(_OWNER, _NOBODY)
        return owner not in (_NOBODY, get_ident()) and _runs_here(owner)

    def disown(self, process: int) -> None:
        """Refuse every thread of this process from now on."""
        self._process = process
        self.claim, self.depth = {_OWNER: _NOBODY}, _NEVER

    def shut(self) -> None:
        """Refuse everything from now on: the sandbox is closed."""
        self.is_shut = True
        self.claim, self.depth = {_OWNER: _NOBODY}, _NEVER

    def _take_over(self, me: int) -> None:
        """Claim the gate in place of a thread that an exception threw out of it; else `SandboxError`."""
        if self._process is not None:
            raise SandboxError(f"this sandbox belongs to process {self._process}: make or open one in this process")
        if self.is_shut:
            raise SandboxError("this sandbox is closed")
        owner = self.claim.get(_OWNER, me)
        if owner != me and _runs_here(owner):
            names = [thread.name for thread in threading.enumerate() if thread.ident == owner]
            raise SandboxError(f"this sandbox is in use by thread {names[0] if names else owner}")
        self.claim, self.depth = {_OWNER: me}, 0


def _runs_here(thread: int) -> bool:
    """Whether code of this package is on the stack of a thread."""
    frame: FrameType | None = sys._current_frames().get(thread)
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("sandbox."):
            return True
        frame = frame.f_back
    return False


def exclusive(method: M) -> M:
    """Make a method hold the gate of `self._runtime` while it runs."""

    @wraps(method)
    def held(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self._runtime.gate:
            return method(self, *args, **kwargs)

    return cast(M, held)
