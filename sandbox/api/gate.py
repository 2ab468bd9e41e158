"""One sandbox, one thread at a time, in the process that made it: whoever comes from elsewhere is refused by name."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from threading import get_ident
from typing import Any, Protocol, TypeVar, cast

from sandbox import fork
from sandbox.errors import SandboxError

_NEVER = 1 << 62
M = TypeVar("M", bound=Callable[..., Any])


class Gate:
    """Entered for every operation, `with gate:`; a thread that is inside may enter again.

    `SandboxError` for another thread while one is inside, and for ever in a forked child.
    """

    __slots__ = ("__weakref__", "_depth", "_lock", "_owner", "_process")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._depth = 0
        self._process: int | None = None
        fork.own(self)

    def __enter__(self) -> None:
        me = get_ident()
        if self._owner != me:
            if not self._lock.acquire(blocking=False):
                raise self._refusal()
            self._owner = me
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = 0
            self._lock.release()

    @property
    def foreign(self) -> bool:
        """Whether the sandbox belongs to the process from which this one was forked."""
        return self._process is not None

    def disown(self, process: int) -> None:
        self._process = process
        self._lock, self._owner, self._depth = threading.Lock(), 0, _NEVER
        self._lock.acquire()

    def _refusal(self) -> SandboxError:
        if self._process is not None:
            text = f"this sandbox belongs to process {self._process}: make or open one in this process"
            return SandboxError(text)
        owner = self._owner
        names = [thread.name for thread in threading.enumerate() if thread.ident == owner]
        return SandboxError(f"this sandbox is in use by thread {names[0] if names else owner}")


class Gated(Protocol):
    """Anything whose methods work on one sandbox."""

    @property
    def gate(self) -> Gate: ...


def exclusive(method: M) -> M:
    """A method of something `Gated` that holds the gate while it runs."""

    @wraps(method)
    def held(self: Gated, *args: Any, **kwargs: Any) -> Any:
        with self.gate:
            return method(self, *args, **kwargs)

    return cast(M, held)
