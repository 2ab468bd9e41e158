"""Maps of memories in the terminal."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from rich.text import Text

from sandbox.cli.render import output
from sandbox.snapshots.inspect import picture
from sandbox.snapshots.inspect.picture import CLASSES, Colour, Map, Style

_ROWS = 16
_COLUMNS = 64


def lines(drawn: Map, style: Style = CLASSES) -> Iterator[Text]:
    """Yield the lines of a map, in colours or else in signs, then the legend."""
    return _coloured(drawn, style) if output.coloured() else _plain(drawn, style)


def _coloured(drawn: Map, style: Style) -> Iterator[Text]:
    columns = min(128, shutil.get_terminal_size().columns)
    for line in picture.lines(drawn, columns, _ROWS, style):
        text = Text()
        for upper, lower in line:
            under = "" if lower is None else f" on {_rgb(picture.colour(lower, style))}"
            text.append("▀", f"{_rgb(picture.colour(upper, style))}{under}")
        yield text
    legend = Text()
    for look in style.looks.values():
        legend.append("■ ", _rgb(look.colour)).append(f"{look.label}  ")
    yield legend


def _rgb(colour: Colour) -> str:
    return f"rgb({colour[0]},{colour[1]},{colour[2]})"


def _plain(drawn: Map, style: Style) -> Iterator[Text]:
    columns = min(_COLUMNS, shutil.get_terminal_size().columns)
    yield from map(Text, picture.signs(drawn, columns, _ROWS, style))
    yield Text("  ".join(f"{look.sign} {look.label}" for look in style.looks.values()))
