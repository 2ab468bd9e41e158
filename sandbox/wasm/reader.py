"""Sections of a Wasm binary, and a reader that cannot leave its bounds (WebAssembly 2.0, chapter 5).

Every malformed input ends in `InvalidModule` with the offset in the file. The texts follow the replica, which reports
the texts of its parser: framing errors as `Failed to decode wasm module: Error finding code section: …`, the rest as
`Wasmtime failed to validate wasm module wasmtime::Module::validate() failed with …` (dfinity/ic
`rs/embedders/src/wasm_utils/validation.rs`, `check_code_section_size` and `can_compile`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from sandbox.codec.leb128 import Leb128Error, decode_signed, decode_unsigned
from sandbox.errors import InvalidModule

HEADER = b"\0asm\1\0\0\0"
NAME_SIZE = 100_000
"""Bytes of the longest string that the engine's parser accepts."""
SECTIONS = 10_000
"""Limit on sections, more than any toolchain writes, so that 100 MiB of empty ones cannot fill the host's memory."""


class Id(IntEnum):
    """Section ids."""

    CUSTOM = 0
    TYPE = 1
    IMPORT = 2
    FUNCTION = 3
    TABLE = 4
    MEMORY = 5
    GLOBAL = 6
    EXPORT = 7
    START = 8
    ELEMENT = 9
    CODE = 10
    DATA = 11
    DATA_COUNT = 12
    TAG = 13


RANK = {
    id_: rank
    for rank, id_ in enumerate(
        (
            Id.TYPE,
            Id.IMPORT,
            Id.FUNCTION,
            Id.TABLE,
            Id.MEMORY,
            Id.TAG,
            Id.GLOBAL,
            Id.EXPORT,
            Id.START,
            Id.ELEMENT,
            Id.DATA_COUNT,
            Id.CODE,
            Id.DATA,
        )
    )
}
"""The order in which sections other than custom ones must appear."""


@dataclass(frozen=True, slots=True)
class Section:
    """One section: its id, where it begins (its id byte), and its content as a range of the module's bytes."""

    id: Id
    at: int
    start: int
    end: int


def undecodable(text: str, offset: int) -> InvalidModule:
    """Return the error for bytes whose framing cannot be read."""
    return InvalidModule(f"Failed to decode wasm module: Error finding code section: {text} (at offset 0x{offset:x})")


def malformed(text: str, offset: int) -> InvalidModule:
    """Return the error for a section whose content cannot be read."""
    return InvalidModule(
        "Wasmtime failed to validate wasm module wasmtime::Module::validate() failed with "
        f"{text} (at offset 0x{offset:x})"
    )


class Reader:
    """Reader of values, one after the other, from `data[at:end]`; no method leaves it: `InvalidModule` instead."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self.data = data
        self.at = start
        self.end = min(end, len(data))

    def byte(self) -> int:
        """Read the next byte."""
        at = self.at
        if at >= self.end:
            raise malformed("unexpected end-of-file", at)
        self.at = at + 1
        return self.data[at]

    def u32(self) -> int:
        """Read an unsigned integer of at most 32 bits."""
        at = self.at
        if at < self.end and (byte := self.data[at]) < 0x80:
            self.at = at + 1
            return byte
        return self._leb(decode_unsigned, 32)

    def u64(self) -> int:
        """Read an unsigned integer of at most 64 bits."""
        return self._leb(decode_unsigned, 64)

    def s32(self) -> int:
        """Read a signed integer of at most 32 bits."""
        return self._leb(decode_signed, 32)

    def s33(self) -> int:
        """Read a signed integer of at most 33 bits: the form of block types and heap types."""
        return self._leb(decode_signed, 33)

    def s64(self) -> int:
        """Read a signed integer of at most 64 bits."""
        return self._leb(decode_signed, 64)

    def _leb(self, decode: Callable[[bytes, int, int, int], tuple[int, int]], bits: int) -> int:
        try:
            value, self.at = decode(self.data, self.at, self.end, bits)
        except Leb128Error as error:
            raise malformed(str(error), error.position) from None
        return value

    def take(self, size: int) -> bytes:
        """Read the next `size` bytes."""
        at = self.at
        self.skip(size)
        return self.data[at : at + size]

    def skip(self, size: int) -> None:
        """Skip `size` bytes."""
        if size > self.end - self.at:
            raise malformed("unexpected end-of-file", self.end)
        self.at += size

    def name(self) -> str:
        """Read a name: a length and UTF-8."""
        size = self.u32()
        if size > NAME_SIZE:
            raise malformed("string size out of bounds", self.at - 1)
        at = self.at
        try:
            return self.take(size).decode()
        except UnicodeDecodeError as error:
            raise malformed("malformed UTF-8 encoding", at + error.start) from None

    def count(self, what: str, most: int) -> int:
        """Read the length of a vector, which may not exceed `most`."""
        at = self.at
        count = self.u32()
        if count > most:
            raise malformed(f"{what} count exceeds limit of {most}", at)
        return count

    def skip_integers(self, count: int) -> None:
        """Skip `count` LEB128 integers of any width, without a loop over them in Python.

        Each integer ends in its only byte below 0x80, so taking `count` bytes and counting such bytes never overshoots.
        """
        while count:
            count -= len(self.take(count).translate(None, _CONTINUED))

    def finish(self) -> None:
        """Check that the whole range was read."""
        if self.at != self.end:
            raise malformed("section size mismatch: unexpected data at the end of the section", self.at)


_CONTINUED = bytes(range(0x80, 0x100))


def sections(wasm: bytes) -> list[Section]:
    """Return the sections in file order. Checks the header, the framing, known ids, order and duplicates."""
    if len(wasm) < 4:
        raise undecodable("unexpected end-of-file", 0)
    if wasm[:4] != HEADER[:4]:
        actual = ", ".join(f"0x{byte:x}" for byte in wasm[:4])
        text = f"magic header not detected: bad magic number - expected=[0x0, 0x61, 0x73, 0x6d], actual=[{actual}]"
        raise undecodable(text, 0)
    if len(wasm) < len(HEADER):
        raise undecodable("unexpected end-of-file", len(wasm))
    if wasm[4:8] != HEADER[4:]:
        raise undecodable(f"unknown binary version: 0x{int.from_bytes(wasm[4:8], 'little'):x}", 4)
    in_order: list[Section] = []
    at, last = len(HEADER), -1
    while at < len(wasm):
        section = _section(wasm, at)
        if section.id != Id.CUSTOM:
            if RANK[section.id] <= last:
                raise malformed("section out of order", section.start)
            last = RANK[section.id]
        if len(in_order) == SECTIONS:
            raise undecodable(f"sections count exceeds limit of {SECTIONS}", at)
        in_order.append(section)
        at = section.end
    return in_order


def _section(wasm: bytes, at: int) -> Section:
    try:
        size, start = decode_unsigned(wasm, at + 1, len(wasm))
    except Leb128Error as error:
        raise undecodable(str(error), error.position) from None
    if wasm[at] > max(Id):
        raise undecodable(f"malformed section id: {wasm[at]}", start)
    if size > len(wasm) - start:
        raise undecodable("unexpected end-of-file", len(wasm))
    return Section(Id(wasm[at]), at, start, start + size)
