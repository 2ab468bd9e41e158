"""Memory usage of a canister: interface specification, "IC method canister_status", "Memory Metrics" (SPECIFICATION
5.7, 6.2).

Where the specification leaves the measure open it is ours: 16 bytes for a global, 64 for a history entry and 32 for
each principal in it, the content alone for a log record.
"""

from __future__ import annotations

from sandbox.canister.module import compile_module
from sandbox.limits import CHUNK_SIZE, WASM32_MEMORY
from sandbox.state import CanisterState, Change, LogRecord, Settings, SnapshotState, WasmModule

_GLOBAL, _ENTRY, _PRINCIPAL = 16, 64, 32


def memory_metrics(state: CanisterState) -> dict[str, int]:
    """The parts of a canister's memory usage in bytes, by their names in `canister_status`."""
    return {
        "wasm_memory_size": state.heap.size,
        "stable_memory_size": state.stable.size,
        "global_memory_size": len(state.globals),
        "wasm_binary_size": len(state.code.submitted) if state.code else 0,
        "custom_sections_size": custom_sections(state.code) if state.code else 0,
        "canister_history_size": sum(map(_entry, state.history)),
        "wasm_chunk_store_size": len(state.chunks) * CHUNK_SIZE,
        "snapshots_size": sum(map(snapshot_size, state.snapshots)),
        "log_memory_store_size": sum(len(record.content) for record in state.logs),
    }


def memory_usage(state: CanisterState) -> int:
    """All bytes that a canister occupies."""
    return sum(memory_metrics(state).values())


def snapshot_size(snapshot: SnapshotState) -> int:
    """`total_size`: module, globals, both memories, certified data, and 1 MiB for each chunk."""
    fixed = snapshot.heap.size + snapshot.stable.size + len(snapshot.certified_data)
    return fixed + module_size(snapshot) + _globals(snapshot) + len(snapshot.chunks) * CHUNK_SIZE


def module_size(snapshot: SnapshotState) -> int:
    """Bytes of a snapshot's module as submitted."""
    if snapshot.upload is not None:
        return snapshot.upload.module_size
    return len(snapshot.code.submitted) if snapshot.code else 0


def custom_sections(code: WasmModule) -> int:
    """Bytes of the `icp:` sections: what follows their prefix, and their contents."""
    facts = compile_module(code).facts
    found = facts.public_metadata | facts.private_metadata
    return sum(len(name.encode()) + len(content) for name, content in found.items())


def newest_logs(records: tuple[LogRecord, ...], room: int) -> tuple[LogRecord, ...]:
    """The newest records whose contents fit into `room` bytes together."""
    first = len(records)
    while first and len(records[first - 1].content) <= room:
        first -= 1
        room -= len(records[first].content)
    return records[first:]


def low_on_memory(settings: Settings, heap_size: int) -> bool:
    """The condition of the low-memory hook; an unset limit counts as 4 GiB (SPECIFICATION 4.9)."""
    return (settings.wasm_memory_limit or WASM32_MEMORY) < heap_size + settings.wasm_memory_threshold


def _globals(snapshot: SnapshotState) -> int:
    return len(snapshot.upload.globals) * _GLOBAL if snapshot.upload is not None else len(snapshot.globals)


def _entry(change: Change) -> int:
    lists = (value for name, value in change.details if name == "controllers" and isinstance(value, tuple))
    return _ENTRY + _PRINCIPAL * sum(map(len, lists))
