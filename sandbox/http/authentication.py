"""Who sent a request: interface specification, "Authentication". Order and texts: `dfinity/ic`
`rs/validator/src/ingress_validation.rs`; every refusal is 400 there (`rs/http_endpoints/public/src/common.rs`).
"""

from __future__ import annotations

from typing import Final

from sandbox.certify.request_id import REQUEST, hash_of_map
from sandbox.errors import RequestExpired
from sandbox.execution.ingress import check_expiry
from sandbox.http.answer import Refused
from sandbox.http.request import Call, Delegation, Envelope
from sandbox.http.signature import BadSignature, signing_canister, verify_signature
from sandbox.principal import Principal

SENDER_INFO: Final = b"\x0eic-sender-info"
DELEGATION: Final = b"\x1aic-request-auth-delegation"
_ALL, _QUERIES = "all", "queries"

Targets = frozenset[Principal] | None
"""The canisters for which a sender may speak; None: all."""


def authenticate(envelope: Envelope, now: int, root_key: bytes, *, update: bool = False) -> Targets:
    """Return the targets of the sender, or refuse the request; `update`: whether it is a call.

    `now`: nanoseconds since 1970. A request of the anonymous user has no signature, all others need one.
    """
    try:
        check_expiry(now, envelope.expiry)
    except RequestExpired as error:
        raise Refused(400, str(error)) from error
    if envelope.sender == Principal.anonymous():
        if envelope.public_key is not None or envelope.signature is not None or envelope.delegations:
            raise Refused(400, "Signature is not allowed for the anonymous user.")
        _check_sender_info(envelope, root_key)
        return None
    if envelope.public_key is None or envelope.signature is None:
        raise Refused(400, f"Missing signature from user: {envelope.sender}")
    if Principal.self_authenticating(envelope.public_key) != envelope.sender:
        raise Refused(400, f"The user id {envelope.sender} does not match the public key {envelope.public_key.hex()}")
    key, targets = _delegated(envelope, now, root_key, update)
    _verify(key, REQUEST + envelope.request_id, envelope.signature, root_key, "Invalid signature")
    _check_sender_info(envelope, root_key)
    return targets


def _check_sender_info(envelope: Envelope, root_key: bytes) -> None:
    """What is said of the sender must be said, and signed, by the canister whose key the sender has."""
    info = envelope.content.sender_info if isinstance(envelope.content, Call) else None
    if info is None:
        return
    signer = None if envelope.public_key is None else signing_canister(envelope.public_key)
    if signer is None or envelope.public_key is None:
        raise Refused(400, "Invalid sender info: only the user of a canister signature may have it")
    if bytes(signer) != info.signer:
        raise Refused(400, f"Invalid sender info: its signer is not {signer}, the canister of the sender's key")
    _verify(envelope.public_key, SENDER_INFO + info.info, info.sig, root_key, "Invalid sender info")


def _delegated(envelope: Envelope, now: int, root_key: bytes, update: bool) -> tuple[bytes, Targets]:
    """The key that must have signed the request, and the targets that all delegations have in common."""
    assert envelope.public_key is not None
    key, targets, seen = envelope.public_key, None, {envelope.public_key}
    for delegation in envelope.delegations:
        _verify(key, DELEGATION + hash_of_map(delegation.content), delegation.signature, root_key, "Invalid delegation")
        _check_terms(delegation, now, update)
        key = delegation.public_key
        if key in seen:
            raise Refused(400, "Invalid delegation: Chain of delegations contains at least one cycle")
        seen.add(key)
        targets = _common(targets, delegation.targets)
    return key, targets


def _check_terms(delegation: Delegation, now: int, update: bool) -> None:
    if delegation.expiration < now:
        text = f"Specified sender delegation has expired: Provided expiry: {delegation.expiration}, now: {now}"
        raise Refused(400, f"Invalid delegation expiry: {text}")
    permissions = delegation.permissions
    if permissions not in (None, _ALL, _QUERIES):
        raise Refused(400, f"Invalid delegation: Unknown permissions: {permissions}")
    if update and permissions == _QUERIES:
        raise Refused(400, "Invalid delegation: The delegation permits queries only")


def _common(first: Targets, second: Targets) -> Targets:
    if first is None or second is None:
        return second if first is None else first
    return first & second


def _verify(key: bytes, message: bytes, signature: bytes, root_key: bytes, what: str) -> None:
    try:
        verify_signature(key, message, signature, root_key)
    except BadSignature as error:
        raise Refused(400, f"{what}: {error}") from error


def check_target(targets: Targets, canister_id: Principal) -> None:
    """400 if the sender may not speak to this canister."""
    if targets is not None and canister_id not in targets:
        raise Refused(400, f"Canister {canister_id} is not one of the delegation targets.")
