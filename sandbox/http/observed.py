"""What requests took: seen by an ASGI middleware, written as JSON lines, counted as metrics (OpenMetrics 1.0)."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOG: Final = logging.getLogger("canister_sandbox.http")
ACCESS: Final = logging.getLogger("canister_sandbox.http.access")
CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 10.0)
_ENDPOINTS: Final = ("call", "query", "read_state", "status")


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that was answered. `kind`: `call`, `query`, `read_state`, `status`, `own` for the sandbox's own
    interface, `page` for all others."""

    kind: str
    method: str
    path: str
    status: int
    seconds: float


class Observed:
    """Reports the time of requests. `seen` is called once for each, when its answer was sent."""

    def __init__(self, app: ASGIApp, seen: Callable[[Seen], None]) -> None:
        self._app = app
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 500

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sent)
        finally:
            path = scope["path"]
            seconds = time.perf_counter() - begun
            self._seen(Seen(_kind(path), scope["method"], path, status, seconds))


def _kind(path: str) -> str:
    if path.startswith("/_sandbox"):
        return "own"
    last = path.rstrip("/").rpartition("/")[2]
    return last if path.startswith("/api/") and last in _ENDPOINTS else "page"


class Metrics:
    """Counts of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "canister_sandbox_requests", "Requests answered.", ("kind", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "canister_sandbox_request_seconds",
            "Time from a request to the end of its answer.",
            ("kind",),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._gauges: dict[str, Gauge] = {}

    def observe(self, seen: Seen) -> None:
        """Count a request."""
        self._requests.labels(seen.kind, str(seen.status)).inc()
        self._seconds.labels(seen.kind).observe(seen.seconds)

    def exposition(self, facts: dict[str, tuple[str, float]]) -> bytes:
        """Everything as OpenMetrics text; `facts`: the help and the present value of gauges, by their names."""
        for name, (text, value) in facts.items():
            if name not in self._gauges:
                self._gauges[name] = Gauge(f"canister_sandbox_{name}", text, registry=self._registry)
            self._gauges[name].set(value)
        written: bytes = generate_latest(self._registry)  # type: ignore[no-untyped-call]
        return written


def write_access(seen: Seen) -> None:
    """Write a request to the log, if requests are logged."""
    if ACCESS.isEnabledFor(logging.INFO):
        milliseconds = round(seen.seconds * 1000, 3)
        facts = {"method": seen.method, "path": seen.path, "status": seen.status, "milliseconds": milliseconds}
        ACCESS.info("request", extra={"facts": {"kind": seen.kind, **facts}})


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            facts["exception"] = self.formatException(record.exc_info)
        return json.dumps(facts, ensure_ascii=False)


def log_json() -> None:
    """Write what the server does to standard error from now on, a JSON object a line; requests, too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    for logger in (LOG, logging.getLogger("uvicorn.error")):
        logger.addHandler(handler)
        logger.propagate = False
    ACCESS.setLevel(logging.INFO)
