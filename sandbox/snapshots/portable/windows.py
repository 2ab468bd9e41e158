"""Windows of 1 MiB, each a bitmap of its 4 KiB pages and the bytes of those that are not zero."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from sandbox.limits import MIB
from sandbox.memory import Readable, Run

WINDOW: Final = MIB
PAGE: Final = 4096
PAGES: Final = WINDOW // PAGE
_ZEROS: Final = bytes(PAGE)


class Span(NamedTuple):
    """The bytes [low, high) of a part: whole pages in window `number`, which is zero elsewhere."""

    number: int
    low: int
    high: int


class Window(NamedTuple):
    """A window without its zero pages. `pages`: bit k for page k of window `number`; `data`: the pages set, joined.

    Pages of zeros have no bit. Only the last page of a part may be shorter.
    """

    number: int
    pages: int
    data: bytes


def spans(source: Readable) -> list[Span]:
    """Return where data may be: one span for each window that may hold some, ascending."""
    result: list[Span] = []
    for start, end in _whole_pages(source.extents(), source.size):
        for number in range(start // WINDOW, -(-end // WINDOW)):
            low, high = max(start, number * WINDOW), min(end, (number + 1) * WINDOW)
            if result and result[-1].number == number:
                result[-1] = Span(number, result[-1].low, high)
            else:
                result.append(Span(number, low, high))
    return result


def load(source: Readable) -> int:
    """Return the sum of the lengths of the spans, in bytes."""
    return sum(span.high - span.low for span in spans(source))


def _whole_pages(runs: Iterable[Run], size: int) -> Iterator[tuple[int, int]]:
    for start, length in runs:
        yield start // PAGE * PAGE, min(-(-(start + length) // PAGE) * PAGE, size)


def packed(source: Readable, span: Span) -> Window:
    """Read a window and drop its zero pages."""
    data = source.read(span.low, span.high - span.low)
    first = (span.low - span.number * WINDOW) // PAGE
    places = range(0, len(data), PAGE)
    kept = [place for place in places if not data.startswith(_ZEROS, place)]
    tail = len(data) % PAGE
    if tail and data.endswith(bytes(tail)):
        kept.pop()
    if len(kept) == len(places):
        return Window(span.number, ((1 << len(places)) - 1) << first, data)
    pages = 0
    for place in kept:
        pages |= 1 << (first + place // PAGE)
    return Window(span.number, pages, b"".join([data[place : place + PAGE] for place in kept]))


def page_runs(number: int, pages: int, size: int) -> list[Run]:
    """Return the ascending runs of a window's pages in a part of `size` bytes."""
    runs: list[Run] = []
    start, rest = number * WINDOW, pages
    while rest:
        skip = (rest & -rest).bit_length() - 1
        rest >>= skip
        count = (~rest & (rest + 1)).bit_length() - 1
        rest >>= count
        start += skip * PAGE
        runs.append((start, min(count * PAGE, size - start)))
        start += count * PAGE
    return runs


def length_of(number: int, pages: int, size: int) -> int:
    """Return the length in bytes of a window's `data`."""
    return sum(length for _, length in page_runs(number, pages, size))


def pieces(window: Window, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield offsets in the part and the bytes there; everything else in the window is zero."""
    position = 0
    for start, length in page_runs(window.number, window.pages, size):
        yield start, window.data[position : position + length]
        position += length


def expanded(window: Window, size: int) -> bytes:
    """Return the window with its zeros, clipped to a part of `size` bytes."""
    length = min(WINDOW, size - window.number * WINDOW)
    if len(window.data) == length:
        return window.data
    data = bytearray(length)
    for start, piece in pieces(window, size):
        place = start - window.number * WINDOW
        data[place : place + len(piece)] = piece
    return bytes(data)
