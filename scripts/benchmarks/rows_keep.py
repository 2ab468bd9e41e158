"""Rows about snapshots on disk: a 1 GiB heap persisted whole, again, after 1 % has changed, and loaded cold."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import zstandard
from blake3 import blake3

from sandbox import Principal
from sandbox.memory import Memory, Pool
from sandbox.pagestore.hash_tree import Tree
from sandbox.pagestore.memory_trees import tree
from sandbox.pagestore.restore import copied
from sandbox.state import SnapshotState, WasmModule
from sandbox.store import Repository
from scripts.benchmarks.guests import GIB, MIB, PAGE
from scripts.benchmarks.measure import Operation, Timing, compare, once
from scripts.benchmarks.row import Row, alone_within, by_clock, faster, in_threads, memory, versus

_CHANGED = GIB // PAGE // 100
"""Pages in 1 %."""
_MOST, _FULL, _TOOLS = 3, 2, 20
_UNCHANGED, _MEMORY = 0.005, 256 * MIB
_HALF = PAGE // 2
_MODULE = b"\0asm\1\0\0\0"


def _page() -> bytes:
    """Half noise, half zeros: compresses about as data does."""
    return os.urandom(_HALF) + bytes(_HALF)


class Heap:
    """A memory of 1 GiB, a repository, and what was persisted last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        pool = Pool()
        self.memory, self.empty = pool.memory(GIB), pool.memory()
        for offset in range(0, GIB, MIB):
            self.memory.write(offset, b"".join(_page() for _ in range(MIB // PAGE)))
        self.repository = Repository(path)
        self.count = 0
        self.known: Tree | None = None
        self.taken: SnapshotState | None = None
        self.changed: list[tuple[int, bytes]] = []

    def persist(self) -> None:
        """Take a snapshot and finish it on disk."""
        self.count += 1
        snapshot = SnapshotState(
            id=self.count.to_bytes(18, "big"),
            canister_id=Principal(bytes(8) + b"\1\1"),
            label=None,
            taken_at=0,
            canister_version=0,
            code=WasmModule(_MODULE, hashlib.sha256(_MODULE).digest()),
            globals=b"",
            heap=self.memory.image(),
            stable=self.empty.image(),
            certified_data=b"",
            global_timer=None,
        )
        self.repository.put([snapshot], lambda _: self.known)
        self.known, self.taken = tree(snapshot.heap), snapshot

    def change(self, scattered: bool) -> None:
        """Write 1 % of the pages."""
        self.changed = [(self._place(index, scattered) * PAGE, _page()) for index in range(_CHANGED)]
        for offset, data in self.changed:
            self.memory.write(offset, data)

    def _place(self, index: int, scattered: bool) -> int:
        return (index * 97 + self.count * 13) % (GIB // PAGE) if scattered else index + self.count * _CHANGED

    def hash_and_compress(self) -> None:
        """Just the bytes that changed, as a whole."""
        data = b"".join(data for _, data in self.changed)
        blake3(data).digest()
        zstandard.ZstdCompressor(level=1).compress(data)

    @property
    def on_disk(self) -> int:
        return _size(self.path)


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def persist(seconds: float) -> Iterator[Row]:
    """Full, unchanged, 1 % changed, cold load; restic and borg on the same bytes where they are installed."""
    with tempfile.TemporaryDirectory(prefix="canister-sandbox-bench-") as scratch, ExitStack() as tools:
        heap = Heap(Path(scratch) / "repository")
        others = [tools.enter_context(_Tool(name, Path(scratch))) for name in ("restic", "borg") if shutil.which(name)]
        yield from _full(heap)
        for other in others:
            other.back_up(heap.memory)
        yield from _unchanged(heap, others)
        for scattered in (True, False):
            yield from _one_percent(heap, scattered, others, seconds)
        yield from _cold(heap)


def _full(heap: Heap) -> Iterator[Row]:
    before, tool = _most(), zstandard.ZstdCompressor(level=1)
    alone = once(lambda: sum(len(tool.compress(heap.memory.read(offset, MIB))) for offset in range(0, GIB, MIB)))
    found = once(heap.persist)
    size = f"{heap.on_disk / MIB:,.0f} MiB on disk"
    yield in_threads("persist 1 GiB for the first time", found, alone, "zstd level 1 alone", _FULL, size)
    yield memory("the same, most memory beside the heap", _most() - before, _MEMORY)


def _unchanged(heap: Heap, others: list[_Tool]) -> Iterator[Row]:
    before = heap.on_disk
    found = once(heap.persist)
    yield alone_within("persist it again, nothing changed", found, _UNCHANGED)
    yield memory("the same, on disk", heap.on_disk - before, 4096)
    yield from (_beside(other, heap, "nothing changed", found, heap.on_disk - before) for other in others)


def _one_percent(heap: Heap, scattered: bool, others: list[_Tool], seconds: float) -> Iterator[Row]:
    how = "scattered" if scattered else "together"
    heap.change(scattered)
    before = heap.on_disk
    single = once(heap.persist)
    grown = heap.on_disk - before
    yield from (_beside(other, heap, f"1 % {how}", single, grown) for other in others)
    found = compare(Operation(heap.persist, lambda: heap.change(scattered)), heap.hash_and_compress, seconds)
    note = f"{grown / (_CHANGED * PAGE):.2f} bytes on disk per byte changed"
    yield by_clock(versus(f"persist 1 % of 1 GiB {how}", found, "hash and compress those", note=note), _MOST)


def _beside(other: _Tool, heap: Heap, what: str, ours: Timing, bytes_: int) -> Row:
    theirs, grown = other.back_up(heap.memory)
    note = f"on disk {bytes_ / MIB:,.1f} MiB, {other.name} {grown / MIB:,.1f} MiB"
    return faster(f"persist, {what}", ours, theirs, other.name, _TOOLS, note)


def _cold(heap: Heap) -> Iterator[Row]:
    assert heap.taken is not None
    repository = Repository(heap.path)
    entry = repository.entries()[-1]
    tool, data = zstandard.ZstdCompressor(level=1), heap.memory.read(0, 64 * MIB)
    packed = [tool.compress(data[at : at + MIB]) for at in range(0, len(data), MIB)]
    target, unpack = Pool().memory(GIB), zstandard.ZstdDecompressor()

    def unpacked() -> None:
        for index in range(GIB // MIB):
            target.write(index * MIB, unpack.decompress(packed[index % len(packed)]))

    alone, pool, before = once(unpacked), Pool(), _most()
    loaded: list[Memory] = []  # giving it back is not loading it
    found = once(lambda: loaded.append(copied(repository.get(entry).heap, pool)))
    yield in_threads("load 1 GiB cold", found, alone, "zstd and copying alone", _FULL)
    yield memory("the same, most memory beside the heap", _most() - before, _MEMORY)


def _most() -> int:
    """The most memory that this process ever had, in bytes; memories of sandboxes do not count."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class _Tool:
    """restic or borg on the memory as a file."""

    def __init__(self, name: str, scratch: Path) -> None:
        self.name = name
        self._file, self._repository = scratch / f"{name}.heap", scratch / name
        home = {"HOME": str(scratch), "RESTIC_PASSWORD": "x", "BORG_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}
        self._environment = {**os.environ, **home, "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}
        self._count = 0

    def __enter__(self) -> _Tool:
        init = {
            "restic": ["restic", "init", "-q", "-r", str(self._repository)],
            "borg": ["borg", "init", "-e", "none", str(self._repository)],
        }
        self._run(init[self.name])
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._repository, ignore_errors=True)

    def back_up(self, source: Memory) -> tuple[Timing, int]:
        """How long it takes, and by how much its repository grows. Writing the file is not counted."""
        with open(self._file, "wb") as out:
            for offset in range(0, source.size, MIB):
                out.write(source.read(offset, MIB))
        self._count += 1
        command = {
            "restic": ["restic", "backup", "-q", "-r", str(self._repository), str(self._file)],
            "borg": ["borg", "create", f"{self._repository}::{self._count}", str(self._file)],
        }
        before, start = _size(self._repository), time.perf_counter()
        self._run(command[self.name])
        wall = time.perf_counter() - start
        return Timing(wall, wall), _size(self._repository) - before

    def _run(self, command: list[str]) -> None:
        subprocess.run(command, env=self._environment, check=True, capture_output=True)
