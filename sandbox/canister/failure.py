"""Why an execution failed, as a value, in the replica's words.

Sources: `dfinity/ic` `rs/embedders/src/wasmtime_embedder.rs` (`trap_code_to_hypervisor_error`),
`rs/interfaces/src/execution_environment/errors.rs` (`HypervisorError`, `CanisterBacktrace`),
`rs/tests/.../backtrace_canister` for where the backtrace stands in the message.
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.canister.demangle import demangle
from sandbox.engine import EngineTrap, Frame, HostFailure, TrapKind
from sandbox.errors import ErrorCode
from sandbox.ic0.help import suggestion
from sandbox.ic0.state import GuestTrap
from sandbox.limits import ERROR_DESCRIPTION
from sandbox.principal import Principal

_BAD_SIGNATURE = "Canister violated contract: function invocation does not match its signature"
_TRAPS = {
    TrapKind.STACK_OVERFLOW: "stack overflow",
    TrapKind.HEAP_OUT_OF_BOUNDS: "heap out of bounds",
    TrapKind.TABLE_OUT_OF_BOUNDS: "table out of bounds",
    TrapKind.INTEGER_DIVISION_BY_ZERO: "integer division by 0",
    TrapKind.UNREACHABLE: "unreachable",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """`text` without the words `Error from Canister`; `backtrace` lists functions, innermost first."""

    code: ErrorCode
    text: str
    backtrace: tuple[str, ...] = ()

    def message(self, canister_id: Principal, with_backtrace: bool = True) -> str:
        """What the caller is told; the backtrace only if the caller may read the canister's logs."""
        trace = f"\n{self.trace()}" if with_backtrace and self.backtrace else ""
        hint = suggestion(self.code, self.text)
        whole = f"Error from Canister {canister_id}: {self.text}{trace}" + (f".\n{hint}" if hint else "")
        return clip(whole)

    def trace(self) -> str:
        """The backtrace as the replica prints it, ending in a line break; empty if there is none."""
        return "".join(f"{line}\n" for line in ("Canister Backtrace:", *self.backtrace)) if self.backtrace else ""


def of_guest_trap(trap: GuestTrap, frames: tuple[Frame, ...] = ()) -> Failure:
    """A system call refused or was told to trap."""
    return Failure(trap.code, trap.text, _names(frames))


def of_engine_trap(trap: EngineTrap, limit: int) -> Failure:
    """Wasm itself trapped; `limit` is what the message was allowed to execute."""
    if trap.kind is TrapKind.OUT_OF_FUEL:
        text = f"Canister exceeded the limit of {limit} instructions for single message execution."
        return Failure(ErrorCode.CANISTER_INSTRUCTION_LIMIT_EXCEEDED, text)
    if trap.kind is TrapKind.BAD_SIGNATURE:
        return Failure(ErrorCode.CANISTER_CONTRACT_VIOLATION, _BAD_SIGNATURE)
    text = f"Canister trapped: {_TRAPS.get(trap.kind, 'unknown')}"
    return Failure(ErrorCode.CANISTER_TRAPPED, text, _names(trap.frames))


def of_host_failure(failure: HostFailure) -> Failure:
    """A host function raised: a `GuestTrap` is the guest's doing, everything else is ours and goes on."""
    if isinstance(failure.cause, GuestTrap):
        return of_guest_trap(failure.cause, failure.frames)
    raise failure.cause


def function_not_found(index: int) -> Failure:
    """A callback that names no entry of the table."""
    text = f"Canister requested to invoke a non-existent Wasm function {index} from table 0"
    return Failure(ErrorCode.CANISTER_FUNCTION_NOT_FOUND, text)


def callback_signature() -> Failure:
    """A callback of another type than (I) -> ()."""
    return Failure(ErrorCode.CANISTER_CONTRACT_VIOLATION, _BAD_SIGNATURE)


def clip(text: str) -> str:
    """At most 8 KiB of UTF-8."""
    raw = text.encode()
    return text if len(raw) <= ERROR_DESCRIPTION else raw[:ERROR_DESCRIPTION].decode(errors="ignore")


def _names(frames: tuple[Frame, ...]) -> tuple[str, ...]:
    return tuple(demangle(f.name) if f.name is not None else f"unknown function at index {f.index}" for f in frames)
