"""Claims about pages over real HTTP: methods, hosts, CORS, limits, patience, and bodies that break off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

from sandbox import Sandbox
from sandbox.candid import encode
from sandbox.http.gateway.gateway import Gateway
from sandbox.http.gateway.web import WebAnswer, WebRequest
from sandbox.http.replica import Replica
from sandbox.http.worker import Patience, Worker
from tests.conftest import fixture, guest
from tests.http.gateway.visitor import Page, response
from tests.http.served import Served, served

INDEX = {
    "key": "/index.html",
    "content_type": "text/html",
    "content_encoding": "identity",
    "content": b"<h1>Files</h1>",
    "sha256": None,
}
BREAKS_OFF = """
(func (export "canister_query http_request")
  (call $reply (i32.const 8) (i32.const SIZE)))
(data (i32.const 8) "REPLY")
"""
SPINS = """
(func (export "canister_query http_request") (call $reply (i32.const 8) (i32.const SIZE)))
(func (export "canister_update http_request_update") (loop $on (br $on)))
(func (export "canister_update spin") (loop $on (br $on)))
(data (i32.const 8) "REPLY")
"""


def replying(source: str, reply: bytes) -> bytes:
    escaped = "".join(f"\\{byte:02x}" for byte in reply)
    return guest(source.replace("SIZE", str(len(reply))).replace("REPLY", escaped))


def partial() -> bytes:
    """A reply 206 that says it is the first 4 of 9 bytes; asked for the rest, the canister says the same."""
    return response(206, (("Content-Range", "bytes 0-3/9"),), b"four")


def upgrading() -> bytes:
    kind = "(record { status_code : nat16; headers : vec record { text; text }; body : blob; upgrade : opt bool })"
    return encode(kind, [{"status_code": 200, "headers": [], "body": b"", "upgrade": True}])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    state = tmp_path_factory.mktemp("pages") / "state"
    with Sandbox.open(state) as sandbox:
        sandbox.create_canister(name="site").install(fixture("site_rs"))
        sandbox.create_canister(name="service").install(fixture("service_rs"))
        owner = sandbox.identity("owner")
        files = sandbox.create_canister([owner], name="files")
        files.install(fixture("assets_rs"), sender=owner)
        files.call("store", INDEX, sender=owner)
        sandbox.create_canister(name="broken").install(replying(BREAKS_OFF, partial()))
    with served(state, "--saving", "exit") as server:
        yield server


def ask(
    server: Served, host: str, path: str = "/", method: str = "GET", body: bytes | None = None, **headers: str
) -> Page:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request(method, path, body, {"Host": f"{host}:{server.port}", **headers})
        answer = connection.getresponse()
        return Page(answer.status, tuple(answer.getheaders()), answer.read())
    finally:
        connection.close()


def test_head_has_the_headers_of_a_page_and_no_body(server: Served) -> None:
    whole, head = ask(server, "files.localhost"), ask(server, "files.localhost", method="HEAD")
    assert (whole.body, head.status, head.body) == (b"<h1>Files</h1>", 200, b"")
    assert head.header("content-length") == whole.header("content-length") == "14"
    large = ask(server, "site.raw.localhost", "/big.bin", "HEAD")
    assert (large.status, large.body, large.header("content-length")) == (200, b"", "5000000")


def test_the_interface_of_the_platform_is_at_every_host(server: Served) -> None:
    for host in ("127.0.0.1", "localhost", "site.localhost"):
        assert ask(server, host, "/api/v2/status").header("content-type") == "application/cbor"
    assert ask(server, "site.localhost", "/api/nothing").status == 404


def test_pages_of_other_origins_may_read_them(server: Served) -> None:
    page = ask(server, "site.localhost", "/big.bin", Origin="http://example.org", Range="bytes=0-")
    assert (page.status, page.header("access-control-allow-origin")) == (206, "*")
    assert "content-range" in (page.header("access-control-expose-headers") or "").lower()
    asks: dict[str, Any] = {"Origin": "http://example.org", "Access-Control-Request-Method": "PUT"}
    assert ask(server, "site.localhost", "/", "OPTIONS", **asks).status == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST"])
def test_every_method_reaches_the_canister(server: Served, method: str) -> None:
    assert ask(server, "service.localhost", "/x", method, b"hi").body.endswith(f"{method} hi".encode())


def test_a_path_is_passed_on_as_it_came(server: Served) -> None:
    missing = ask(server, "service.raw.localhost", "/a%2Fb%20c//d?x=%26&y")
    assert missing.body == b"nothing at /a%2Fb%20c//d"


def test_a_body_beyond_the_limit_is_refused(server: Served) -> None:
    page = ask(server, "site.localhost", "/", "POST", bytes(5 * 1024 * 1024 + 1))
    assert (page.status, page.body.startswith(b"The request is too large.")) == (413, True)


def test_a_body_that_breaks_off_is_never_taken_for_a_whole_one(server: Served) -> None:
    with pytest.raises(HTTPException):
        ask(server, "broken.raw.localhost")
    assert ask(server, "site.localhost").status == 200


def test_verification_can_be_switched_off(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path / "state") as sandbox:
        sandbox.create_canister(name="service").install(fixture("service_rs"))
    with served(tmp_path / "state", "--saving", "exit", "--no-verify-responses") as server:
        assert ask(server, "service.localhost", "/pieces").status == 200
    with served(tmp_path / "state", "--saving", "exit") as server:
        page = ask(server, "service.localhost", "/pieces")
        assert (page.status, b"could not be verified" in page.body) == (500, True)


@pytest.mark.parametrize("busy", [False, True])
def test_nobody_waits_for_ever(busy: bool) -> None:
    """Beside an update that runs, the query is answered, and the update that it asks for has its turn later."""
    sandbox = Sandbox()
    canister = sandbox.create_canister(name="slow")
    canister.install(replying(SPINS, upgrading()))

    async def visit() -> WebAnswer:
        replica = Replica(sandbox, time.time_ns)
        worker = Worker(replica, patience=Patience(call=0.2, page=0.2, query=0.2, view=0.1, end=0.2))
        await worker.start()
        other = asyncio.ensure_future(worker.act(canister.id, "spin", b"")) if busy else None
        await asyncio.sleep(0.05)
        gateway = Gateway(worker, None, replica.notices)
        answer = await gateway.handle(WebRequest("GET", "/", (("host", "slow.localhost"),)))
        if other is not None:
            await asyncio.wait({other})
            other.exception()
        await worker.stop()
        return answer

    answer = asyncio.run(visit())
    assert (answer.status, b"No answer yet" in bytes(answer.body)) == (504, True)  # type: ignore[arg-type]
