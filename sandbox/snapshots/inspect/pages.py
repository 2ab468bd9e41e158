"""Classify the pages of a memory by the kind of their data.

A page is one of: absent or all zeros; text (nine in ten bytes are printable or line ends, zeros aside); high entropy
(compressed, encrypted or random: the bytes of the page are nearly equally frequent); structured, which is everything
else. Only extents are read.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from sandbox.snapshots.inspect.source import Bytes, pieces

SIZES = (4096, 65536)
_TEXTUAL = bytes(range(0x20, 0x7F)) + b"\t\n\r"
_NOT_ZERO = bytes(range(1, 256))
_TEXT_SHARE = 0.9
_LEAST_TEXT = 64
"""A page with fewer bytes that are not zero is structured: counters, pointers, headers."""
_HIGH_ENTROPY = {4096: 7.7, 65536: 7.95}
"""Bits per byte: random bytes reach 7.95 in 4 KiB and 7.997 in 64 KiB; machine code stays below 6.5."""

_COMMON = (0x01, 0x20, 0x41, 0x65, 0x80, 0xFF)
"""Counting a few bytes that structures and texts are full of spares most pages the exact measure."""


class Page(IntEnum):
    """The class of a page."""

    ZERO = 0
    STRUCTURED = 1
    TEXT = 2
    ENTROPY = 3

    @property
    def label(self) -> str:
        return ("zero", "structured", "text", "high entropy")[self]


@dataclass(frozen=True)
class PageMap:
    """The classes of all pages of a memory; pages that are not in `classes` are zero."""

    size: int
    page: int
    classes: dict[int, Page]

    @property
    def pages(self) -> int:
        return -(-self.size // self.page)

    @property
    def counts(self) -> dict[str, int]:
        """The number of pages of each class, by its label."""
        counts = Counter(self.classes.values())
        counts[Page.ZERO] = self.pages - len(self.classes)
        return {kind.label: counts[kind] for kind in Page}


def page_map(source: Bytes, page: int = 4096) -> PageMap:
    """Return the map of a memory in pages of 4,096 or 65,536 bytes; costs the memory's data."""
    if page not in SIZES:
        raise ValueError(f"a page is {' or '.join(map(str, SIZES))} bytes, not {page}")
    return PageMap(source.size, page, dict(_classes(source, page)))


def _classes(source: Bytes, page: int) -> Iterator[tuple[int, Page]]:
    for offset, data in pieces(source, page):
        for start in range(0, len(data), page):
            kind = classify(data[start : start + page])
            if kind is not Page.ZERO:
                yield (offset + start) // page, kind


def classify(data: bytes) -> Page:
    """Return the class of the bytes of one page."""
    zeros = data.count(0)
    rest = len(data) - zeros
    if not rest:
        return Page.ZERO
    if rest >= _LEAST_TEXT:
        textual = len(data) - len(data.translate(None, _TEXTUAL))
        if textual >= _TEXT_SHARE * rest:
            return Page.TEXT
    most = 3 * len(data) // 256
    uneven = zeros > most or any(data.count(byte) > most for byte in _COMMON)
    if not uneven and entropy(data) >= _HIGH_ENTROPY.get(len(data), 7.7):
        return Page.ENTROPY
    return Page.STRUCTURED


def entropy(data: bytes) -> float:
    """Return the entropy in bits per byte."""
    total = len(data)
    return math.log2(total) - sum(n * math.log2(n) for n in Counter(data).values()) / total
