"""The ASGI application and its server: bodies, CORS, sockets. `/api/` is the platform's, every other path a page of a
canister. Needs the extra `canister-sandbox[serve]`."""

from __future__ import annotations

import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route

from sandbox.http.answer import Refused, of_error
from sandbox.http.body import received
from sandbox.http.gateway import pages
from sandbox.http.gateway.gateway import ID_HEADER, Gateway
from sandbox.http.gateway.pages import Problem
from sandbox.http.gateway.web import WebAnswer, WebRequest
from sandbox.http.observed import Observed
from sandbox.http.own import Own
from sandbox.http.worker import Worker

_CONNECTIONS: Final = 1_000
"""At once; further ones are answered with 503."""
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def application(
    worker: Worker, gateway: Gateway, ready: Callable[[], None] = lambda: None, own: Own | None = None
) -> Starlette:
    """Return the ASGI application; it starts and stops the worker. `ready` is called when requests are answered. `own`:
    the sandbox's own interface, which pages of other origins cannot use."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await worker.start()
        ready()
        yield
        await worker.stop()

    async def endpoint(request: Request) -> Response:
        try:
            answer = await worker.handle(request.method, request.url.path, await received(request))
        except Refused as refused:
            answer = of_error(refused)
        return Response(answer.body, answer.status, media_type=answer.content_type)

    async def page(request: Request) -> Response:
        try:
            return _response(await gateway.handle(_web_request(request, await received(request))))
        except Refused as refused:
            title = "The request is too large" if refused.status == 413 else "The request did not come in time"
            problem = Problem(refused.status, title, str(refused))
            return _response(pages.answer(problem, _web_request(request, b"")))

    anybody = Middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=_METHODS,
        allow_headers=["*"],
        expose_headers=["accept-ranges", "content-length", "content-range", ID_HEADER],
    )
    routes = [Route("/api/{path:path}", endpoint, methods=_METHODS), Route("/{path:path}", page, methods=_METHODS)]
    public = Mount("", routes=routes, middleware=[anybody])
    if own is None:
        return Starlette(routes=[public], lifespan=lifespan)
    seen = Middleware(Observed, seen=own.seen)
    unknown = {404: own.unknown}
    return Starlette(routes=[*own.routes, public], middleware=[seen], lifespan=lifespan, exception_handlers=unknown)


def _web_request(request: Request, body: bytes) -> WebRequest:
    path, query = request.scope["raw_path"].decode("latin-1"), request.scope["query_string"].decode("latin-1")
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw)
    return WebRequest(request.method, f"{path}?{query}" if query else path, headers, body)


def _response(answer: WebAnswer) -> Response:
    if isinstance(answer.body, bytes):
        response = Response(answer.body, answer.status)
    else:
        response = StreamingResponse(answer.body, answer.status)
    response.raw_headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers]
    return response


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes any free one. `OSError` if it cannot.

    Connections inherit that small packets are sent at once. asyncio sees to that only for sockets that were made with
    the number of the protocol; without it each answer takes 40 ms more.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=2048)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def run(app: Starlette, listening: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM; then finish what is under way, for some seconds, and return."""
    config = uvicorn.Config(
        app, log_level="warning", lifespan="on", limit_concurrency=_CONNECTIONS, timeout_graceful_shutdown=15
    )
    server = uvicorn.Server(config)
    app.state.ending = lambda: server.should_exit

    def end(*_: object) -> None:
        server.should_exit = True

    # The server has handlers of its own while it runs, and raises the signal again when it has ended.
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        server.run(sockets=[listening])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
