"""Claims about what a server tells of itself: metrics, and the log as JSON lines."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as families

from sandbox import Sandbox
from tests.conftest import fixture
from tests.http.admin.owner import Owner
from tests.http.served import served


@pytest.fixture
def state(tmp_path: Path) -> Path:
    with Sandbox.open(tmp_path / "state") as sandbox:
        sandbox.create_canister(name="c").install(fixture("counter.enhanced"))
    return tmp_path / "state"


def test_metrics_count_requests_and_tell_of_the_sandbox(state: Path) -> None:
    with served(state) as server:
        owner = Owner(server, state)
        counter = owner.done("GET", "/canisters/c")["id"]
        for _ in range(3):
            server.request("GET", "/api/v2/status")
        server.request("POST", f"/api/v3/canister/{counter}/query", b"no envelope")
        assert owner.send("GET", "/metrics")[0].status == 401
        response, text = owner.send("GET", "/metrics", Authorization=f"Bearer {owner.token}")
        assert (response.getheader("Content-Type") or "").startswith("application/openmetrics-text")
        found = {
            (sample.name, *sample.labels.values()): sample.value
            for family in families(text.decode())  # type: ignore[no-untyped-call]
            for sample in family.samples
        }
    assert found["canister_sandbox_requests_total", "status", "200"] == 3
    assert found["canister_sandbox_requests_total", "query", "400"] == 1
    assert found["canister_sandbox_request_seconds_count", "status"] == 3
    assert found["canister_sandbox_canisters",] == 1
    assert found["canister_sandbox_heap_bytes",] > 1 << 20


def test_the_log_is_a_json_object_a_line(state: Path) -> None:
    with served(state, "--log-json") as server:
        server.request("GET", "/api/v2/status")
        server.request("GET", "/_sandbox/state?token=hidden")
        server.process.terminate()
        printed = server.process.communicate(timeout=60)[0]
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    requests = [line for line in lines if line["event"] == "request"]
    assert [(one["kind"], one["method"], one["path"], one["status"]) for one in requests] == [
        ("status", "GET", "/api/v2/status", 200),
        ("own", "GET", "/_sandbox/state", 401),
    ]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", one["time"]) for one in requests)
    assert all(one["milliseconds"] > 0 for one in requests)
    assert "hidden" not in printed
