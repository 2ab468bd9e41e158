"""The HTTP side of the console: pages, and forms that carry out an operation and come back."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from importlib.resources import files
from typing import Final, TypeVar
from urllib.parse import parse_qsl, quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.api import runtime_of
from sandbox.api.typed import interface_of
from sandbox.errors import SandboxError
from sandbox.http.admin import canisters, model, time
from sandbox.http.admin.desk import Desk
from sandbox.http.admin.failure import failed
from sandbox.http.admin.office import Office
from sandbox.http.admin.operations import OPERATIONS, Operation
from sandbox.http.admin.parameters import asked
from sandbox.http.admin.web import HEADERS, Endpoint, guarded
from sandbox.http.answer import Refused
from sandbox.http.body import received
from sandbox.http.console import forms, gather, pages
from sandbox.http.console.canister_page import Outcome, canister
from sandbox.http.console.parts import ROOT, Note

T = TypeVar("T")
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_PAGE: Final = re.compile(rf"{ROOT}(/canisters/[a-z0-9-]+)?")
"""Where a form may lead."""
_STATIC: Final = {"style.css": "text/css", "script.js": "text/javascript"}
_KEPT: Final = 50
"""Notes and results of calls that are kept for the page after a form."""
_BY_NAME: Final = {operation.name: operation for operation in OPERATIONS}
_SAID: Final = {
    "take_snapshot": "The snapshot was taken.",
    "load_snapshot": "The snapshot was loaded.",
    "delete_snapshot": "The snapshot was deleted.",
    "end_anchor": "Everything since then was undone.",
    "begin_anchor": "The anchor is open.",
    "advance_time": "Time has passed.",
}


def console_routes(office: Office) -> list[BaseRoute]:
    """The routes of the console, below the prefix of the sandbox's own interface."""
    console = _Console(office)
    shown = [
        ("/console", console.first),
        ("/console/canisters/{canister}", console.canister),
        ("/console/diff", console.diff),
        ("/console/profiles/{profile:int}", console.profile),
    ]
    done = [("/console/do/{operation}", console.act), ("/console/call", console.call)]
    return [
        *(Route(path, guarded(office, console.shown(endpoint)), methods=["GET"]) for path, endpoint in shown),
        *(Route(path, guarded(office, console.shown(endpoint)), methods=["POST"]) for path, endpoint in done),
        *(Route(f"/console/{name}", guarded(office, _static(name)), methods=["GET"]) for name in _STATIC),
    ]


class _Console:
    def __init__(self, office: Office) -> None:
        self._office = office
        self._notes: OrderedDict[int, Note | Outcome] = OrderedDict()
        self._number = 0

    # --- pages

    async def first(self, request: Request) -> Response:
        return _page(pages.first(await self._read(gather.overview), self._note(request)))

    async def canister(self, request: Request) -> Response:
        facts = await self._read(gather.canister_facts, request.path_params["canister"])
        kept = self._kept(request)
        outcome = kept if isinstance(kept, Outcome) and kept.canister == facts.canister.id else None
        return _page(canister(facts, self._note(request), outcome))

    async def diff(self, request: Request) -> Response:
        given = request.query_params
        return _page(pages.diff(await self._read(gather.diff_facts, given.get("old", ""), given.get("new")), None))

    async def profile(self, request: Request) -> Response:
        return _page(pages.profile(await self._state(), request.path_params["profile"]))

    def shown(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint with a page for what goes wrong."""

        async def page(request: Request) -> Response:
            try:
                return await endpoint(request)
            except Exception as error:
                status, record = failed(error)
                return _page(pages.problem(await self._state(), record.error.message), status)

        return page

    # --- forms

    async def act(self, request: Request) -> Response:
        given = await _filled(request)
        back = given.pop("_back", ROOT)
        operation = _BY_NAME.get(request.path_params["operation"])
        if operation is None or operation.method == "GET":
            raise Refused(404, "there is no such operation")
        try:
            answer = await self._office.perform(operation, _parameters(operation, given))
            note = Note(True, _said(operation, answer))
        except SandboxError as error:
            note = Note(False, failed(error)[1].error.message)
        return self._back(back, note)

    async def call(self, request: Request) -> Response:
        given = await _filled(request)
        typed = given.pop("_typed", None) is not None
        which, method = given.get("canister", ""), given.get("method", "")
        target = str((await self._read(canisters.show_canister, model.OfCanister(canister=which))).id)
        called: model.Called | None = None
        problem = None
        try:
            text = await self._read(_argument, which, method, given) if typed else given.get("args", "()")
            parameters = model.Call(
                canister=which,
                method=method,
                args=text,
                kind=None if typed else ("query" if given.get("kind") == "query" else "update"),
                sender=given.get("sender") or None,
                profile="profile" in given,
            )
            answer = await self._office.perform(_BY_NAME["call"], parameters)
            assert isinstance(answer, model.Called)
            called = answer
        except SandboxError as error:
            problem = failed(error)[1].error.message
        outcome = Outcome(target, method, given, called, problem)
        return self._back(f"{ROOT}/canisters/{target}#m-{quote(method, safe='')}", outcome)

    def _back(self, where: str, kept: Note | Outcome) -> Response:
        self._number += 1
        self._notes[self._number] = kept
        while len(self._notes) > _KEPT:
            self._notes.popitem(last=False)
        path, _, place = where.partition("#")
        if not _PAGE.fullmatch(path):
            path = ROOT
        return RedirectResponse(f"{path}?note={self._number}" + (f"#{place}" if place else ""), 303)

    def _kept(self, request: Request) -> Note | Outcome | None:
        number = request.query_params.get("note", "")
        return self._notes.get(int(number)) if number.isascii() and number.isdigit() and len(number) < 10 else None

    def _note(self, request: Request) -> Note | None:
        kept = self._kept(request)
        return kept if isinstance(kept, Note) else None

    async def _state(self) -> model.State:
        return await self._read(time.show_state, model.Nothing())

    async def _read(self, function: Callable[..., T], *args: object) -> T:
        return await self._office.worker.use(function, self._office.desk, *args)


def _argument(desk: Desk, which: str, method: str, given: dict[str, str]) -> str:
    """The argument that was filled in, as Candid text."""
    target = desk.sandbox.canister(which)
    function = interface_of(runtime_of(target).state_of(target.id).code, None).method(method)
    return forms.text_of(function.args, given)


def _parameters(operation: Operation, given: dict[str, str]) -> model.Asked:
    """What was filled in, as parameters; what is empty is missing."""
    full = [(name, value) for name, value in given.items() if value]
    path = {name: value for name, value in full if name in operation.in_path}
    rest = [(name, value) for name, value in full if name not in operation.in_path]
    return asked(operation, path, rest, b"", texts=True)


def _said(operation: Operation, answer: object) -> str:
    if isinstance(answer, model.Verified):
        what = "intact" if answer.intact else f"damaged: {'; '.join(answer.differs)}"
        return f"The snapshot is {what}. {answer.bytes_read:,} bytes were read{' from the disk' * answer.on_disk}."
    if isinstance(answer, model.RoundsDone):
        return f"{answer.rounds:,} round{'s' * (answer.rounds != 1)} executed."
    return _SAID.get(operation.name, "Done.")


async def _filled(request: Request) -> dict[str, str]:
    """What was filled in: a form in the encoding of URLs."""
    body = await received(request)
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=500))
    except ValueError as error:
        raise Refused(400, f"not a form: {error}") from None


def _page(content: str, status: int = 200) -> Response:
    return Response(content, status, {**HEADERS, "Content-Security-Policy": _POLICY}, "text/html")


def _static(name: str) -> Endpoint:
    async def endpoint(_: Request) -> Response:
        content = files("sandbox.http.console").joinpath("static", name).read_bytes()
        return Response(content, headers={**HEADERS, "Cache-Control": "no-cache"}, media_type=_STATIC[name])

    return endpoint
