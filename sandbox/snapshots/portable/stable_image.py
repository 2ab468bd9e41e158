"""Read a file that holds a stable memory and nothing else, raw or gzip, such as a fixture or a backup."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from sandbox.errors import SnapshotFileCorrupt, SnapshotFileError
from sandbox.limits import STABLE_MEMORY, WASM_PAGE
from sandbox.memory import Image, Memory, Pool
from sandbox.memory.host import data_runs

_GZIP = b"\x1f\x8b\x08"
_LOT = 64 * WASM_PAGE


def read_stable_image(pool: Pool, path: Path) -> Image:
    """Read the file's bytes, padded with zeros to whole Wasm pages, into a new memory. Reads in small pieces; zeros and
    holes take no space. `SnapshotFileError` says what is wrong with the file, `SnapshotFileCorrupt` if it is torn."""
    memory = pool.memory()
    with open(path, "rb") as file:
        compressed = file.read(len(_GZIP)) == _GZIP
        length = file.seek(0, 2)
        try:
            for offset, data in _unpacked(file) if compressed else _pieces(file, length):
                _put(memory, offset, data, path)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise SnapshotFileCorrupt(f"{path} is not a whole gzip file: {error}") from error
    if not compressed:
        _grow(memory, length, path)
    return memory.image()


def _unpacked(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    file.seek(0)
    with gzip.open(file) as unpacked:
        offset = 0
        while data := unpacked.read(_LOT):
            yield offset, data
            offset += len(data)


def _pieces(file: BinaryIO, length: int) -> Iterator[tuple[int, bytes]]:
    for start, size in data_runs(file.fileno(), 0, length):
        for offset in range(start, start + size, _LOT):
            file.seek(offset)
            yield offset, file.read(min(_LOT, start + size - offset))


def _put(memory: Memory, offset: int, data: bytes, path: Path) -> None:
    """Write the pages of `data` that are not zero, adjacent ones together."""
    _grow(memory, offset + len(data), path)
    start = None
    for at in range(0, len(data) + WASM_PAGE, WASM_PAGE):
        page = data[at : at + WASM_PAGE]
        if page.count(0) < len(page):
            start = at if start is None else start
        elif start is not None:
            memory.write(offset + start, data[start:at])
            start = None


def _grow(memory: Memory, size: int, path: Path) -> None:
    if size > STABLE_MEMORY:
        raise SnapshotFileError(f"{path} holds more than the {STABLE_MEMORY} bytes that a stable memory may have")
    whole = -(-size // WASM_PAGE) * WASM_PAGE
    if whole > memory.size:
        memory.resize(whole)
