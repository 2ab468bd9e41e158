"""The body of an HTTP request, within bounds of size and time."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import Request

from sandbox.http.answer import Refused
from sandbox.limits import REQUEST_BODY

PATIENCE: Final = 60.0
"""Seconds in which a body must have come."""


async def received(request: Request, patience: float = PATIENCE) -> bytes:
    """Return the body; `Refused` with 413 if it is too large, with 408 if it does not come in time."""
    parts, size = [], 0
    try:
        async with asyncio.timeout(patience):
            async for part in request.stream():
                size += len(part)
                if size > REQUEST_BODY:
                    raise Refused(413, f"The body of a request has at most {REQUEST_BODY} bytes.")
                parts.append(part)
    except TimeoutError:
        raise Refused(408, f"The body of the request did not come within {patience:g} seconds.") from None
    return b"".join(parts)
