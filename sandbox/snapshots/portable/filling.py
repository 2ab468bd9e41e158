"""From a snapshot that lies elsewhere to memories of a pool: read in windows, checked as it is read, zeros left out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from sandbox.limits import WASM_PAGE
from sandbox.management.uploads import Images
from sandbox.memory import Memory, Pool
from sandbox.snapshots.portable import extras
from sandbox.snapshots.portable.content import Content, Progress, corrupt, whole
from sandbox.snapshots.portable.windows import load, packed, pieces, spans


def filled(pool: Pool, content: Content, progress: Progress | None = None) -> tuple[Images, tuple[bytes, ...]]:
    """All bytes in new memories that nobody else knows, and the chunks.

    `SnapshotFileCorrupt` says what is not as it should be; then the memories are gone, and nothing else was touched.
    """
    memories = {
        name: pool.memory(-(-part.size // WASM_PAGE) * WASM_PAGE)
        for name, part in content.parts().items()
        if not name.startswith("chunk:")
    }
    chunks = _read(content, memories, progress)
    module, heap, stable = (memories[name].image() for name in ("module", "heap", "stable"))
    return (module, heap, stable), tuple(chunks)


def verify(content: Content, progress: Progress | None = None) -> None:
    """Read everything; `SnapshotFileCorrupt` says what is not as it should be."""
    _read(content, {}, progress)


def _read(content: Content, memories: dict[str, Memory], progress: Progress | None) -> list[bytes]:
    total = sum(map(load, content.parts().values()))
    done = 0

    def tell(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    tell(0)
    for name in ("module", "heap", "stable"):
        _part(content, name, memories.get(name), tell)
    chunks = []
    for digest, part in content.chunks.items():
        chunks.append(whole(part))
        if hashlib.sha256(chunks[-1]).digest() != digest:
            raise corrupt(content.where, f"the content of chunk {digest.hex()} has another SHA-256")
        tell(load(part))
    return chunks


def _part(content: Content, name: str, memory: Memory | None, tell: Callable[[int], None]) -> None:
    part = content.parts()[name]
    sums = extras.Sums(part.size) if name in content.sums else None
    for span in spans(part):
        window = packed(part, span)
        if sums is not None:
            sums.add(window)
        if memory is not None:
            for offset, piece in pieces(window, part.size):
                memory.write(offset, piece)
        tell(span.high - span.low)
    if sums is not None:
        extras.check(content, name, sums.hex)
