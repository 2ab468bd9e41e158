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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cbor2
import zstandard
from blake3 import blake3

from sandbox.errors import StateCorrupt
from sandbox.store.tree import KEY, split

HEADER: Final = b"canister-sandbox pack 1\n"
KINDS: Final = ("page", "block", "node", "delta")
"""`delta`: the node of a block that is kept as pages over another block; `bases` has the keys of those."""
TRAILER: Final = struct.Struct("<QI32s")
_MOST_INDEX: Final = 1 << 30

_tools = threading.local()


Place = tuple["Pack", int, int, int]
"""Where an object is: the pack, the number of the frame, offset and length in its content."""


@dataclass(frozen=True, slots=True)
class _Column:
    """All objects of one kind in a pack: keys and bases one after another; of each place three numbers."""

    keys: bytes
    places: array[int]
    bases: bytes


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
            size = file.seek(-TRAILER.size, os.SEEK_END)
            offset, length, digest = TRAILER.unpack(file.read(TRAILER.size))
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
            columns[kind] = _Column(keys, _numbers("I", places), bases)
            if len(keys) % KEY or len(columns[kind].places) != 3 * len(keys) // KEY:
                raise ValueError(f"its index is no index of objects of the kind {kind}")
        return _numbers("Q", record["frames"]), columns

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self.path.stat().st_size

    def keys(self, kind: str) -> list[bytes]:
        """The keys of all objects of a kind."""
        return split(self._columns[kind].keys)

    def place(self, kind: str, number: int) -> Place:
        """Where the object with this number among those of its kind is."""
        frame, offset, length = self._columns[kind].places[3 * number : 3 * number + 3]
        return self, frame, offset, length

    def base(self, number: int) -> bytes:
        """The key of the block on which the `delta` with this number stands."""
        return self._columns["delta"].bases[KEY * number : KEY * number + KEY]

    def objects(self, kind: str) -> Iterator[tuple[bytes, Place]]:
        """Keys and places of all objects of a kind."""
        return ((key, self.place(kind, number)) for number, key in enumerate(self.keys(kind)))

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


def _numbers(kind: str, data: bytes) -> array[int]:
    values: array[int] = array(kind)
    values.frombytes(data)
    return values


def _decompressor() -> zstandard.ZstdDecompressor:
    tool = getattr(_tools, "decompressor", None)
    if tool is None:
        tool = _tools.decompressor = zstandard.ZstdDecompressor()
    return tool
