"""The content id of a state: equal content, equal id, in every version of this package.

It covers module, globals, heap, stable memory and certified data, and nothing else: no ids, times, versions, labels,
timers, chunks or histories. The same id comes from a canister, a snapshot of it, the snapshot in another sandbox, and a
file or directory made of it. Version 1, which stays as it is:

    id        BLAKE3 in its mode of key derivation, with the context below, of these five parts, in this order; before
              each part its length, 8 bytes big-endian
    module    SHA-256 of the module as it was submitted (the platform's module hash); of no bytes if there is no module
    globals   in the order of `read_canister_snapshot_metadata`, for each the letter of its type (i: i32, l: i64,
              f: f32, d: f64, v: v128) and its bits, 16 bytes big-endian
    heap      the root of its hash tree (`sandbox/pagestore/hash_tree.py`): BLAKE3 of its size in bytes, 8 bytes
              big-endian, and the key of the top node; pages of zeros count alike whether they were written or not
    stable    likewise
    certified data

Computing it costs the pages that changed since the last hash tree of the memory; of a file, reading all of it.
"""

from __future__ import annotations

import hashlib
from typing import Final

from blake3 import blake3

from sandbox.management.load_parts import Globals, globals_of_code, snapshot_globals
from sandbox.memory import Readable
from sandbox.pagestore.memory_trees import tree
from sandbox.snapshots.portable import Content
from sandbox.state import CanisterState, SnapshotState

_CONTEXT: Final = "canister-sandbox 2026 content id 1"


def content_id(source: SnapshotState | CanisterState | Content) -> str:
    """Return the content id, 64 hexadecimal digits. `StateCorrupt` if a snapshot cannot be read."""
    match source:
        case Content():
            about = source.fields
            module = source.module.read(0, source.module.size)
            return _id(module, about.globals, source.heap, source.stable, about.certified_data)
        case CanisterState(code=None):
            return _id(b"", (), source.heap.image(), source.stable.image(), source.certified_data)
        case CanisterState(code=code):
            assert code is not None
            values = globals_of_code(code, source.globals)
            return _id(code.submitted, values, source.heap.image(), source.stable.image(), source.certified_data)
    source.check_intact()
    if source.upload is not None:
        module = source.upload.module.read(0, source.upload.module_size)
    else:
        module = b"" if source.code is None else source.code.submitted
    return _id(module, snapshot_globals(source), source.heap, source.stable, source.certified_data)


def _id(module: bytes, values: Globals, heap: Readable, stable: Readable, certified_data: bytes) -> str:
    parts = (
        hashlib.sha256(module).digest(),
        b"".join(kind.encode() + bits.to_bytes(16, "big") for kind, bits in values),
        tree(heap).root,
        tree(stable).root,
        certified_data,
    )
    framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return blake3(framed, derive_key_context=_CONTEXT).hexdigest()
