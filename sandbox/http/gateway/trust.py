"""The verification of responses by what a served sandbox knows: its root key, its time and its canisters."""

from __future__ import annotations

from sandbox.canister.module import facts_of
from sandbox.http.gateway.gateway import Verify
from sandbox.http.gateway.messages import Response
from sandbox.http.gateway.verification.verify import Trusted, verify_response
from sandbox.http.gateway.web import WebRequest
from sandbox.http.replica import Replica
from sandbox.principal import Principal

_VERSIONS = "supported_certificate_versions"


def verifier(replica: Replica) -> Verify:
    """Return the function that verifies the responses of this sandbox's canisters."""

    def verify(canister_id: Principal, request: WebRequest, response: Response) -> Response:
        trust = replica.trust
        trusted = Trusted(trust.root_key, trust.now, canister_id, lambda: _versions(replica, canister_id))
        return verify_response(request, response, trusted)

    return verify


def _versions(replica: Replica, canister_id: Principal) -> frozenset[str]:
    """The versions of certification that a canister says it supports, in its metadata; empty if it says nothing."""
    code = replica.module_of(canister_id)
    if code is None:
        return frozenset()
    facts = facts_of(code)
    said = {**facts.private_metadata, **facts.public_metadata}.get(_VERSIONS, b"")
    return frozenset(version.strip() for version in said.decode(errors="replace").split(","))
