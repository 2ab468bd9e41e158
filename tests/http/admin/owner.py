"""The owner of a served sandbox: requests to its own interface, with the token of the state directory."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

from tests.http.served import Served


@dataclass(frozen=True)
class Owner:
    """A client of a server's own interface."""

    server: Served
    state: Path

    @property
    def token(self) -> str:
        return (self.state / "admin-token").read_text().strip()

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[HTTPResponse, bytes]:
        """Send a request without the token; `Host` and others by their names with `_` for `-`."""
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, f"/_sandbox{path}", body, given)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send a request with the token; the status code, and the answer read as JSON."""
        sent = None if body is None else json.dumps(body).encode()
        response, answer = self.send(method, path, sent, Authorization=f"Bearer {self.token}")
        return response.status, json.loads(answer)

    def done(self, method: str, path: str, body: Any = None) -> Any:
        """As `ask`; the answer to a request that must succeed."""
        status, answer = self.ask(method, path, body)
        assert status == 200, answer
        return answer

    def link(self) -> str:
        """A new address of the console: its path and query, below the prefix."""
        url = self.done("POST", "/links")["url"]
        match = re.fullmatch(rf"http://console\.localhost:{self.server.port}/_sandbox(/enter\?code=\S+)", url)
        assert match is not None
        return match[1]
