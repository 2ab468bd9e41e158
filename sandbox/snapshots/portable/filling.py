"""From a snapshot that lies elsewhere to memories of a pool: read in windows, checked as it is read, zeros left out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, Protocol

from sandbox.limits import WASM_PAGE
from sandbox.management.upload_whole import Images
from sandbox.memory import Pool
from sandbox.pagestore.ingest_stream import IngestStream
from sandbox.snapshots.portable import extras
from sandbox.snapshots.portable.content import Content, Progress, corrupt, whole
from sandbox.snapshots.portable.windows import load, packed, pieces, spans
from sandbox.store import Repository

_NAMES: Final = ("module", "heap", "stable")


class _Target(Protocol):
    """Takes bytes in the order of their offsets."""

    def write(self, offset: int, data: bytes, /) -> object: ...


def filled(
    pool: Pool, content: Content, progress: Progress | None = None, keep: Repository | None = None
) -> tuple[Images, tuple[bytes, ...]]:
    """All bytes in new memories that nobody else knows, and the chunks. `keep`: the bytes are kept there as they come;
    after an interruption, what has been kept already is not written again.

    `SnapshotFileCorrupt` says what is not as it should be; then the memories are gone, and nothing else was touched.
    """
    memories = {name: pool.memory(-(-content.parts()[name].size // WASM_PAGE) * WASM_PAGE) for name in _NAMES}
    if keep is None:
        chunks = _read(content, {name: [memory] for name, memory in memories.items()}, progress)
        module, heap, stable = (memory.image() for memory in memories.values())
        return (module, heap, stable), tuple(chunks)
    with keep.arriving() as addition:
        arrivals = {name: IngestStream(addition, memory.size) for name, memory in memories.items()}
        chunks = _read(content, {name: [memories[name], arrivals[name]] for name in _NAMES}, progress)
        trees = [arrival.finish() for arrival in arrivals.values()]
    kept = [keep.stored(tree) for tree in trees]
    for stored, memory in zip(kept, memories.values(), strict=True):
        stored.shown_by(memory)
    return (kept[0], kept[1], kept[2]), tuple(chunks)


def verify(content: Content, progress: Progress | None = None) -> None:
    """Read everything; `SnapshotFileCorrupt` says what is not as it should be."""
    _read(content, {}, progress)


def _read(content: Content, targets: dict[str, list[_Target]], progress: Progress | None) -> list[bytes]:
    total = sum(map(load, content.parts().values()))
    done = 0

    def tell(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    tell(0)
    for name in _NAMES:
        _part(content, name, targets.get(name, []), tell)
    chunks = []
    for digest, part in content.chunks.items():
        chunks.append(whole(part))
        if hashlib.sha256(chunks[-1]).digest() != digest:
            raise corrupt(content.where, f"the content of chunk {digest.hex()} has another SHA-256")
        tell(load(part))
    return chunks


def _part(content: Content, name: str, targets: list[_Target], tell: Callable[[int], None]) -> None:
    part = content.parts()[name]
    sums = extras.Sums(part.size) if name in content.sums else None
    for span in spans(part):
        window = packed(part, span)
        if sums is not None:
            sums.add(window)
        for offset, piece in pieces(window, part.size) if targets else ():
            for target in targets:
                target.write(offset, piece)
        tell(span.high - span.low)
    if sums is not None:
        extras.check(content, name, sums.hex)
