"""Memories and snapshots to be kept, without a canister."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from sandbox import Principal
from sandbox.memory import Image, Memory, Pool
from sandbox.state import SnapshotState, WasmModule

MODULE = b"\0asm\1\0\0\0"
CANISTER = Principal(bytes(8) + b"\1\1")
Make = Callable[..., SnapshotState]


@pytest.fixture
def pool() -> Pool:
    return Pool()


@pytest.fixture
def snapshot(pool: Pool) -> Make:
    """`snapshot(number, heap, stable=None, **fields)`: of memories or images of them."""

    def make(
        number: int, heap: Memory | Image, stable: Memory | Image | None = None, **fields: object
    ) -> SnapshotState:
        other = pool.memory() if stable is None else stable
        values = {
            "id": number.to_bytes(8, "big") + bytes(CANISTER),
            "canister_id": CANISTER,
            "label": f"number {number}",
            "taken_at": 1_000 + number,
            "canister_version": number,
            "code": WasmModule(MODULE, hashlib.sha256(MODULE).digest()),
            "globals": number.to_bytes(16, "little") + bytes(range(16)),
            "heap": heap.image() if isinstance(heap, Memory) else heap,
            "stable": other.image() if isinstance(other, Memory) else other,
            "certified_data": b"set by hand",
            "global_timer": 5,
        }
        return SnapshotState(**(values | fields))  # type: ignore[arg-type]

    return make
