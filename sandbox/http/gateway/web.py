"""Requests of browsers and the answers to them, as values."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

Headers = tuple[tuple[str, str], ...]
"""Names and values in order; a name may be repeated."""


@dataclass(frozen=True, slots=True)
class WebRequest:
    """A request: `url` is path and query, percent-encoded as it came; names of headers are in lower case."""

    method: str
    url: str
    headers: Headers = ()
    body: bytes = b""

    def header(self, name: str) -> str:
        """The first header of this name, "" if there is none."""
        return first(self.headers, name) or ""

    @property
    def path(self) -> str:
        """The path of the URL."""
        return self.url.partition("?")[0]

    @property
    def query(self) -> str:
        """The query of the URL, without the question mark."""
        return self.url.partition("?")[2]


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """Status code, headers and body; a body in pieces is sent as the pieces come."""

    status: int
    headers: Headers = ()
    body: bytes | AsyncIterator[bytes] = field(default=b"")


def first(headers: Iterable[tuple[str, str]], name: str) -> str | None:
    """The value of the first header of this name, in any case of its letters."""
    return next((value for header, value in headers if header.lower() == name), None)
