"""The gateway itself: a request of a browser in, the answer of a canister out."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, Protocol

from sandbox.errors import Reject, RequestTooLarge, SandboxError
from sandbox.http.answer import Refused
from sandbox.http.gateway import body, maintenance, pages
from sandbox.http.gateway.address import HOME, Address, address_of
from sandbox.http.gateway.domains import Domains
from sandbox.http.gateway.messages import BadResponse, Response, query_argument, read_response, update_argument
from sandbox.http.gateway.pages import NoPage
from sandbox.http.gateway.verification.failure import Unverified
from sandbox.http.gateway.web import Headers, WebAnswer, WebRequest, first
from sandbox.http.maintenance.notice import ACTIVE
from sandbox.http.maintenance.notices import Notices
from sandbox.principal import Principal

LOG: Final = logging.getLogger("canister_sandbox.http")
_QUERY, _UPDATE = "http_request", "http_request_update"
_RANGES = ("range", "if-range")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_IN_VALUE = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
_OF_CONNECTION: Final = frozenset(
    ("connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade")
)
"""Headers that speak of one connection: the server sets its own."""
ID_HEADER: Final = "x-ic-canister-id"


class Canisters(Protocol):
    """What the gateway needs of a network. Both calls are of the anonymous user and return a reply or a reject;
    `Refused` with status 503 or 504 if there is none in time."""

    def named(self, name: str) -> Principal | None:
        """The canister of this name, in any case of its letters."""

    async def ask(self, canister_id: Principal, method: str, arg: bytes) -> bytes | Reject:
        """Make a query call."""

    async def act(self, canister_id: Principal, method: str, arg: bytes) -> bytes | Reject:
        """Make an update call."""


Call = Callable[[Principal, str, bytes], Awaitable[bytes | Reject]]
Verify = Callable[[Principal, WebRequest, Response], Response]
"""Returns the response with those of its headers that may be passed on; `Unverified` if its certificate does not prove
it."""


class Gateway:
    """Answers requests for the pages of canisters. `verify`: None if responses are not verified; `notices`: which of
    the canisters are under maintenance; `domains`: other hosts of canisters."""

    def __init__(
        self, canisters: Canisters, verify: Verify | None, notices: Notices, domains: Domains | None = None
    ) -> None:
        self._canisters = canisters
        self._domains = domains
        self._verify = verify
        self._notices = notices

    async def handle(self, request: WebRequest) -> WebAnswer:
        """Answer one request. A body in pieces may fail on the way: `NoPage`."""
        try:
            address = address_of(request)
            if address is None:
                raise NoPage(pages.no_address(request.header("host")))
            return await self._visit_or_notice(address, request)
        except NoPage as error:
            return pages.answer(error.problem, request)
        except SandboxError as error:
            LOG.error("%s %s: %s", request.method, request.url, error)
            return pages.answer(pages.failed(str(error)), request)

    async def _visit_or_notice(self, address: Address, request: WebRequest) -> WebAnswer:
        canister_id = address.canister_id or self._named(address.canister)
        notice, now = self._notices.of(canister_id), self._notices.clock()
        if request.path == maintenance.WHERE:
            return maintenance.facts(notice, now)
        if notice is not None and notice.status(now) == ACTIVE:
            return maintenance.closed(notice, now, request)
        visit = _Visit(self._canisters, canister_id, None if address.raw else self._verify)
        answer = await visit.answer(request)
        if notice is None:
            return answer
        return replace(answer, headers=(*answer.headers, maintenance.banner(notice, now)))

    def _named(self, name: str) -> Principal:
        named = self._canisters.named(name)
        if named is None and self._domains is not None:
            named = self._domains.canister(name + HOME)
        if named is None:
            raise NoPage(pages.unknown_name(name))
        return named


@dataclass(frozen=True, slots=True)
class _Visit:
    """One request at one canister. All its methods raise `NoPage`."""

    canisters: Canisters
    canister_id: Principal
    verify: Verify | None

    async def answer(self, request: WebRequest) -> WebAnswer:
        with self._reported():
            response = read_response(await self._ask(self.canister_id, _QUERY, query_argument(request)))
            if response.upgrade:
                argument = update_argument(request)
                updated = read_response(await self._reply(self.canisters.act, self.canister_id, _UPDATE, argument))
                response = await body.gather(self._ask, self.canister_id, updated)
            else:
                response = self._verified(request, await body.gather(self._ask, self.canister_id, response))
            return self._answer(request, response)

    def _answer(self, request: WebRequest, response: Response) -> WebAnswer:
        headers = (*_passed(response.headers), (ID_HEADER, str(self.canister_id)))
        if response.status == 206 and not any(request.header(name) for name in _RANGES):
            total = body.beginning(response).total
            kept = tuple((name, value) for name, value in headers if name.lower() != "content-range")
            rest = b"" if request.method == "HEAD" else self._watched(body.whole(self._again, request, response))
            return WebAnswer(200, (*kept, ("content-length", str(total))), rest)
        if not 200 <= response.status <= 599:
            raise BadResponse(f"its status code {response.status} is none of an answer")
        if response.callback is not None:
            return WebAnswer(
                response.status, headers, self._watched(body.stream(self._ask, self.canister_id, response))
            )
        length = first(response.headers, "content-length") if request.method == "HEAD" and not response.body else None
        size = length if length is not None and length.isascii() and length.isdigit() else str(len(response.body))
        return WebAnswer(response.status, (*headers, ("content-length", size)), response.body)

    async def _again(self, request: WebRequest) -> Response:
        """Ask for another part of the same, which is verified too."""
        response = read_response(await self._ask(self.canister_id, _QUERY, query_argument(request)))
        if response.upgrade or response.callback is not None:
            raise BadResponse("a part of its body is no part, but wants an update call or has a callback")
        return self._verified(request, response)

    def _verified(self, request: WebRequest, response: Response) -> Response:
        whole = response.callback is None
        return self.verify(self.canister_id, request, response) if self.verify is not None and whole else response

    async def _ask(self, canister_id: Principal, method: str, arg: bytes) -> bytes:
        return await self._reply(self.canisters.ask, canister_id, method, arg)

    async def _reply(self, call: Call, canister_id: Principal, method: str, arg: bytes) -> bytes:
        reply = await call(canister_id, method, arg)
        if isinstance(reply, Reject):
            raise NoPage(pages.rejected(canister_id, method, reply))
        return reply

    async def _watched(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        with self._reported():
            async for piece in pieces:
                yield piece

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Turn what goes wrong with this canister into the page that says so."""
        try:
            yield
        except BadResponse as error:
            raise NoPage(pages.bad_response(self.canister_id, str(error))) from error
        except Unverified as error:
            raise NoPage(pages.unverified(self.canister_id, str(error))) from error
        except RequestTooLarge as error:
            raise NoPage(pages.too_large(str(error))) from error
        except Refused as error:
            raise NoPage(pages.no_answer(error.status, str(error))) from error


def _passed(headers: Headers) -> Headers:
    """The headers that are passed on; `BadResponse` for one that HTTP does not allow."""
    for name, value in headers:
        if not _NAME.fullmatch(name) or _NOT_IN_VALUE.search(value):
            raise BadResponse(f"HTTP does not allow its header {name[:100]!r}")
    return tuple((name, value) for name, value in headers if name.lower() not in _OF_CONNECTION)
