"""The Wasm chunk store and installing from it: interface specification, "IC method upload_chunk" to
"install_chunked_code" (SPECIFICATION 5.7). A chunk of any size is billed as 1 MiB."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import MappingProxyType

from sandbox.limits import CHUNK_SIZE, CHUNKS, MODULE_SIZE
from sandbox.management import rejects
from sandbox.management.code import InstallCode, install_code
from sandbox.management.transition import ManagementContext, Transition
from sandbox.principal import Principal
from sandbox.state import NO_CHUNKS, Chunks


def upload_chunk(context: ManagementContext, canister_id: Principal, chunk: bytes) -> Transition:
    """Keep a chunk; uploading it again changes nothing. The reply is its SHA-256."""
    state = context.controlled(canister_id, itself=True)
    chunks, digest = added(state.chunks, chunk)
    return Transition(canister=replace(state, chunks=chunks), reply={"hash": digest})


def stored_chunks(context: ManagementContext, canister_id: Principal) -> Transition:
    """The hashes of all chunks, in order."""
    state = context.controlled(canister_id, itself=True)
    return Transition(reply=hashes(state.chunks))


def clear_chunk_store(context: ManagementContext, canister_id: Principal) -> Transition:
    """No chunks any more."""
    state = context.controlled(canister_id, itself=True)
    return Transition(canister=replace(state, chunks=NO_CHUNKS))


@dataclass(frozen=True, slots=True)
class Assembly:
    """Which chunks of which canister make a module, and the hash that it must have."""

    store: Principal
    parts: tuple[bytes, ...]
    module_hash: bytes


def install_chunked_code(context: ManagementContext, target: InstallCode, assembly: Assembly) -> Transition:
    """`install_code` of the chunks in the order given (repeats allowed); `target.module` is not looked at. Chunks that
    together are larger than any module are not put together."""
    context.controlled(target.canister_id)
    store = context.controlled(assembly.store, itself=True)
    parts = [_chunk(store.chunks, digest) for digest in assembly.parts]
    size = sum(map(len, parts))
    if size > MODULE_SIZE:
        text = f"Wasm module size of {size} exceeds the maximum allowed size of {MODULE_SIZE}"
        raise rejects.invalid_module(target.canister_id, text)
    module = b"".join(parts)
    found = hashlib.sha256(module).digest()
    if found != assembly.module_hash:
        raise rejects.chunk_store(
            f"Wasm module hash {list(found)} does not match given hash {list(assembly.module_hash)}"
        )
    return install_code(context, replace(target, module=module))


def _chunk(chunks: Chunks, digest: bytes) -> bytes:
    if len(digest) != 32:
        raise rejects.chunk_store("Chunk hash is invalid. The length is not 32")
    if digest not in chunks:
        raise rejects.chunk_store(f"Chunk hash {list(digest)} was not found")
    return chunks[digest]


def added(chunks: Chunks, chunk: bytes) -> tuple[Chunks, bytes]:
    """The store with one more chunk, and the chunk's hash; the same store if it has it already."""
    if len(chunk) > CHUNK_SIZE:
        raise rejects.chunk_store(f"Wasm chunk size {len(chunk)} exceeds the maximum chunk size of {CHUNK_SIZE}")
    digest = hashlib.sha256(chunk).digest()
    if digest in chunks:
        return chunks, digest
    if len(chunks) >= CHUNKS:
        raise rejects.chunk_store(
            f"Wasm chunk store has already reached maximum capacity of {CHUNKS * CHUNK_SIZE} bytes or the maximum "
            f"number of entries, {CHUNKS}"
        )
    return MappingProxyType({**chunks, digest: chunk}), digest


def hashes(chunks: Iterable[bytes]) -> list[dict[str, bytes]]:
    """`vec chunk_hash`, in order."""
    return [{"hash": digest} for digest in sorted(chunks)]
