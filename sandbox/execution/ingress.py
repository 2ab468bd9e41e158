"""Submitted calls of users and their status: interface specification, "Request ids", "Request status" and "Synchronous
and asynchronous calls".

A request id is the hash of a call's content: the same content again is the same call and is not executed again. It must
begin before its expiry, if it has one, and its answer is kept for five minutes, or until its expiry if that is later.
Bounds and texts: `dfinity/ic` `rs/validator/src/ingress_validation.rs`, `rs/execution_environment/src/scheduler.rs`,
`rs/replicated_state/src/metadata_state.rs` (`IngressHistoryState`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sandbox.certify.request_id import request_id
from sandbox.certify.state_tree import RequestFacts
from sandbox.errors import ErrorCode, Reject, RequestExpired
from sandbox.execution.result import CallResult
from sandbox.limits import INGRESS_HISTORY
from sandbox.principal import Principal
from sandbox.state import Ingress, Submission, Subnet, UserOrigin, evolve
from sandbox.state.submissions import PROCESSING, RECEIVED, REFUSED, REJECTED, REPLIED

KEPT: Final = 300_000_000_000
"""MAX_INGRESS_TTL, nanoseconds."""
_DRIFT: Final = 30_000_000_000
NONCE: Final = 32
"""Bytes of a nonce, at most."""


def content_of(
    canister_id: Principal,
    method: str,
    arg: bytes,
    sender: Principal,
    expiry: int,
    nonce: bytes | None = None,
    kind: str = "call",
) -> dict[str, object]:
    """The content of a call, or with `kind="query"` of a query; its hash is the request id."""
    return {
        "request_type": kind,
        "canister_id": canister_id,
        "method_name": method,
        "arg": arg,
        "sender": sender,
        "ingress_expiry": expiry,
        "nonce": nonce,
    }


def check_expiry(now: int, expiry: int) -> None:
    """`RequestExpired` unless `expiry` is between now and five and a half minutes from now."""
    last = now + KEPT + _DRIFT
    if not now <= expiry <= last:
        raise RequestExpired(
            "Invalid request expiry: Specified ingress_expiry not within expected range: Minimum allowed expiry: "
            f"{clock(now)}, Maximum allowed expiry: {clock(last)}, Provided expiry:        {clock(expiry)}"
        )


def begins(subnet: Subnet, message: Ingress) -> bool:
    """Set a call to processing before it is executed; False if it has expired, and then its reject is recorded."""
    submission = subnet.submissions.get(message.request_id)
    if submission is None:
        return True
    if 0 < submission.expiry < subnet.time:
        text = f"Ingress message 0x{message.request_id.hex()} timed out waiting to start executing."
        reject = Reject.of(ErrorCode.INGRESS_MESSAGE_TIMEOUT, text)
        result = subnet.results[message.message_id] = CallResult(message.canister_id, message.method, reject=reject)
        record_answer(subnet, message.request_id, result)
        return False
    subnet.submissions[message.request_id] = evolve(submission, status=PROCESSING)
    return True


def keep(subnet: Subnet, message: Ingress) -> bytes:
    """Make a call whose caller waits no longer a submitted one; return its request id."""
    number, called, sender = message.message_id, (message.canister_id, message.method), message.sender
    nonce = number.to_bytes(8, "big")
    name = request_id(content_of(*called, message.arg, sender, subnet.time + KEPT, nonce))
    before, after = UserOrigin(number), UserOrigin(number, name)
    status = PROCESSING
    for place, queued in enumerate(subnet.queue):
        if queued is message:
            subnet.queue[place], status = evolve(message, request_id=name), RECEIVED
    for context in [c for c in subnet.contexts.values() if c.origin == before]:
        subnet.contexts[context.id] = evolve(context, origin=after)
    for canister_id, waiting in list(subnet.stops.items()):
        subnet.stops[canister_id] = tuple(evolve(c, origin=after) if c.origin == before else c for c in waiting)
    subnet.submissions[name] = Submission(number, *called, sender, status=status)
    return name


def record_answer(subnet: Subnet, name: bytes, result: CallResult, refused: bool = False) -> None:
    """Store the result of a submitted call (`refused`: rejected by the ingress filter)."""
    status = REFUSED if refused else REPLIED if result.reject is None else REJECTED
    answer = result.reply if result.reject is None else result.reject
    subnet.submissions[name] = evolve(subnet.submissions[name], status=status, answer=answer, answered_at=subnet.time)


def result_of(subnet: Subnet, name: bytes) -> CallResult | None:
    """The answer to a call, or None if there is none yet or it has been removed. Instructions, logs and backtrace are
    only known to the process that executed the call."""
    submission = subnet.submissions.get(name)
    if submission is None or submission.answer is None:
        return None
    result = subnet.results.get(submission.number)
    if isinstance(result, CallResult):
        return result
    called, answer = (submission.canister_id, submission.method), submission.answer
    return CallResult(*called, reject=answer) if isinstance(answer, Reject) else CallResult(*called, reply=answer)


def forget(subnet: Subnet) -> None:
    """Remove the calls that were answered more than five minutes ago and have expired."""
    gone = []
    for name in subnet.submissions.answered:
        submission = subnet.submissions[name]
        if subnet.time <= submission.answered_at + KEPT:
            break
        if subnet.time > submission.expiry:
            gone.append(name)
    for name in gone:
        subnet.results.pop(subnet.submissions[name].number, None)
        del subnet.submissions[name]


def full(subnet: Subnet, message: Ingress) -> CallResult | None:
    """The reject of a call if the ingress history is full (`dfinity/ic`
    `rs/messaging/src/scheduling/valid_set_rule.rs`); None if there is room."""
    if len(subnet.submissions) - bool(message.request_id) < INGRESS_HISTORY:
        return None
    text = f"Maximum ingress history capacity {INGRESS_HISTORY} reached"
    reject = Reject.of(ErrorCode.INGRESS_HISTORY_FULL, text)
    return CallResult(message.canister_id, message.method, reject=reject)


def facts(submission: Submission | None) -> RequestFacts | None:
    """The fields of a call in the state tree; None if it is not in the tree."""
    if submission is None or not submission.known:
        return None
    answer = submission.answer
    if isinstance(answer, Reject):
        error = None if answer.error_code is None else str(answer.error_code)
        return RequestFacts.rejected(answer.reject_code.value, answer.message, error)
    return RequestFacts(submission.status) if answer is None else RequestFacts.replied(answer)


def clock(nanoseconds: int) -> str:
    """A time as the replica writes it: `2021-05-06 19:17:10.000000003 UTC`; whole seconds without a fraction."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    fraction = f".{rest:09}" if rest else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}{fraction} UTC"
