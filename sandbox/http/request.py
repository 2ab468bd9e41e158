"""From the bytes of a request to its envelope: interface specification, "Request: Call", "Query call", "Read state",
"Authentication". Limits: the same, and `dfinity/ic` `rs/validator/src/ingress_validation.rs`.

Nothing is verified here. A field that is unknown is ignored and not part of the request id, as in the replica.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sandbox.certify import cbor
from sandbox.certify.failure import CertificateError
from sandbox.certify.hash_tree import Path
from sandbox.certify.request_id import request_id
from sandbox.errors import PrincipalError
from sandbox.execution.ingress import content_of
from sandbox.http.answer import Refused
from sandbox.limits import READ_STATE_LABELS, READ_STATE_PATHS, REQUEST_DELEGATIONS, REQUEST_TARGETS
from sandbox.principal import Principal
from sandbox.state import SenderInfo

NONCE: Final = 32
_TIME: Final = 1 << 64


@dataclass(frozen=True, slots=True)
class Call:
    """The content of a call or a query."""

    canister_id: Principal
    method: str
    arg: bytes
    nonce: bytes | None
    sender_info: SenderInfo | None = None


@dataclass(frozen=True, slots=True)
class ReadState:
    """The content of a `read_state` request."""

    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Delegation:
    """One link of a chain of delegations; `content` is what was signed."""

    public_key: bytes
    expiration: int
    targets: frozenset[Principal] | None
    permissions: str | None
    content: Mapping[str, Any]
    signature: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A request: its content, who sends it, and the proof of that. Times in nanoseconds since 1970."""

    content: Call | ReadState
    sender: Principal
    expiry: int
    request_id: bytes
    public_key: bytes | None
    signature: bytes | None
    delegations: tuple[Delegation, ...]


def read_envelope(body: bytes, kind: str) -> Envelope:
    """Read a request of this `request_type` (`call`, `query`, `read_state`); 400 for anything else."""
    try:
        return _envelope(cbor.load(body, "request"), kind)
    except (CertificateError, PrincipalError, RecursionError) as error:
        raise Refused(400, f"Malformed request: {error}") from error


def anonymous_call(call: Call, expiry: int) -> Envelope:
    """The envelope of a call of the anonymous user that did not come in one."""
    sender = Principal.anonymous()
    content = content_of(call.canister_id, call.method, call.arg, sender, expiry, call.nonce)
    return Envelope(call, sender, expiry, request_id(content), None, None, ())


def _envelope(value: Any, kind: str) -> Envelope:
    content = _field(value, "content", Mapping)
    if content.get("request_type") != kind:
        raise _malformed(f"the request_type is not {kind}")
    read, fields = _read_state(content) if kind == "read_state" else _call(content)
    sender, expiry = _field(content, "sender", bytes), _field(content, "ingress_expiry", int)
    if not 0 <= expiry < _TIME:
        raise _malformed("ingress_expiry is no time of 64 bits")
    nonce = _option(content, "nonce", bytes)
    fields |= {"request_type": kind, "sender": sender, "ingress_expiry": expiry, "nonce": nonce}
    return Envelope(
        read,
        Principal(sender),
        expiry,
        request_id(fields),
        _option(value, "sender_pubkey", bytes),
        _option(value, "sender_sig", bytes),
        _delegations(_option(value, "sender_delegation", list | tuple)),
    )


def _call(content: Mapping[str, Any]) -> tuple[Call, dict[str, Any]]:
    nonce = _option(content, "nonce", bytes)
    if nonce is not None and len(nonce) > NONCE:
        raise _malformed(f"Nonce size {len(nonce)} exceeds the maximum of {NONCE}")
    fields = {name: _field(content, name, bytes) for name in ("canister_id", "arg")}
    fields["method_name"] = _field(content, "method_name", str)
    info = _sender_info(content)
    call = Call(Principal(fields["canister_id"]), fields["method_name"], fields["arg"], nonce, info)
    return call, {**fields, "sender_info": None if info is None else info.fields}


def _sender_info(content: Mapping[str, Any]) -> SenderInfo | None:
    value = _option(content, "sender_info", Mapping)
    return None if value is None else SenderInfo(*(_field(value, name, bytes) for name in ("info", "signer", "sig")))


def _read_state(content: Mapping[str, Any]) -> tuple[ReadState, dict[str, Any]]:
    paths = _field(content, "paths", list | tuple)
    if len(paths) > READ_STATE_PATHS:
        raise Refused(400, f"Too many paths in read_state request: maximum: {READ_STATE_PATHS}, received: {len(paths)}")
    for path in paths:
        if not isinstance(path, list | tuple) or not all(isinstance(label, bytes) for label in path):
            raise _malformed("a path is an array of byte strings")
        if len(path) > READ_STATE_LABELS:
            text = f"maximum: {READ_STATE_LABELS}, received: {len(path)}"
            raise Refused(400, f"At least one path in read_state request is too deep: {text}")
    return ReadState(tuple(tuple(path) for path in paths)), {"paths": paths}


def _delegations(values: Any) -> tuple[Delegation, ...]:
    if values is not None and len(values) > REQUEST_DELEGATIONS:
        text = f"length must be at most {REQUEST_DELEGATIONS}, got {len(values)}"
        raise Refused(400, f"Invalid delegation: Chain of delegations is too long: {text}")
    return tuple(map(_delegation, values or ()))


def _delegation(value: Any) -> Delegation:
    content = _field(value, "delegation", Mapping)
    targets = _option(content, "targets", list | tuple)
    if targets is not None and not all(isinstance(target, bytes) for target in targets):
        raise _malformed("targets are byte strings")
    if targets is not None and len(targets) > REQUEST_TARGETS:
        text = f"expected at most {REQUEST_TARGETS}, got {len(targets)}"
        raise Refused(400, f"Invalid delegation: Too many targets per delegation: {text}")
    return Delegation(
        _field(content, "pubkey", bytes),
        _field(content, "expiration", int),
        None if targets is None else frozenset(map(Principal, targets)),
        _option(content, "permissions", str),
        {name: content.get(name) for name in ("pubkey", "expiration", "targets", "permissions")},
        _field(value, "signature", bytes),
    )


def _field(value: Any, name: str, kind: Any) -> Any:
    found = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(found, kind) or isinstance(found, bool):
        raise _malformed(f"the field {name} is missing or of another type")
    return found


def _option(value: Any, name: str, kind: Any) -> Any:
    return None if value.get(name) is None else _field(value, name, kind)


def _malformed(text: str) -> Refused:
    return Refused(400, f"Malformed request: {text}")
