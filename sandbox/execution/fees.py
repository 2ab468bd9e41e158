"""What execution costs: nothing by default, or the fees of a 13-node application subnet (`costs="mainnet"`).

Numbers: `dfinity/ic` `rs/config/src/subnet_config.rs` (2026) and the published table "Cycles costs". Differences from
the replica: instructions are the engine's fuel, not the replica's weighted count; nothing is reserved for storage;
charges for time are made when time is advanced, for the whole step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from sandbox.errors import ErrorCode, Reject
from sandbox.limits import GIB, REPLY_REPLICATED
from sandbox.management.rejects import out_of_cycles
from sandbox.management.signatures import KEY_NAMES
from sandbox.management.sizes import memory_usage
from sandbox.management.transition import ManagementFees
from sandbox.principal import Principal
from sandbox.state import CanisterState, Ingress, Subnet

_NODES = 13
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """Cycles; per message, byte, instruction, second."""

    message: int = 5_000_000
    ten_instructions: int = 10
    wasm64_factor: int = 2
    call: int = 260_000
    call_byte: int = 1_000
    ingress: int = 1_200_000
    ingress_byte: int = 2_000
    gib_second: int = 317_500
    canister_second: int = 10_000
    percent_second: int = 10_000_000
    creation: int = 500_000_000_000
    signature: int = 26_153_846_153
    outcall: int = 3_000_000
    outcall_node: int = 60_000
    outcall_request_byte: int = 400
    outcall_response_byte: int = 800

    def execution(self, instructions: int, wasm64: bool) -> int:
        """A message that executed so many instructions."""
        rate = self.ten_instructions * (self.wasm64_factor if wasm64 else 1)
        return self.message + instructions * rate // 10

    def ingress_message(self, size: int) -> int:
        """A user's message of `size` bytes of method name and argument."""
        return self.ingress + size * self.ingress_byte

    def call_upper_bound(self, payload: int, instructions: int, wasm64: bool) -> int:
        """Withdrawn when a call is made: sending it, the largest answer, and executing the callback."""
        transmission = self.call + (payload + REPLY_REPLICATED) * self.call_byte
        return transmission + self.execution(instructions, wasm64)

    def idle_per_second(self, state: CanisterState, grown: int = 0) -> int:
        """What a canister costs by existing, with so many more bytes of memory."""
        used = max(memory_usage(state) + grown, state.settings.memory_allocation)
        storage = used * self.gib_second // GIB
        return storage + self.canister_second + state.settings.compute_allocation * self.percent_second

    def freezing_limit(self, state: CanisterState, grown: int = 0) -> int:
        """Cycles that keep the canister, with so many more bytes of memory, alive for its freezing threshold."""
        return self.idle_per_second(state, grown) * state.settings.freezing_threshold


MAINNET = FeeSchedule()
FEE_SCHEDULES: Mapping[str, FeeSchedule | None] = {"free": None, "mainnet": MAINNET}
_FREE = ManagementFees()


def fee_schedule(subnet: Subnet) -> FeeSchedule | None:
    """The fees in force; None if everything is free."""
    return FEE_SCHEDULES[subnet.costs]


def frozen_cycles(subnet: Subnet, state: CanisterState) -> int:
    """Cycles that the canister may not spend."""
    model = fee_schedule(subnet)
    return 0 if model is None else model.freezing_limit(state)


def missing(subnet: Subnet, state: CanisterState, wanted: int, reader: Principal) -> Reject | None:
    """The reject for a canister that cannot pay `wanted` cycles without freezing; None if it can. Only a controller
    reads how many are missing (`dfinity/ic` `rs/interfaces/src/execution_environment/errors.rs`,
    `CanisterOutOfCyclesError`)."""
    if subnet.costs == "free":
        return None
    short = wanted + frozen_cycles(subnet, state) - state.cycles
    if short <= 0:
        return None
    controls = reader in state.settings.controllers
    return Reject.of(ErrorCode.CANISTER_OUT_OF_CYCLES, out_of_cycles(state.id, short if controls else None))


def ingress_fee(subnet: Subnet, message: Ingress) -> int:
    """What taking in a user's message costs its canister."""
    model = fee_schedule(subnet)
    return 0 if model is None else model.ingress_message(len(message.method.encode()) + len(message.arg))


def frozen(subnet: Subnet, state: CanisterState) -> Reject | None:
    """The reject of a query to a canister that is below its freezing limit; None if it is not."""
    if frozen_cycles(subnet, state) <= state.cycles:
        return None
    text = f"Canister {state.id} is unable to process query calls because it's frozen. "
    return Reject.of(ErrorCode.CANISTER_OUT_OF_CYCLES, text + "Please top up the canister with cycles and try again.")


def prepayment(subnet: Subnet, wasm64: bool) -> int:
    """Set aside before a message is executed: as much as it may cost. What it does not use it never loses."""
    model = fee_schedule(subnet)
    return 0 if model is None else model.execution(subnet.instruction_limits.update, wasm64)


def cost_model(subnet: Subnet, wasm64: bool) -> Mapping[str, Callable[..., int | None]]:
    """Prices for `ic0.cost_*` and `ic0.call_perform` (names and arguments: `ic0.costs`)."""
    return (
        {}
        if fee_schedule(subnet) is None
        else _prices(FEE_SCHEDULES[subnet.costs], subnet.instruction_limits.update, wasm64)
    )


def management_fees(subnet: Subnet) -> ManagementFees:
    """What management methods ask for."""
    return _FREE if subnet.costs == "free" else _management(FEE_SCHEDULES[subnet.costs])


@lru_cache(maxsize=16)
def _management(model: FeeSchedule) -> ManagementFees:
    return ManagementFees(
        creation=model.creation,
        signature=model.signature,
        outcall=lambda request, response: _outcall(model, request, response),
        idle_per_day=lambda state: model.idle_per_second(state) * _DAY,
        frozen=model.freezing_limit,
        execution=model.execution,
        system_calls=lambda instructions, wasm64: _prices(model, instructions, wasm64),
    )


@lru_cache(maxsize=16)
def _prices(model: FeeSchedule, instructions: int, wasm64: bool) -> Mapping[str, Callable[..., int | None]]:
    def sign(key: str, _kind: int) -> int | None:
        return model.signature if key in KEY_NAMES else None

    return {
        "cost_call": lambda name, payload: model.call_upper_bound(name + payload, instructions, wasm64),
        "call_perform": lambda payload: model.call_upper_bound(payload, instructions, wasm64),
        "cost_create_canister": lambda: model.creation,
        "cost_http_request": lambda request, response: _outcall(model, request, response),
        "cost_sign_with_ecdsa": sign,
        "cost_sign_with_schnorr": sign,
        "cost_vetkd_derive_key": sign,
    }


def _outcall(model: FeeSchedule, request: int, response: int) -> int:
    base = model.outcall + model.outcall_node * _NODES
    return _NODES * (base + model.outcall_request_byte * request + model.outcall_response_byte * response)
