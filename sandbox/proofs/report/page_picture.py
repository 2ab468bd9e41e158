"""The pages of a memory as an inline picture."""

from __future__ import annotations

import base64
import io

from sandbox.markup import Html, element
from sandbox.snapshots.inspect.picture import CLASSES, Map, Style, drawn

_MOST_POINTS = 1 << 16


def page_map(title: str, pages: Map, style: Style = CLASSES) -> Html:
    """Return a figure with a point for each page of a memory, or for several, and a legend with counts. `pages`: an
    `inspect.pages.PageMap`, or a `diff.picture.FateMap` with `diff.picture.STYLE`."""
    image, each = drawn(pages, style, _MOST_POINTS)
    data = io.BytesIO()
    image.save(data, "PNG", optimize=True)
    source = f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
    unit = f"a point is {each:,} page{'s' * (each > 1)} of {pages.page // 1024} KiB"
    legend = [
        element(
            "span",
            element("span", class_="swatch", style=f"background: rgb{look.colour}"),
            f"{look.label} {pages.counts[look.label]:,}",
        )
        for look in style.looks.values()
    ]
    picture = element("img", src=source, alt=f"{title}: {unit}", width=image.width, height=image.height)
    return element(
        "figure", element("figcaption", f"{title}, {unit}"), picture, element("div", legend, class_="legend")
    )
