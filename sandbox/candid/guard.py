"""The end of nesting: RecursionError, from `nesting.run` or the interpreter, becomes a Candid error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.errors import CandidError


@contextmanager
def bounded_nesting(error: type[CandidError]) -> Iterator[None]:
    """A RecursionError of the body, or of the function so decorated, becomes an `error`."""
    try:
        yield
    except RecursionError:
        raise error("nested too deeply") from None
