"""Line plots of one or more series over steps, as inline SVG in the colours of the page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sandbox.markup import Html, element

_WIDTH, _HEIGHT = 560, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 10, 24
_TICKS = 4
_COLOURS = 5
_MOST_POINTS = 400
"""Points of a curve; of more values, the greatest of each group is drawn."""
_MOST_DOTS = 60
"""Points of the longest curve with marked points."""

Series = Sequence[float | None]
"""One value for each step; None where there is none."""


def line_plot(title: str, series: Mapping[str, Series], labels: Sequence[str] = (), unit: str = "") -> Html:
    """Return a figure with a curve for each series, from zero up. `labels`: the name of each step, shown at its point;
    at most five series have colours of their own."""
    length = max((len(values) for values in series.values()), default=0)
    known = [value for values in series.values() for value in values if value is not None]
    if not known:
        return element("figure", element("figcaption", title), element("p", "no values", class_="dim"))
    scale = _Scale(length, *_nice(max(known)))
    curves = [
        _curve(scale, name, values, labels, f"s{place % _COLOURS + 1}")
        for place, (name, values) in enumerate(series.items())
    ]
    drawing = element(
        "svg",
        *_axes(scale),
        *curves,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width=_WIDTH,
        height=_HEIGHT,
        role="img",
        aria_label=title,
    )
    caption = f"{title} ({unit})" if unit else title
    return element("figure", element("figcaption", caption), drawing, _legend(series))


@dataclass(frozen=True, slots=True)
class _Scale:
    """The mapping from steps and values to points of the drawing."""

    length: int
    top: float
    tick: float

    def x(self, step: int) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (step / (self.length - 1) if self.length > 1 else 0.5)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / self.top


def _nice(most: float) -> tuple[float, float]:
    """Return the top of an axis for values up to `most`, and the distance of its ticks."""
    if most <= 0:
        return 1.0, 1.0
    raw = most / _TICKS
    power: float = 10.0 ** math.floor(math.log10(raw))
    tick = power * next(step for step in (1, 2, 2.5, 5, 10) if step * power >= raw * 0.999)
    return tick * math.ceil(most / tick * 0.999), tick


def _axes(scale: _Scale) -> Iterator[Html]:
    for place in range(round(scale.top / scale.tick) + 1):
        value = place * scale.tick
        y = round(scale.y(value), 1)
        yield element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="grid")
        yield element("text", _short(value), x=_LEFT - 6, y=y + 4, text_anchor="end")
    steps = sorted({0, *(round((scale.length - 1) * part / 5) for part in range(1, 6))})
    for step in steps:
        yield element("text", step + 1, x=round(scale.x(step), 1), y=_HEIGHT - 7, text_anchor="middle")


def _curve(scale: _Scale, name: str, values: Series, labels: Sequence[str], colour: str) -> Html:
    points = [(step, value) for step, value in _thinned(values) if value is not None]
    path = " ".join(f"{scale.x(step):.1f},{scale.y(value):.1f}" for step, value in points)
    line = element("polyline", points=path, class_=f"curve {colour}")
    if len(points) > _MOST_DOTS:
        return line
    dots = [
        element("circle", element("title", _tip(name, step, value, labels)), cx=x, cy=y, r=3, class_=colour)
        for step, value in points
        for x, y in [(round(scale.x(step), 1), round(scale.y(value), 1))]
    ]
    return element("g", line, dots)


def _thinned(values: Series) -> Iterator[tuple[int, float | None]]:
    each = max(1, -(-len(values) // _MOST_POINTS))
    for start in range(0, len(values), each):
        group = [
            (value, start + place) for place, value in enumerate(values[start : start + each]) if value is not None
        ]
        if group:
            value, step = max(group)
            yield step, value


def _tip(name: str, step: int, value: float, labels: Sequence[str]) -> str:
    label = f" {labels[step]}" if step < len(labels) else ""
    return f"{step + 1}{label}: {name} {value:,.10g}"


def _short(value: float) -> str:
    """Return a number for an axis, such as `2.5 M`."""
    for size, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def _legend(series: Mapping[str, Series]) -> Html | None:
    if len(series) < 2:
        return None
    names = [
        element("span", element("span", class_=f"swatch s{place % _COLOURS + 1}"), name)
        for place, name in enumerate(series)
    ]
    return element("div", names, class_="legend")
