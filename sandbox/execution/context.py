"""The context of every transition: the subnet, its instances, and the environment that an execution sees."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from sandbox import limits
from sandbox.canister.entry_point import Executed, TableFunction, run
from sandbox.canister.failure import Failure
from sandbox.canister.instances import CanisterInstance, InstanceCache
from sandbox.canister.module import compile_module
from sandbox.errors import ErrorCode, Reject, RejectCode
from sandbox.execution.fees import Fees, fees_of
from sandbox.execution.logs import reads_logs
from sandbox.execution.result import CallResult
from sandbox.ic0.modes import RQ, RT, RY, C, Mode, T, U
from sandbox.ic0.state import Environment, Execution
from sandbox.management.transition import Hooks
from sandbox.principal import Principal
from sandbox.state import CallContext, CanisterState, Subnet

ENTRY = {
    Mode.UPDATE: "canister_update",
    Mode.REPLICATED_QUERY: "canister_query",
    Mode.NON_REPLICATED_QUERY: "canister_query",
    Mode.COMPOSITE_QUERY: "canister_composite_query",
}
_NO_SLOTS: dict[Principal, int] = {}
_CHARGED = int(U | RQ | RY | RT | C | T)
"""Modes whose execution is paid for by the canister."""


@dataclass(slots=True)
class ExecutionEnvironment:
    """The one writer of a subnet. `on_log` is called with each text that a canister prints; `printed` collects them;
    `given` is entered while a message runs that changes nothing before its end, for who reads the subnet beside it."""

    subnet: Subnet
    instances: InstanceCache
    on_log: Callable[[Principal, str], None] | None = None
    hooks: Hooks = field(default_factory=Hooks)
    printed: list[str] = field(default_factory=list)
    given: Callable[[], AbstractContextManager[None]] | None = None
    _printed_bytes: int = 0
    executed: int = 0
    """Instructions executed so far."""
    compiled: int = 0
    """Instructions for which compiling modules counted so far."""
    passed_on: Exception | None = None
    """An exception of the function that answers HTTP outcalls, which goes on to the user: the caller has its reject."""
    awaited: int = 0
    """The number of the user's call whose caller waits for its answer; 0 if none waits."""
    answered: CallResult | None = None
    """The answer to that call."""
    fees: Fees = field(init=False)
    """The fees in force, which do not change while this environment is used."""

    def __post_init__(self) -> None:
        self.fees = fees_of(self.subnet)

    def new_id(self) -> int:
        """An unused number for a message, context or callback."""
        self.subnet.next_id += 1
        return self.subnet.next_id

    def execution(
        self, state: CanisterState, mode: Mode, caller: Principal, arg: bytes = b"", context: CallContext | None = None
    ) -> Execution:
        """A fresh execution on `state`, for a call context if there is one."""
        subnet, fees, wasm64, reserved = self.subnet, self.fees, False, 0
        key = subnet.key
        if fees.schedule is not None:
            wasm64 = state.code is not None and compile_module(state.code).facts.is64
            reserved = fees.prepayment(wasm64) if int(mode) & _CHARGED else 0
        environment = Environment(
            canister_id=state.id,
            caller=caller,
            time=subnet.time,
            subnet_id=key.subnet_id,
            controllers=state.settings.controllers,
            status=state.status.value,
            version=state.version,
            global_timer=state.global_timer,
            root_key=key.public_key,
            environment_variables=state.settings.environment_variables,
            cycles=max(state.cycles - reserved, 0),
            frozen_cycles=fees.frozen_cycles(state),
            fee_functions=fees.fee_functions(wasm64),
            used_slots=subnet.slots.get(state.id, _NO_SLOTS),
            available_callbacks=self._available_callbacks(state.id),
            deadline=context.deadline if context is not None else 0,
            call_context_instructions=context.instructions if context is not None else 0,
        )
        execution = Execution(mode, environment, arg)
        if context is not None:
            execution.available = context.available
            execution.already_responded = context.responded
            environment.tell_of_sender(context.sender_info)
        on_log = self.on_log
        if on_log is not None:
            execution.on_log = lambda text: on_log(state.id, text)
        return execution

    def _available_callbacks(self, canister_id: Principal) -> int:
        """The number of further calls that the canister may make: the subnet's room, at least a guaranteed number
        (`dfinity/ic` `rs/execution_environment/src/hypervisor.rs`)."""
        subnet = self.subnet
        shared = limits.CALLS_OPEN - len(subnet.callbacks)
        if shared >= limits.CALLS_GUARANTEED:
            return shared
        own = sum(subnet.slots.get(canister_id, _NO_SLOTS).values())
        return max(shared, limits.CALLS_GUARANTEED - own)

    def traced(self, state: CanisterState, reader: Principal) -> bool:
        """Check whether errors of this canister carry a backtrace for `reader`."""
        return self.subnet.backtraces and reads_logs(state, reader)

    def run(
        self,
        live: CanisterInstance,
        entry: str | TableFunction,
        execution: Execution,
        limit: int,
        heap_limit: int = 0,
    ) -> Executed:
        """Run an entry point of an instance; instructions and logs are collected, nothing is committed."""
        if self.given is None or execution.certificate is not None:  # making a certificate reads the subnet
            outcome = run(live, entry, execution, limit, heap_limit)
        else:
            with self.given():
                outcome = run(live, entry, execution, limit, heap_limit)
        self.executed += outcome.instructions
        if execution.logs:
            self.collect(execution)
        return outcome

    def collect(self, execution: Execution) -> None:
        """Add the texts that an execution printed to `printed`; beyond a bound the oldest are dropped."""
        self.printed.extend(text.decode(errors="replace") for text in execution.logs)
        self._printed_bytes += execution.printed
        if self._printed_bytes > 2 * limits.PRINTED_KEPT:
            del self.printed[: len(self.printed) // 2]
            self._printed_bytes //= 2


def no_method(method: str, kind: str) -> Failure:
    """The failure of a call to a method that the canister does not export."""
    return Failure(ErrorCode.CANISTER_METHOD_NOT_FOUND, f"Canister has no {kind} method '{method}'.")


def expired() -> Reject:
    """The reject of a best-effort call whose deadline has passed: whether it was executed is unknown."""
    return Reject(RejectCode.SYS_UNKNOWN, "Call deadline has expired.")
