"""Conversion of RecursionError, from `nesting.run` or the interpreter, into a Candid error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.errors import CandidError


@contextmanager
def bounded_nesting(error: type[CandidError]) -> Iterator[None]:
    """Raise `error` in place of a RecursionError of the body or of the decorated function."""
    try:
        yield
    except RecursionError:
        raise error("nested too deeply") from None
