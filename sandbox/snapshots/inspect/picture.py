"""The map of a memory as a picture: in a file, one point for each page, and in a terminal, one sign for many.

Where a memory has more pages than a picture has points, a point stands for several: it has the colour of the class that
most of them have, zero pages not counted, and is the paler the more of them are zero.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from sandbox.snapshots.inspect.pages import Page, PageMap

COLOURS = {
    Page.ZERO: (24, 26, 32),
    Page.STRUCTURED: (66, 135, 245),
    Page.TEXT: (80, 200, 120),
    Page.ENTROPY: (240, 110, 70),
}
SIGNS = {Page.ZERO: "·", Page.STRUCTURED: "▒", Page.TEXT: "t", Page.ENTROPY: "█"}
"""Without colours, the classes by signs."""
MAX_POINTS = 1 << 20
_WIDTH = 1024
_LEGEND = 24

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Point:
    """`share`: how many of its pages are of the class, or not zero; 0 to 1."""

    kind: Page
    share: float


EMPTY = Point(Page.ZERO, 0.0)


@dataclass(frozen=True, slots=True)
class Points:
    """`count` points in the order of the pages, of which `dots` has those that are not empty; `each`: how many pages
    one stands for."""

    count: int
    each: int
    dots: dict[int, Point]

    def row(self, start: int, length: int) -> list[Point]:
        """Those from `start` on, at most `length`."""
        return [self.dots.get(n, EMPTY) for n in range(start, min(start + length, self.count))]


def points(found: PageMap, most: int) -> Points:
    """At most `most` points."""
    each = max(1, -(-found.pages // most))
    groups: dict[int, Counter[Page]] = {}
    for index, kind in found.classes.items():
        groups.setdefault(index // each, Counter())[kind] += 1
    dots = {}
    for place, counts in groups.items():
        kind, _ = max(counts.items(), key=lambda entry: (entry[1], entry[0]))
        dots[place] = Point(kind, counts.total() / each)
    return Points(-(-found.pages // each), each, dots)


def colour(point: Point) -> Colour:
    """Never as dark as a zero page if there is anything."""
    weight = 0.35 + 0.65 * point.share if point.share else 0.0
    zero, full = COLOURS[Page.ZERO], COLOURS[point.kind]
    return (_mix(zero[0], full[0], weight), _mix(zero[1], full[1], weight), _mix(zero[2], full[2], weight))


def _mix(low: int, high: int, weight: float) -> int:
    return round(low + (high - low) * weight)


def write_png(found: PageMap, path: Path, title: str = "") -> int:
    """Write the map as a PNG with a legend; returns how many pages a point stands for."""
    drawn = points(found, MAX_POINTS)
    columns = min(_WIDTH, max(64, 1 << math.ceil(math.log2(max(drawn.count, 1)) / 2)))
    rows = max(1, -(-drawn.count // columns))
    scale = max(1, min(_WIDTH // columns, 512 // rows)) if rows < 512 else 1
    pixels = bytearray(bytes(COLOURS[Page.ZERO]) * drawn.count).ljust(3 * columns * rows, b"\0")
    for place, point in drawn.dots.items():
        pixels[3 * place : 3 * place + 3] = bytes(colour(point))
    plain = Image.frombytes("RGB", (columns, rows), bytes(pixels))
    body = plain.resize((columns * scale, rows * scale), Image.Resampling.NEAREST)
    whole = Image.new("RGB", (max(body.width, 640), body.height + _LEGEND), (255, 255, 255))
    whole.paste(body, (0, _LEGEND))
    _legend(whole, found, title, drawn.each)
    whole.save(path, "PNG")
    return drawn.each


def _legend(whole: Image.Image, found: PageMap, title: str, each: int) -> None:
    draw = ImageDraw.Draw(whole)
    at = 6
    unit = f"1 point = {each} page{'s' * (each > 1)} of {found.page // 1024} KiB"
    for text, kind in [*((f"{kind.label} {found.counts[kind.label]}", kind) for kind in Page), (unit, None)]:
        if kind is not None:
            draw.rectangle((at, 7, at + 9, 16), fill=COLOURS[kind])
            at += 14
        draw.text((at, 6), text, fill=(0, 0, 0))
        at += round(draw.textlength(text)) + 14
    draw.text((at, 6), title, fill=(0, 0, 0))


def lines(found: PageMap, columns: int, rows: int) -> Iterator[list[tuple[Point, Point | None]]]:
    """Rows for a terminal: each cell shows two points, the upper and the lower half of a sign."""
    drawn = points(found, columns * rows * 2)
    for start in range(0, drawn.count, columns * 2):
        upper, lower = drawn.row(start, columns), drawn.row(start + columns, columns)
        yield [(point, lower[n] if n < len(lower) else None) for n, point in enumerate(upper)]


def signs(found: PageMap, columns: int, rows: int) -> Iterator[str]:
    """Rows for where there are no colours: each sign is one point."""
    drawn = points(found, columns * rows)
    for start in range(0, drawn.count, columns):
        yield "".join(SIGNS[point.kind] for point in drawn.row(start, columns))
