"""The checksum of a snapshot covers every byte and every field; it costs the pages changed since the last one."""

from __future__ import annotations

from collections.abc import Iterator

from blake3 import blake3

from sandbox.memory import Memory
from sandbox.pagestore.memory_trees import tree
from sandbox.state import OpenCall, SnapshotState

_CONTEXT = "canister-sandbox 2026 snapshot checksum snapshot"


def snapshot_checksum(snapshot: SnapshotState) -> bytes:
    """Return 32 bytes that cover every byte and every field of a snapshot."""
    label = _optional(None if snapshot.label is None else snapshot.label.encode())
    parts = (
        snapshot.id,
        bytes(snapshot.canister_id),
        label,
        snapshot.taken_at.to_bytes(8, "big"),
        snapshot.canister_version.to_bytes(8, "big"),
        _module(snapshot),
        snapshot.globals,
        tree(snapshot.heap).root,
        tree(snapshot.stable).root,
        snapshot.certified_data,
        _optional(None if snapshot.global_timer is None else snapshot.global_timer.to_bytes(8, "big")),
        _optional(None if snapshot.low_memory_hook is None else snapshot.low_memory_hook.encode()),
        b"".join(sorted(snapshot.chunks)),
        *((b"via hooks",) if snapshot.via_hooks else ()),
        *((b"derived", *_history(snapshot)) if snapshot.derived else ()),
        *((b"automatic",) if snapshot.automatic else ()),
        *((b"damaged",) if snapshot.damage is not None else ()),
        *((b"open calls" + _calls(snapshot.open_calls),) if snapshot.open_calls else ()),
    )
    framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return blake3(framed, derive_key_context=_CONTEXT).digest()


def _module(snapshot: SnapshotState) -> bytes:
    """Return the module's SHA-256; for an upload, whose module may still change, its root, size and globals."""
    upload = snapshot.upload
    if upload is None:
        return b"" if snapshot.code is None else snapshot.code.hash
    values = b"".join(kind.encode() + bits.to_bytes(16, "big") for kind, bits in upload.globals)
    return tree(upload.module).root + upload.module_size.to_bytes(8, "big") + values


def _history(snapshot: SnapshotState) -> Iterator[bytes]:
    for step in snapshot.derived:
        yield from (step.parent, step.checksum, step.at.to_bytes(8, "big"), len(step.edits).to_bytes(8, "big"))
        yield from (edit.encode() for edit in step.edits)


def _calls(calls: tuple[OpenCall, ...]) -> bytes:
    fields = (part for c in calls for part in (c.method.encode(), bytes(c.caller), c.awaiting.to_bytes(8, "big")))
    return b"".join(len(part).to_bytes(8, "big") + part for part in fields)


def _optional(value: bytes | None) -> bytes:
    return b"\0" if value is None else b"\1" + value


def memory_checksum(memory: Memory) -> bytes:
    """Return the root over a memory's present bytes; `StateCorrupt` if they are not those of the last save."""
    memory.verify()
    return tree(memory.image()).root
