"""Whatever is sent to the sandbox's own interface is answered as its document says: no 500, no other answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sandbox.http.admin.operations import OPERATIONS
from tests.http.admin.owner import Owner

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
KNOWN = {"canister": "c", "snapshot": "fuzzed", "old": "fuzzed", "new": "c", "method": "inc"}
"""Parameters that name something, and a name that exists: without it hardly a request gets beyond its name."""


def examples(count: int) -> settings:
    return settings(
        max_examples=count,
        deadline=timedelta(seconds=30),
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
        database=None,
    )


@pytest.mark.parametrize("count", [6, pytest.param(150, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [operation.name for operation in OPERATIONS])
def test_no_request_is_answered_with_a_fault(owner: Owner, name: str, count: int) -> None:
    schema = schemathesis.openapi.from_dict(owner.done("GET", "/openapi.json"))
    schema.config.update(base_url=f"{owner.server.url}/_sandbox")
    operation = schema.find_operation_by_id(name)
    owner.done("POST", "/canisters/c/snapshots", {"label": "fuzzed"})
    headers = {"Authorization": f"Bearer {owner.token}"}

    def send(case: Any) -> None:
        case.call_and_validate(headers=headers, checks=CHECKS, timeout=30)

    @examples(count)
    @given(case=operation.as_strategy())
    def as_generated(case: Any) -> None:
        send(case)

    @examples(count)
    @given(case=operation.as_strategy())
    def with_known_names(case: Any) -> None:
        for part in (case.path_parameters, case.query, case.body):
            if isinstance(part, dict):
                part.update({key: KNOWN[key] for key in part.keys() & KNOWN.keys()})
        send(case)

    try:
        as_generated()
        with_known_names()
    finally:
        for anchor in owner.done("GET", "/anchors")["anchors"][:1]:
            owner.done("DELETE", f"/anchors/{anchor['anchor']}")
        for snapshot in owner.done("GET", "/snapshots")["snapshots"]:
            owner.done("DELETE", f"/snapshots/{snapshot['id']}")
