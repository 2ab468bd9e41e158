"""Claims about the served state: sockets, threads, time, the end, the directory."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import cbor2
import pytest

from sandbox import Principal, Sandbox
from sandbox.candid import NAT, decode, encode_text
from sandbox.certify.certificate import verify_certificate
from sandbox.certify.hash_tree import Found, Lookup, Missing
from sandbox.certify.request_id import request_id
from tests.conftest import fixture
from tests.http.served import COMMAND, Served, served
from tests.http.users import body

LONG = encode_text("(500_000_000 : nat)")
"""An argument with which `work` takes some seconds."""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    with Sandbox.open(tmp_path / "state") as sandbox:
        sandbox.create_canister(name="c").install(fixture("counter.enhanced"))
    return tmp_path / "state"


def counter(state: Path) -> Principal:
    with Sandbox.open(state, read_only=True) as sandbox:
        return sandbox.canister("c").id


def count(state: Path) -> object:
    with Sandbox.open(state, read_only=True) as sandbox:
        return sandbox.canister("c").call("get")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_done_is_there_after_the_end(state: Path, number: signal.Signals) -> None:
    target = counter(state)
    with served(state, "--saving", "exit") as server:
        assert server.ask("call", target, "inc")[1]["status"] == "replied"
        assert server.ask("query", target, "get")[1]["reply"]["arg"] == encode_text("(1 : nat)")
        assert server.end(number) == 0
    assert count(state) == 1


def test_an_update_that_was_saved_survives_a_kill(state: Path) -> None:
    target = counter(state)
    with served(state, "--saving", "update") as server:
        assert server.ask("call", target, "inc")[1]["status"] == "replied"
        assert server.end(signal.SIGKILL) == -signal.SIGKILL
    assert count(state) == 1


def test_timers_fire_while_nobody_asks(state: Path) -> None:
    target = counter(state)
    with Sandbox.open(state) as sandbox:
        sandbox.canister("c").call("tick_after", 1)
    with served(state) as server:
        deadline = time.monotonic() + 30
        while server.ask("query", target, "get_ticks")[1]["reply"]["arg"] != encode_text("(1 : nat)"):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_beside_a_long_update_the_state_is_read_and_calls_are_taken(state: Path) -> None:
    target = counter(state)
    with served(state, "--saving", "exit") as server:
        done: list[tuple[int, object]] = []
        long = threading.Thread(target=lambda: done.append(server.ask("call", target, "work", LONG)))
        long.start()
        time.sleep(0.3)
        content = server.content("call", target, "inc")
        path = (b"request_status", request_id(content), b"status")
        assert isinstance(_read(server, target, path), Missing)
        assert not done
        assert server.request("POST", f"/api/v2/canister/{target}/call", body({"content": content}))[0] == 202
        deadline = time.monotonic() + 60
        while _read(server, target, path) != Found(b"replied"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        long.join()
        assert [status for status, _ in done] == [200]


def test_queries_see_what_was_committed_last_beside_a_long_update(state: Path) -> None:
    target = counter(state)
    with served(state, "--saving", "exit") as server:
        server.ask("call", target, "inc")
        done: list[tuple[int, object]] = []
        long = threading.Thread(target=lambda: done.append(server.ask("call", target, "work", LONG)))
        long.start()
        time.sleep(0.3)
        answers = [server.ask("query", target, "get") for _ in range(20)]
        assert not done
        long.join()
    assert [status for status, _ in answers] == [200] * 20
    assert {answer["reply"]["arg"] for _, answer in answers} == {encode_text("(1 : nat)")}


def test_queries_never_see_half_of_an_update(state: Path) -> None:
    target = counter(state)
    with served(state, "--saving", "exit") as server:
        stop = threading.Event()
        seen: list[int] = []

        def look() -> None:
            while not stop.is_set():
                [value] = decode([NAT], server.ask("query", target, "get")[1]["reply"]["arg"])
                assert isinstance(value, int)
                seen.append(value)

        watchers = [threading.Thread(target=look) for _ in range(2)]
        for watcher in watchers:
            watcher.start()
        for number in range(100):
            assert server.ask("call", target, "inc")[1]["status"] == "replied"
            [value] = decode([NAT], server.ask("query", target, "get")[1]["reply"]["arg"])
            assert value == number + 1
        stop.set()
        for watcher in watchers:
            watcher.join()
    assert max(seen) <= 100
    assert len(seen) > 20


def _read(server: Served, target: Principal, path: Sequence[bytes]) -> Lookup:
    """What a verified certificate says about a path."""
    expiry = time.time_ns() + 60_000_000_000
    content = {"request_type": "read_state", "sender": b"\x04", "paths": [path], "ingress_expiry": expiry}
    status, answer = server.request("POST", f"/api/v3/canister/{target}/read_state", body({"content": content}))
    assert status == 200, answer
    return verify_certificate(cbor2.loads(answer)["certificate"], _root_key(server)).lookup(tuple(path))


def _root_key(server: Served) -> bytes:
    key: bytes = cbor2.loads(server.request("GET", "/api/v2/status")[1])["root_key"]
    return key


def test_a_port_that_is_taken_is_misuse(state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [*COMMAND, "--state", str(state), "--output", "json", "serve", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "cannot listen" in json.loads(done.stdout or done.stderr)["error"]["message"]


def test_an_address_that_others_reach_is_warned_of(state: Path) -> None:
    with served(state, "--host", "0.0.0.0") as server:
        server.process.send_signal(signal.SIGTERM)
        printed = server.process.communicate(timeout=60)[0]
    assert "warning: 0.0.0.0 is reachable from other machines" in " ".join(printed.split())
