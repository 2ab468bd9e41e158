"""Writing a pack (`pack.py`): what is added is gathered into frames, which other threads compress and write."""

from __future__ import annotations

import os
import threading
from array import array
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cbor2
import zstandard
from blake3 import blake3

from sandbox.memory.host import sync
from sandbox.store.pack import HEADER, KINDS, TRAILER, Pack

FRAME: Final = 256 * 1024
"""A frame is closed when it holds so many bytes."""
_DATA: Final = ("page", "block")
_LEVEL: Final = 1
_TOGETHER: Final = 8
"""Frames that a thread gets at once: it has to wait for the interpreter between one piece of work and the next."""
_WAITING: Final = 4

_Frame = tuple[int, bytes]
"""Number and content."""
_Written = list[tuple[int, int, int, int]]
"""Of each frame its number, and where it is: offset, length there, length of the content."""


class PackWriter:
    """Writes a pack beside its place; `finish` puts it there, whole and on the disk itself."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / ".new"
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._position = len(HEADER)
        os.pwrite(self._fd, HEADER, 0)
        self._streams = data, nodes = _Stream(), _Stream()
        self._columns = {kind: _Column(data if kind in _DATA else nodes) for kind in KINDS}
        self._started = 0
        self._full: list[_Frame] = []
        self._workers: ThreadPoolExecutor | None = None
        self._waiting: deque[Future[_Written]] = deque()
        self._places: _Written = []
        self._lock = threading.Lock()

    def add(self, kind: str, key: bytes, content: bytes, base: bytes = b"") -> None:
        """Keep an object; `base` of a `delta`."""
        column = self._columns[kind]
        stream = column.stream
        if stream.number < 0:
            stream.number = self._started
            self._started += 1
        size = len(content)
        column.keys.append(key)
        column.bases.append(base)
        column.places.extend((stream.number, stream.size, size))
        stream.parts.append(content)
        stream.size += size
        if stream.size >= FRAME:
            self._close(stream)

    def finish(self) -> Pack | None:
        """The pack, or None if nothing was added."""
        try:
            for stream in self._streams:
                if stream.number >= 0:
                    self._close(stream)
            self._places += self._pack(self._full)
            while self._waiting:
                self._places += self._waiting.popleft().result()
            if not self._places:
                return None
            name = self._write_index()
            os.fsync(self._fd)
            os.replace(self._path, self._directory / name)
            sync(self._directory)
            return Pack(self._directory / name)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Forget what was not finished."""
        if self._workers is not None:
            self._workers.shutdown(cancel_futures=True)
            self._workers = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._path.unlink(missing_ok=True)

    def _close(self, stream: _Stream) -> None:
        self._full.append((stream.number, b"".join(stream.parts)))
        stream.parts, stream.size, stream.number = [], 0, -1
        if len(self._full) < _TOGETHER:
            return
        if self._workers is None:
            self._workers = ThreadPoolExecutor(min(4, os.cpu_count() or 1))
        frames, self._full = self._full, []
        self._waiting.append(self._workers.submit(self._pack, frames))
        while len(self._waiting) > _WAITING:
            self._places += self._waiting.popleft().result()

    def _pack(self, frames: list[_Frame]) -> _Written:
        """Compress and write frames, in any thread."""
        if not frames:
            return []
        packed = compressed([content for _, content in frames])
        position, written = self._append(b"".join(packed)), []
        for (number, content), part in zip(frames, packed, strict=True):
            written.append((number, position, len(part), len(content)))
            position += len(part)
        return written

    def _append(self, data: bytes) -> int:
        """Write at the end; where that was."""
        with self._lock:
            start = self._position
            self._position += len(data)
        rest, position = memoryview(data), start
        while rest:
            written = os.pwrite(self._fd, rest, position)
            position += written
            rest = rest[written:]
        return start

    def _write_index(self) -> str:
        places = array("Q", (number for _, *place in sorted(self._places) for number in place))
        record: dict[str, Any] = {"frames": places.tobytes()}
        for kind, column in self._columns.items():
            record[kind] = [b"".join(column.keys), column.places.tobytes(), b"".join(column.bases)]
        (packed,) = compressed([cbor2.dumps(record)])
        digest = blake3(packed).digest()
        self._append(packed + TRAILER.pack(self._position, len(packed), digest))
        return digest.hex()


@dataclass(slots=True)
class _Stream:
    """A frame being filled; objects of one sort stay together."""

    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    number: int = -1


@dataclass(slots=True)
class _Column:
    """What the index will say about the objects of one kind."""

    stream: _Stream
    keys: list[bytes] = field(default_factory=list)
    places: array[int] = field(default_factory=lambda: array("I"))
    bases: list[bytes] = field(default_factory=list)


def compressed(contents: list[bytes]) -> list[bytes]:
    """Each as a zstd frame; without the interpreter's lock, which is waited for once."""
    found = zstandard.ZstdCompressor(level=_LEVEL).multi_compress_to_buffer(contents)
    return [segment.tobytes() for segment in found]
