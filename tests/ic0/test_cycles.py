"""Cycles and costs: interface specification, "Cycles" and "Costs"."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox.errors import ErrorCode
from sandbox.ic0.access import heap_of
from sandbox.ic0.cycles import CYCLES_MINTING_CANISTER
from sandbox.ic0.modes import Mode
from sandbox.ic0.state import Execution, GuestTrap
from sandbox.ic0.table import BY_NAME, bind

Start = Callable[..., Execution]
VIOLATION = "Canister violated contract: "
BIG = 1 << 64


def call(x: Execution, name: str, *args: int) -> int | None:
    return bind(BY_NAME[name])(x, *args)


def stored(x: Execution, name: str, *args: int) -> int:
    """The 128-bit answer that the function stores at its last argument."""
    heap_of(x).write(args[-1] if args else 0, b"\xee" * 16)
    call(x, name, *(args or (0,)))
    return int.from_bytes(heap_of(x).read(args[-1] if args else 0, 16), "little")


def trap_of(x: Execution, name: str, *args: int) -> GuestTrap:
    with pytest.raises(GuestTrap) as caught:
        call(x, name, *args)
    return caught.value


def test_balance_and_what_may_be_spent(start: Start) -> None:
    x = start(Mode.UPDATE, cycles=1000, frozen_cycles=300)
    assert call(x, "canister_cycle_balance") == 1000
    assert stored(x, "canister_cycle_balance128") == 1000
    assert stored(x, "canister_liquid_cycle_balance128") == 700
    assert stored(start(Mode.UPDATE, cycles=2, frozen_cycles=3), "canister_liquid_cycle_balance128") == 0


def test_amounts_are_16_bytes_little_endian(start: Start) -> None:
    x = start(Mode.UPDATE, cycles=(1 << 128) - 2, memory=20)
    call(x, "canister_cycle_balance128", 4)
    assert heap_of(x).read(0, 20) == bytes(4) + b"\xfe" + b"\xff" * 15


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("canister_cycle_balance", Mode.UPDATE),
        ("msg_cycles_available", Mode.UPDATE),
        ("msg_cycles_refunded", Mode.REPLY),
    ],
)
def test_64_bit_functions_trap_on_larger_amounts(name: str, mode: Mode, start: Start) -> None:
    x = start(mode, cycles=BIG)
    x.available = x.refunded = BIG
    trap = trap_of(x, name)
    assert trap.code is ErrorCode.CANISTER_TRAPPED
    assert trap.text == "Canister trapped: cycles amount exceeds 64-bit representation"
    assert stored(x, f"{name}128") == BIG


@pytest.mark.parametrize(
    ("name", "printed", "arguments"),
    [
        ("canister_cycle_balance128", "ic0_canister_cycle_balance128", ()),
        ("canister_liquid_cycle_balance128", "ic0_canister_liquid_cycle_balance128", ()),
        ("msg_cycles_available128", "ic0_msg_cycles_available128", ()),
        ("msg_cycles_accept128", "ic0_msg_cycles_accept128", (0, 1)),
        ("msg_cycles_refunded128", "ic0_msg_cycles_refunded128", ()),
        ("cycles_burn128", "ic0_cycles_burn128", (0, 1)),
        ("mint_cycles128", "ic0_mint_cycles_128", (0, 1)),
        ("cost_call", "ic0_cost_call", (1, 1)),
        ("cost_create_canister", "ic0_cost_create_canister", ()),
        ("cost_http_request", "ic0_cost_http_request", (1, 1)),
        ("cost_sign_with_ecdsa", "ic0_cost_sign_with_ecdsa", (0, 0, 0)),
    ],
)
def test_the_place_of_an_amount_is_checked(name: str, printed: str, arguments: tuple[int, ...], start: Start) -> None:
    x = start(Mode.REPLY, memory=100, canister_id=CYCLES_MINTING_CANISTER)
    call(x, name, *arguments, 84)
    for dst in (85, (1 << 64) - 1):
        trap = trap_of(x, name, *arguments, dst)
        assert trap.code is ErrorCode.CANISTER_CONTRACT_VIOLATION
        assert trap.text == VIOLATION + (
            f"{printed} failed because dst + size is out of bounds.Found dst = {dst} and size = 16 while must be <= 100"
        )


def test_accepting_moves_what_is_there(start: Start) -> None:
    x = start(Mode.UPDATE, cycles=10)
    x.available = 100
    assert call(x, "msg_cycles_accept", 30) == 30
    assert call(x, "msg_cycles_available") == 70
    assert stored(x, "msg_cycles_accept128", 1, 0, 0) == 70
    assert stored(x, "msg_cycles_accept128", 1, 0, 0) == 0
    assert (x.available, x.accepted, x.balance) == (0, 100, 110)


@pytest.mark.parametrize("response", ["msg_reply", "msg_reject"])
def test_the_execution_that_has_responded_may_still_accept(response: str, start: Start) -> None:
    x = start(Mode.UPDATE)
    x.available = 100
    call(x, response, *((0, 0) if response == "msg_reject" else ()))
    assert call(x, "msg_cycles_available") == 100
    assert call(x, "msg_cycles_accept", 30) == 30
    assert stored(x, "msg_cycles_available128") == 70
    assert stored(x, "msg_cycles_accept128", 0, 100, 0) == 70
    assert (x.available, x.accepted) == (0, 100)


def test_burning_spares_what_is_frozen(start: Start) -> None:
    x = start(Mode.CLEANUP, cycles=100, frozen_cycles=40)
    assert stored(x, "cycles_burn128", 0, 50, 0) == 50
    assert stored(x, "cycles_burn128", 1, 0, 0) == 10
    assert (x.burned, x.balance) == (60, 40)


def test_only_one_canister_mints(start: Start) -> None:
    x = start(Mode.UPDATE)
    assert trap_of(x, "mint_cycles128", 0, 5, 0).text == VIOLATION + (
        "ic0.mint_cycles128 cannot be executed on non Cycles Minting Canister: "
        f"{x.env.canister_id} != rkp4c-7iaaa-aaaaa-aaaca-cai"
    )
    x = start(Mode.UPDATE, canister_id=CYCLES_MINTING_CANISTER, cycles=(1 << 128) - 10)
    assert stored(x, "mint_cycles128", 0, 5, 0) == 5
    assert stored(x, "mint_cycles128", 0, 50, 0) == 4
    assert x.minted == 9


def test_costs_are_nothing_by_default(start: Start) -> None:
    x = start(Mode.START)
    assert stored(x, "cost_call", 5, 6, 0) == 0
    assert stored(x, "cost_create_canister") == 0
    assert stored(x, "cost_http_request", 5, 6, 0) == 0
    assert stored(x, "cost_http_request_v2", 0, 0, 0) == 0


def test_costs_come_from_the_model(start: Start) -> None:
    model = {
        "cost_call": lambda name, payload: 100 * name + payload,
        "cost_create_canister": lambda: BIG,
        "cost_http_request": lambda request, response: request << 70 | response,
        "cost_http_request_v2": lambda params: len(params) if params[:4] == b"DIDL" else None,
    }
    x = start(Mode.START, fee_functions=model)
    assert stored(x, "cost_call", 5, 6, 0) == 506
    assert stored(x, "cost_create_canister") == BIG
    assert stored(x, "cost_http_request", 1, 3, 0) == (1 << 70) + 3
    heap_of(x).write(32, b"DIDL")
    assert stored(x, "cost_http_request_v2", 32, 6, 0) == 6
    text = "Failed to decode HttpRequestV2CostParams from Candid: not the expected record"
    assert trap_of(x, "cost_http_request_v2", 33, 6, 0).text == VIOLATION + text


@pytest.mark.parametrize(
    ("name", "kinds"), [("cost_sign_with_ecdsa", 1), ("cost_sign_with_schnorr", 2), ("cost_vetkd_derive_key", 1)]
)
def test_costs_of_signing(name: str, kinds: int, start: Start) -> None:
    x = start(Mode.START, fee_functions={name: lambda key, kind: 1000 + kind if key == "key_1" else None}, memory=100)
    heap_of(x).write(50, b"key_1\xff")
    for kind in range(kinds):
        assert call(x, name, 50, 5, kind, 0) == 0
        assert int.from_bytes(heap_of(x).read(0, 16), "little") == 1000 + kind
    heap_of(x).write(0, b"untouched")
    assert call(x, name, 50, 5, kinds, 0) == 1
    assert call(x, name, 50, 4, 0, 0) == 2
    assert call(x, name, 50, 4, 0, 99) == 2
    assert heap_of(x).read(0, 9) == b"untouched"
    text = VIOLATION + "Failed to decode key name key_1\N{REPLACEMENT CHARACTER}"
    assert trap_of(x, name, 50, 6, kinds, 0).text == text
    text = VIOLATION + f"ic0.{name} heap: src=96 + length=5 exceeds the slice size=100"
    assert trap_of(x, name, 96, 5, kinds, 0).text == text
