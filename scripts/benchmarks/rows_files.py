"""Rows about portable snapshots: a 1 GiB heap out and in, against compressing the same bytes with zstd."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import zstandard

from sandbox import Sandbox
from sandbox.api import runtime_of
from scripts.benchmarks import guests
from scripts.benchmarks.guests import GIB, MIB
from scripts.benchmarks.measure import Operation, compare
from scripts.benchmarks.row import Row, versus

_MOST = 2
_AGAINST = "zstd level 1, one thread"


def files(seconds: float) -> Iterator[Row]:
    """Download and upload as a file and as a directory."""
    pieces = _pieces()
    sandbox = Sandbox(max_snapshots=10)
    canister = guests.heap(sandbox, GIB)
    heap = runtime_of(sandbox).state_of(canister.id).heap
    for offset in range(0, GIB, MIB):
        heap.write(offset, pieces[offset // MIB % len(pieces)])
    taken = canister.take_snapshot()
    assert taken.checksum

    def compress() -> None:
        compressor = zstandard.ZstdCompressor(level=1)
        for offset in range(0, GIB, MIB):
            compressor.compress(pieces[offset // MIB % len(pieces)])

    with tempfile.TemporaryDirectory() as place:
        for name in ("heap.icsnap", "heap"):
            path = Path(place) / name

            def remove(path: Path = path) -> None:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

            def forget() -> None:
                for one in canister.list_snapshots():
                    if one.id != taken.id:
                        canister.delete_snapshot(one.id)

            kind = "file" if path.suffix else "directory"
            download = Operation(lambda path=path: sandbox.snapshots.download(taken.id, path), remove)
            found = compare(download, compress, seconds)
            yield versus(f"download, 1 GiB heap, {kind}", found, _AGAINST, _MOST, "with fsync")
            upload = Operation(lambda path=path: sandbox.snapshots.upload(canister.id, path), forget)
            found = compare(upload, compress, seconds)
            yield versus(f"upload, 1 GiB heap, {kind}", found, _AGAINST, _MOST)


def _pieces() -> list[bytes]:
    """Pieces of 1 MiB that compress to three quarters or so, as heaps do at worst."""
    dice = random.Random(1)
    words = [dice.randbytes(dice.randrange(3, 10)) for _ in range(4000)]
    return [b"".join(dice.choices(words, k=200_000))[:MIB] for _ in range(8)]
