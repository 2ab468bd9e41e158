"""A sandbox as clients of the platform see it: checked work in, answers out.

The sandbox's time follows a clock, and never goes back: one that was ahead when it was opened stays ahead by as much.
All methods except `read` are for one thread at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.api import Sandbox, runtime_of
from sandbox.certify.certificate import SignedTree
from sandbox.errors import Reject, RejectCode
from sandbox.execution import CallResult, Query, Submit
from sandbox.http.answer import ACCEPTED, Answer, fields_of, in_cbor
from sandbox.http.maintenance.notices import Notices
from sandbox.http.reading import Owners, Reader, check_paths
from sandbox.http.routes import CallWork, QueryWork, ReadWork, Trust
from sandbox.management.subnet import REPLICA_VERSION
from sandbox.principal import Principal
from sandbox.state import WasmModule
from sandbox.state.submissions import REFUSED

Clock = Callable[[], int]
"""Returns nanoseconds since 1970."""


@dataclass(frozen=True, slots=True)
class View:
    """The state at one moment, signed."""

    signed: SignedTree
    owners: Owners

    def read(self, work: ReadWork) -> Answer:
        """Answer a `read_state` request, or refuse it."""
        reader = Reader(work.envelope.sender, work.targets, work.effective_id, self.owners)
        check_paths(reader, work.read.paths, subnet=work.subnet)
        return in_cbor({"certificate": self.signed.certificate(work.read.paths)})

    def answer(self, request_id: bytes) -> Answer:
        """Answer a call that has been executed, with the certificate of its status."""
        certificate = self.signed.certificate([(b"request_status", request_id)])
        return in_cbor({"status": "replied", "certificate": certificate})

    def outcome(self, request_id: bytes) -> bytes | Reject:
        """The reply or the reject of a call that has been executed."""
        outcome = self.owners.submissions[request_id].answer
        assert outcome is not None
        return outcome


@dataclass(frozen=True, slots=True)
class Step:
    """What one round left: `more`, whether messages are; `worked`, whether anything was executed at all."""

    more: bool
    worked: bool


class Replica:
    """One sandbox behind the platform's interface."""

    def __init__(self, sandbox: Sandbox, clock: Clock) -> None:
        self.sandbox = sandbox
        directory = runtime_of(sandbox).directory
        self.notices = Notices(None if directory is None else directory.path)
        self._clock = clock
        self.ahead = max(0, sandbox.time - clock())
        """Nanoseconds by which the sandbox's time is ahead of the clock."""
        self._node = runtime_of(sandbox).subnet.node_key
        self._root_key, self._subnet_id = sandbox.root_key, sandbox.subnet_id

    @property
    def trust(self) -> Trust:
        """What requests are checked against now."""
        return Trust(self._clock() + self.ahead, self._root_key, self._subnet_id)

    def status(self) -> Answer:
        """Answer `/api/v2/status`."""
        return in_cbor(
            {
                "impl_version": REPLICA_VERSION,
                "replica_health_status": "healthy",
                "root_key": self._root_key,
            }
        )

    def advance(self) -> None:
        """Let the sandbox's time follow the clock."""
        now = self._clock() + self.ahead
        if now > self.sandbox.time:
            self.sandbox.set_time(now)

    def travel(self, time: int) -> None:
        """Move the sandbox's time forward, and let it follow the clock from there."""
        self.sandbox.set_time(time)
        self.arrived()

    def arrived(self) -> None:
        """Let the sandbox's time, which was moved forward, follow the clock from where it is."""
        self.follow(max(self.ahead, self.sandbox.time - self._clock()))

    def follow(self, ahead: int) -> None:
        """Let the sandbox's time follow the clock from now on, this much ahead of it."""
        self.ahead = ahead

    def submit(self, work: CallWork) -> Answer | None:
        """Take in a call; the answer if there is one already, that it is refused or, without `waits`, accepted."""
        self.advance()
        runtime = runtime_of(self.sandbox)
        call, envelope = work.call, work.envelope
        closed = self._closed(call.canister_id, envelope.sender)
        if closed is not None:
            return _refusal(closed, work)
        asked = (call.canister_id, call.method, call.arg, envelope.sender)
        given = Submit(*asked, call.nonce, envelope.expiry, call.sender_info)
        runtime.perform(given)
        submission = runtime.subnet.submissions[envelope.request_id]
        if submission.status == REFUSED:
            assert isinstance(submission.answer, Reject)
            return _refusal(submission.answer, work)
        return None if work.waits else ACCEPTED

    def _closed(self, canister_id: Principal, sender: Principal) -> Reject | None:
        """The reject of a call to a canister under maintenance; its controllers may call it."""
        notice = self.notices.closed(canister_id)
        state = runtime_of(self.sandbox).subnet.canisters.get(canister_id)
        if notice is None or (state is not None and sender in state.settings.controllers):
            return None
        return Reject(RejectCode.SYS_TRANSIENT, notice.text())

    def query(self, work: QueryWork) -> Answer:
        """Answer a query call, signed by the node; also beside a message that runs, see `SubnetRuntime.turn`."""
        call, envelope = work.call, work.envelope
        asked = Query(call.canister_id, call.method, call.arg, envelope.sender, call.sender_info)
        reject, reply = self._closed(call.canister_id, envelope.sender), None
        if reject is None:
            result = self._query(asked)
            reject, reply = result.reject, result.reply
        if reject is None:
            answer: dict[str, Any] = {"status": "replied", "reply": {"arg": reply}}
        else:
            answer = {"status": "rejected", **fields_of(reject)}
        signature = self._node.sign_query_response(answer, envelope.request_id, self.trust.now)
        return in_cbor({**answer, "signatures": [signature]})

    def ask(self, canister_id: Principal, method: str, arg: bytes) -> bytes | Reject:
        """Make a query call of the anonymous user, for the gateway; as `query`."""
        result = self._query(Query(canister_id, method, arg, Principal.anonymous()))
        answer = result.reply if result.reject is None else result.reject
        assert answer is not None
        return answer

    def _query(self, call: Query) -> CallResult:
        return runtime_of(self.sandbox).query_beside(call)

    def named(self, name: str) -> Principal | None:
        """The canister of this name, in any case of its letters, as in an address."""
        ids = runtime_of(self.sandbox).names.ids
        return next((known for given, known in ids.items() if given.lower() == name.lower()), None)

    def module_of(self, canister_id: Principal) -> WasmModule | None:
        """The module of a canister, as it was submitted."""
        state = runtime_of(self.sandbox).subnet.canisters.get(canister_id)
        return None if state is None else state.code

    def step(self) -> Step:
        """Execute one round."""
        self.advance()
        subnet = runtime_of(self.sandbox).subnet
        before, waited = subnet.next_id, bool(subnet.queue or subnet.later)
        self.sandbox.tick()
        more = bool(subnet.queue or subnet.later)
        return Step(more, waited or more or subnet.next_id != before)

    def answered(self, request_id: bytes) -> bool:
        """Return whether a call has its answer."""
        submission = runtime_of(self.sandbox).subnet.submissions.get(request_id)
        return submission is not None and submission.answer is not None

    def view(self) -> View:
        """Return the present state, signed."""
        self.sandbox.certificate([])
        subnet = runtime_of(self.sandbox).subnet
        assert subnet.certified is not None
        return View(subnet.certified.signed, Owners(subnet.canisters, subnet.submissions))


def _refusal(reject: Reject, work: CallWork) -> Answer:
    """The answer to a call that is not let in."""
    status = {"status": "non_replicated_rejection"} if work.waits else {}
    return in_cbor({**status, **fields_of(reject)})
