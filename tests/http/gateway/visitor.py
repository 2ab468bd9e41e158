"""A visitor of a sandbox's pages, in one thread: requests in, whole answers out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from sandbox import Principal, Sandbox
from sandbox.candid import encode
from sandbox.errors import Reject
from sandbox.http.gateway.gateway import Gateway
from sandbox.http.gateway.trust import verifier
from sandbox.http.gateway.web import WebAnswer, WebRequest, first
from sandbox.http.replica import Replica
from tests.http.client import NOW


@dataclass(frozen=True)
class Page:
    """An answer with its whole body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return first(self.headers, name)

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Visitor:
    """A browser at a gateway over a sandbox, whose canisters it names by host."""

    sandbox: Sandbox = field(default_factory=Sandbox)
    now: int = NOW
    verify: bool = True

    def __post_init__(self) -> None:
        self.replica = Replica(self.sandbox, lambda: self.now)
        self.replica.advance()
        self.open_gateway()

    def open_gateway(self) -> None:
        """Open the gateway, after the replica has got its notices."""
        self.gateway = Gateway(self, verifier(self.replica) if self.verify else None, self.replica.notices)

    def named(self, name: str) -> Principal | None:
        return self.replica.named(name)

    async def ask(self, canister_id: Principal, method: str, arg: bytes) -> bytes | Reject:
        return self.replica.ask(canister_id, method, arg)

    async def act(self, canister_id: Principal, method: str, arg: bytes) -> bytes | Reject:
        result = self.sandbox.update(canister_id, method, arg, Principal.anonymous())
        answer = result.reply if result.reject is None else result.reject
        assert answer is not None
        return answer

    def visit(self, host: str, url: str = "/", method: str = "GET", body: bytes = b"", **headers: str) -> Page:
        """Ask for a page; `_` in names of headers stands for `-`."""
        given = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        return asyncio.run(self._visit(WebRequest(method, url, (("host", host), *given), body)))

    async def _visit(self, request: WebRequest) -> Page:
        answer: WebAnswer = await self.gateway.handle(request)
        body = answer.body if isinstance(answer.body, bytes) else b"".join([piece async for piece in answer.body])
        return Page(answer.status, answer.headers, body)


def response(status: int = 200, headers: tuple[tuple[str, str], ...] = (), body: bytes = b"", **more: object) -> bytes:
    """The reply with these fields."""
    kinds = {"streaming_strategy": STRATEGY}
    others = "".join(f"{name} : {kinds[name]};" for name in more)
    kind = f"record {{ status_code : nat16; headers : vec record {{ text; text }}; body : blob; {others} }}"
    return encode(f"({kind})", [{"status_code": status, "headers": headers, "body": body, **more}])


STRATEGY = "opt variant { Callback : record { callback : func (nat) -> () query; token : nat } }"
