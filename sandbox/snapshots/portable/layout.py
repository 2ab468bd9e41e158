"""The file format `.icsnap`, version 1. All numbers little-endian.

    header      magic, version (4 bytes), 4 zero bytes
    block       part, window, page map, length of the body, BLAKE3; then the body
    ...         the first block holds the fields; then come the windows of all parts, in order, zeros left out
    index       all block heads once more, in order
    end         offset and length of the index, BLAKE3 of header and index, magic

A body is one zstd frame: of a block of part k, the pages (4 KiB) of window n (1 MiB) of that part whose bits are set in
the page map, joined; of the first block (part 2^32 - 1), a CBOR map: `fields`, `parts` (names and sizes, in the order
of their numbers) and `history`. A reader preserves unknown entries of `fields`, so that later versions can add some
without a new version number. A block's BLAKE3 covers its head and its body, so every byte of a file is covered. Blocks
describe themselves: an unfinished file can be continued; the index is for reading single pages.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, Self

import blake3

MAGIC: Final = b"\x89ICSNAP\n"
VERSION: Final = 1
FIELDS: Final = 0xFFFF_FFFF
"""The number of the part that holds the fields."""
LONGEST: Final = 1 << 26
"""The greatest length of a body, in bytes."""

_HEADER = struct.Struct("<8sII")
_PLAIN = struct.Struct("<II32sI")
_HEAD = struct.Struct("<II32sI32s")
_END = struct.Struct("<QQ32s8s")
HEADER_SIZE: Final = _HEADER.size
HEAD_SIZE: Final = _HEAD.size
END_SIZE: Final = _END.size
HEADER: Final = _HEADER.pack(MAGIC, VERSION, 0)


class Head(NamedTuple):
    """The head of a block, before its body and in the index."""

    part: int
    window: int
    pages: int
    length: int
    digest: bytes

    @classmethod
    def over(cls, part: int, window: int, pages: int, body: bytes) -> Self:
        """Return the head for a body."""
        plain = cls(part, window, pages, len(body), bytes(32))
        return plain._replace(digest=plain.hash(body))

    def hash(self, body: bytes) -> bytes:
        """Return the digest for a body."""
        plain = _PLAIN.pack(self.part, self.window, self.pages.to_bytes(32, "little"), self.length)
        return _hash("block", plain, body)

    def packed(self) -> bytes:
        return _HEAD.pack(self.part, self.window, self.pages.to_bytes(32, "little"), self.length, self.digest)

    @classmethod
    def read(cls, raw: bytes) -> Self:
        """Unpack a head from `HEAD_SIZE` bytes."""
        part, window, pages, length, digest = _HEAD.unpack(raw)
        return cls(part, window, int.from_bytes(pages, "little"), length, digest)


def heads(index: bytes) -> Iterator[Head]:
    """Yield the heads in an index, whose length must be a multiple of `HEAD_SIZE`."""
    return (Head.read(index[at : at + HEAD_SIZE]) for at in range(0, len(index), HEAD_SIZE))


def end(offset: int, index: bytes) -> bytes:
    """Return the end of a file."""
    return _END.pack(offset, len(index), index_hash(HEADER, index), MAGIC)


def read_end(raw: bytes) -> tuple[int, int, bytes, bytes]:
    """Return offset, length and BLAKE3 of the index, and the magic, from `END_SIZE` bytes."""
    offset, length, digest, magic = _END.unpack(raw)
    return offset, length, digest, magic


def read_header(raw: bytes) -> tuple[bytes, int]:
    """Return magic and version from `HEADER_SIZE` bytes."""
    magic, version, _ = _HEADER.unpack(raw)
    return magic, version


def index_hash(header: bytes, index: bytes) -> bytes:
    """Return the checksum over header and index."""
    return _hash("index", header, index)


def _hash(purpose: str, *parts: bytes) -> bytes:
    hasher: Any = blake3.blake3(derive_key_context=f"canister-sandbox 2026 snapshot file {purpose}")
    for part in parts:
        hasher.update(part)
    digest: bytes = hasher.digest()
    return digest
