"""Sections to write: the pieces that the rewrite joins, and custom sections of the `icp:` kind (SPECIFICATION 2.5)."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.codec.leb128 import decode_unsigned, encode_unsigned
from sandbox.errors import InvalidModule
from sandbox.wasm.facts import PRIVATE_PREFIX, PUBLIC_PREFIX
from sandbox.wasm.reader import HEADER, Id, Reader, Section, sections

Piece = bytes | memoryview
"""A part of a section: long stretches of a module are views, and copied once."""


def section(id_: Id, *content: Piece) -> bytes:
    """Return one section, framed."""
    return b"".join(framed(id_, *content))


def framed(id_: Id, *content: Piece) -> tuple[Piece, ...]:
    """Return the pieces of one section, its frame first."""
    return (bytes([id_]), encode_unsigned(sum(map(len, content))), *content)


def name(text: str) -> bytes:
    """Return a name: a length and UTF-8."""
    raw = text.encode()
    return encode_unsigned(len(raw)) + raw


def vector(items: list[bytes]) -> bytes:
    """Return a vector: its count and its items."""
    return encode_unsigned(len(items)) + b"".join(items)


def extended(wasm: bytes, old: Section | None, items: list[bytes]) -> tuple[Piece, ...]:
    """Return the content of a vector section with `items` appended; `old` None: a section of these items alone."""
    if old is None:
        return (vector(items),)
    count, first = decode_unsigned(wasm, old.start, old.end)
    return (encode_unsigned(count + len(items)), memoryview(wasm)[first : old.end], *items)


def custom_section(section_name: str, content: bytes) -> bytes:
    """Return a custom section, framed."""
    return section(Id.CUSTOM, name(section_name), content)


def add_metadata(wasm: bytes, metadata_name: str, content: bytes, public: bool = True) -> bytes:
    """Return the module with `icp:public NAME` (or `icp:private NAME`) at its end, in place of any earlier one."""
    wasm = strip_custom(wasm, lambda n: n in (PUBLIC_PREFIX + metadata_name, PRIVATE_PREFIX + metadata_name))
    prefix = PUBLIC_PREFIX if public else PRIVATE_PREFIX
    return wasm + custom_section(prefix + metadata_name, content)


def strip_custom(wasm: bytes, unwanted: Callable[[str], bool] | None = None) -> bytes:
    """Return the module without the custom sections whose name `unwanted` picks (None: without any)."""
    parts = [HEADER]
    for part in sections(wasm):
        if part.id is Id.CUSTOM and (unwanted is None or unwanted(_custom_name(wasm, part))):
            continue
        parts.append(wasm[part.at : part.end])
    return b"".join(parts)


def _custom_name(wasm: bytes, part: Section) -> str:
    try:
        return Reader(wasm, part.start, part.end).name()
    except InvalidModule:
        return ""
