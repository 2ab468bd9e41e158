"""Rows about `serve`: a server in a process of its own, clients with connections that stay open.

A client here takes processor time of its own for each request; the clock on the wall counts both processes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import cbor2

from sandbox import Principal, Sandbox
from sandbox.candid import encode
from scripts.benchmarks import guests
from scripts.benchmarks.measure import Timing, alone, divided, once
from scripts.benchmarks.row import Row, alone_within

_COMMAND = [sys.executable, "-c", "from sandbox.cli import main; main()"]
_EMPTY = b"DIDL\0\0"
_POOL = 8
"""Connections of one pool."""
_LONG = encode("(nat)", [2_000_000_000])
_MINUTE = 60_000_000_000


@dataclass
class Client:
    """One connection to a server with a counter."""

    port: int
    counter: Principal

    def __post_init__(self) -> None:
        self.connection = HTTPConnection("127.0.0.1", self.port, timeout=120)

    def send(self, kind: str, method: str, arg: bytes = _EMPTY) -> int:
        """Make a call or a query as the anonymous user; the status code of the answer."""
        content = {
            "request_type": kind,
            "canister_id": bytes(self.counter),
            "method_name": method,
            "arg": arg,
            "sender": b"\x04",
            "nonce": os.urandom(16),
            "ingress_expiry": time.time_ns() + _MINUTE,
        }
        version = "v4" if kind == "call" else "v3"
        path = f"/api/{version}/canister/{self.counter}/{kind}"
        self.connection.request("POST", path, cbor2.dumps({"content": content}))
        answer = self.connection.getresponse()
        answer.read()
        return answer.status


@contextmanager
def _served(state: Path) -> Iterator[int]:
    """Serve a state directory; its port."""
    port_file = state.with_name("port")
    port_file.unlink(missing_ok=True)
    options = ["--port", "0", "--port-file", str(port_file), "--saving", "exit"]
    command = [*_COMMAND, "--state", str(state), "serve", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not port_file.exists():
            if process.poll() is not None:
                raise RuntimeError("the server did not start")
            time.sleep(0.002)
        yield int(port_file.read_text())
    finally:
        process.terminate()
        process.wait(60)


def served(seconds: float) -> Iterator[Row]:
    """The start of a server, updates, and queries alone and beside a running update."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        with Sandbox.open(state) as sandbox:
            counter = guests.counter(sandbox).id

        def start() -> None:
            with _served(state):
                starts.append(time.perf_counter() - begun)

        starts: list[float] = []
        for _ in range(3):
            begun = time.perf_counter()
            start()
        yield alone_within("a server ready, state and code on disk", Timing(sorted(starts)[1], 0.0), 0.5)
        with _served(state) as port:
            client = Client(port, counter)
            update = alone(lambda: client.send("call", "inc"), seconds)
            yield alone_within("an update over HTTP, signed", update, 0.003, "client included")
            clients = [Client(port, counter) for _ in range(_POOL)]
            yield _queries("a query over HTTP", clients, seconds)
            long = threading.Thread(target=lambda: client.send("call", "work", _LONG))
            long.start()
            time.sleep(0.2)
            yield _queries("a query over HTTP beside a running update", clients, min(seconds, 1.0))
            running = "it ran all the time" if long.is_alive() else "it ended before"
            long.join()
            yield Row("the update beside it", note=running)


def _queries(name: str, clients: list[Client], seconds: float) -> Row:
    """Queries on a pool of connections, each in a thread."""
    counts = [0] * len(clients)

    def ask(place: int) -> None:
        while time.perf_counter() < end:
            if clients[place].send("query", "get") != 200:
                raise RuntimeError("a query failed")
            counts[place] += 1

    end = time.perf_counter() + seconds
    threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(clients))]

    def run() -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    whole = once(run)
    timing = divided(whole, max(1, sum(counts)))
    return alone_within(name, timing, 0.002, f"{1 / timing.wall:,.0f} a second on {len(clients)} connections")
