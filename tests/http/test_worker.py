"""Claims about the end of a server beside a message that runs for long, and about its sockets."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path
from typing import Any

import cbor2
import pytest

from sandbox import Principal, Sandbox
from sandbox.api import runtime_of
from sandbox.candid import encode_text
from sandbox.http.replica import Replica
from sandbox.http.server import listen
from sandbox.http.worker import Patience, Worker
from tests.conftest import fixture
from tests.http.client import EMPTY, MINUTE
from tests.http.users import body

HASTY = Patience(call=0.2, query=0.2, view=0.1, end=0.2)


def ask(kind: str, canister_id: Principal, method: str) -> dict[str, Any]:
    """The content of an anonymous call or query."""
    return {
        "request_type": kind,
        "canister_id": bytes(canister_id),
        "method_name": method,
        "arg": EMPTY,
        "sender": b"\x04",
        "ingress_expiry": time.time_ns() + MINUTE,
    }


@pytest.mark.parametrize(("kind", "status"), [("call", 202), ("query", 503)])
def test_what_runs_for_long_is_taken_back_at_the_end(kind: str, status: int, caplog: pytest.LogCaptureFixture) -> None:
    sandbox = Sandbox()
    counter = sandbox.create_canister()
    counter.install(fixture("counter.enhanced"))
    content = ask(kind, counter.id, "spin" if kind == "call" else "spin_in_query")

    async def serve() -> int:
        worker = Worker(Replica(sandbox, time.time_ns), patience=HASTY)
        await worker.start()
        answer = await worker.handle("POST", f"/api/v3/canister/{counter.id}/{kind}", body({"content": content}))
        await worker.stop()
        return answer.status

    assert asyncio.run(serve()) == status
    assert counter.logs() == ()
    assert counter.call("get") == 0
    assert "never retrieved" not in caplog.text


def test_reading_beside_a_running_update_takes_nothing_back() -> None:
    sandbox = Sandbox()
    counter = sandbox.create_canister()
    counter.install(fixture("counter.enhanced"))
    content = {**ask("call", counter.id, "work"), "arg": encode_text("(100_000_000 : nat)")}

    async def serve() -> int:
        replica = Replica(sandbox, time.time_ns)
        worker = Worker(replica)
        await worker.start()
        path = f"/api/v4/canister/{counter.id}/call"
        call = asyncio.ensure_future(worker.handle("POST", path, body({"content": content})))
        looked = 0
        while not call.done():
            assert replica.module_of(counter.id) is not None
            looked += 1
            await asyncio.sleep(0.005)
        await worker.stop()
        assert looked > 1
        return (await call).status

    assert asyncio.run(serve()) == 200
    assert [call.status for call in runtime_of(sandbox).subnet.submissions.values()] == ["replied"]


def test_what_timers_did_is_saved_at_intervals_too(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path / "state") as sandbox:
        sandbox.create_canister(name="c").install(fixture("counter.enhanced"))
        sandbox.canister("c").call("tick_after", 1)
    sandbox = Sandbox.open(tmp_path / "state")
    counter = sandbox.canister("c").id

    async def serve() -> None:
        worker = Worker(Replica(sandbox, time.time_ns), "interval", Patience(tick=0.05, save=0.05))
        await worker.start()
        deadline = time.monotonic() + 30
        while await fired(worker) != encode_text("(1 : nat)"):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)

    async def fired(worker: Worker) -> bytes:
        content = ask("query", counter, "get_ticks")
        answer = await worker.handle("POST", f"/api/v3/canister/{counter}/query", body({"content": content}))
        reply: bytes = cbor2.loads(answer.body)["reply"]["arg"]
        return reply

    asyncio.run(serve())
    sandbox.close()  # nothing is saved here
    with Sandbox.open(tmp_path / "state", read_only=True) as kept:
        assert kept.canister("c").call("get_ticks") == 1


def test_connections_send_small_packets_at_once() -> None:
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
