"""The routes of the sandbox's own: its interface at every name of this machine, the console at a name of its own."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Host, Mount, Route, Router

from sandbox.http.admin import web
from sandbox.http.admin.operations import PREFIX
from sandbox.http.admin.rights import CONSOLE_HOST, Rights, token_of
from sandbox.http.console.web import console_routes
from sandbox.http.worker import Worker


def own_routes(worker: Worker, state: Path, port: int) -> tuple[list[BaseRoute], Rights]:
    """The routes, and the rights at them; `state`: the directory with the token."""
    rights = Rights(token_of(state), port)
    office = web.office(worker, rights)
    interface = Mount(PREFIX, routes=web.routes(office))
    # No page of a canister may be at the console's name: it would have the console's origin, and its cookie.
    console = Router(
        [Mount(PREFIX, routes=[*console_routes(office), *web.routes(office)]), Route("/{path:path}", _elsewhere)]
    )
    return [Host(CONSOLE_HOST, console), interface], rights


async def _elsewhere(_: Request) -> Response:
    return RedirectResponse(f"{PREFIX}/console", 307)
