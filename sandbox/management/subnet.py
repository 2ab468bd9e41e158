"""Cycles from outside, randomness, and what the subnet is: interface specification, "IC method deposit_cycles",
"raw_rand", "subnet_info", "provisional_top_up_canister" (SPECIFICATION 5)."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from sandbox.errors import ErrorCode
from sandbox.limits import CYCLES, PROVISIONAL_BALANCE
from sandbox.management import rejects
from sandbox.management.lifecycle import create_canister
from sandbox.management.settings import SettingsUpdate
from sandbox.management.transition import ManagementContext, Transition
from sandbox.principal import Principal

REPLICA_VERSION = "canister-sandbox"


def deposit_cycles(context: ManagementContext, canister_id: Principal) -> Transition:
    """The cycles of the call become the canister's; anybody may give."""
    state = context.canister(canister_id)
    return Transition(
        canister=replace(state, cycles=min(state.cycles + context.cycles, CYCLES)), accepted=context.cycles
    )


def provisional_top_up(context: ManagementContext, canister_id: Principal, amount: int) -> Transition:
    """Cycles out of nothing, for anybody's canister."""
    state = context.canister(canister_id)
    return Transition(canister=replace(state, cycles=min(state.cycles + _amount(amount), CYCLES)))


def provisional_create(
    context: ManagementContext, settings: SettingsUpdate, specified_id: Principal | None, amount: int | None
) -> Transition:
    """A canister with cycles out of nothing; those of the call go back."""
    balance = PROVISIONAL_BALANCE if amount is None else _amount(amount)
    return create_canister(context, settings, specified_id, balance)


def _amount(amount: int) -> int:
    if amount > CYCLES:
        raise rejects.invalid_payload(f"Error decoding candid: {amount} cycles do not fit into 128 bits")
    return amount


def raw_rand(context: ManagementContext) -> Transition:
    """32 bytes that follow from the sandbox's seed and the number of draws before this one."""
    subnet = context.subnet
    text = f"canister-sandbox randomness {subnet.seed} {subnet.random_draws}"
    return Transition(drawn=1, reply=hashlib.sha256(text.encode()).digest())


def subnet_info(context: ManagementContext, subnet_id: Principal) -> Transition:
    """Of this sandbox's only subnet, by its id."""
    if subnet_id != context.subnet_id:
        raise rejects.rejected(ErrorCode.SUBNET_NOT_FOUND, f"Subnet {subnet_id} does not exist.")
    return Transition(reply={"replica_version": REPLICA_VERSION, "registry_version": 1})
