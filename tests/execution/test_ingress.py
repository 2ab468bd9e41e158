"""Interface specification, "Request ids", "Request status": users' calls that are submitted and asked for later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import CallRejected, CallResult, Canister, ErrorCode, Principal, Sandbox
from sandbox.api import runtime_of
from sandbox.certify.certificate import Certificate, verify_certificate
from sandbox.certify.hash_tree import Found, Missing
from sandbox.certify.request_id import request_id
from sandbox.errors import RequestExpired
from sandbox.execution.ingress import clock
from tests.conftest import guest, number, rejected

Install = Callable[..., Canister]
SECOND = 1_000_000_000
MINUTES = 60 * SECOND

# `count` replies how often it was called; `ask` calls `count` of its own canister and passes the answer on.
COUNTER = """
(global $count (mut i64) (i64.const 0))
(table funcref (elem $passed_on))
(data (i32.const 100) "count")
(func (export "canister_update count")
  (global.set $count (i64.add (global.get $count) (i64.const 1)))
  (call $reply64 (global.get $count)))
(func (export "canister_query seen") (call $reply64 (global.get $count)))
(func (export "canister_update boom") (call $trap (i32.const 100) (i32.const 5)))
(func (export "canister_update no") (call $msg_reject (i32.const 100) (i32.const 5)))
(func (export "canister_update ask")
  (call $canister_self_copy (i32.const 0) (i32.const 0) (i32.const 10))
  (call $call_new (i32.const 0) (i32.const 10) (i32.const 100) (i32.const 5)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
  (drop (call $call_perform)))
(func $passed_on (param i32)
  (call $msg_arg_data_copy (i32.const 200) (i32.const 0) (i32.const 8))
  (call $reply (i32.const 200) (i32.const 8)))
"""
INSPECTED = COUNTER + '(func (export "canister_inspect_message"))'


@pytest.fixture
def canister(install: Install) -> Canister:
    return install(guest(COUNTER))


def proven(sandbox: Sandbox, request: bytes) -> Certificate:
    return verify_certificate(sandbox.certificate([["request_status", request]]), sandbox.root_key)


def told(sandbox: Sandbox, request: bytes, leaf: str = "status") -> bytes | None:
    """What a certificate proves about a call; None if it proves that there is nothing."""
    found = proven(sandbox, request).lookup([b"request_status", request, leaf.encode()])
    if isinstance(found, Found):
        return found.value
    assert found is Missing.ABSENT
    return None


def test_the_id_is_the_hash_of_the_content(canister: Canister, sandbox: Sandbox) -> None:
    alice, expiry = sandbox.identity("alice"), sandbox.time + MINUTES
    content = {
        "request_type": "call",
        "sender": alice,
        "canister_id": canister.id,
        "method_name": "count",
        "arg": b"x",
        "ingress_expiry": expiry,
    }
    for nonce in (None, b"", b"a nonce"):
        found = sandbox.submit(canister, "count", b"x", alice, nonce=nonce, ingress_expiry=expiry)
        assert found == request_id({**content, "nonce": nonce})


def test_certificates_follow_a_call_from_its_reception_to_its_reply(canister: Canister, sandbox: Sandbox) -> None:
    request = sandbox.submit(canister, "count")
    assert (told(sandbox, request), told(sandbox, request, "reply")) == (b"received", None)
    assert sandbox.ingress_status(request) is None
    sandbox.tick()
    reply = told(sandbox, request, "reply")
    assert (told(sandbox, request), number(reply)) == (b"replied", 1)
    answer = sandbox.ingress_status(request)
    assert isinstance(answer, CallResult)
    assert answer.reply == reply


def test_a_call_that_waits_is_processing(sandbox: Sandbox, install: Install) -> None:
    waiting = guest(
        """(table funcref (elem $done))
        (func $done (param i32) (call $msg_reply))
        (data (i32.const 100) "raw_rand") (data (i32.const 120) "DIDL\\00\\00")
        (func (export "canister_update ask")
          (call $call_new (i32.const 0) (i32.const 0) (i32.const 100) (i32.const 8)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
          (call $call_data_append (i32.const 120) (i32.const 6))
          (drop (call $call_perform)))"""
    )
    request = sandbox.submit(install(waiting), "ask")
    sandbox.tick()
    assert told(sandbox, request) == b"processing"
    sandbox.tick()
    assert told(sandbox, request) == b"replied"


@pytest.mark.parametrize(
    ("method", "code", "error", "text"),
    [
        ("boom", 5, b"IC0503", b"Canister called `ic0.trap` with message: 'count'"),
        ("no", 4, b"IC0406", b"count"),
        ("missing", 5, b"IC0536", b"Canister has no update method 'missing'."),
    ],
)
def test_rejects_are_certified_with_code_and_text(
    method: str, code: int, error: bytes, text: bytes, canister: Canister, sandbox: Sandbox
) -> None:
    request = sandbox.submit(canister, method)
    sandbox.tick()
    leaves = [told(sandbox, request, leaf) for leaf in ("status", "reject_code", "error_code")]
    assert leaves == [b"rejected", bytes([code]), error]
    message = told(sandbox, request, "reject_message")
    assert message is not None
    assert text in message


def test_the_same_call_again_is_executed_once(canister: Canister, sandbox: Sandbox) -> None:
    expiry = sandbox.time + MINUTES
    requests = [sandbox.submit(canister, "count", nonce=b"1", ingress_expiry=expiry) for _ in range(2)]
    sandbox.tick()
    requests.append(sandbox.submit(canister, "count", nonce=b"1", ingress_expiry=expiry))
    sandbox.tick()
    assert len(set(requests)) == 1
    assert number(canister.query_raw("seen").reply) == 1


def test_another_nonce_expiry_sender_or_argument_is_another_call(canister: Canister, sandbox: Sandbox) -> None:
    expiry, alice = sandbox.time + MINUTES, sandbox.identity("alice")
    requests = {
        sandbox.submit(canister, "count", ingress_expiry=expiry),
        sandbox.submit(canister, "count", nonce=b"1", ingress_expiry=expiry),
        sandbox.submit(canister, "count", ingress_expiry=expiry + 1),
        sandbox.submit(canister, "count", b"other", ingress_expiry=expiry),
        sandbox.submit(canister, "count", sender=alice, ingress_expiry=expiry),
    }
    sandbox.tick()
    assert (len(requests), number(canister.query_raw("seen").reply)) == (5, 5)


def test_without_nonce_and_expiry_every_call_is_its_own(canister: Canister, sandbox: Sandbox) -> None:
    assert len({sandbox.submit(canister, "count") for _ in range(3)}) == 3
    sandbox.tick()
    assert number(canister.query_raw("seen").reply) == 3


@pytest.mark.parametrize("late", [-1, 330 * SECOND + 1])
def test_an_expiry_that_has_passed_or_is_far_away_is_refused(late: int, canister: Canister, sandbox: Sandbox) -> None:
    with pytest.raises(
        RequestExpired, match="Minimum allowed expiry: 2021-05-06 19:17:10 UTC, Maximum allowed expiry: "
    ):
        sandbox.submit(canister, "count", ingress_expiry=sandbox.time + late)
    for soon in (0, 330 * SECOND):
        sandbox.submit(canister, "count", ingress_expiry=sandbox.time + soon)


def test_a_call_that_does_not_begin_in_time_is_given_up(canister: Canister, sandbox: Sandbox) -> None:
    request = sandbox.submit(canister, "count", ingress_expiry=sandbox.time + MINUTES)
    sandbox.advance_time(61)
    sandbox.tick()
    answer = sandbox.ingress_status(request)
    assert isinstance(answer, CallRejected)
    assert answer.error_code is ErrorCode.INGRESS_MESSAGE_TIMEOUT
    assert answer.message == f"Ingress message 0x{request.hex()} timed out waiting to start executing."
    assert told(sandbox, request, "error_code") == b"IC0202"
    assert number(canister.query_raw("seen").reply) == 0


def test_answers_are_forgotten_after_five_minutes_and_not_executed_again(canister: Canister, sandbox: Sandbox) -> None:
    expiry = sandbox.time + 5 * MINUTES + 20 * SECOND
    request = sandbox.submit(canister, "count", ingress_expiry=expiry)
    sandbox.tick()
    sandbox.advance_time(320)
    assert told(sandbox, request) == b"replied"
    assert sandbox.submit(canister, "count", ingress_expiry=expiry) == request
    sandbox.advance_time(1)
    assert told(sandbox, request) is None
    assert sandbox.ingress_status(request) is None
    with pytest.raises(RequestExpired):
        sandbox.submit(canister, "count", ingress_expiry=expiry)
    sandbox.tick()
    assert number(canister.query_raw("seen").reply) == 1


def test_without_an_expiry_a_call_is_not_given_up_and_its_answer_forgotten_all_the_same(
    canister: Canister, sandbox: Sandbox
) -> None:
    request = sandbox.submit(canister, "count")
    sandbox.advance_time(86_400)
    sandbox.tick()
    sandbox.advance_time(300)
    assert told(sandbox, request) == b"replied"
    sandbox.advance_time(nanoseconds=1)
    assert (told(sandbox, request), sandbox.ingress_status(request)) == (None, None)


def test_answers_are_forgotten_in_the_order_in_which_they_came(canister: Canister, sandbox: Sandbox) -> None:
    late = sandbox.time + 330 * SECOND
    requests = []
    for expiry in (None, late, None):
        requests.append(sandbox.submit(canister, "count", ingress_expiry=expiry))
        sandbox.tick()
        sandbox.advance_time(1)
    known = []
    for seconds in (298, 1, 1, 27, 1):
        sandbox.advance_time(seconds)
        known.append([told(sandbox, request) is not None for request in requests])
    assert known == [
        [False, True, True],
        [False, True, True],
        [False, True, False],
        [False, True, False],
        [False, False, False],
    ]
    assert not runtime_of(sandbox).subnet.submissions
    assert not runtime_of(sandbox).subnet.results


def test_what_was_answered_or_refused_leaves_nothing_behind(sandbox: Sandbox, install: Install) -> None:
    inspected, canister = install(guest(INSPECTED)), install(guest(COUNTER))
    for called, method in ((inspected, "count"), (canister, "boom"), (canister, "count")):
        sandbox.submit(called, method)
    sandbox.tick()
    sandbox.advance_time(301)
    subnet = runtime_of(sandbox).subnet
    assert not any((subnet.submissions, subnet.submissions.ids, subnet.submissions.answered, subnet.results))


def test_a_subnet_knows_the_status_of_a_limited_number_of_calls(
    canister: Canister, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.execution.ingress.INGRESS_HISTORY", 2)
    let_in = [sandbox.submit(canister, "count") for _ in range(2)]
    text = "Maximum ingress history capacity 2 reached"
    rejected(ErrorCode.INGRESS_HISTORY_FULL, text, canister.update, "count")
    refused = sandbox.ingress_status(sandbox.submit(canister, "count"))
    assert isinstance(refused, CallRejected)
    assert (refused.error_code, refused.message) == (ErrorCode.INGRESS_HISTORY_FULL, text)
    sandbox.tick()
    assert [told(sandbox, request) for request in let_in] == [b"replied", b"replied"]
    sandbox.advance_time(301)
    assert number(canister.update("count").reply) == 3


def test_what_is_not_let_in_is_unknown_to_certificates_and_may_be_tried_again(
    sandbox: Sandbox, install: Install
) -> None:
    canister, expiry = install(guest(INSPECTED)), sandbox.time + MINUTES
    request = sandbox.submit(canister, "count", ingress_expiry=expiry)
    answer = sandbox.ingress_status(request)
    assert isinstance(answer, CallRejected)
    assert (answer.error_code, told(sandbox, request)) == (ErrorCode.CANISTER_REJECTED_MESSAGE, None)
    canister.upgrade(guest(COUNTER))
    assert sandbox.submit(canister, "count", ingress_expiry=expiry) == request
    sandbox.tick()
    assert told(sandbox, request) == b"replied"


def test_an_anchor_undoes_statuses_too(canister: Canister, sandbox: Sandbox) -> None:
    with sandbox.anchor():
        request = sandbox.submit(canister, "count")
        sandbox.tick()
        assert told(sandbox, request) == b"replied"
    assert (told(sandbox, request), sandbox.ingress_status(request)) == (None, None)


def test_statuses_survive_on_disk(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path) as kept:
        canister = kept.create_canister()
        canister.install(guest(COUNTER))
        expiry = kept.time + MINUTES
        answered, rejected = kept.submit(canister, "count", ingress_expiry=expiry), kept.submit(canister, "boom")
        kept.tick()
        open_call = kept.submit(canister, "ask", ingress_expiry=expiry)
    with Sandbox.open(tmp_path) as kept:
        assert [told(kept, r) for r in (answered, rejected, open_call)] == [b"replied", b"rejected", b"received"]
        before = kept.ingress_status(answered)
        assert isinstance(before, CallResult)
        assert number(before.reply) == 1
        assert isinstance(kept.ingress_status(rejected), CallRejected)
        assert kept.submit(canister.id, "count", ingress_expiry=expiry) == answered
        kept.tick()
        assert number(told(kept, open_call, "reply")) == 2


def test_a_user_may_address_the_management_canister_by_the_id_of_the_subnet(sandbox: Sandbox) -> None:
    by_name = sandbox.update(Principal.management(), "provisional_create_canister_with_cycles", b"DIDL\1\x6c\0\1\0")
    by_id = sandbox.update(sandbox.subnet_id, "provisional_create_canister_with_cycles", b"DIDL\1\x6c\0\1\0")
    assert by_name.or_raise().reply != by_id.or_raise().reply
    assert len(sandbox.canisters()) == 2


def test_a_canister_may_address_the_management_canister_by_the_id_of_the_subnet(
    sandbox: Sandbox, install: Install
) -> None:
    asker = guest(
        """(table funcref (elem $yes $no))
        (func $yes (param i32)
          (call $msg_arg_data_copy (i32.const 200) (i32.const 0) (call $msg_arg_data_size))
          (call $reply (i32.const 200) (call $msg_arg_data_size)))
        (func $no (param i32) (call $reply (i32.const 0) (i32.const 0)))
        (data (i32.const 100) "raw_rand")
        (data (i32.const 120) "DIDL\\00\\00")
        (func (export "canister_update ask")
          (call $subnet_self_copy (i32.const 0) (i32.const 0) (call $subnet_self_size))
          (call $call_new (i32.const 0) (call $subnet_self_size) (i32.const 100) (i32.const 8)
            (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0))
          (call $call_data_append (i32.const 120) (i32.const 6))
          (drop (call $call_perform)))"""
    )
    reply = install(asker).update("ask").reply
    assert reply is not None
    assert len(reply) > 32


def test_a_clock_as_the_replica_prints_it() -> None:
    assert clock(1_620_328_630_000_000_003) == "2021-05-06 19:17:10.000000003 UTC"
    assert clock(1_620_328_630_000_000_000) == "2021-05-06 19:17:10 UTC"
