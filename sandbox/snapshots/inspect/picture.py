"""Draw the map of a memory: in a file, one point for each page, and in a terminal, one sign for several.

Where a memory has more pages than a picture has points, a point stands for several: it has the colour of the most
frequent class, zero pages not counted, and is the paler the more of them are zero.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Protocol

from PIL import Image, ImageDraw

from sandbox.snapshots.inspect.pages import Page

Colour = tuple[int, int, int]
MAX_POINTS = 1 << 20
_WIDTH = 1024
_LEGEND = 42
"""Pixels above a map: a line with the title, one with the classes."""
_AXIS = 92
"""Pixels left of a map."""
_MARK = 40
"""Least pixels between two marks of the axis."""


class Map(Protocol):
    """Pages and their classes; pages that are not in `classes` have class 0."""

    @property
    def page(self) -> int:
        """Bytes of a page."""

    @property
    def pages(self) -> int:
        """The number of pages."""

    @property
    def classes(self) -> Mapping[int, IntEnum]: ...

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of pages of each class, by its label."""


@dataclass(frozen=True)
class Look:
    """The look of a class of pages. `sign`: for output without colours."""

    label: str
    colour: Colour
    sign: str


def _most(counts: Counter[IntEnum]) -> IntEnum:
    return max(counts.items(), key=lambda entry: (entry[1], entry[0]))[0]


@dataclass(frozen=True)
class Style:
    """The looks of classes, class 0 first. `chosen` selects the class of a point with pages of several classes."""

    looks: Mapping[IntEnum, Look]
    chosen: Callable[[Counter[IntEnum]], IntEnum] = _most

    @property
    def zero(self) -> IntEnum:
        return next(iter(self.looks))


CLASSES = Style(
    {
        Page.ZERO: Look(Page.ZERO.label, (24, 26, 32), "·"),
        Page.STRUCTURED: Look(Page.STRUCTURED.label, (66, 135, 245), "▒"),
        Page.TEXT: Look(Page.TEXT.label, (80, 200, 120), "t"),
        Page.ENTROPY: Look(Page.ENTROPY.label, (240, 110, 70), "█"),
    }
)


@dataclass(frozen=True, slots=True)
class Point:
    """A point. `share`: the share of its pages that are not of class 0, from 0 to 1."""

    kind: IntEnum
    share: float


@dataclass(frozen=True, slots=True)
class Points:
    """`count` points in the order of the pages; `dots` has those that are not empty; `each`: pages per point."""

    count: int
    each: int
    dots: dict[int, Point]

    empty: Point

    def row(self, start: int, length: int) -> list[Point]:
        """Return at most `length` points from `start` on."""
        return [self.dots.get(n, self.empty) for n in range(start, min(start + length, self.count))]


def points(page_map: Map, most: int, style: Style = CLASSES) -> Points:
    """Return the points of a map, at most `most`."""
    each = max(1, -(-page_map.pages // most))
    groups: dict[int, Counter[IntEnum]] = {}
    for index, kind in page_map.classes.items():
        groups.setdefault(index // each, Counter())[kind] += 1
    dots = {place: Point(style.chosen(counts), counts.total() / each) for place, counts in groups.items()}
    return Points(-(-page_map.pages // each), each, dots, Point(style.zero, 0.0))


def colour(point: Point, style: Style = CLASSES) -> Colour:
    """Return the colour of a point; one that is not empty is never as dark as a zero page."""
    weight = 0.35 + 0.65 * point.share if point.share else 0.0
    zero, full = style.looks[style.zero].colour, style.looks[point.kind].colour
    return (_mix(zero[0], full[0], weight), _mix(zero[1], full[1], weight), _mix(zero[2], full[2], weight))


def _mix(low: int, high: int, weight: float) -> int:
    return round(low + (high - low) * weight)


def write_png(maps: Mapping[str, Map], path: Path, style: Style = CLASSES) -> dict[str, int]:
    """Write maps, by their titles, as one PNG with legends; return the pages per point of each."""
    titled = {title: _titled(page_map, title, style) for title, page_map in maps.items()}
    images = [image for image, _ in titled.values()]
    whole = Image.new(
        "RGB", (max(image.width for image in images), sum(image.height for image in images)), (255, 255, 255)
    )
    top = 0
    for image in images:
        whole.paste(image, (0, top))
        top += image.height
    whole.save(path, "PNG")
    return {title: each for title, (_, each) in titled.items()}


def drawn(page_map: Map, style: Style = CLASSES, most: int = MAX_POINTS) -> tuple[Image.Image, int]:
    """Return the picture of a map with at most `most` points, and the pages per point."""
    plan = points(page_map, most, style)
    columns, rows, scale = _layout(plan)
    pixels = bytearray(bytes(style.looks[style.zero].colour) * plan.count).ljust(3 * columns * rows, b"\0")
    for place, point in plan.dots.items():
        pixels[3 * place : 3 * place + 3] = bytes(colour(point, style))
    plain = Image.frombytes("RGB", (columns, rows), bytes(pixels))
    return plain.resize((columns * scale, rows * scale), Image.Resampling.NEAREST), plan.each


def _layout(plan: Points) -> tuple[int, int, int]:
    """Return the points in a row, the rows, and the width of a point in pixels."""
    columns = min(_WIDTH, max(64, 1 << math.ceil(math.log2(max(plan.count, 1)) / 2)))
    rows = max(1, -(-plan.count // columns))
    return columns, rows, max(1, min(_WIDTH // columns, 512 // rows)) if rows < 512 else 1


def axis(page_map: Map, style: Style = CLASSES, most: int = MAX_POINTS) -> list[tuple[int, int]]:
    """Return the marks of the address axis: the distance from the top of the picture in pixels, and the address there.
    There is one every `_MARK` pixels, or one a row where rows are higher."""
    plan = points(page_map, most, style)
    columns, rows, scale = _layout(plan)
    step = max(1, -(-_MARK // scale))
    return [(row * scale, row * columns * plan.each * page_map.page) for row in range(0, rows, step)]


def _titled(page_map: Map, title: str, style: Style) -> tuple[Image.Image, int]:
    body, each = drawn(page_map, style)
    whole = Image.new("RGB", (max(body.width + _AXIS, 640), max(body.height, _MARK) + _LEGEND), (255, 255, 255))
    whole.paste(body, (_AXIS, _LEGEND))
    draw = ImageDraw.Draw(whole)
    unit = f"1 point = {each} page{'s' * (each > 1)} of {page_map.page // 1024} KiB, addresses in bytes"
    draw.text((6, 4), f"{title}: {page_map.pages * page_map.page:,} bytes, {unit}", fill=(0, 0, 0))
    _legend(draw, page_map, style)
    for top, address in axis(page_map, style):
        draw.text((6, _LEGEND + top), f"{address:#x}", fill=(90, 90, 90))
        draw.line((_AXIS - 8, _LEGEND + top, _AXIS - 2, _LEGEND + top), fill=(90, 90, 90))
    return whole, each


def _legend(draw: ImageDraw.ImageDraw, page_map: Map, style: Style) -> None:
    at = 6
    for look in style.looks.values():
        draw.rectangle((at, _LEGEND - 17, at + 9, _LEGEND - 8), fill=look.colour)
        at += 14
        text = f"{look.label} {page_map.counts[look.label]}"
        draw.text((at, _LEGEND - 18), text, fill=(0, 0, 0))
        at += round(draw.textlength(text)) + 14


Line = list[tuple[Point, Point | None]]


def lines(page_map: Map, columns: int, rows: int, style: Style = CLASSES) -> Iterator[Line]:
    """Yield rows for a terminal: each cell shows two points, as the upper and the lower half of a sign."""
    plan = points(page_map, columns * rows * 2, style)
    for start in range(0, plan.count, columns * 2):
        upper, lower = plan.row(start, columns), plan.row(start + columns, columns)
        yield [(point, lower[n] if n < len(lower) else None) for n, point in enumerate(upper)]


def signs(page_map: Map, columns: int, rows: int, style: Style = CLASSES) -> Iterator[str]:
    """Yield rows for output without colours: each sign is one point."""
    plan = points(page_map, columns * rows, style)
    for start in range(0, plan.count, columns):
        yield "".join(style.looks[point.kind].sign for point in plan.row(start, columns))
