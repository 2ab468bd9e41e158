"""Reading and uploading of snapshots by slices: interface specification, "IC method read_canister_snapshot_metadata" to
"upload_canister_snapshot_data" (SPECIFICATION 6.3, 6.4, 6.6).

An uploaded snapshot can be written to as long as it exists. Its bytes are in memories of the pool; a slice is written
into a memory that nothing else uses, else into a copy, so that states made from the snapshot before do not change.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sandbox import limits, wasm
from sandbox.management import rejects
from sandbox.management.chunks import added, hashes
from sandbox.management.load_parts import snapshot_globals
from sandbox.management.payment import charge, charge_work, creation_work, read_work, write_work
from sandbox.management.sizes import module_size
from sandbox.management.snapshot_rules import intact, own, visible, with_snapshot
from sandbox.management.transition import ManagementContext, Transition
from sandbox.management.upload_whole import Uploading, admit, uploaded
from sandbox.memory import Image, Memory, Readable
from sandbox.principal import Principal
from sandbox.state import SnapshotState, Upload
from sandbox.store import showing

_HOOK = "on_low_wasm_memory_hook_status"
_LETTERS = {tag: letter for letter, tag in wasm.TYPE_NAMES.items()}
_FORMATS = {"i": ("<I", "<i"), "l": ("<Q", "<q"), "f": ("<I", "<f"), "d": ("<Q", "<d")}
"""`struct` formats of a global's bits and of its Candid value."""


def read_metadata(context: ManagementContext, canister_id: Principal, snapshot_id: bytes) -> Transition:
    """Return the metadata of a snapshot."""
    snapshot = intact(own(context, visible(context, canister_id), snapshot_id))
    timer, hook = snapshot.global_timer, snapshot.low_memory_hook
    return Transition(
        reply={
            "source": {snapshot.source: None},
            "taken_at_timestamp": snapshot.taken_at,
            "wasm_module_size": module_size(snapshot),
            "globals": [global_value(letter, bits) for letter, bits in snapshot_globals(snapshot)],
            "wasm_memory_size": snapshot.heap.size,
            "stable_memory_size": snapshot.stable.size,
            "wasm_chunk_store": hashes(snapshot.chunks),
            "canister_version": snapshot.canister_version,
            "certified_data": snapshot.certified_data,
            "global_timer": None if timer is None else {"active": timer} if timer else {"inactive": None},
            "on_low_wasm_memory_hook_status": None if hook is None else {hook: None},
        }
    )


def global_value(letter: str, bits: int) -> dict[str, Any]:
    """Return a global in Candid, as in the metadata of a snapshot, from its type letter and its bits."""
    if letter == "v":
        return {"v128": bits}
    packed, shown = _FORMATS[letter]
    [value] = struct.unpack(shown, struct.pack(packed, bits))
    return {wasm.TYPE_NAMES[letter]: value}


def global_bits(value: dict[str, Any]) -> tuple[str, int]:
    """Return type letter and bits of a global in Candid; a reject if a v128 is too large."""
    [(tag, number)] = value.items()
    letter = _LETTERS[tag]
    if letter == "v":
        if number >= 1 << 128:
            raise rejects.invalid_payload(f"Error decoding candid: {number} does not fit into 128 bits")
        return letter, number
    packed, shown = _FORMATS[letter]
    [bits] = struct.unpack(packed, struct.pack(shown, number))
    return letter, bits


def read_data(
    context: ManagementContext, canister_id: Principal, snapshot_id: bytes, kind: dict[str, Any]
) -> Transition:
    """Return at most 2,000,000 bytes of one part, or a whole chunk."""
    state = visible(context, canister_id)
    snapshot = intact(own(context, state, snapshot_id))
    [(part, place)] = kind.items()
    size = limits.CHUNK_SIZE if part == "wasm_chunk" else place["size"]
    if size > limits.SNAPSHOT_SLICE:
        raise rejects.slice_too_large(size)
    payer = charge_work(context, state, read_work(size))
    chunk = _chunk(snapshot, place["hash"]) if part == "wasm_chunk" else _slice(snapshot, part, place["offset"], size)
    return Transition(canister=payer if payer is not state else None, reply={"chunk": chunk})


def _slice(snapshot: SnapshotState, part: str, offset: int, size: int) -> bytes:
    total, read = _part(snapshot, part)
    if offset + size > total:
        raise rejects.invalid_slice(offset, size)
    return read(offset, size)


def _chunk(snapshot: SnapshotState, digest: bytes) -> bytes:
    shown = f"[{digest.hex(' ').replace(' ', ', ')}]"
    if len(digest) != 32:
        raise rejects.chunk_store(f"Bytes {shown} are not a valid WasmChunkHash.")
    if digest not in snapshot.chunks:
        raise rejects.chunk_store(f"WasmChunkHash {shown} not found.")
    return snapshot.chunks[digest]


def _part(snapshot: SnapshotState, part: str) -> tuple[int, Callable[[int, int], bytes]]:
    """The size of a part and how to read it."""
    if part == "wasm_memory":
        return snapshot.heap.size, snapshot.heap.read
    if part == "stable_memory":
        return snapshot.stable.size, snapshot.stable.read
    if snapshot.upload is not None:
        return snapshot.upload.module_size, snapshot.upload.module.read
    assert snapshot.code is not None
    module = snapshot.code.submitted
    return len(module), lambda offset, size: module[offset : offset + size]


def upload_metadata(context: ManagementContext, canister_id: Principal, arg: dict[str, Any]) -> Transition:
    """Make a snapshot of these sizes, all zeros, without chunks."""
    timer, hook = arg["global_timer"], arg[_HOOK]
    metadata = Uploading(
        arg["wasm_module_size"],
        tuple(global_bits(value) for value in arg["globals"]),
        arg["wasm_memory_size"],
        arg["stable_memory_size"],
        arg["certified_data"],
        None if timer is None else timer.get("active", 0),
        next(iter(hook)) if hook is not None else None,
    )
    state, kept = admit(context, canister_id, metadata, arg["replace_snapshot"])
    pool = context.subnet.pool
    module, heap, stable = (pool.memory(size).image() for size in metadata.sizes)
    snapshot = uploaded(context, state, metadata, (module, heap, stable))
    new = charge(context, state, with_snapshot(state, kept, snapshot), creation_work(snapshot))
    return Transition(canister=new, reply={"snapshot_id": snapshot.id})


def upload_data(
    context: ManagementContext, canister_id: Principal, snapshot_id: bytes, arg: dict[str, Any]
) -> Transition:
    """Write a slice of one part of an uploaded snapshot, or a chunk."""
    state = context.controlled(canister_id)
    snapshot = own(context, state, snapshot_id)
    if snapshot.upload is None:
        raise rejects.snapshot_immutable()
    [(part, place)] = arg["kind"].items()
    data = arg["chunk"]
    payer = charge_work(context, state, write_work(limits.CHUNK_SIZE if part == "wasm_chunk" else len(data)))
    if part == "wasm_chunk":
        new = replace(snapshot, chunks=added(snapshot.chunks, data)[0])
    else:
        total, _ = _part(snapshot, part)
        if place["offset"] + len(data) > total:
            raise rejects.invalid_slice(place["offset"], len(data))
        new = _written(context, snapshot, snapshot.upload, part, (place["offset"], data))
    snapshots = tuple(new if s is snapshot else s for s in state.snapshots)
    return Transition(canister=charge(context, payer, replace(payer, snapshots=snapshots)))


def _written(
    context: ManagementContext, snapshot: SnapshotState, upload: Upload, part: str, patch: tuple[int, bytes]
) -> SnapshotState:
    if part == "wasm_memory":
        return replace(snapshot, heap=_write(context, snapshot.heap, *patch))
    if part == "stable_memory":
        return replace(snapshot, stable=_write(context, snapshot.stable, *patch))
    return replace(snapshot, upload=replace(upload, module=_write(context, upload.module, *patch)))


def _write(context: ManagementContext, content: Readable, offset: int, data: bytes) -> Image:
    """The content with `data` in it. Old images of the memory keep what they show."""
    memory = showing(content, context.subnet.pool)
    if _lived_in(context, memory):
        memory = memory.fork()
    memory.write(offset, data)
    return memory.image()


def _lived_in(context: ManagementContext, memory: Memory) -> bool:
    return any(memory in (state.heap, state.stable) for state in context.subnet.canisters.values())
