"""Fill memories of a pool from a snapshot's content: read in windows, checked as it is read, zeros left out."""

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
    """A sink for bytes in the order of their offsets."""

    def write(self, offset: int, data: bytes, /) -> object: ...


def filled(
    pool: Pool, content: Content, progress: Progress | None = None, keep: Repository | None = None
) -> tuple[Images, tuple[bytes, ...]]:
    """Read all bytes into new memories; return these and the chunks. `keep`: also store the bytes there as they arrive;
    after an interruption, stored bytes are not written again.

    `SnapshotFileCorrupt` says what is wrong; the memories are then discarded, and nothing else has changed.
    """
    memories = {name: pool.memory(-(-content.parts()[name].size // WASM_PAGE) * WASM_PAGE) for name in _NAMES}
    if keep is None:
        chunks = _read(content, {name: [memory] for name, memory in memories.items()}, progress)
        module, heap, stable = (memory.image() for memory in memories.values())
        return (module, heap, stable), tuple(chunks)
    with keep.arriving() as ingest:
        streams = {name: IngestStream(ingest, memory.size) for name, memory in memories.items()}
        chunks = _read(content, {name: [memories[name], streams[name]] for name in _NAMES}, progress)
        trees = [stream.finish() for stream in streams.values()]
    contents = [keep.stored(tree) for tree in trees]
    for stored, memory in zip(contents, memories.values(), strict=True):
        stored.shown_by(memory)
    return (contents[0], contents[1], contents[2]), tuple(chunks)


def verify(content: Content, progress: Progress | None = None) -> None:
    """Read and check everything; `SnapshotFileCorrupt` says what is wrong."""
    _read(content, {}, progress)


def _read(content: Content, targets: dict[str, list[_Target]], progress: Progress | None) -> list[bytes]:
    total = sum(map(load, content.parts().values()))
    done = 0

    def report(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    report(0)
    for name in _NAMES:
        _part(content, name, targets.get(name, []), report)
    chunks = []
    for digest, part in content.chunks.items():
        chunks.append(whole(part))
        if hashlib.sha256(chunks[-1]).digest() != digest:
            raise corrupt(content.where, f"the content of chunk {digest.hex()} has another SHA-256")
        report(load(part))
    return chunks


def _part(content: Content, name: str, targets: list[_Target], report: Callable[[int], None]) -> None:
    part = content.parts()[name]
    sums = extras.Sums(part.size) if name in content.sums else None
    for span in spans(part):
        window = packed(part, span)
        if sums is not None:
            sums.add(window)
        for offset, piece in pieces(window, part.size) if targets else ():
            for target in targets:
                target.write(offset, piece)
        report(span.high - span.low)
    if sums is not None:
        extras.check(content, name, sums.hex)
