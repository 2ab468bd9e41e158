"""The flame graph of a profile as SVG: one file, no script, nothing loaded from elsewhere.

The root is at the top. The width of a frame is its instructions with those of its callees; its title, shown when the
pointer rests on it, has the numbers.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sandbox.markup import Html, element
from sandbox.profile.call_tree import CallTree, Frame, FrameKind

_WIDTH: Final = 1200
_MARGIN: Final = 10
_ROW: Final = 18
_HEAD: Final = 58
_CHARACTER: Final = 6.65
"""Width of a character, in units of the drawing."""
_NARROWEST: Final = 0.2
"""A frame that is narrower is not drawn, nor are its callees."""
MOST_ROWS: Final = 200
"""Rows drawn; what is deeper has its place in the width of its callers alone."""

_STYLE: Final = """
svg { background: #fff; font: 11px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
text { fill: #1c2128; pointer-events: none; }
.title { font: bold 16px system-ui, sans-serif; }
.legend { font: 12px system-ui, sans-serif; }
rect { stroke: #fff; stroke-width: .5; }
g:hover > rect { stroke: #000; stroke-width: 1; }
"""
_PALETTE: Final[dict[FrameKind, tuple[str, ...]]] = {
    FrameKind.ROOT: ("#d5d9df",),
    FrameKind.ENTRY: ("#a9d8b8",),
    FrameKind.FUNCTION: ("#f6c177", "#f2b263", "#f7cf8f", "#f3a974", "#f5bd8c", "#efc45f", "#f4d27a", "#eeb287"),
    FrameKind.SYSTEM: ("#a5c8f0",),
    FrameKind.CHARGE: ("#cbb5e8",),
}
_LEGEND: Final = (
    (FrameKind.ENTRY, "entry point"),
    (FrameKind.FUNCTION, "function"),
    (FrameKind.SYSTEM, "call of the system"),
    (FrameKind.CHARGE, "charged after the execution"),
)


@dataclass(frozen=True, slots=True)
class _Box:
    """The place of a node, in units of the drawing."""

    node: int
    row: int
    left: float
    width: float


def svg(tree: CallTree, names: Mapping[Frame, str]) -> str:
    """Return the flame graph as an SVG document."""
    totals = tree.totals()
    boxes = list(_boxes(tree, totals))
    drawn = [_drawn(tree, totals, names, box) for box in boxes]
    height = _HEAD + _ROW * (1 + max(box.row for box in boxes)) + _MARGIN
    title = f"{totals[0]:,} instructions"
    if tree.depth() > MOST_ROWS:
        title += f", the outermost {MOST_ROWS} calls of each path"
    document = element(
        "svg",
        element("style", Html(_STYLE)),
        element("text", title, x=_MARGIN, y=24, class_="title"),
        list(_legend()),
        drawn,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {height}",
        width=_WIDTH,
        height=height,
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{document}\n'


def _boxes(tree: CallTree, totals: list[int]) -> Iterator[_Box]:
    """Yield the boxes to draw, callers first. A function's callees begin at its left edge, widest first."""
    scale = (_WIDTH - 2 * _MARGIN) / max(totals[0], 1)
    rows: list[int] = []
    ends: list[int] = [0]
    for node, begins in tree.walk():
        if not begins:
            rows.pop()
            ends.pop()
            continue
        row, start = len(rows), ends[-1]
        ends[-1] += totals[node]
        rows.append(node)
        ends.append(start)
        width = totals[node] * scale if totals[0] else _WIDTH - 2 * _MARGIN
        if row < MOST_ROWS and width >= _NARROWEST:
            yield _Box(node, row, _MARGIN + start * scale, width)


def _drawn(tree: CallTree, totals: list[int], names: Mapping[Frame, str], box: _Box) -> Html:
    frame, own, total = tree.frames[box.node], tree.own[box.node], totals[box.node]
    name = names[frame]
    lines = [name, f"{total:,} instructions ({_percent(total, totals[0])}), {own:,} of its own"]
    if frame.kind is not FrameKind.ROOT:
        lines.append(f"{tree.calls[box.node]:,} {'executions' if frame.kind is FrameKind.ENTRY else 'calls'}")
    y = _HEAD + box.row * _ROW
    label = _label(name, box.width)
    return element(
        "g",
        element("title", "\n".join(lines)),
        element(
            "rect", x=round(box.left, 2), y=y, width=round(box.width, 2), height=_ROW - 1, rx=1.5, fill=_colour(frame)
        ),
        element("text", label, x=round(box.left + 3, 2), y=y + 12.5) if label else None,
    )


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.2f} %"


def _label(name: str, width: float) -> str:
    """Return the name cut to a width: of a path, such as `core::fmt::write`, the end stays."""
    room = int((width - 6) / _CHARACTER)
    if len(name) <= room:
        return name
    if room < 4:
        return ""
    return f"…{name[1 - room :]}" if "::" in name else f"{name[: room - 1]}…"


def _colour(frame: Frame) -> str:
    colours = _PALETTE[frame.kind]
    return colours[zlib.crc32(frame.name.encode(errors="replace")) % len(colours)]


def _legend() -> Iterator[Html]:
    left = float(_MARGIN)
    for kind, text in _LEGEND:
        yield element("rect", x=left, y=36, width=12, height=12, fill=_PALETTE[kind][0])
        yield element("text", text, x=left + 17, y=46, class_="legend")
        left += 40 + 6.4 * len(text)
