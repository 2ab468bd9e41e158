"""Requests over HTTP, repeated within limits while a network does not answer. The only importer of httpx."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import httpx

from sandbox.network.failure import NetworkError

_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers of a network that is busy or restarting: the same request may succeed a moment later."""
_MOST: Final = 30.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try. `attempts`: for one request; `pause`: seconds before the second, doubled each time up to 30;
    `timeout`: seconds for one attempt; `answer`: seconds to wait for the answer of a call that was taken."""

    attempts: int = 6
    pause: float = 0.25
    timeout: float = 60.0
    answer: float = 300.0


DEFAULT: Final = Patience()


@dataclass(frozen=True, slots=True)
class Received:
    """An answer over HTTP."""

    status: int
    body: bytes

    @property
    def text(self) -> str:
        """The body for people, at most 300 characters."""
        return " ".join(self.body[:1200].decode("utf-8", "replace").split())[:300]


class Transport:
    """Connections to one URL, for any number of threads; close it at the end."""

    def __init__(self, url: str, patience: Patience = DEFAULT, sleep: Callable[[float], None] = time.sleep) -> None:
        self.url = url.rstrip("/")
        self.patience = patience
        self.sleep = sleep
        limits = httpx.Limits(max_connections=32, max_keepalive_connections=32)
        try:
            self._client = httpx.Client(timeout=patience.timeout, limits=limits, follow_redirects=False)
            self._base = httpx.URL(self.url)
        except httpx.InvalidURL as error:
            raise NetworkError(f"{url} is not a URL: {error}") from error
        if self._base.scheme not in ("http", "https") or not self._base.host:
            raise NetworkError(f"{url} is not a URL of a network, such as https://icp-api.io or http://127.0.0.1:8000")

    @property
    def host(self) -> str:
        """The host of the URL."""
        return self._base.host

    def send(self, method: str, path: str, body: bytes | None = None) -> Received:
        """Send a request until it is answered; `NetworkError` after the last attempt.

        The same bytes are sent each time: a network executes a call once by its request id.
        """
        why = ""
        for attempt in range(self.patience.attempts):
            if attempt:
                wait = min(_MOST, self.patience.pause * 2 ** (attempt - 1))
                self.sleep(wait * random.uniform(0.5, 1.0))
            try:
                headers = {"content-type": "application/cbor"}
                answer = self._client.request(method, self.url + path, content=body, headers=headers)
            except httpx.TransportError as error:
                why = f"{type(error).__name__}: {error}"
                continue
            received = Received(answer.status_code, answer.content)
            if answer.status_code not in _AGAIN:
                return received
            why = f"HTTP {received.status}: {received.text}"
        raise NetworkError(f"{self.url} does not answer ({self.patience.attempts} attempts): {why}")

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def post_json(url: str, facts: object, timeout: float = 10.0) -> str | None:
    """Send plain data as JSON, once; return why it was not taken, without the URL, which may hold a secret."""
    try:
        answer = httpx.post(url, json=facts, timeout=timeout)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return type(error).__name__
    return None if answer.is_success else f"HTTP {answer.status_code}"
