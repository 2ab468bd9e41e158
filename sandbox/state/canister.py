"""One canister as a value: (module, heap, stable memory, globals, a small record of the rest)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from sandbox.errors import StateCorrupt
from sandbox.memory import Memory
from sandbox.principal import Principal
from sandbox.state.module import WasmModule
from sandbox.state.settings import Settings
from sandbox.state.snapshot import NO_CHUNKS, Chunks, SnapshotState

NOT_SATISFIED, READY, EXECUTED = "condition_not_satisfied", "ready", "executed"
LOW_MEMORY_HOOK: Final = (NOT_SATISFIED, READY, EXECUTED)
"""The states of the low-memory hook: interface specification, `on_low_wasm_memory_hook_status`."""


class Status(Enum):
    """The values are those of `ic0.canister_status`."""

    RUNNING = 1
    STOPPING = 2
    STOPPED = 3


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the canister's history: interface specification, "IC method canister_info".

    `kind` is one of creation, code_deployment, code_uninstall, load_snapshot, controllers_change; `details` holds its
    fields, in the specification's spelling (its variants as text). The originator is a canister if `by_canister`, and
    `sender_version` is the version that it claimed.
    """

    timestamp: int
    version: int
    """The canister's version after the change."""
    user: Principal
    kind: str
    details: tuple[tuple[str, object], ...] = ()
    by_canister: bool = False
    sender_version: int | None = None


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record of the canister's log; `timestamp` in nanoseconds since 1970."""

    index: int
    timestamp: int
    content: bytes


@dataclass(frozen=True, slots=True, weakref_slot=True)
class CanisterState:
    """The state of a canister. `heap` and `stable` are handles: their committed bytes belong to the newest value that
    holds them; an older value is restored through an image or a mark of the memory pool."""

    id: Principal
    settings: Settings
    heap: Memory
    stable: Memory
    created_at: int
    status: Status = Status.RUNNING
    version: int = 0
    code: WasmModule | None = None
    globals: bytes = b""
    """Mutable globals, 16 bytes each, in the order of the rewrite (`wasm.rewrite`)."""
    certified_data: bytes = b""
    global_timer: int = 0
    low_memory_hook: str = NOT_SATISFIED
    """One of `LOW_MEMORY_HOOK`."""
    cycles: int = 0
    history: tuple[Change, ...] = ()
    total_changes: int = 0
    logs: tuple[LogRecord, ...] = ()
    next_log_index: int = 0
    snapshots: tuple[SnapshotState, ...] = ()
    """By id, oldest first."""
    next_snapshot: int = 0
    last_installed_at: int = 0
    chunks: Chunks = field(default_factory=lambda: NO_CHUNKS)

    @property
    def damage(self) -> str | None:
        """The reason why it cannot run: bytes of a memory differ from the last save; None if it can."""
        return self.heap.damage or self.stable.damage

    def check_intact(self) -> None:
        """`StateCorrupt` if it is damaged."""
        if self.damage is not None:
            raise StateCorrupt(self.damage)
