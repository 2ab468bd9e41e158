"""Bodies that come in pieces: HTTP gateway protocol specification, "Response body streaming", and answers 206 to
requests for the whole, of which the rest is asked for by ranges. Limits as in `dfinity/http-gateway`
(`response_handler.rs`).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from sandbox.http.gateway.messages import BadResponse, Response, read_piece
from sandbox.http.gateway.messages import Callback as Next
from sandbox.http.gateway.web import WebRequest, first
from sandbox.principal import Principal

PIECES: Final = 1_000
"""Pieces that are fetched for one body, at most."""
VERIFIED_PIECES: Final = 4
"""A body of more pieces than these is passed on as it comes, unverified: who verifies must have all of it first."""
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)

Ask = Callable[[Principal, str, bytes], Awaitable[bytes]]
"""Makes a query call and returns the reply."""
AskAgain = Callable[[WebRequest], Awaitable[Response]]
"""Sends a request to the canister and returns the verified response."""


@dataclass(frozen=True, slots=True)
class Range:
    """The part that a response 206 has: bytes `start` to `end`, the end included, of `total`."""

    start: int
    end: int
    total: int


async def gather(ask: Ask, canister_id: Principal, response: Response) -> Response:
    """Return the response with its whole body, or with as much as is verified and the callback for the rest."""
    parts, following = [response.body], response.callback
    for _ in range(VERIFIED_PIECES):
        if following is None:
            break
        part, following = await _piece(ask, canister_id, following)
        parts.append(part)
    return replace(response, body=b"".join(parts), callback=following)


async def stream(ask: Ask, canister_id: Principal, response: Response) -> AsyncIterator[bytes]:
    """The body of a gathered response, and the rest as it comes."""
    yield response.body
    following = response.callback
    for _ in range(PIECES):
        if following is None:
            return
        part, following = await _piece(ask, canister_id, following)
        yield part
    raise BadResponse(f"its body has more than {PIECES:,} pieces")


async def _piece(ask: Ask, canister_id: Principal, following: Next) -> tuple[bytes, Next | None]:
    if following.canister_id != canister_id:
        raise BadResponse("the callback for the rest of its body is not its own")
    return read_piece(await ask(canister_id, following.method, following.token), following)


def range_of(response: Response) -> Range:
    """The part that a response 206 says it has."""
    text = first(response.headers, "content-range")
    found = _RANGE.fullmatch(text.strip()) if text is not None else None
    if found is None:
        raise BadResponse(f"its answer 206 has no valid Content-Range, but {text!r}")
    part = Range(*map(int, found.groups()))
    if not part.start <= part.end < part.total or part.end - part.start + 1 != len(response.body):
        raise BadResponse(f"the Content-Range {text} of its answer is not what it sends: {len(response.body)} bytes")
    return part


def beginning(response: Response) -> Range:
    """The part that a response 206 to a request for the whole has: the first."""
    part = range_of(response)
    if part.start:
        raise BadResponse(f"its answer begins at byte {part.start}, and the whole was asked for")
    return part


async def whole(ask: AskAgain, request: WebRequest, response: Response) -> AsyncIterator[bytes]:
    """The whole that begins with a response 206 to a request without a range."""
    part = beginning(response)
    total, done = part.total, part.end + 1
    yield response.body
    for _ in range(PIECES):
        if done >= total:
            return
        following = await ask(replace(request, headers=(*request.headers, ("range", f"bytes={done}-"))))
        part = range_of(following) if following.status == 206 else Range(-1, -1, -1)
        if not part.start <= done <= part.end or part.total != total:
            raise BadResponse(f"its answer to the range from byte {done} is another part")
        yield following.body[done - part.start :]
        done = part.end + 1
    raise BadResponse(f"its body has more than {PIECES:,} pieces")
