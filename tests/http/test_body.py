"""Claims about the bodies of requests: they have bounds of size and time."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import Request
from starlette.types import Message

from sandbox.http.answer import Refused
from sandbox.http.body import received
from sandbox.limits import REQUEST_BODY


def request(*parts: bytes, ends: bool = True) -> Request:
    """A request whose body comes in these parts; without `ends`, the rest never comes."""
    waiting = iter(parts)

    async def receive() -> Message:
        part = next(waiting, None)
        if part is None and not ends:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": part or b"", "more_body": part is not None}

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


def test_a_body_comes_in_parts() -> None:
    assert asyncio.run(received(request(b"ab", b"", b"c"))) == b"abc"


@pytest.mark.parametrize(
    ("asked", "status"), [(request(b"a", ends=False), 408), (request(bytes(REQUEST_BODY + 1)), 413)]
)
def test_a_body_that_never_ends_or_is_too_large_is_refused(asked: Request, status: int) -> None:
    with pytest.raises(Refused) as refused:
        asyncio.run(received(asked, patience=0.05 if status == 408 else 60))
    assert refused.value.status == status
