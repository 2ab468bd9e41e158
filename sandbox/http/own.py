"""The routes of the sandbox's own: its interface at every name of this machine, the console at a name of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Host, Mount, Route, Router

from sandbox.http.admin import web
from sandbox.http.admin.desk import Desk
from sandbox.http.admin.operations import PREFIX
from sandbox.http.admin.rights import CONSOLE_HOST, Rights, token_of
from sandbox.http.answer import Refused
from sandbox.http.console.web import console_routes
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
        return web.failure(Refused(404, str(error)))

    def seen(self, request: Seen) -> None:
        """Count and log a request."""
        self.metrics.observe(request)
        write_access(request)


def own_interface(worker: Worker, state: Path, port: int) -> Own:
    """The sandbox's own interface at a port; `state`: the directory with the token."""
    rights, metrics = Rights(token_of(state), port), Metrics()
    office = web.office(worker, rights)
    measured = Route("/metrics", web.guarded(office, _measured(office, metrics)), methods=["GET"])
    routes = [measured, *web.routes(office)]
    # No page of a canister may be at the console's name: it would have the console's origin, and its cookie.
    console = Router([Mount(PREFIX, routes=[*console_routes(office), *routes]), Route("/{path:path}", _elsewhere)])
    return Own([Host(CONSOLE_HOST, console), Mount(PREFIX, routes=routes)], rights, metrics)


def _measured(office: web.Office, metrics: Metrics) -> web.Endpoint:
    async def endpoint(_: Request) -> Response:
        facts = await office.worker.use(facts_of, office.desk)
        return Response(metrics.exposition(facts), media_type=CONTENT_TYPE)

    return endpoint


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
