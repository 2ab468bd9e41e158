"""The fee schedule of a subnet: everything is free by default, or as on a 13-node application subnet
(`costs="mainnet"`).

Numbers: `dfinity/ic` `rs/config/src/subnet_config.rs` (2026) and the published table "Cycles costs". Differences from
the replica: nothing is reserved for storage; charges for time are made when time is advanced, for the whole step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from sandbox.errors import ErrorCode, Reject
from sandbox.limits import GIB, NODES, REPLY_REPLICATED
from sandbox.management.outcall_fees import quote_of
from sandbox.management.rejects import out_of_cycles
from sandbox.management.signatures import KEY_NAMES
from sandbox.management.sizes import memory_usage
from sandbox.management.table import interface
from sandbox.management.transition import ManagementFees
from sandbox.principal import Principal
from sandbox.state import CanisterState, Ingress, Subnet

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
    outcall_base: int = 3_000_000
    outcall_node: int = 60_000
    outcall_request_byte: int = 400
    outcall_response_byte: int = 800

    def execution(self, instructions: int, wasm64: bool) -> int:
        """The fee for a message that executed this many instructions."""
        rate = self.ten_instructions * (self.wasm64_factor if wasm64 else 1)
        return self.message + instructions * rate // 10

    def ingress_message(self, size: int) -> int:
        """The fee for a user's message with `size` bytes of method name and argument."""
        return self.ingress + size * self.ingress_byte

    def call_upper_bound(self, payload: int, instructions: int, wasm64: bool) -> int:
        """Cycles withdrawn when a call is made: for sending it, the largest answer, and executing the callback."""
        transmission = self.call + (payload + REPLY_REPLICATED) * self.call_byte
        return transmission + self.execution(instructions, wasm64)

    def idle_per_second(self, state: CanisterState, grown: int = 0) -> int:
        """Cycles per second for an idle canister, with `grown` more bytes of memory."""
        used = max(memory_usage(state) + grown, state.settings.memory_allocation)
        storage = used * self.gib_second // GIB
        return storage + self.canister_second + state.settings.compute_allocation * self.percent_second

    def freezing_limit(self, state: CanisterState, grown: int = 0) -> int:
        """Cycles that pay for the canister, with `grown` more bytes of memory, during its freezing threshold."""
        return self.idle_per_second(state, grown) * state.settings.freezing_threshold

    def outcall(self, request: int, response: int) -> int:
        """The fee for an HTTP outcall: bytes of the request, and of the largest allowed response."""
        base = self.outcall_base + self.outcall_node * NODES
        return NODES * (base + self.outcall_request_byte * request + self.outcall_response_byte * response)


MAINNET = FeeSchedule()
FEE_SCHEDULES: Mapping[str, FeeSchedule | None] = {"free": None, "mainnet": MAINNET}
_NO_FEES: Mapping[str, Callable[..., int | None]] = {}


@dataclass(frozen=True, slots=True)
class Fees:
    """The fees in force on one subnet; every amount is 0 if everything is free (`schedule` is None).

    `update_instructions`: the subnet's limit for one update message.
    """

    schedule: FeeSchedule | None
    update_instructions: int
    management: ManagementFees
    """Fees of the management canister's methods."""
    _functions: tuple[Mapping[str, Callable[..., int | None]], Mapping[str, Callable[..., int | None]]]

    def frozen_cycles(self, state: CanisterState) -> int:
        """Cycles that the canister may not spend."""
        return 0 if self.schedule is None else self.schedule.freezing_limit(state)

    def missing(self, state: CanisterState, fee: int, reader: Principal) -> Reject | None:
        """The reject for a canister that cannot pay `fee` cycles without freezing; None if it can. Only a controller
        reads how many are missing (`dfinity/ic` `rs/interfaces/src/execution_environment/errors.rs`,
        `CanisterOutOfCyclesError`)."""
        if self.schedule is None:
            return None
        short = fee + self.frozen_cycles(state) - state.cycles
        if short <= 0:
            return None
        controls = reader in state.settings.controllers
        return Reject.of(ErrorCode.CANISTER_OUT_OF_CYCLES, out_of_cycles(state.id, short if controls else None))

    def frozen(self, state: CanisterState) -> Reject | None:
        """The reject of a query to a canister that is below its freezing limit; None if it is not."""
        if self.frozen_cycles(state) <= state.cycles:
            return None
        text = f"Canister {state.id} is unable to process query calls because it's frozen. "
        return Reject.of(
            ErrorCode.CANISTER_OUT_OF_CYCLES, text + "Please top up the canister with cycles and try again."
        )

    def ingress(self, message: Ingress) -> int:
        """The fee that a canister pays for a user's message."""
        if self.schedule is None:
            return 0
        return self.schedule.ingress_message(len(message.method.encode()) + len(message.arg))

    def prepayment(self, wasm64: bool) -> int:
        """Upper bound reserved before a message is executed; only what is used is charged."""
        return 0 if self.schedule is None else self.schedule.execution(self.update_instructions, wasm64)

    def fee_functions(self, wasm64: bool) -> Mapping[str, Callable[..., int | None]]:
        """Fees that `ic0.cost_*` and `ic0.call_perform` ask for (names and arguments: `ic0.costs`)."""
        return self._functions[wasm64]


def fees_of(subnet: Subnet) -> Fees:
    """The fees in force on a subnet."""
    return _fees(subnet.costs, subnet.instruction_limits.update)


@lru_cache(maxsize=16)
def _fees(costs: str, instructions: int) -> Fees:
    schedule = FEE_SCHEDULES[costs]
    if schedule is None:
        return Fees(None, instructions, ManagementFees(), (_NO_FEES, _NO_FEES))
    functions = _fee_functions(schedule, instructions, False), _fee_functions(schedule, instructions, True)
    return Fees(schedule, instructions, _management_fees(schedule), functions)


def _management_fees(schedule: FeeSchedule) -> ManagementFees:
    return ManagementFees(
        creation=schedule.creation,
        signature=schedule.signature,
        outcall=schedule.outcall,
        pay_as_you_go=True,
        idle_per_day=lambda state: schedule.idle_per_second(state) * _DAY,
        frozen=schedule.freezing_limit,
        execution=schedule.execution,
        fee_functions=lambda instructions, wasm64: _fee_functions(schedule, instructions, wasm64),
    )


def _fee_functions(schedule: FeeSchedule, instructions: int, wasm64: bool) -> Mapping[str, Callable[..., int | None]]:
    def sign(key: str, _kind: int) -> int | None:
        return schedule.signature if key in KEY_NAMES else None

    return {
        "cost_call": lambda name, payload: schedule.call_upper_bound(name + payload, instructions, wasm64),
        "call_perform": lambda payload: schedule.call_upper_bound(payload, instructions, wasm64),
        "cost_create_canister": lambda: schedule.creation,
        "cost_http_request": schedule.outcall,
        "cost_http_request_v2": lambda params: quote_of(params, interface().types["cost_http_request_v2_args"]),
        "cost_sign_with_ecdsa": sign,
        "cost_sign_with_schnorr": sign,
        "cost_vetkd_derive_key": sign,
    }
