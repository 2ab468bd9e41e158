"""Cycles: interface specification, "Cycles".

What the execution accepts, sends, burns and mints changes its own view of the balance at once. Texts and order of
checks: `dfinity/ic` `system_api.rs`. An execution that has replied or rejected may still accept: what is available is
what the call brought less what was taken (`sandbox_safe_system_state.rs`, `msg_cycles_available`), and the refund is
computed after the execution. Later executions of the call context have nothing (`call_context_manager.rs`,
`mark_responded`).
"""

from __future__ import annotations

from sandbox.errors import ErrorCode
from sandbox.ic0.access import store_cycles, violation
from sandbox.ic0.state import Execution, GuestTrap
from sandbox.limits import CYCLES
from sandbox.principal import Principal

CYCLES_MINTING_CANISTER = Principal.from_index(4)


def _narrow(amount: int) -> int:
    if amount >> 64:
        raise GuestTrap(ErrorCode.CANISTER_TRAPPED, "Canister trapped: cycles amount exceeds 64-bit representation")
    return amount


def _accept(x: Execution, most: int) -> int:
    amount = min(most, x.available)
    x.available -= amount
    x.accepted += amount
    return amount


def canister_cycle_balance(x: Execution) -> int:
    return _narrow(x.balance)


def canister_cycle_balance128(x: Execution, dst: int) -> None:
    store_cycles(x, "ic0_canister_cycle_balance128", x.balance, dst)


def canister_liquid_cycle_balance128(x: Execution, dst: int) -> None:
    store_cycles(x, "ic0_canister_liquid_cycle_balance128", x.liquid, dst)


def msg_cycles_available(x: Execution) -> int:
    return _narrow(x.available)


def msg_cycles_available128(x: Execution, dst: int) -> None:
    store_cycles(x, "ic0_msg_cycles_available128", x.available, dst)


def msg_cycles_accept(x: Execution, most: int) -> int:
    return _accept(x, most)


def msg_cycles_accept128(x: Execution, high: int, low: int, dst: int) -> None:
    store_cycles(x, "ic0_msg_cycles_accept128", _accept(x, high << 64 | low), dst)


def msg_cycles_refunded(x: Execution) -> int:
    return _narrow(x.refunded)


def msg_cycles_refunded128(x: Execution, dst: int) -> None:
    store_cycles(x, "ic0_msg_cycles_refunded128", x.refunded, dst)


def cycles_burn128(x: Execution, high: int, low: int, dst: int) -> None:
    amount = min(high << 64 | low, x.liquid)
    x.burned += amount
    store_cycles(x, "ic0_cycles_burn128", amount, dst)


def mint_cycles128(x: Execution, high: int, low: int, dst: int) -> None:
    """For the Cycles Minting Canister alone; not in the specification."""
    if x.env.canister_id != CYCLES_MINTING_CANISTER:
        raise violation(
            "ic0.mint_cycles128 cannot be executed on non Cycles Minting Canister: "
            f"{x.env.canister_id} != {CYCLES_MINTING_CANISTER}"
        )
    amount = min(high << 64 | low, CYCLES - x.balance)
    x.minted += amount
    store_cycles(x, "ic0_mint_cycles_128", amount, dst)
