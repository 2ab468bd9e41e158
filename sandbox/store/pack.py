"""A pack: one write-once file with the objects that one save added, compressed.

    header    "canister-sandbox pack 1\\n"
    frames    each zstd, up to 256 KiB of objects one after another
    index     zstd of CBOR: where the frames are, and for every kind of object the keys and places of all of that kind
    trailer   offset and length of the index (8 + 4 bytes), BLAKE3 of the index as it stands there

The file's name is that BLAKE3. Objects are checked by their keys by whoever reads them.
"""

from __future__ import annotations

import os
import struct
import threading
from array import array
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any, Final

import cbor2
import zstandard
from blake3 import blake3

from sandbox.errors import StateCorrupt
from sandbox.memory.host import sync
from sandbox.store.tree import split

HEADER: Final = b"canister-sandbox pack 1\n"
FRAME: Final = 256 * 1024
KINDS: Final = ("page", "block", "node", "delta")
"""`delta`: the node of a block that is kept as pages over another block; `bases` has the keys of those."""
_DATA: Final = ("page", "block")
_TRAILER: Final = struct.Struct("<QI32s")
_MOST_INDEX: Final = 1 << 30
_WAITING: Final = 8
_LEVEL: Final = 1

_tools = threading.local()


Place = tuple["Pack", int, int, int]
"""Where an object is: the pack, the number of the frame, offset and length in its content."""


@dataclass(slots=True)
class _Column:
    """All objects of one kind in a pack."""

    keys: bytearray = field(default_factory=bytearray)
    places: array[int] = field(default_factory=lambda: array("I"))
    bases: bytearray = field(default_factory=bytearray)


class Pack:
    """A pack on disk; its index is read when it is made, frames when they are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._frames, self._columns = self._read_index()
        except (OSError, ValueError, KeyError, TypeError, struct.error, zstandard.ZstdError) as error:
            raise StateCorrupt(f"the pack {path} cannot be read: {error}") from error

    def _read_index(self) -> tuple[array[int], dict[str, _Column]]:
        with open(self.path, "rb") as file:
            header = file.read(len(HEADER))
            size = file.seek(-_TRAILER.size, os.SEEK_END)
            offset, length, digest = _TRAILER.unpack(file.read(_TRAILER.size))
            if header != HEADER or offset + length != size or digest.hex() != self.path.name:
                raise ValueError("it is torn, or it is no pack")
            file.seek(offset)
            packed = file.read(length)
        if blake3(packed).digest() != digest:
            raise ValueError("its index contradicts its checksum")
        record = cbor2.loads(zstandard.ZstdDecompressor().decompress(packed, max_output_size=_MOST_INDEX))
        columns = {}
        for kind in KINDS:
            keys, places, bases = record[kind]
            columns[kind] = _Column(bytearray(keys), _numbers("I", places), bytearray(bases))
        return _numbers("Q", record["frames"]), columns

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self.path.stat().st_size

    def objects(self, kind: str) -> Iterator[tuple[bytes, Place]]:
        """Keys and places of all objects of a kind."""
        column = self._columns[kind]
        places = column.places
        found = zip(repeat(self), places[::3], places[1::3], places[2::3], strict=False)
        return zip(split(bytes(column.keys)), found, strict=True)

    def bases(self) -> Iterator[tuple[bytes, bytes]]:
        """The keys of `delta` nodes and of the blocks that they stand on."""
        column = self._columns["delta"]
        return zip(split(bytes(column.keys)), split(bytes(column.bases)), strict=True)

    def frame(self, number: int) -> bytes:
        """The content of a frame."""
        try:
            offset, length, content = self._frames[3 * number : 3 * number + 3]
            with open(self.path, "rb", buffering=0) as file:
                file.seek(offset)
                packed = file.read(length)
            data = _decompressor().decompress(packed, max_output_size=content)
        except (OSError, ValueError, zstandard.ZstdError) as error:
            raise StateCorrupt(f"frame {number} of the pack {self.path} cannot be read: {error}") from error
        if len(data) != content:
            raise StateCorrupt(f"frame {number} of the pack {self.path} is torn: {len(data)} of {content} bytes")
        return data


class PackWriter:
    """Writes a pack beside its place; `finish` puts it there, whole and on the disk itself."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / ".new"
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._position = len(HEADER)
        os.pwrite(self._fd, HEADER, 0)
        self._columns = {kind: _Column() for kind in KINDS}
        self._frames = array("Q")
        data, nodes = _Stream(), _Stream()
        self._open = {kind: data if kind in _DATA else nodes for kind in KINDS}
        self._started = 0
        self._workers: ThreadPoolExecutor | None = None
        self._waiting: deque[tuple[int, int, Future[tuple[int, int]]]] = deque()
        self._lock = threading.Lock()

    def add(self, kind: str, key: bytes, content: bytes, base: bytes = b"") -> None:
        """Keep an object; `base` of a `delta`."""
        stream, column = self._open[kind], self._columns[kind]
        if stream.number < 0:
            stream.number = self._started
            self._started += 1
        column.keys += key
        column.bases += base
        held = stream.content
        column.places.extend((stream.number, len(held), len(content)))
        held += content
        if len(held) >= FRAME:
            self._close(stream)

    @property
    def empty(self) -> bool:
        """Whether nothing was added."""
        return self._started == 0

    def finish(self) -> Pack | None:
        """The pack, or None if nothing was added."""
        try:
            for stream in {id(stream): stream for stream in self._open.values()}.values():
                if stream.number >= 0:
                    self._close(stream)
            while self._waiting:
                self._note_one()
            if self.empty:
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
        content, number = bytes(stream.content), stream.number
        stream.content, stream.number = bytearray(), -1
        if len(content) < FRAME and not self._waiting:
            self._note(number, len(content), self._pack(content))
            return
        if self._workers is None:
            self._workers = ThreadPoolExecutor(min(4, os.cpu_count() or 1))
        self._waiting.append((number, len(content), self._workers.submit(self._pack, content)))
        while len(self._waiting) > _WAITING:
            self._note_one()

    def _pack(self, content: bytes) -> tuple[int, int]:
        """Compress and write a frame, in any thread; its offset and length."""
        packed = _compress(content)
        return self._append(packed), len(packed)

    def _note_one(self) -> None:
        number, size, written = self._waiting.popleft()
        self._note(number, size, written.result())

    def _note(self, number: int, size: int, where: tuple[int, int]) -> None:
        while len(self._frames) < 3 * number + 3:
            self._frames.append(0)
        self._frames[3 * number : 3 * number + 3] = array("Q", (*where, size))

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
        record: dict[str, Any] = {"frames": self._frames.tobytes()}
        for kind, column in self._columns.items():
            record[kind] = [bytes(column.keys), column.places.tobytes(), bytes(column.bases)]
        packed = _compress(cbor2.dumps(record))
        digest = blake3(packed).digest()
        trailer = _TRAILER.pack(self._position, len(packed), digest)
        self._append(packed + trailer)
        return digest.hex()


@dataclass(slots=True)
class _Stream:
    """A frame being filled; objects of one sort stay together."""

    content: bytearray = field(default_factory=bytearray)
    number: int = -1


def _numbers(kind: str, data: bytes) -> array[int]:
    values: array[int] = array(kind)
    values.frombytes(data)
    return values


def _compress(content: bytes) -> bytes:
    tool = getattr(_tools, "compressor", None)
    if tool is None:
        tool = _tools.compressor = zstandard.ZstdCompressor(level=_LEVEL)
    packed: bytes = tool.compress(content)
    return packed


def _decompressor() -> zstandard.ZstdDecompressor:
    tool = getattr(_tools, "decompressor", None)
    if tool is None:
        tool = _tools.decompressor = zstandard.ZstdDecompressor()
    return tool
