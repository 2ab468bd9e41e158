"""A served state in a process of its own, and real HTTP requests to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import cbor2

from sandbox import Principal
from tests.http.client import EMPTY, MINUTE
from tests.http.users import ANONYMOUS, User, body

COMMAND = [sys.executable, "-c", "from sandbox.cli import main; main()"]


@dataclass(frozen=True)
class Served:
    """A running `canister-sandbox serve`."""

    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(self, method: str, path: str, sent: bytes | None = None) -> tuple[int, bytes]:
        """Status code and body of the answer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, sent, {"Content-Type": "application/cbor"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def content(
        self, kind: str, canister_id: Principal, method: str, arg: bytes = EMPTY, user: User = ANONYMOUS
    ) -> dict[str, Any]:
        """The content of a call or query that expires in a minute."""
        return {
            "request_type": kind,
            "canister_id": bytes(canister_id),
            "method_name": method,
            "arg": arg,
            "sender": bytes(user.principal),
            "nonce": os.urandom(16),
            "ingress_expiry": time.time_ns() + MINUTE,
        }

    def ask(self, kind: str, canister_id: Principal, method: str, arg: bytes = EMPTY) -> tuple[int, Any]:
        """Send a call or query of the anonymous user; the status code and the decoded answer."""
        content = self.content(kind, canister_id, method, arg)
        version = "v4" if kind == "call" else "v3"
        status, answer = self.request(
            "POST", f"/api/{version}/canister/{canister_id}/{kind}", body({"content": content})
        )
        return status, cbor2.loads(answer) if status == 200 else answer

    def end(self, number: int = signal.SIGINT) -> int:
        """Ask the server to end; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def served(state: Path, *options: str) -> Iterator[Served]:
    """Serve a state directory on a free port; the server is killed at the end if it still runs."""
    port_file = state.with_name("port")
    port_file.unlink(missing_ok=True)
    command = [*COMMAND, "--state", str(state), "serve", "--port", "0", "--port-file", str(port_file), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        while not port_file.exists():
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.02)
        yield Served(process, int(port_file.read_text()))
    finally:
        process.kill()
        process.communicate()
