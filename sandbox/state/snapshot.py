"""A snapshot as a value: a canister's module, globals, memories and certified data at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.memory import Image
from sandbox.principal import Principal
from sandbox.state.code import Code


@dataclass(frozen=True, slots=True)
class SnapshotState:
    """`heap` and `stable` are images: immutable, shared with the canister until one of them changes."""

    id: bytes
    canister_id: Principal
    label: str | None
    taken_at: int
    canister_version: int
    code: Code
    globals: bytes
    heap: Image
    stable: Image
    certified_data: bytes
    global_timer: int
