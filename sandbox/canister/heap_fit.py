"""Whether a heap that is carried over fits the module that goes on with it: one that an upgrade keeps, or that of an
uploaded snapshot.

Rules and reasons: `dfinity/ic` `rs/execution_environment/src/hypervisor.rs` (`validate_wasm_memory`, 2026). The words
before the reason, and the error code, are not in any source at hand: they are like those of an invalid module.
"""

from __future__ import annotations

from sandbox.canister.failure import Failure
from sandbox.canister.module import CompiledModule
from sandbox.errors import ErrorCode
from sandbox.limits import WASM32_MEMORY, WASM64_MEMORY, WASM_PAGE


def heap_problem(prepared: CompiledModule, size: int) -> Failure | None:
    """Why the module cannot go on with a heap of `size` bytes; None if it can."""
    reason = _reason(prepared, size)
    if reason is None:
        return None
    return Failure(ErrorCode.CANISTER_INVALID_WASM, f"Canister's Wasm memory is not valid: {reason}")


def _reason(prepared: CompiledModule, size: int) -> str | None:
    memory, heap = prepared.facts.memory, f"the Wasm memory ({size} bytes)"
    most = WASM64_MEMORY if prepared.facts.is64 else WASM32_MEMORY
    if size > most:
        return (
            f"{heap} exceeds the maximum Wasm memory ({most} bytes) allowed for the Wasm execution mode of the "
            "canister module."
        )
    if memory is None:
        return f"{heap} is not empty although the canister module declares no Wasm memory." if size else None
    if size < prepared.heap_minimum:
        return (
            f"{heap} is smaller than the minimum Wasm memory ({prepared.heap_minimum} bytes) declared by the canister "
            "module."
        )
    if memory.maximum is not None and size > memory.maximum * WASM_PAGE:
        # Ours: the engine cannot give a module more memory than it declares.
        return (
            f"{heap} exceeds the maximum Wasm memory ({memory.maximum * WASM_PAGE} bytes) declared by the canister "
            "module."
        )
    return None
