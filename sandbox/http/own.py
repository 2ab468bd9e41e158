"""The routes of the sandbox's own: its interface at every name of this machine, the console at a name of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Host, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.http.admin.desk import Desk
from sandbox.http.admin.office import Office, office
from sandbox.http.admin.rights import CONSOLE_HOST, PREFIX, Rights, token_of
from sandbox.http.answer import Refused
from sandbox.http.observed import CONTENT_TYPE, Metrics, Seen, write_access
from sandbox.http.worker import Worker


@dataclass(frozen=True)
class Own:
    """What a server has besides the platform's interface: routes, who may use them, and what it counts."""

    routes: list[BaseRoute]
    rights: Rights
    metrics: Metrics

    async def unknown(self, _: Request, error: Exception) -> Response:
        """The answer to a path that no route fits, as one with a line break in it."""
        from sandbox.http.admin import web

        return web.failure(Refused(404, str(error)))

    def seen(self, request: Seen) -> None:
        """Count and log a request."""
        self.metrics.observe(request)
        write_access(request)


def own_interface(worker: Worker, state: Path, port: int) -> Own:
    """The sandbox's own interface at a port; `state`: the directory with the token."""
    rights, metrics = Rights(token_of(state), port), Metrics()
    served = office(worker, rights)
    # No page of a canister may be at the console's name: it would have the console's origin, and its cookie.
    console = Late(lambda: _console(served, metrics))
    interface = Mount(PREFIX, Late(lambda: Router(_interface(served, metrics))))
    return Own([Host(CONSOLE_HOST, console), interface], rights, metrics)


class Late:
    """An ASGI application that is made when it is first needed: a server is ready before what few requests need."""

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        self._make = make
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            self._app = self._make()
        await self._app(scope, receive, send)


def _console(office: Office, metrics: Metrics) -> ASGIApp:
    from sandbox.http.console.web import console_routes

    inside = [*console_routes(office), *_interface(office, metrics)]
    return Router([Mount(PREFIX, routes=inside), Route("/{path:path}", _elsewhere)])


def _interface(office: Office, metrics: Metrics) -> list[BaseRoute]:
    from sandbox.http.admin import web

    async def measured(_: Request) -> Response:
        facts = await office.worker.use(facts_of, office.desk)
        return Response(metrics.exposition(facts), media_type=CONTENT_TYPE)

    return [Route("/metrics", web.guarded(office, measured), methods=["GET"]), *web.routes(office)]


def facts_of(desk: Desk) -> dict[str, tuple[str, float]]:
    """The gauges of a sandbox."""
    states = [canister.status() for canister in desk.sandbox.canisters()]
    return {
        "time_seconds": ("Time of the sandbox, since 1970.", desk.sandbox.time / 1e9),
        "canisters": ("Canisters.", len(states)),
        "snapshots": ("Snapshots.", len(desk.sandbox.snapshots.list())),
        "heap_bytes": ("Bytes of all heaps.", sum(state.heap_size for state in states)),
        "stable_bytes": ("Bytes of all stable memories.", sum(state.stable_size for state in states)),
        "open_anchors": ("Open anchors.", len(desk.anchors)),
        "unsaved": ("Whether something was done since the state was saved.", float(desk.unsaved())),
    }


async def _elsewhere(_: Request) -> Response:
    return RedirectResponse(f"{PREFIX}/console", 307)
