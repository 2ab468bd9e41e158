"""Read an `.icsnap` file in place: a page costs the window around it. Every block is checked when it is read."""

from __future__ import annotations

import os
import threading
from bisect import bisect_left
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final, NamedTuple

import cbor2
import zstandard

from sandbox.errors import SnapshotFileError
from sandbox.limits import CHUNK_SIZE, CHUNKS, MODULE_SIZE, STABLE_MEMORY, WASM_PAGE
from sandbox.memory import Readable, Run
from sandbox.memory.host import read_padded
from sandbox.snapshots.portable import fields, layout
from sandbox.snapshots.portable.content import Content, ContentPart, check_range, corrupt
from sandbox.snapshots.portable.files import opened_file
from sandbox.snapshots.portable.layout import END_SIZE, FIELDS, HEAD_SIZE, HEADER, HEADER_SIZE, LONGEST, MAGIC, Head
from sandbox.snapshots.portable.windows import PAGE, WINDOW, Window, expanded, length_of, page_runs

_KEPT: Final = 4
"""Decompressed windows kept in memory for sequential reading."""


_tools = threading.local()


class Place(NamedTuple):
    """A block's head, and the offset of its body in the file."""

    head: Head
    offset: int


class BlockReader:
    """An open file: blocks by their places. It is closed with its last reference."""

    _fd = -1

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = opened_file(path)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.close()

    def places(self) -> list[Place]:
        """Read and check the index; return all blocks, which must fill the file."""
        size = os.fstat(self._fd).st_size
        header = self._read(0, min(HEADER_SIZE, size))
        if len(header) < HEADER_SIZE or layout.read_header(header)[0] != MAGIC:
            raise corrupt(self.path, "not a snapshot file: it does not begin with ICSNAP")
        version = layout.read_header(header)[1]
        if version != layout.VERSION:
            raise SnapshotFileError(f"{self.path} has format {version}, this version reads {layout.VERSION}")
        index = self._index(size)
        if header != HEADER:
            raise corrupt(self.path, "the header contradicts its checksum")
        result, position = [], HEADER_SIZE
        for head in layout.heads(index):
            result.append(Place(head, position + HEAD_SIZE))
            position += HEAD_SIZE + head.length
        if position + len(index) + END_SIZE != size:
            raise corrupt(self.path, f"its blocks end at byte {position}, its index begins elsewhere")
        return result

    def _index(self, size: int) -> bytes:
        if size < HEADER_SIZE + END_SIZE:
            raise corrupt(self.path, f"it ends at byte {size}, before its index: it is torn")
        offset, length, digest, magic = layout.read_end(self._read(size - END_SIZE, END_SIZE))
        if magic != MAGIC:
            raise corrupt(self.path, f"it ends at byte {size} without its index: it is torn or not finished")
        if offset + length + END_SIZE != size or offset < HEADER_SIZE or length % HEAD_SIZE:
            raise corrupt(self.path, f"there is no index at byte {offset}, where its end says")
        index = self._read(offset, length)
        if layout.index_hash(HEADER, index) != digest:
            raise corrupt(self.path, f"the index at byte {offset} contradicts its checksum")
        return index

    def body(self, place: Place, name: str) -> bytes:
        """Return the stored bytes of a block, checked against the index and the head before them."""
        raw = self._read(place.offset - HEAD_SIZE, HEAD_SIZE + place.head.length)
        body = raw[HEAD_SIZE:]
        if raw[:HEAD_SIZE] != place.head.packed() or place.head.hash(body) != place.head.digest:
            raise corrupt(self.path, f"{name} at byte {place.offset - HEAD_SIZE} contradicts its checksum")
        return body

    def check_open(self) -> None:
        """Raise SnapshotFileError after `close`."""
        if self._fd < 0:
            raise SnapshotFileError(f"{self.path} was closed")

    def _read(self, offset: int, length: int) -> bytes:
        self.check_open()
        try:
            return read_padded(self._fd, length, offset)
        except OSError as error:
            raise SnapshotFileError(f"{self.path} cannot be read at byte {offset}: {error.strerror}") from error


class ArchivePart(ContentPart):
    """One part of a file, read by windows, of which a few are kept."""

    def __init__(self, reader: BlockReader, name: str, size: int, places: list[Place]) -> None:
        self.size = size
        self._reader = reader
        self._name = name
        self._places = places
        self._numbers = [place.head.window for place in places]
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def read(self, offset: int, length: int) -> bytes:
        check_range(self, offset, length)
        self._reader.check_open()
        if not length:
            return b""
        windows = []
        for number in range(offset // WINDOW, (offset + length - 1) // WINDOW + 1):
            start = number * WINDOW
            first, last = max(0, offset - start), min(WINDOW, offset + length - start)
            window = self._window(number)
            windows.append(bytes(last - first) if window is None else window[first:last])
        return windows[0] if len(windows) == 1 else b"".join(windows)

    def extents(self) -> list[Run]:
        return [run for place in self._places for run in page_runs(place.head.window, place.head.pages, self.size)]

    def _window(self, number: int) -> bytes | None:
        """Return a window, None if it is all zero."""
        known = self._kept.get(number)
        if known is not None:
            return known
        place = bisect_left(self._numbers, number)
        if place == len(self._numbers) or self._numbers[place] != number:
            return None
        data = self._decompressed(self._places[place])
        self._kept[number] = data
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return data

    def _decompressed(self, place: Place) -> bytes:
        head = place.head
        name = f"{self._name} from {head.window * WINDOW:#x} on"
        body = self._reader.body(place, name)
        data = decompressed(body, length_of(head.window, head.pages, self.size))
        if data is None:
            raise corrupt(self._reader.path, f"{name}, byte {place.offset}, does not decompress to its pages")
        return expanded(Window(head.window, head.pages, data), self.size)


class Archive(Content):
    """A snapshot in an `.icsnap` file."""

    reader: BlockReader

    def close(self) -> None:
        self.reader.close()


def open_archive(path: Path) -> Archive:
    """Open a file; its index and its fields are checked."""
    reader = BlockReader(path)
    try:
        places = reader.places()
        if not places or places[0].head[:3] != (FIELDS, 0, 0) or places[0].head.length > LONGEST:
            raise corrupt(path, "its first block does not hold the fields")
        first, *rest = places
        record = _record(path, reader.body(first, "the fields"))
        parts = _parts(reader, record, rest)
        chunks = {bytes.fromhex(name[6:]): part for name, part in parts.items() if name.startswith("chunk:")}
        values = fields.decode(record.get("fields"), record.get("history"), str(path))
        archive = Archive(str(path), values, parts["module"], parts["heap"], parts["stable"], chunks)
        object.__setattr__(archive, "reader", reader)
    except BaseException:
        reader.close()
        raise
    return archive


def _record(path: Path, body: bytes) -> dict[str, Any]:
    try:
        size = zstandard.frame_content_size(body)
        data = decompressed(body, size) if 0 <= size <= LONGEST else None
        record = cbor2.loads(data) if data is not None else None
    except (zstandard.ZstdError, cbor2.CBORDecodeError, ValueError, TypeError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise corrupt(path, "the first block holds no fields")
    return record


def _parts(reader: BlockReader, record: dict[str, Any], places: list[Place]) -> dict[str, Readable]:
    """Return the parts; checks that every block lies inside one of them, in order."""
    names = _sizes(record.get("parts"), reader.path)
    of_part: list[list[Place]] = [[] for _ in names]
    previous = (-1, -1)
    for place in places:
        head = place.head
        here = (head.part, head.window)
        if head.part >= len(names) or here <= previous or not _inside(head, names[head.part][1]):
            raise corrupt(reader.path, f"the block at byte {place.offset - HEAD_SIZE} has no place in any part")
        of_part[head.part].append(place)
        previous = here
    return {
        name: ArchivePart(reader, _title(name), size, own) for (name, size), own in zip(names, of_part, strict=True)
    }


def _inside(head: Head, size: int) -> bool:
    pages = -(-max(0, size - head.window * WINDOW) // PAGE)
    return 0 < head.pages < 1 << min(pages, WINDOW // PAGE) and 0 < head.length <= LONGEST


def _title(name: str) -> str:
    return {"module": "the module", "heap": "the heap", "stable": "stable memory"}.get(name, name.replace(":", " "))


def _sizes(parts: Any, path: Path) -> list[tuple[str, int]]:
    sizes: dict[str, int] = {}
    for item in parts if isinstance(parts, list) else []:
        match item:
            case [str() as name, int() as size] if name not in sizes and _allowed(name, size):
                sizes[name] = size
            case _:
                raise corrupt(path, f"there is no part {item!r:.80}")
    if not {"module", "heap", "stable"} <= sizes.keys() or len(sizes) > 3 + CHUNKS:
        raise corrupt(path, "its parts are not module, heap, stable memory and at most 100 chunks")
    return list(sizes.items())


def _allowed(name: str, size: int) -> bool:
    if name.startswith("chunk:"):
        digits = name[6:]
        return len(digits) == 64 and set(digits) <= set("0123456789abcdef") and 0 <= size <= CHUNK_SIZE
    most = {"module": MODULE_SIZE, "heap": STABLE_MEMORY, "stable": STABLE_MEMORY}.get(name, -1)
    return 0 <= size <= most and (name == "module" or size % WASM_PAGE == 0)


def decompressed(body: bytes, size: int) -> bytes | None:
    """Return the content of a zstd frame if it has `size` bytes, else None; the size is checked before allocating."""
    try:
        if zstandard.frame_content_size(body) != size:
            return None
        data = _decompressor().decompress(body, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError:
        return None
    return data if len(data) == size else None


def _decompressor() -> zstandard.ZstdDecompressor:
    """Return this thread's own: no two threads may use one at a time."""
    tool = getattr(_tools, "decompressor", None)
    if tool is None:
        tool = _tools.decompressor = zstandard.ZstdDecompressor()
    return tool
