"""A server between client and network that loses requests and answers, as real networks do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PASS, LOSE, MUTE = "pass", "lose", "mute"
"""What happens to a request: it goes through; it is lost; its answer is lost. A number is an HTTP error."""

Rule = Callable[[int, str, bytes], "str | int"]
"""From the number of the request, its path and body to what happens to it."""


@dataclass
class Proxy:
    """`rule` decides about each request; it can be changed at any time. `seen`: the requests so far."""

    port: int
    rule: Rule
    seen: list[tuple[str, bytes]] = field(default_factory=list)
    altered: Callable[[str, bytes], bytes] | None = None
    """From path and answer to another answer."""
    muted: Callable[[], object] | None = None
    """Called when an answer is lost."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def proxied(target: int, rule: Rule = lambda number, path, body: PASS) -> Iterator[Proxy]:
    """Stand before the server at port `target`."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            self._handle(b"")

        def do_POST(self) -> None:
            self._handle(self.rfile.read(int(self.headers["content-length"])))

        def _handle(self, body: bytes) -> None:
            with lock:
                number = len(proxy.seen)
                proxy.seen.append((self.path, body))
                what = proxy.rule(number, self.path, body)
            if what == LOSE:
                self.close_connection = True
                return
            if isinstance(what, int):
                self._answer(what, b"busy")
                return
            connection = HTTPConnection("127.0.0.1", target, timeout=60)
            try:
                connection.request(self.command, self.path, body, {"Content-Type": "application/cbor"})
                answer = connection.getresponse()
                status, content = answer.status, answer.read()
            finally:
                connection.close()
            if what == MUTE:
                if proxy.muted is not None:
                    proxy.muted()
                self.close_connection = True
                return
            self._answer(status, content if proxy.altered is None else proxy.altered(self.path, content))

        def _answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy = Proxy(server.server_port, rule)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
