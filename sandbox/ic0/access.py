"""Blobs between the guest and the system: interface specification, "Blob-typed arguments and results".

Every range error is a contract violation (IC0504) with the replica's text. Addresses and sizes are unsigned Python
integers without a bound, so that no sum wraps; a sum of 2^64 or more is what the replica calls an invalid address.
Source of texts and of the order of checks: `dfinity/ic` `rs/embedders/src/wasmtime_embedder/system_api.rs`
(`valid_subslice`, `copy_cycles_to_heap`) and `linker.rs` (`with_memory_and_system_api`).
"""

from __future__ import annotations

from sandbox.engine.guest import GuestMemory, OutOfBounds
from sandbox.errors import ErrorCode
from sandbox.ic0.state import Execution, GuestTrap

_ADDRESS_SPACE = 1 << 64


def violation(text: str) -> GuestTrap:
    """A contract violation, to be raised."""
    return GuestTrap(ErrorCode.CANISTER_CONTRACT_VIOLATION, f"Canister violated contract: {text}")


def no_memory() -> GuestTrap:
    """A function that takes an address was called by a module without a memory."""
    return violation("WebAssembly module must define memory")


def out_of_range(context: str, start: int, length: int, size: int) -> GuestTrap:
    """The violation of `start + length <= size`."""
    if start + length >= _ADDRESS_SPACE:
        return violation(f"{context}: src={start} + length={length} is an invalid address")
    return violation(f"{context}: src={start} + length={length} exceeds the slice size={size}")


def heap_of(x: Execution) -> GuestMemory:
    """The guest's memory; a contract violation if it has none."""
    if x.heap is None:
        raise no_memory()
    return x.heap


def load(x: Execution, context: str, src: int, size: int) -> bytes:
    """A copy of the heap's bytes `src .. src + size`."""
    try:
        return heap_of(x).read(src, size)
    except OutOfBounds as error:
        raise out_of_range(context, src, size, error.size) from None


def copy_out(x: Execution, name: str, what: str, blob: bytes, target: tuple[int, int, int]) -> None:
    """Copy `blob[offset : offset + size]` to `dst`, where `target` is `(dst, offset, size)`.

    Both ranges are checked, also for a size of zero; if both are wrong the error names the heap's.
    """
    dst, offset, size = target
    heap = heap_of(x)
    if offset + size > len(blob):
        if dst + size > heap.size:
            raise out_of_range(f"{name} heap", dst, size, heap.size)
        raise out_of_range(f"{name} {what}", offset, size, len(blob))
    try:
        heap.write(dst, blob[offset : offset + size])
    except OutOfBounds as error:
        raise out_of_range(f"{name} heap", dst, size, error.size) from None


def store_cycles(x: Execution, name: str, amount: int, dst: int) -> None:
    """Store an amount as 16 bytes, little-endian."""
    try:
        heap_of(x).write(dst, amount.to_bytes(16, "little"))
    except OutOfBounds as error:
        raise violation(
            f"{name} failed because dst + size is out of bounds."
            f"Found dst = {dst} and size = 16 while must be <= {error.size}"
        ) from None
