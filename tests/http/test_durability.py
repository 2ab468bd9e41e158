"""Whatever was answered as saved is there after the server was killed in the middle of many requests."""

from __future__ import annotations

import signal
import threading
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import cbor2
import pytest

from sandbox import Principal, Sandbox
from tests.conftest import fixture
from tests.http.served import Served, served
from tests.http.users import body


class Sender(threading.Thread):
    """Sends updates one after the other over one connection, until the server is gone."""

    def __init__(self, server: Served, counter: Principal, count: int) -> None:
        super().__init__()
        self.server, self.counter, self.count = server, counter, count
        self.sent = self.answered = 0

    def run(self) -> None:
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            for _ in range(self.count):
                sent = body({"content": self.server.content("call", self.counter, "inc")})
                self.sent += 1
                connection.request("POST", f"/api/v4/canister/{self.counter}/call", sent)
                response = connection.getresponse()
                answer = response.read()
                if response.status == 200 and cbor2.loads(answer)["status"] == "replied":
                    self.answered += 1
        except (OSError, HTTPException):
            pass
        finally:
            connection.close()


@pytest.mark.parametrize(
    ("connections", "each", "share"),
    [
        (10, 60, 0.1),
        pytest.param(100, 100, 0.3, marks=pytest.mark.slow),
        pytest.param(100, 100, 0.8, marks=pytest.mark.slow),
    ],
)
def test_every_update_answered_as_saved_survives_a_kill(
    connections: int, each: int, share: float, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    with Sandbox.open(state) as sandbox:
        counter = sandbox.create_canister(name="c")
        counter.install(fixture("counter.enhanced"))
    with served(state, "--saving", "update") as server:
        senders = [Sender(server, counter.id, each) for _ in range(connections)]
        for sender in senders:
            sender.start()
        while sum(sender.answered for sender in senders) < share * connections * each:
            assert any(sender.is_alive() for sender in senders)
            time.sleep(0.005)
        assert server.end(signal.SIGKILL) == -signal.SIGKILL
        for sender in senders:
            sender.join()
    answered, sent = (sum(getattr(sender, name) for sender in senders) for name in ("answered", "sent"))
    with Sandbox.open(state, read_only=True) as kept:
        count = kept.canister("c").call("get")
    assert isinstance(count, int)
    assert share * connections * each <= answered <= count <= sent
    assert sent < connections * each
