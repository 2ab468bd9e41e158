"""Write a pack (`pack.py`): objects are gathered into frames, which other threads compress and write."""

from __future__ import annotations

import os
import threading
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate, repeat
from pathlib import Path
from typing import Any, Final, cast

import cbor2
import zstandard
from blake3 import blake3

from sandbox.memory.host import sync, write_all, write_out
from sandbox.pagestore.hash_tree import PAGE
from sandbox.pagestore.pack import HEADER, KINDS, TRAILER, Column, Pack

FRAME: Final = 256 * 1024
"""Bytes at which a frame is closed."""
_DATA: Final = ("page", "block")
FAST: Final = -1
"""The zstd level while a user waits: a third of the time of level 1, and some 5 % more on the disk."""
THOROUGH: Final = 3
"""The zstd level for rewriting packs."""
_TOGETHER: Final = 8
"""Frames that a thread gets at once: between two tasks it has to wait for the interpreter lock."""
_WAITING: Final = 4

Buffer = bytes | bytearray | memoryview
_Frame = tuple[int, Buffer]
"""Number and content."""
_Written = list[tuple[int, int, int, int]]
"""The number of each frame and its place: offset, length there, length of the content."""


class PackWriter:
    """A pack being written under a temporary name; `finish` syncs and renames it. `size`: bytes added."""

    def __init__(self, directory: Path, level: int = FAST) -> None:
        self._directory = directory
        self._level = level
        self._path = directory / ".new"
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._position = len(HEADER)
        os.pwrite(self._fd, HEADER, 0)
        data, nodes = _Stream(), _Stream()
        self._streams = {kind: data if kind in _DATA else nodes for kind in KINDS}
        self._columns = {kind: Column() for kind in KINDS}
        self.size = 0
        self._started = 0
        self._full: list[_Frame] = []
        self._waiting: deque[Future[_Written]] = deque()
        self._places: _Written = []
        self._lock = threading.Lock()

    def add(self, kind: str, keys: list[bytes], contents: list[bytes], bases: Iterable[bytes] = ()) -> None:
        """Add objects of a kind; `bases`: for each `delta` the key of its base block."""
        stream, column = self._streams[kind], self._columns[kind]
        column.keys += keys
        column.bases += bases
        sizes, done = [len(content) for content in contents], 0
        while done < len(sizes):
            if not stream.parts:
                stream.number = self._next()
            starts = list(accumulate(sizes[done:], initial=stream.size))
            fitting = bisect_left(starts, FRAME, 1, len(starts) - 1)
            column.note(stream.number, starts[:fitting], sizes[done : done + fitting])
            self.size += starts[fitting] - stream.size
            stream.parts += contents[done : done + fitting]
            stream.size, done = starts[fitting], done + fitting
            if stream.size >= FRAME:
                self._close(stream)

    def add_pages(self, keys: list[bytes], content: memoryview) -> None:
        """Add pages whose bytes are joined in `content`, without copying them."""
        column = self._columns["page"]
        column.keys += keys
        self.size += len(content)
        for at in range(0, len(content), FRAME):
            part, number = content[at : at + FRAME], self._next()
            column.note(number, range(0, len(part), PAGE), repeat(PAGE))
            self._queue(number, part)

    def _next(self) -> int:
        """Return the number of a new frame."""
        self._started += 1
        return self._started - 1

    def finish(self) -> Pack | None:
        """Finish the pack and return it, or None if nothing was added."""
        try:
            for stream in self._streams.values():
                if stream.parts:
                    self._close(stream)
            self._places += self._pack(self._full)
            while self._waiting:
                self._places += self._waiting.popleft().result()
            if not self._places:
                return None
            frames = array("Q", (number for _, *place in sorted(self._places) for number in place))
            path = self._directory / self._write_index(frames)
            os.fsync(self._fd)
            os.replace(self._path, path)
            sync(self._directory)
            return Pack(path, frames, self._columns)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Discard the unfinished pack; does nothing after `finish`."""
        for work in self._waiting:
            work.cancel()
        wait(self._waiting)
        self._waiting.clear()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._path.unlink(missing_ok=True)

    def _close(self, stream: _Stream) -> None:
        self._queue(stream.number, b"".join(stream.parts))
        stream.parts, stream.size = [], 0

    def _queue(self, number: int, content: Buffer) -> None:
        self._full.append((number, content))
        if len(self._full) < _TOGETHER:
            return
        frames, self._full = self._full, []
        self._waiting.append(_threads().submit(self._pack, frames))
        while len(self._waiting) > _WAITING:
            self._places += self._waiting.popleft().result()

    def _pack(self, frames: list[_Frame]) -> _Written:
        """Compress and write frames; runs in any thread."""
        if not frames:
            return []
        packed = compressed([content for _, content in frames], self._level)
        position, written = self._append(packed), []
        for (number, content), part in zip(frames, packed, strict=True):
            written.append((number, position, len(part), len(content)))
            position += len(part)
        return written

    def _append(self, parts: Sequence[Buffer]) -> int:
        """Write at the end of the file and return the offset."""
        length = sum(map(len, parts))
        with self._lock:
            start = self._position
            self._position += length
        position = start
        for part in parts:
            write_all(self._fd, part, position)
            position += len(part)
        write_out(self._fd, start, length)
        return start

    def _write_index(self, frames: array[int]) -> str:
        record: dict[str, Any] = {"frames": frames.tobytes()}
        for kind, column in self._columns.items():
            record[kind] = [b"".join(column.keys), column.places.tobytes(), b"".join(column.bases)]
        (packed,) = compressed([cbor2.dumps(record)], self._level)
        digest = blake3(packed).digest()
        self._append([packed, TRAILER.pack(self._position, len(packed), digest)])
        return digest.hex()


@dataclass(slots=True)
class _Stream:
    """A frame being filled."""

    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    number: int = 0


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(4, os.cpu_count() or 1), "packs")


os.register_at_fork(after_in_child=_threads.cache_clear)  # a forked child does not have its threads


def compressed(contents: list[Buffer], level: int) -> list[Buffer]:
    """Compress each content to a zstd frame, all in one call without the interpreter lock."""
    frames = zstandard.ZstdCompressor(level=level).multi_compress_to_buffer(contents)
    return [memoryview(cast(bytes, frames[index])) for index in range(len(frames))]
