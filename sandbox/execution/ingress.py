"""Users' calls that are submitted and asked for later: interface specification, "Request ids", "Request status" and
"Synchronous and asynchronous calls".

A call is named by the hash of its content: the same content again is the same call and is not executed again. It must
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
    """The content of a call, or of a query (`kind`), whose hash is the request id."""
    return {
        "request_type": kind,
        "canister_id": canister_id,
        "method_name": method,
        "arg": arg,
        "sender": sender,
        "ingress_expiry": expiry,
        "nonce": nonce,
    }


def check_expiry(subnet: Subnet, expiry: int) -> None:
    """`RequestExpired` unless `expiry` is between now and five and a half minutes from now."""
    last = subnet.time + KEPT + _DRIFT
    if not subnet.time <= expiry <= last:
        raise RequestExpired(
            "Invalid request expiry: Specified ingress_expiry not within expected range: Minimum allowed expiry: "
            f"{clock(subnet.time)}, Maximum allowed expiry: {clock(last)}, Provided expiry:        {clock(expiry)}"
        )


def begins(subnet: Subnet, message: Ingress) -> bool:
    """Note that a call is about to be executed; False if it is too late for that, and then it is answered."""
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
    """Make a call for which its caller does not wait any longer a submitted one; its request id."""
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
    """Note the answer to a call, or with `refused` why it was not let in."""
    status = REFUSED if refused else REPLIED if result.reject is None else REJECTED
    answer = result.reply if result.reject is None else result.reject
    subnet.submissions[name] = evolve(subnet.submissions[name], status=status, answer=answer, answered_at=subnet.time)


def result_of(subnet: Subnet, name: bytes) -> CallResult | None:
    """The answer to a call, with its evidence unless that was left behind in another process; None while there is none
    or when it is forgotten."""
    submission = subnet.submissions.get(name)
    if submission is None or submission.answer is None:
        return None
    result = subnet.results.get(submission.number)
    if isinstance(result, CallResult):
        return result
    called, answer = (submission.canister_id, submission.method), submission.answer
    return CallResult(*called, reject=answer) if isinstance(answer, Reject) else CallResult(*called, reply=answer)


def forget(subnet: Subnet) -> None:
    """Drop the answers that came more than five minutes ago, to calls that have expired too."""
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
    """How a call is refused because the status of too many is known (`dfinity/ic`
    `rs/messaging/src/scheduling/valid_set_rule.rs`); None if there is room."""
    if len(subnet.submissions) - bool(message.request_id) < INGRESS_HISTORY:
        return None
    text = f"Maximum ingress history capacity {INGRESS_HISTORY} reached"
    reject = Reject.of(ErrorCode.INGRESS_HISTORY_FULL, text)
    return CallResult(message.canister_id, message.method, reject=reject)


def facts(submission: Submission | None) -> RequestFacts | None:
    """What the state tree tells of a call."""
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
