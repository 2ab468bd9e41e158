"""The failure of an execution, as a value, in the replica's words.

Sources: `dfinity/ic` `rs/embedders/src/wasmtime_embedder.rs` (`trap_code_to_hypervisor_error`),
`rs/interfaces/src/execution_environment/errors.rs` (`HypervisorError`, `CanisterBacktrace`),
`rs/tests/.../backtrace_canister` for where the backtrace stands in the message.
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.canister.demangle import demangle
from sandbox.engine import EngineTrap, Frame, HostFailure, TrapKind
from sandbox.errors import ErrorCode
from sandbox.ic0 import error_help
from sandbox.ic0.state import GuestTrap
from sandbox.ic0.table import BY_NAME
from sandbox.ic0.thunks import OWN_MODULES
from sandbox.limits import ERROR_DESCRIPTION
from sandbox.principal import Principal
from sandbox.wasm import Kind, ModuleFacts

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
    of_canister: bool = True
    """False: the platform itself rejected the operation, and the text does not name the canister."""

    def message(self, canister_id: Principal, with_backtrace: bool = True) -> str:
        """The text for the caller; with the backtrace only if the caller may read the canister's logs."""
        if not self.of_canister:
            return self.text
        text = error_help.with_backtrace(self.code, self.text, self.trace()) if with_backtrace else self.text
        hint = error_help.suggestion(self.code, self.text)
        return clip(f"Error from Canister {canister_id}: {text}" + (f".\n{hint}" if hint else ""))

    def trace(self) -> str:
        """The backtrace as the replica prints it, ending in a line break; empty if there is none."""
        return error_help.backtrace(self.backtrace)

    def log_record(self) -> bytes | None:
        """The record for the canister's log; None if this failure is not logged."""
        return error_help.log_record(self.code, self.text, self.trace())


def of_guest_trap(trap: GuestTrap, facts: ModuleFacts | None = None, frames: tuple[Frame, ...] = ()) -> Failure:
    """The failure of a system call that trapped, on an error or by `ic0.trap`."""
    return Failure(trap.code, trap.text, _names(facts, frames))


def of_engine_trap(trap: EngineTrap, facts: ModuleFacts | None, limit: int) -> Failure:
    """The failure of a trap in Wasm; `limit`: instructions that the message was allowed to execute."""
    if trap.kind is TrapKind.OUT_OF_INSTRUCTIONS:
        return instruction_limit(limit)
    if trap.kind is TrapKind.BAD_SIGNATURE:
        return callback_signature()
    text = f"Canister trapped: {_TRAPS.get(trap.kind, 'unknown')}"
    return Failure(ErrorCode.CANISTER_TRAPPED, text, _names(facts, trap.frames))


def of_host_failure(failure: HostFailure, facts: ModuleFacts | None) -> Failure:
    """Return the failure of a system call that raised a `GuestTrap`."""
    assert isinstance(failure.cause, GuestTrap)
    return of_guest_trap(failure.cause, facts, failure.frames)


def instruction_limit(limit: int) -> Failure:
    """The failure of a message that reached its instruction limit."""
    text = f"Canister exceeded the limit of {limit} instructions for single message execution."
    return Failure(ErrorCode.CANISTER_INSTRUCTION_LIMIT_EXCEEDED, text)


def function_not_found(index: int) -> Failure:
    """A callback that names no entry of the table."""
    text = f"Canister requested to invoke a non-existent Wasm function {index} from table 0"
    return Failure(ErrorCode.CANISTER_FUNCTION_NOT_FOUND, text)


def callback_signature() -> Failure:
    """A callback, or an indirect call, of another type than the function has."""
    return Failure(ErrorCode.CANISTER_CONTRACT_VIOLATION, _BAD_SIGNATURE)


def no_module() -> Failure:
    """The failure of a message to an empty canister."""
    text = "Attempted to execute a message, but the canister contains no Wasm module."
    return Failure(ErrorCode.CANISTER_WASM_MODULE_NOT_FOUND, text)


def memory_unpaid(grown: int, short: int) -> Failure:
    """The failure of a canister that lacks `short` cycles to grow memory by `grown` bytes without freezing."""
    text = (
        f"Canister cannot grow memory by {grown} bytes due to insufficient cycles. At least {short} additional cycles "
        "are required."
    )
    return Failure(ErrorCode.INSUFFICIENT_CYCLES_IN_MEMORY_GROW, text)


def heap_limit(limit: int, size: int) -> Failure:
    """The failure of a canister whose heap has, or would have, `size` bytes, more than `wasm_memory_limit`."""
    return Failure(
        ErrorCode.CANISTER_WASM_MEMORY_LIMIT_EXCEEDED,
        f"Canister exceeded its current Wasm memory limit of {limit} bytes. The peak Wasm memory usage was {size} "
        "bytes. If the canister reaches 4GiB, then it may stop functioning and may become unrecoverable. Please reach "
        "out to the canister owner to investigate the reason for the increased memory usage. It might be necessary to "
        "move data from the Wasm memory to the stable memory. If such high Wasm memory usage is expected and safe, "
        "then the developer can increase the Wasm memory limit in the canister settings.",
    )


def cleanup_failed(callback: Failure, cleanup: Failure) -> Failure:
    """The failure of a callback whose cleanup failed too."""
    text = f"{callback.text}\n\ncall_on_cleanup also failed:\n\n{cleanup.text}"
    return Failure(callback.code, text, callback.backtrace)


def clip(text: str) -> str:
    """At most 8 KiB of UTF-8."""
    raw = text.encode()
    return text if len(raw) <= ERROR_DESCRIPTION else raw[:ERROR_DESCRIPTION].decode(errors="ignore")


def _names(facts: ModuleFacts | None, frames: tuple[Frame, ...]) -> tuple[str, ...]:
    """One line for each frame; none at all if no function has a name, as in the replica.

    The replica's stable memory functions are WebAssembly too, its other system calls are not: all frames of our own
    modules together count as one, the import under the canister's own name for it, or as none.
    """
    inside = [frame.name or "" for frame in frames if frame.module == OWN_MODULES]
    names = [(frame.index, frame.name) for frame in frames if frame.module != OWN_MODULES]
    if inside and facts is not None and BY_NAME[inside[-1]].function is None:
        names.insert(0, _import(facts, inside[-1]))
    if all(name is None for _, name in names):
        return ()
    return tuple(demangle(n) if n is not None else f"unknown function at index {index}" for index, n in names)


def _import(facts: ModuleFacts, name: str) -> tuple[int, str | None]:
    """(index, name in the name section) of the import `name`."""
    functions = [entry.name for entry in facts.imports if entry.kind is Kind.FUNCTION]
    index = functions.index(name) if name in functions else 0
    return index, facts.function_names.get(index)
