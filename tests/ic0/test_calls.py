"""Calls under construction: interface specification, "Inter-canister method calls"."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox.errors import ErrorCode
from sandbox.ic0.access import heap_of
from sandbox.ic0.calls import drop_pending
from sandbox.ic0.modes import Mode
from sandbox.ic0.state import Call, Execution, GuestTrap
from sandbox.ic0.table import BY_NAME, bind
from sandbox.limits import MIB
from sandbox.principal import Principal

Start = Callable[..., Execution]
VIOLATION = "Canister violated contract: "
CALLEE = Principal.from_index(3)
MOST = (1 << 64) - 1


def call(x: Execution, name: str, *args: int) -> int | None:
    return bind(BY_NAME[name])(x, *args)


def trap_of(x: Execution, name: str, *args: int) -> str:
    with pytest.raises(GuestTrap) as caught:
        call(x, name, *args)
    assert caught.value.code is ErrorCode.CANISTER_CONTRACT_VIOLATION
    return caught.value.text


def call_new(x: Execution, callee: bytes = bytes(CALLEE), method: bytes = b"go") -> None:
    heap_of(x).write(0, callee + method)
    call(x, "call_new", 0, len(callee), len(callee), len(method), 1, 2, 3, 4)


def test_a_whole_call(start: Start) -> None:
    x = start(Mode.UPDATE, cycles=100)
    call_new(x)
    heap_of(x).write(0, b"argument")
    call(x, "call_data_append", 0, 3)
    call(x, "call_on_cleanup", 5, 6)
    call(x, "call_data_append", 3, 5)
    call(x, "call_cycles_add", 10)
    call(x, "call_cycles_add128", 0, 20)
    call(x, "call_with_best_effort_response", 60)
    assert x.calls == []
    assert call(x, "call_perform") == 0
    assert x.calls == [Call(CALLEE, "go", (1, 2), (3, 4), (5, 6), bytearray(b"argument"), 30, 60)]
    assert (x.pending, x.balance, x.sent) == (None, 70, 30)


@pytest.mark.parametrize(
    ("name", "printed", "arguments"),
    [
        ("call_data_append", "ic0.call_data_append", (MOST, MOST)),
        ("call_on_cleanup", "ic0.call_on_cleanup", (0, 0)),
        ("call_cycles_add", "ic0_call_cycles_add", (1,)),
        ("call_cycles_add128", "ic0_call_cycles_add128", (1, 1)),
        ("call_with_best_effort_response", "ic0.call_with_best_effort_response", (1,)),
        ("call_perform", "ic0.call_perform", ()),
    ],
)
def test_there_must_be_a_call_under_construction(
    name: str, printed: str, arguments: tuple[int, ...], start: Start
) -> None:
    text = VIOLATION + f"{printed} called when no call is under construction."
    x = start(Mode.UPDATE)
    assert trap_of(x, name, *arguments) == text
    call_new(x)
    call(x, "call_perform")
    assert trap_of(x, name, *arguments) == text


def test_a_new_call_replaces_the_unfinished_one(start: Start) -> None:
    x = start(Mode.UPDATE, cycles=100)
    call_new(x)
    call(x, "call_cycles_add", 60)
    call_new(x, method=b"other")
    assert x.balance == 100
    call(x, "call_cycles_add", 70)
    assert call(x, "call_perform") == 0
    assert [(made.method, made.cycles) for made in x.calls] == [("other", 70)]


def test_an_unperformed_call_gives_its_cycles_back(start: Start) -> None:
    x = start(Mode.UPDATE, cycles=100)
    call_new(x)
    call(x, "call_cycles_add", 60)
    drop_pending(x)
    assert (x.pending, x.balance) == (None, 100)


def test_call_new_checks_name_then_callee(start: Start) -> None:
    x = start(Mode.UPDATE, memory=100)
    text = VIOLATION + "Size of method_name 20001 exceeds the allowed limit of 20000."
    assert trap_of(x, "call_new", MOST, MOST, MOST, 20_001, 0, 0, 0, 0) == text
    text = VIOLATION + "ic0.call_new method_name: src=99 + length=2 exceeds the slice size=100"
    assert trap_of(x, "call_new", MOST, MOST, 99, 2, 0, 0, 0, 0) == text
    text = VIOLATION + f"ic0.call_new callee_src: src={MOST} + length=1 is an invalid address"
    assert trap_of(x, "call_new", MOST, 1, 0, 2, 0, 0, 0, 0) == text
    assert trap_of(x, "call_new", 0, 30, 0, 2, 0, 0, 0, 0) == "Canister provided invalid principal id"


def test_a_method_name_that_is_not_utf8_is_mended(start: Start) -> None:
    x = start(Mode.UPDATE)
    call_new(x, method=b"a\xff")
    assert x.pending is not None
    assert x.pending.method == "a\N{REPLACEMENT CHARACTER}"


def test_table_indices_beyond_32_bits_name_no_function(start: Start) -> None:
    x = start(Mode.UPDATE)
    call(x, "call_new", 0, 0, 0, 0, 1 << 32, MOST, MOST, 7)
    call(x, "call_on_cleanup", MOST, MOST)
    assert x.pending is not None
    none = (1 << 32) - 1
    assert x.pending.on_reply == (none, MOST)
    assert x.pending.on_reject == (none, 7)
    assert x.pending.on_cleanup == (none, MOST)


def test_one_cleanup(start: Start) -> None:
    x = start(Mode.UPDATE)
    call_new(x)
    call(x, "call_on_cleanup", 0, 0)
    assert trap_of(x, "call_on_cleanup", 0, 0) == VIOLATION + (
        "ic0.call_on_cleanup can be called at most once between `ic0.call_new` and `ic0.call_perform`"
    )


def test_one_timeout_of_at_most_300_seconds(start: Start) -> None:
    x = start(Mode.UPDATE)
    call_new(x)
    call(x, "call_with_best_effort_response", (1 << 32) - 1)
    assert x.pending is not None
    assert x.pending.timeout_seconds == 300
    assert trap_of(x, "call_with_best_effort_response", 1) == VIOLATION + (
        "ic0_call_with_best_effort_response failed because a timeout is already set."
    )


def test_a_payload_is_name_and_argument(start: Start) -> None:
    x = start(Mode.UPDATE, memory=11 * MIB)
    call_new(x)
    limit = 10 * MIB
    call(x, "call_data_append", 0, limit - 3)
    text = f"Request to {CALLEE}:go has a payload size of {limit + 1}, which exceeds the allowed limit of {limit}."
    assert trap_of(x, "call_data_append", MOST, 2) == VIOLATION + text
    call(x, "call_data_append", 0, 1)
    text = f"ic0.call_data_append: src={MOST} + length=0 exceeds the slice size={11 * MIB}"
    assert trap_of(x, "call_data_append", MOST, 0) == VIOLATION + text


def test_cycles_on_a_call_come_from_what_may_be_spent(start: Start) -> None:
    x = start(Mode.UPDATE, cycles=100, frozen_cycles=30)
    call_new(x)
    call(x, "call_cycles_add", 70)
    text = f"Canister {x.env.canister_id} is out of cycles"
    assert trap_of(x, "call_cycles_add", 1) == text
    assert trap_of(x, "call_cycles_add128", 1, 0) == text
    call(x, "call_cycles_add", 0)


def test_a_full_queue(start: Start) -> None:
    other = Principal.from_index(4)
    x = start(Mode.UPDATE, cycles=10, call_slots=3, used_slots={CALLEE: 1})
    for expected in (0, 0, 2, 2):
        call_new(x)
        call(x, "call_cycles_add", 1)
        assert call(x, "call_perform") == expected
    assert (len(x.calls), x.balance, x.pending) == (2, 8, None)
    call_new(x, bytes(other))
    assert call(x, "call_perform") == 0


def test_a_call_that_cannot_be_paid(start: Start) -> None:
    x = start(Mode.UPDATE, cycles=100, fee_functions={"call_perform": lambda payload: 10 * payload})
    call_new(x)
    call(x, "call_cycles_add", 50)
    assert call(x, "call_perform") == 0
    assert (x.calls[0].prepaid, x.balance) == (20, 30)
    call_new(x, method=b"long")
    assert call(x, "call_perform") == 2
    assert x.balance == 30
