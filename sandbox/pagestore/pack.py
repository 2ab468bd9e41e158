"""A pack: one write-once file with the objects that one save added, compressed.

    header    "canister-sandbox pack 1\\n"
    frames    each zstd, up to 256 KiB of objects one after another
    index     zstd of CBOR: where the frames are, and for every kind of object the keys and places of all of that kind
    trailer   offset and length of the index (8 + 4 bytes), BLAKE3 of the index as it stands there

The file's name is that BLAKE3. Readers check objects by their keys.
"""

from __future__ import annotations

import os
import struct
import threading
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path
from typing import Final

import cbor2
import zstandard
from blake3 import blake3

from sandbox.errors import StateCorrupt, of_system
from sandbox.pagestore.hash_tree import split

HEADER: Final = b"canister-sandbox pack 1\n"
KINDS: Final = ("page", "block", "node", "delta")
"""`delta`: the node of a block stored as changed pages over another block; `bases` has the keys of those."""
TRAILER: Final = struct.Struct("<QI32s")
_MOST_INDEX: Final = 1 << 30
_UNKNOWN: Final = -1
"""The content size of a zstd frame that does not record it."""

_tools = threading.local()


Place = tuple["Pack", int, int, int]
"""The place of an object: the pack, the number of the frame, offset and length in its content."""


@dataclass(slots=True)
class Column:
    """All objects of one kind in a pack: their keys, three numbers for the place of each, and for `delta` the keys of
    their base blocks."""

    keys: list[bytes] = field(default_factory=list)
    places: array[int] = field(default_factory=lambda: array("I"))
    bases: list[bytes] = field(default_factory=list)

    def note(self, frame: int, starts: Iterable[int], sizes: Iterable[int]) -> None:
        """Add the places of objects that are all in one frame."""
        self.places.extend(chain.from_iterable(zip(repeat(frame), starts, sizes, strict=False)))


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack on disk; frames are read when they are asked for. `frames`: offset, length, and length of the content."""

    path: Path
    frames: array[int]
    columns: dict[str, Column]

    @staticmethod
    def at(path: Path) -> Pack:
        """Read the index of a pack; `StateCorrupt` if it is damaged."""
        try:
            return Pack(path, *_read_index(path))
        except (OSError, ValueError, KeyError, TypeError, struct.error, zstandard.ZstdError) as error:
            of_system(error)
            raise StateCorrupt(f"the pack {path} cannot be read: {error}") from error

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self.path.stat().st_size

    def place(self, kind: str, number: int) -> Place:
        """Return the place of the object with this number among its kind."""
        frame, offset, length = self.columns[kind].places[3 * number : 3 * number + 3]
        return self, frame, offset, length

    def objects(self, kind: str) -> Iterator[tuple[bytes, Place]]:
        """Yield the keys and places of all objects of a kind."""
        return ((key, self.place(kind, number)) for number, key in enumerate(self.columns[kind].keys))

    def frame(self, number: int) -> bytes:
        """Read the content of a frame; `StateCorrupt` if it is damaged."""
        try:
            offset, length, content = self.frames[3 * number : 3 * number + 3]
            with open(self.path, "rb", buffering=0) as file:
                file.seek(offset)
                packed = file.read(length)
            # the library allocates the size that the frame declares, not `max_output_size`
            if zstandard.frame_content_size(packed) not in (content, _UNKNOWN):
                raise ValueError(f"it says another size than {content} bytes")
            data = _decompressor().decompress(packed, max_output_size=content)
        except (OSError, ValueError, zstandard.ZstdError) as error:
            of_system(error)
            raise StateCorrupt(f"frame {number} of the pack {self.path} cannot be read: {error}") from error
        if len(data) != content:
            raise StateCorrupt(f"frame {number} of the pack {self.path} is torn: {len(data)} of {content} bytes")
        return data


def is_pack(path: Path) -> bool:
    """Return whether a file begins with the header of a pack, perhaps cut off."""
    with open(path, "rb") as file:
        return HEADER.startswith(file.read(len(HEADER)))


def _read_index(path: Path) -> tuple[array[int], dict[str, Column]]:
    with open(path, "rb") as file:
        header = file.read(len(HEADER))
        size = file.seek(-TRAILER.size, os.SEEK_END)
        offset, length, digest = TRAILER.unpack(file.read(TRAILER.size))
        if header != HEADER or offset + length != size or digest.hex() != path.name:
            raise ValueError("it is torn, or it is no pack")
        file.seek(offset)
        packed = file.read(length)
    if blake3(packed).digest() != digest:
        raise ValueError("its index contradicts its checksum")
    record = cbor2.loads(zstandard.ZstdDecompressor().decompress(packed, max_output_size=_MOST_INDEX))
    columns = {}
    for kind in KINDS:
        keys, places, bases = record[kind]
        columns[kind] = Column(split(keys), _numbers("I", places), split(bases))
        if len(columns[kind].places) != 3 * len(columns[kind].keys):
            raise ValueError(f"its index contradicts itself: {kind}")
    return _numbers("Q", record["frames"]), columns


def _numbers(kind: str, data: bytes) -> array[int]:
    values: array[int] = array(kind)
    values.frombytes(data)
    return values


def _decompressor() -> zstandard.ZstdDecompressor:
    tool = getattr(_tools, "decompressor", None)
    if tool is None:
        tool = _tools.decompressor = zstandard.ZstdDecompressor()
    return tool
