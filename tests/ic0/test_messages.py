"""Arguments, callers, responses, inspection: interface specification, "System API"."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox.errors import ErrorCode
from sandbox.ic0.access import heap_of
from sandbox.ic0.modes import Mode
from sandbox.ic0.state import Execution, GuestTrap, Rejected, Replied
from sandbox.ic0.table import BY_NAME, bind
from sandbox.limits import MIB
from sandbox.principal import Principal

Start = Callable[..., Execution]
VIOLATION = "Canister violated contract: "


def call(x: Execution, name: str, *args: int) -> int | None:
    return bind(BY_NAME[name])(x, *args)


def trap_of(x: Execution, name: str, *args: int) -> str:
    with pytest.raises(GuestTrap) as caught:
        call(x, name, *args)
    assert caught.value.code is ErrorCode.CANISTER_CONTRACT_VIOLATION
    return caught.value.text


BLOBS = {
    "msg_arg_data": (Mode.UPDATE, "payload"),
    "msg_caller": (Mode.UPDATE, "id"),
    "msg_caller_info_data": (Mode.UPDATE, "info"),
    "msg_caller_info_signer": (Mode.UPDATE, "signer"),
    "msg_reject_msg": (Mode.REJECT, "msg"),
    "msg_method_name": (Mode.INSPECT, "payload"),
    "canister_self": (Mode.UPDATE, "id"),
    "subnet_self": (Mode.UPDATE, "id"),
    "root_key": (Mode.UPDATE, "bytes"),
}
CONTENT = b"0123456789"


def with_blob(start: Start, name: str) -> Execution:
    """An execution in which the blob of `name` is `CONTENT`."""
    principal = Principal(CONTENT)
    x = start(
        BLOBS[name][0],
        arg=CONTENT,
        memory=100,
        caller=principal,
        canister_id=principal,
        subnet_id=principal,
        root_key=CONTENT,
        caller_info_data=CONTENT,
        caller_info_signer=CONTENT,
    )
    x.reject_message = x.inspected_method = CONTENT.decode()
    return x


@pytest.mark.parametrize("name", BLOBS)
def test_size_and_copy_of_a_blob(name: str, start: Start) -> None:
    x = with_blob(start, name)
    assert call(x, f"{name}_size") == 10
    call(x, f"{name}_copy", 90, 0, 10)
    call(x, f"{name}_copy", 0, 2, 3)
    call(x, f"{name}_copy", 100, 10, 0)
    assert heap_of(x).read(90, 10) == CONTENT
    assert heap_of(x).read(0, 4) == b"234\0"


@pytest.mark.parametrize("name", BLOBS)
def test_copy_checks_the_heap_before_the_blob(name: str, start: Start) -> None:
    x, what = with_blob(start, name), BLOBS[name][1]
    copy = f"{name}_copy"
    heap, blob = f"{VIOLATION}ic0.{copy} heap: ", f"{VIOLATION}ic0.{copy} {what}: "
    assert trap_of(x, copy, 91, 0, 10) == heap + "src=91 + length=10 exceeds the slice size=100"
    assert trap_of(x, copy, 101, 11, 0) == heap + "src=101 + length=0 exceeds the slice size=100"
    assert trap_of(x, copy, 0, 1, 10) == blob + "src=1 + length=10 exceeds the slice size=10"
    assert trap_of(x, copy, 0, 11, 0) == blob + "src=11 + length=0 exceeds the slice size=10"
    most = (1 << 64) - 1
    assert trap_of(x, copy, most, 0, 1) == heap + f"src={most} + length=1 is an invalid address"
    assert trap_of(x, copy, 0, most, 1) == blob + f"src={most} + length=1 is an invalid address"
    assert trap_of(x, copy, most - 1, 0, 1) == heap + f"src={most - 1} + length=1 exceeds the slice size=100"


def test_the_reply_is_what_was_appended(start: Start) -> None:
    x = start(Mode.UPDATE)
    heap_of(x).write(0, b"one two")
    call(x, "msg_reply_data_append", 0, 3)
    call(x, "msg_reply_data_append", 3, 4)
    assert x.response is None
    call(x, "msg_reply")
    assert x.response == Replied(b"one two")


def test_an_empty_reply(start: Start) -> None:
    x = start(Mode.UPDATE)
    call(x, "msg_reply")
    assert x.response == Replied(b"")


def test_reject_drops_what_was_appended(start: Start) -> None:
    x = start(Mode.UPDATE)
    heap_of(x).write(0, "né".encode())
    call(x, "msg_reply_data_append", 0, 2)
    call(x, "msg_reject", 0, 3)
    assert x.response == Rejected("né")
    assert not x.reply_data


@pytest.mark.parametrize("first", ["msg_reply", "msg_reject", "earlier message"])
def test_one_response_only(first: str, start: Start) -> None:
    x = start(Mode.REPLY)
    if first == "earlier message":
        x.already_responded = True
    else:
        call(x, first, *([0, 0] if first == "msg_reject" else []))
    assert trap_of(x, "msg_reply") == VIOLATION + "ic0.msg_reply: the call is already replied"
    assert trap_of(x, "msg_reject", 0, 0) == VIOLATION + "ic0.msg_reject: the call is already replied"
    append = VIOLATION + "ic0.msg_reply_data_append: the call is already replied."
    assert trap_of(x, "msg_reply_data_append", 0, 0) == append


@pytest.mark.parametrize(
    ("mode", "limit"),
    [
        (Mode.UPDATE, 2 * MIB),
        (Mode.REPLICATED_QUERY, 2 * MIB),
        (Mode.REPLY, 2 * MIB),
        (Mode.COMPOSITE_REPLY, 2 * MIB),
        (Mode.NON_REPLICATED_QUERY, 3 * MIB),
        (Mode.TRANSFORM_QUERY, 3 * MIB),
        (Mode.COMPOSITE_QUERY, 3 * MIB),
    ],
)
def test_size_limits_of_responses(mode: Mode, limit: int, start: Start) -> None:
    x = start(mode, memory=4 * MIB)
    call(x, "msg_reply_data_append", 0, limit)
    text = f"ic0.msg_reply_data_append: application payload size ({limit + 1}) cannot be larger than {limit}."
    assert trap_of(x, "msg_reply_data_append", 0, 1) == VIOLATION + text
    call(x, "msg_reply_data_append", 0, 0)
    text = f"ic0.msg_reject: application payload size ({limit + 1}) cannot be larger than {limit}."
    assert trap_of(x, "msg_reject", 0, limit + 1) == VIOLATION + text
    call(x, "msg_reject", 0, limit)


def test_the_size_of_a_reply_is_checked_before_its_address(start: Start) -> None:
    x = start(Mode.UPDATE, memory=10)
    most = (1 << 64) - 1
    assert "application payload size" in trap_of(x, "msg_reply_data_append", most, most)
    assert "application payload size" in trap_of(x, "msg_reject", most, most)
    bad = "msg.reply: src=10 + length=1 exceeds the slice size=10"
    assert trap_of(x, "msg_reply_data_append", 10, 1) == VIOLATION + bad
    bad = "ic0.msg_reject: src=10 + length=1 exceeds the slice size=10"
    assert trap_of(x, "msg_reject", 10, 1) == VIOLATION + bad


def test_a_reject_message_must_be_utf8(start: Start) -> None:
    x = start(Mode.UPDATE)
    heap_of(x).write(0, b"\xff\xfe")
    assert trap_of(x, "msg_reject", 0, 2) == VIOLATION + "ic0.msg_reject: invalid UTF-8 string provided"
    assert x.response is None


def test_reject_code_by_mode(start: Start) -> None:
    for mode, code in ((Mode.REPLY, 0), (Mode.COMPOSITE_REPLY, 0), (Mode.REJECT, 5), (Mode.CLEANUP, 5)):
        x = start(mode)
        x.reject_code = 5
        assert call(x, "msg_reject_code") == code


def test_a_message_is_accepted_once(start: Start) -> None:
    x = start(Mode.INSPECT)
    call(x, "accept_message")
    assert x.message_accepted
    assert trap_of(x, "accept_message") == VIOLATION + "ic0.accept_message: the function was already called."


def test_system_tasks_have_an_empty_caller(start: Start) -> None:
    x = start(Mode.HEARTBEAT, caller=Principal.management())
    assert call(x, "msg_caller_size") == 0
    call(x, "msg_caller_copy", 0, 0, 0)


def test_deadline(start: Start) -> None:
    assert call(start(Mode.UPDATE), "msg_deadline") == 0
    assert call(start(Mode.UPDATE, deadline=7), "msg_deadline") == 7
