"""Search texts in a memory, and print its bytes in hexadecimal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.snapshots.inspect.source import PIECE, Bytes, pieces, within

MAX_TEXT = 4096
"""The most characters of a text; a longer one is split."""
_CHARACTER = (
    rb"(?:[\t\x20-\x7e]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}"
    rb"|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})"
)
"""A printable character of ASCII, or any other character in UTF-8."""


@dataclass(frozen=True, slots=True)
class Found:
    """A text and the offset of its first byte."""

    offset: int
    text: str


def strings(
    source: Bytes, least: int = 6, pattern: re.Pattern[str] | None = None, first: int = 0, last: int | None = None
) -> Iterator[Found]:
    """Yield the runs of at least `least` printable UTF-8 characters, by offset; with a pattern only those that match.
    Reads only data between `first` and `last`."""
    if least < 1:
        raise ValueError(f"a text has at least 1 character, not {least}")
    likely = re.compile(rb"[\t\x20-\x7e\x80-\xf4]{%d,}" % least)
    run = re.compile(_CHARACTER + rb"{%d,%d}" % (least, max(least, MAX_TEXT)))
    for offset, data in _joined(source, first, last):
        for candidate in likely.finditer(data):
            for match in run.finditer(data, *candidate.span()):
                for start, text in _readable(match[0].decode()):
                    if len(text) >= least and (pattern is None or pattern.search(text)):
                        yield Found(offset + match.start() + start, text)


def _readable(text: str) -> Iterator[tuple[int, str]]:
    """Split a text at unassigned and invisible characters; yield the parts with the offsets of their bytes."""
    if text.isascii() or text.isprintable():
        yield 0, text
        return
    printable = "".join(char if char.isprintable() or char == "\t" else "\n" for char in text)
    for match in re.finditer(r"[^\n]+", printable):
        yield len(text[: match.start()].encode()), match[0]


def _joined(source: Bytes, first: int, last: int | None) -> Iterator[tuple[int, bytes]]:
    """Yield the data in pieces that do not end inside a text."""
    held, start = b"", 0
    tail = re.compile(_CHARACTER + rb"*(?:[\xc2-\xf4][\x80-\xbf]{0,2})?\Z")
    for offset, data in pieces(source, 1, first, last):
        if held and start + len(held) != offset:
            yield start, held
            held = b""
        if not held:
            start = offset
        held += data
        cut = tail.search(held[-MAX_TEXT * 4 :])
        keep = len(cut[0]) if cut and len(held) < 2 * PIECE else 0
        yield start, held[: len(held) - keep]
        start, held = start + len(held) - keep, held[len(held) - keep :]
    if held:
        yield start, held


def hexdump(source: Bytes, offset: int, length: int) -> Iterator[str]:
    """Yield lines of 16 bytes: offset, hexadecimal, characters. Lines of zeros are one `*`, as with `hexdump -C`.

    InspectError if the range is not inside.
    """
    within(source, offset, length, "a range")
    end = offset + length
    starred = False
    at = offset
    while at < end:
        data = source.read(at, min(PIECE, end - at))
        for start in range(0, len(data), 16):
            line = data[start : start + 16]
            middle = at + start - offset > 0 and at + start + 16 < end
            if middle and not any(line):
                if not starred:
                    yield "*"
                starred = True
                continue
            starred = False
            yield f"{at + start:08x}  {line[:8].hex(' '):23}  {line[8:].hex(' '):23}  |{_characters(line)}|"
        at += len(data)


def _characters(line: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in line)
