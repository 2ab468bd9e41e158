"""An agent: signed requests to a network, and answers that are believed only with a proof.

Interface specification, "HTTPS interface", "Authentication", "Certification". Calls go to the endpoint that waits for
the answer (v4, v3), else to v2; an answer that does not come with it is asked for by `read_state`. Every answer of a
call is in a certificate, verified by the root key; every answer of a query is signed by a node whose key is in one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from sandbox.certify import cbor
from sandbox.certify.certificate import Certificate, verify_certificate
from sandbox.certify.failure import CertificateError
from sandbox.certify.hash_tree import Found, Path
from sandbox.certify.key import verify_query_response
from sandbox.certify.request_id import REQUEST, request_id
from sandbox.codec.leb128 import decode_unsigned
from sandbox.errors import CallRejected, ErrorCode, Reject, RejectCode
from sandbox.network.failure import ClockSkew, NetworkError, UnknownOutcome
from sandbox.network.identity import ANONYMOUS, Identity
from sandbox.network.transport import DEFAULT, Patience, Received, Transport
from sandbox.principal import Principal

_SECOND: Final = 1_000_000_000
_EXPIRY: Final = 240 * _SECOND
"""Nanoseconds until a request expires; a network takes at most five minutes."""
_FRESH: Final = 300 * _SECOND
_CALL_VERSIONS: Final = ("v4", "v3", "v2")
_LONGEST_PAUSE: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Sent:
    """A call on its way: its id, its expiry in nanoseconds, the canister in its URL."""

    request_id: bytes
    expiry: int
    target: Principal


class Agent:
    """One user of one network. It may be used by several threads; use it in a `with`, which closes connections.

    `root_key`: DER; `clock`: the time in nanoseconds since 1970.
    """

    def __init__(
        self,
        transport: Transport,
        root_key: bytes,
        identity: Identity = ANONYMOUS,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.transport = transport
        self.root_key = root_key
        self.identity = identity
        self.clock = clock
        self._version = 0
        self._nodes: dict[Principal, Mapping[bytes, bytes]] = {}

    @classmethod
    def connect(
        cls, url: str, root_key: bytes | None = None, identity: Identity = ANONYMOUS, patience: Patience = DEFAULT
    ) -> Self:
        """Connect to a network; without `root_key`, its own is fetched and believed."""
        transport = Transport(url, patience)
        try:
            return cls(transport, root_key or fetch_root_key(transport), identity)
        except BaseException:
            transport.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self.transport.close()

    # --- calls

    def update(self, canister_id: Principal, method: str, arg: bytes, target: Principal | None = None) -> bytes:
        """Make an update call and return its reply, proven by a certificate; `CallRejected` if it is rejected.

        `target`: the canister that a call of the management canister is about. `UnknownOutcome` if the answer could not
        be had before the call expired.
        """
        content = self._content("call", canister_id, method, arg) | {"nonce": os.urandom(16)}
        sent = _Sent(request_id(content), content["ingress_expiry"], target or canister_id)
        answer = self._call(sent.target, self._signed(content))
        if answer.status == 200:
            reply = self._answered(cbor.load(answer.body, "answer of a call"), sent)
            if reply is not None:
                return reply
        elif answer.status != 202:
            raise self._refused(answer)
        return self._wait(sent)

    def _call(self, target: Principal, body: bytes) -> Received:
        while True:
            answer = self.transport.send("POST", f"/api/{_CALL_VERSIONS[self._version]}/canister/{target}/call", body)
            if answer.status != 404 or self._version == len(_CALL_VERSIONS) - 1:
                return answer
            self._version += 1

    def _answered(self, value: Any, sent: _Sent) -> bytes | None:
        """Return the reply in the body of an answer; None if the call goes on."""
        match value:
            case {"status": "replied", "certificate": bytes(data)}:
                return _outcome(self.certified(data, sent.target), sent.request_id)
            case {"reject_code": int(), "reject_message": str()}:
                raise _rejected(value["reject_code"], value["reject_message"], value.get("error_code"))
        raise NetworkError(f"{self.transport.url} answered a call with something that is no answer")

    def _wait(self, sent: _Sent) -> bytes:
        """Ask for the answer until it is there."""
        end = time.monotonic() + self.transport.patience.answer
        pause = 0.1
        while time.monotonic() < end:
            certificate = self.read_state([(b"request_status", sent.request_id)], sent.target)
            reply = _outcome(certificate, sent.request_id)
            if reply is not None:
                return reply
            if certificate.time > sent.expiry and _status(certificate, sent.request_id) is None:
                raise NetworkError(f"{self.transport.url} did not take the call before its expiry; it was not executed")
            self.transport.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 1.5)
        raise UnknownOutcome(
            f"{self.transport.url} took the call, and its answer did not come within "
            f"{self.transport.patience.answer:g} s; it may still be executed"
        )

    # --- queries and state

    def query(self, canister_id: Principal, method: str, arg: bytes) -> bytes:
        """Make a query call and return its reply, signed by a node of the subnet; `CallRejected` if it is rejected."""
        content = self._content("query", canister_id, method, arg)
        answer = self.transport.send("POST", f"/api/v2/canister/{canister_id}/query", self._signed(content))
        if answer.status != 200:
            raise self._refused(answer)
        value = cbor.load(answer.body, "answer of a query")
        self._check_signed(value, request_id(content), canister_id)
        match value:
            case {"status": "replied", "reply": {"arg": bytes(reply)}}:
                return reply
            case {"status": "rejected", "reject_code": int(code), "reject_message": str(text)}:
                raise _rejected(code, text, value.get("error_code"))
        raise NetworkError(f"{self.transport.url} answered a query with something that is no answer")

    def read_state(self, paths: Sequence[Path], target: Principal) -> Certificate:
        """Read paths of the state tree; the certificate is verified and not older than five minutes."""
        content = {
            "request_type": "read_state",
            "sender": bytes(self.identity.principal),
            "ingress_expiry": self.clock() + _EXPIRY,
            "paths": [list(path) for path in paths],
        }
        answer = self.transport.send("POST", f"/api/v2/canister/{target}/read_state", self._signed(content))
        if answer.status != 200:
            raise self._refused(answer)
        match cbor.load(answer.body, "answer of read_state"):
            case {"certificate": bytes(data)}:
                return self.certified(data, target)
        raise NetworkError(f"{self.transport.url} answered read_state without a certificate")

    def certified(self, data: bytes, target: Principal) -> Certificate:
        """Verify a certificate for a canister; `CertificateError` if it proves nothing, `ClockSkew` if it is not of
        now."""
        certificate = verify_certificate(data, self.root_key, target)
        self._check_time(certificate.time)
        return certificate

    def _check_time(self, network_time: int) -> None:
        ahead = self.clock() - network_time
        if abs(ahead) > _FRESH:
            way = "ahead of" if ahead > 0 else "behind"
            raise ClockSkew(
                f"the clock of this machine is {abs(ahead) / _SECOND:.0f} s {way} the time of {self.transport.url}: "
                "requests need both to agree within minutes; set the clock"
            )

    # --- signatures of queries

    def _check_signed(self, value: Any, name: bytes, canister_id: Principal) -> None:
        signatures = value.get("signatures") if isinstance(value, Mapping) else None
        if not signatures:
            raise CertificateError("the answer of the query is not signed")
        for entry in signatures:
            match entry:
                case {"timestamp": int(timestamp), "signature": bytes(signature), "identity": bytes(node)}:
                    self._check_time(timestamp)
                    key = self._node_key(canister_id, node)
                    if verify_query_response(value, name, timestamp, signature, key):
                        continue
            raise CertificateError("the signature of the answer of the query is wrong")

    def _node_key(self, canister_id: Principal, node: bytes) -> bytes:
        keys = self._nodes.get(canister_id, {})
        if node not in keys:
            keys = self._nodes[canister_id] = self._node_keys(canister_id, node)
        return keys[node]

    def _node_keys(self, canister_id: Principal, node: bytes) -> Mapping[bytes, bytes]:
        certificate = self.read_state([(b"subnet",)], canister_id)
        delegation = certificate.delegation
        subnet = delegation.subnet_id if delegation else Principal.self_authenticating(self.root_key)
        found = certificate.lookup((b"subnet", bytes(subnet), b"node", node, b"public_key"))
        if not isinstance(found, Found):
            raise CertificateError("the answer of the query is signed by a node that is not one of the subnet")
        return {**self._nodes.get(canister_id, {}), node: found.value}

    # --- requests

    def _content(self, kind: str, canister_id: Principal, method: str, arg: bytes) -> dict[str, Any]:
        return {
            "request_type": kind,
            "canister_id": bytes(canister_id),
            "method_name": method,
            "arg": arg,
            "sender": bytes(self.identity.principal),
            "ingress_expiry": self.clock() + _EXPIRY,
        }

    def _signed(self, content: Mapping[str, Any]) -> bytes:
        envelope: dict[str, Any] = {"content": content}
        if self.identity.sign is not None:
            envelope["sender_pubkey"] = self.identity.public_key
            envelope["sender_sig"] = self.identity.sign(REQUEST + request_id(content))
        return cbor.dump_tagged(envelope)

    def _refused(self, answer: Received) -> NetworkError:
        text = f"{self.transport.url} refused the request (HTTP {answer.status}): {answer.text}"
        if answer.status == 400 and "expiry" in answer.text.lower():
            return ClockSkew(f"{text}. The clock of this machine may be wrong")
        return NetworkError(text)


def fetch_root_key(transport: Transport) -> bytes:
    """Return the root key in a network's status, which nothing proves."""
    answer = transport.send("GET", "/api/v2/status")
    match cbor.load(answer.body, "status of a network") if answer.status == 200 else None:
        case {"root_key": bytes(key)}:
            return key
    raise NetworkError(f"{transport.url} has no status with a root key: it is no network of the Internet Computer")


def _status(certificate: Certificate, name: bytes) -> bytes | None:
    found = certificate.lookup((b"request_status", name, b"status"))
    return found.value if isinstance(found, Found) else None


def _outcome(certificate: Certificate, name: bytes) -> bytes | None:
    """Return the reply that a certificate proves; None if there is none yet."""
    fields = {}
    for label in ("reply", "reject_code", "reject_message", "error_code"):
        found = certificate.lookup((b"request_status", name, label.encode()))
        if isinstance(found, Found):
            fields[label] = found.value
    match _status(certificate, name):
        case b"replied":
            if "reply" not in fields:
                raise CertificateError("the certificate says that the call was replied, without the reply")
            return fields["reply"]
        case b"rejected":
            code = decode_unsigned(fields["reject_code"], 0, len(fields["reject_code"]), 64)[0]
            text, error = (
                fields.get(label, b"").decode("utf-8", "replace") for label in ("reject_message", "error_code")
            )
            raise _rejected(code, text, error)
        case b"done":
            raise UnknownOutcome("the call was executed, and its answer is no longer kept by the network")
    return None


def _rejected(code: int, text: str, error: Any) -> CallRejected:
    known = next((item for item in ErrorCode if str(item) == error), None)
    reject = RejectCode(code) if code in set(RejectCode) else RejectCode.SYS_UNKNOWN
    return CallRejected(Reject(reject, text, known))
