"""The HTTP side of the sandbox's own interface: routes from the table of operations, rights, errors, headers."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from sandbox.http.admin import model, openapi
from sandbox.http.admin.failure import failed
from sandbox.http.admin.feed import Feed, Line
from sandbox.http.admin.office import Office
from sandbox.http.admin.operations import OPERATIONS, Operation
from sandbox.http.admin.parameters import asked
from sandbox.http.admin.rights import COOKIE, PREFIX, Visitor
from sandbox.http.answer import Refused
from sandbox.http.body import received

Endpoint = Callable[[Request], Awaitable[Response]]
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""Of every answer. An answer that is opened as a page runs no script; a picture may have styles of its own."""
_HEARTBEAT: Final = 0.25
"""Seconds after which a stream looks whether the server ends."""
_SILENCE: Final = 60
"""Heartbeats after which a stream says that it is there."""


def routes(office: Office) -> list[BaseRoute]:
    """The routes below the prefix."""
    made: list[BaseRoute] = [
        Route(operation.path, guarded(office, _endpoint(office, operation)), methods=[operation.method])
        for operation in OPERATIONS
    ]

    async def described(_: Request) -> Response:
        return _json(200, openapi.document())

    async def unknown(request: Request) -> Response:
        raise Refused(404, f"there is no {request.method} {request.url.path[:200]}; see {PREFIX}/openapi.json")

    made += [
        Route("/openapi.json", guarded(office, described), methods=["GET"]),
        Route("/logs", guarded(office, _stream(office)), methods=["GET"]),
        Route("/enter", _enter(office), methods=["GET"]),
        Route("/{path:path}", guarded(office, unknown), methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
    ]
    return made


def visitor(request: Request) -> Visitor:
    """A request, as far as rights are concerned."""
    client = request.client.host if request.client is not None else ""
    return Visitor(request.method.replace("HEAD", "GET"), client, request.headers, request.cookies.get(COOKIE))


def guarded(office: Office, endpoint: Endpoint) -> Endpoint:
    """The endpoint for those who may use it; what it raises becomes an answer."""

    async def checked(request: Request) -> Response:
        try:
            office.rights.check(visitor(request))
            response = await endpoint(request)
        except Exception as error:
            response = failure(error)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return checked


def failure(error: Exception) -> Response:
    """The answer to a request that failed."""
    status, record = failed(error)
    response = _json(status, msgspec.json.encode(record))
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _json(status: int, content: bytes) -> Response:
    return Response(content, status, media_type="application/json")


def _endpoint(office: Office, operation: Operation) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        query = request.query_params.multi_items()
        if operation.file is None:
            parameters = asked(operation, request.path_params, query, await received(request))
            return answered(await office.perform(operation, parameters))
        folder = await office.worker.use(office.desk.temporary)
        try:
            file = await _received(request, folder / "body.icsnap")
            parameters = asked(operation, request.path_params, query, file)
            return answered(await office.perform(operation, parameters))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    return endpoint


async def _received(request: Request, file: Path) -> Path:
    with file.open("wb") as written:
        async for part in request.stream():
            await asyncio.to_thread(written.write, part)
    return file


def answered(answer: object) -> Response:
    """The response with what an operation answered."""
    if not isinstance(answer, model.Document):
        return _json(200, msgspec.json.encode(answer))
    if answer.file is None:
        return Response(answer.content, media_type=answer.content_type)
    away = BackgroundTask(shutil.rmtree, answer.file.parent, ignore_errors=True)
    return FileResponse(answer.file, media_type=answer.content_type, filename=answer.name, background=away)


def _enter(office: Office) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        try:
            session = office.rights.enter(visitor(request), request.query_params.get("code", ""))
        except Refused as error:
            return Response(str(error), error.status, headers=HEADERS, media_type="text/plain")
        response = RedirectResponse(f"{PREFIX}/console", 303, HEADERS)
        response.set_cookie(COOKIE, session, path=PREFIX, httponly=True, samesite="strict")
        return response

    return endpoint


def _stream(office: Office) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return StreamingResponse(_events(office.feed, request), media_type="text/event-stream")

    return endpoint


async def _events(feed: Feed, request: Request) -> AsyncIterator[bytes]:
    """Server-sent events: the lines of late, then each as it is printed."""
    reader, silence = feed.subscribe(), 0
    try:
        yield b"retry: 2000\n\n"
        for line in feed.recent:
            yield _event(line)
        while not getattr(request.app.state, "ending", lambda: False)():
            try:
                async with asyncio.timeout(_HEARTBEAT):
                    line = await reader.get()
            except TimeoutError:
                silence += 1
                if silence % _SILENCE == 0:
                    yield b": here\n\n"
                continue
            yield _event(line)
    finally:
        feed.unsubscribe(reader)


def _event(line: Line) -> bytes:
    facts = {"canister": str(line.canister), "time": str(line.time), "text": line.text}
    return f"data: {json.dumps(facts)}\n\n".encode()
