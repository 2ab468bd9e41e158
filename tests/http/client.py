"""A client of the pure part of the HTTP interface: bytes in, bytes out, in one thread and on a clock of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cbor2

from sandbox import Principal, Sandbox
from sandbox.certify.certificate import Certificate, verify_certificate
from sandbox.certify.hash_tree import Found
from sandbox.certify.request_id import request_id
from sandbox.errors import SandboxError
from sandbox.http.answer import Answer, of_error
from sandbox.http.replica import Replica
from sandbox.http.routes import CallWork, QueryWork, ReadWork, prepare
from tests.http.users import ANONYMOUS, User, body

NOW = 1_800_000_000_000_000_000
MINUTE = 60_000_000_000
EMPTY = b"DIDL\0\0"


@dataclass
class Client:
    """A sandbox behind the interface, and one user of it."""

    sandbox: Sandbox = field(default_factory=Sandbox)
    now: int = NOW

    def __post_init__(self) -> None:
        self.replica = Replica(self.sandbox, lambda: self.now)
        self.replica.advance()

    def send(self, path: str, sent: bytes, method: str = "POST") -> Answer:
        """The answer to one request; a call is executed to its end."""
        try:
            work = prepare(method, path, sent, self.replica.trust)
            if isinstance(work, CallWork):
                return self._call(work)
            if isinstance(work, QueryWork):
                return self.replica.query(work)
            return self.replica.view().read(work) if isinstance(work, ReadWork) else self.replica.status()
        except SandboxError as error:
            return of_error(error)

    def _call(self, work: CallWork) -> Answer:
        answer = self.replica.submit(work)
        while self.replica.step():
            pass
        return answer or self.replica.view().answer(work.envelope.request_id)

    def content(self, kind: str, canister_id: Principal, method: str, user: User, **changed: Any) -> dict[str, Any]:
        """The content of a call or a query."""
        return {
            "request_type": kind,
            "canister_id": bytes(canister_id),
            "method_name": method,
            "arg": EMPTY,
            "sender": bytes(user.principal),
            "ingress_expiry": self.now + MINUTE,
            **changed,
        }

    def call(self, canister_id: Principal, method: str, user: User = ANONYMOUS, **changed: Any) -> Answer:
        """Send an update call to the newest endpoint."""
        content = self.content("call", canister_id, method, user, **changed)
        return self.send(f"/api/v4/canister/{canister_id}/call", body(user.envelope(content)))

    def query(self, canister_id: Principal, method: str, user: User = ANONYMOUS, **changed: Any) -> Answer:
        """Send a query call."""
        content = self.content("query", canister_id, method, user, **changed)
        return self.send(f"/api/v3/canister/{canister_id}/query", body(user.envelope(content)))

    def read(self, where: str, paths: Sequence[Sequence[bytes]], user: User = ANONYMOUS) -> Answer:
        """Send a `read_state` request; `where` is `canister/<id>` or `subnet/<id>`."""
        content = self.reading(paths, user)
        return self.send(f"/api/v3/{where}/read_state", body(user.envelope(content)))

    def reading(self, paths: Sequence[Sequence[bytes]], user: User = ANONYMOUS) -> dict[str, Any]:
        """The content of a `read_state` request."""
        return {
            "request_type": "read_state",
            "sender": bytes(user.principal),
            "ingress_expiry": self.now + MINUTE,
            "paths": [list(path) for path in paths],
        }

    def verified(self, answer: Answer) -> Certificate:
        """The certificate in an answer, verified with the root key."""
        assert answer.status == 200, answer.body
        return verify_certificate(cbor2.loads(answer.body)["certificate"], self.sandbox.root_key)

    def outcome(self, answer: Answer, content: Mapping[str, Any]) -> dict[str, bytes]:
        """What a verified certificate says about a call."""
        certificate, said = self.verified(answer), {}
        for name in ("status", "reply", "reject_code", "reject_message", "error_code"):
            found = certificate.lookup((b"request_status", request_id(content), name.encode()))
            if isinstance(found, Found):
                said[name] = found.value
        return said
