"""Code and globals of a snapshot; those of an upload are checked only when it is loaded (SPECIFICATION 6.2, 6.3, 6.6).

The globals of a snapshot are those that are mutable or exported: exports in their order, then unexported mutable ones
by index. The sandbox itself keeps only mutable globals, 16 bytes each.
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox import wasm
from sandbox.canister.heap_fit import heap_problem
from sandbox.canister.module import CompiledModule, compile_module
from sandbox.management import rejects
from sandbox.management.code import prepared
from sandbox.management.sizes import low_on_memory
from sandbox.state import CanisterState, SnapshotState, WasmModule
from sandbox.state.canister import EXECUTED, NOT_SATISFIED, READY

Globals = tuple[tuple[str, int], ...]
"""Type letters (`i l f d v`) and bits."""

_HOOK = {NOT_SATISFIED: "ConditionNotSatisfied", READY: "Ready", EXECUTED: "Executed"}
"""States of the low-memory hook as the replica prints them."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that a load sets besides memories; None: timer or hook do not change."""

    code: WasmModule
    globals: bytes
    global_timer: int | None = None
    low_memory_hook: str | None = None


def parts(state: CanisterState, snapshot: SnapshotState) -> Parts:
    """The parts of a snapshot that is about to be loaded into the canister; a reject if an upload does not fit."""
    code = code_of(snapshot)
    if snapshot.upload is None:
        return Parts(code, snapshot.globals)
    module = prepared(state, code)
    problem = heap_problem(module, snapshot.heap.size)
    if problem is not None:
        raise rejects.rejected(problem.code, problem.message(state.id))
    values = _slots(module, snapshot.upload.globals)
    _check_hook(state, snapshot)
    return Parts(module.code, values, snapshot.global_timer, snapshot.low_memory_hook)


def code_of(snapshot: SnapshotState) -> WasmModule:
    """The module alone, unchecked."""
    upload = snapshot.upload
    if upload is not None:
        return WasmModule.from_bytes(upload.module.read(0, upload.module_size))
    assert snapshot.code is not None
    return snapshot.code


def _check_hook(state: CanisterState, snapshot: SnapshotState) -> None:
    hook = snapshot.low_memory_hook
    if hook is None:
        return
    satisfied = low_on_memory(state.settings, snapshot.heap.size)
    if satisfied != (hook != NOT_SATISFIED):
        raise rejects.invalid_payload(
            f"Hook status (Some({_HOOK[hook]})) of uploaded snapshot is inconsistent with the canister's state "
            f"(hook condition satisfied: {str(satisfied).lower()})."
        )


def check_globals(module: CompiledModule, values: Globals) -> None:
    """A reject unless number and types of the globals are the module's."""
    if tuple(kind for kind, _ in values) != tuple(g.type for g in module.rewritten.snapshot_globals):
        raise rejects.invalid_payload("Wasm exported globals of canister module and snapshot metadata do not match.")


def _slots(module: CompiledModule, given: Globals) -> bytes:
    """The mutable globals as the sandbox keeps them."""
    check_globals(module, given)
    values = bytearray(len(module.rewritten.globals) * wasm.SLOT)
    for (_, bits), slot in zip(given, module.rewritten.snapshot_globals, strict=True):
        if slot.offset is not None:
            values[slot.offset : slot.offset + wasm.SLOT] = bits.to_bytes(wasm.SLOT, "little")
    return bytes(values)


def snapshot_globals(snapshot: SnapshotState) -> Globals:
    """All globals of a snapshot in the order of the specification."""
    if snapshot.upload is not None:
        return snapshot.upload.globals
    if snapshot.via_hooks:
        return ()
    assert snapshot.code is not None
    return globals_of_code(snapshot.code, snapshot.globals)


def globals_of_code(code: WasmModule, saved: bytes) -> Globals:
    """All globals of a module in the order of the specification; `saved`: the values of its mutable ones."""
    values = []
    for slot in compile_module(code).rewritten.snapshot_globals:
        bits = slot.value or 0
        if slot.offset is not None:
            bits = int.from_bytes(saved[slot.offset : slot.offset + wasm.SIZES[slot.type]], "little")
        values.append((slot.type, bits))
    return tuple(values)
