"""Formats of bytes without a type: Candid, text, numbers, principals, or hexadecimal.

Rust's `Storable` writes integers big-endian and texts as UTF-8 (`ic-stable-structures` `src/storable.rs`); records have
the program's own encoding, often Candid. A column gets one format if it fits all sampled cells; a cell that does not
have it is shown in hexadecimal.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sandbox import candid
from sandbox.candid.labels import number_text
from sandbox.errors import CandidError
from sandbox.principal import MAX_LENGTH, Principal
from sandbox.snapshots.inspect.source import Bytes

MOST = 64 * 1024
"""The most bytes read of a cell; a longer one is cut off."""
MOST_CANDID = 16 * 1024 * 1024
"""The same for cells read as Candid, which cannot be cut off."""
_NUMBERS = (1, 2, 4, 8, 16)

_SELF_AUTHENTICATING, _CANISTER, _ANONYMOUS = 2, b"\1\1", b"\4"

FieldNames = Sequence[str]


class FormatMismatch(Exception):
    """The bytes do not have this format."""


def _candid(data: bytes, names: FieldNames) -> Any:
    try:
        return candid.decode_to_text(data, names=names)
    except CandidError as error:
        raise FormatMismatch(str(error)) from None


def _text(data: bytes, _: FieldNames) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise FormatMismatch(str(error)) from None
    if not all(char.isprintable() or char in "\t\n\r" for char in text):
        raise FormatMismatch("not printable")
    return text


def _number(order: Any, *, signed: bool) -> Callable[[bytes, FieldNames], int]:
    def read(data: bytes, _: FieldNames) -> int:
        if not 0 < len(data) <= 32:
            raise FormatMismatch("not the length of a number")
        return int.from_bytes(data, order, signed=signed)

    return read


def _float(data: bytes, _: FieldNames) -> float:
    if len(data) not in (4, 8):
        raise FormatMismatch("not the length of a float")
    [value] = struct.unpack(">d" if len(data) == 8 else ">f", data)
    return float(value)


def _principal(data: bytes, _: FieldNames) -> Principal:
    if len(data) > MAX_LENGTH:
        raise FormatMismatch("too long for a principal")
    return Principal(data)


def _hex(data: bytes, _: FieldNames) -> bytes:
    return data


FORMS: dict[str, Callable[[bytes, FieldNames], Any]] = {
    "candid": _candid,
    "text": _text,
    "nat": _number("big", signed=False),
    "int": _number("big", signed=True),
    "nat-le": _number("little", signed=False),
    "int-le": _number("little", signed=True),
    "float": _float,
    "principal": _principal,
    "hex": _hex,
}
"""The readers of bytes by format: numbers big-endian, as Rust's `Storable` writes them, or little-endian (`-le`)."""


def guess_format(cells: Iterable[bytes], names: FieldNames = ()) -> str:
    """Return the format that fits all these cells."""
    sample = list(cells)
    filled = [cell for cell in sample if cell]
    if not filled:
        return "hex"
    if all(cell[:4] == b"DIDL" for cell in filled) and _fits("candid", filled, names):
        return "candid"
    if all(map(_looks_like_principal, filled)) and any(len(cell) > 1 for cell in filled):
        return "principal"
    lengths = {len(cell) for cell in sample}
    if _fits("text", filled, names) and (len(lengths) > 1 or not lengths <= set(_NUMBERS[:3])):
        return "text"
    return "nat" if len(lengths) == 1 and lengths <= set(_NUMBERS) else "hex"


def _looks_like_principal(cell: bytes) -> bool:
    """Return whether this looks like a self-authenticating, canister or anonymous principal (length, last bytes)."""
    match len(cell):
        case 29:
            return cell[-1] == _SELF_AUTHENTICATING
        case 10:
            return cell[-2:] == _CANISTER
        case _:
            return cell == _ANONYMOUS


def _fits(form: str, cells: list[bytes], names: FieldNames) -> bool:
    try:
        for cell in cells:
            FORMS[form](cell, names)
    except FormatMismatch:
        return False
    return True


def value(cell: Bytes, form: str, names: FieldNames = (), most: int = MOST) -> Any:
    """Read a cell in this format: text, a number, a principal; its bytes if the format does not fit, and only the first
    `MOST` of a cell longer than `most`."""
    data = cell.read(0, cell.size if cell.size <= most else MOST)
    if cell.size > most:
        if form != "text":
            return data
        data = _whole_characters(data)
    try:
        return FORMS[form](data, names)
    except FormatMismatch:
        return data


def _whole_characters(data: bytes) -> bytes:
    """Cut off an incomplete UTF-8 character at the end."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return data[: error.start] if error.reason == "unexpected end of data" else data
    return data


def shown(read: Any, form: str, size: int) -> str:
    """Return the text of a result of `value`, on one line or several; `size`: bytes of the cell."""
    if isinstance(read, bytes):
        text = read[:64].hex()
        return f"{text}... ({size:,} bytes)" if size > 64 else text or "(empty)"
    if isinstance(read, str) and form == "text":
        return f"{read[:512]}... ({size:,} bytes)" if size > 512 else read
    return number_text(read) if isinstance(read, int) else str(read)
