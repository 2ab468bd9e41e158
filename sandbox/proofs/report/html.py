"""Building blocks of self-contained report pages: no script, no file beside them, nothing loaded from elsewhere.

    text = page("Upgrade of people", section("Verdict", badge("safe", "good"), table(["step", "result"], rows)))

Every text is escaped; only what these functions return (`Html`) is markup. Pages follow the reader's choice of light or
dark. A kind is `good`, `warn`, `bad` or `plain`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sandbox import __version__
from sandbox.markup import Content, Html, element, joined
from sandbox.proofs.report.page_picture import page_map
from sandbox.proofs.report.plot import Series, line_plot
from sandbox.proofs.report.style import CSS

__all__ = [
    "Cell",
    "Content",
    "Html",
    "Kind",
    "Series",
    "badge",
    "code",
    "details",
    "element",
    "fields",
    "joined",
    "line_plot",
    "note",
    "page",
    "page_map",
    "paragraph",
    "row",
    "section",
    "table",
]

Kind = Literal["good", "warn", "bad", "plain"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
MOST_CODE = 100_000
"""Characters of a text on a page; the rest is cut, with a remark."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table in the colour of its kind. `tip`: text shown when the pointer rests on it."""

    content: Content
    kind: Kind = "plain"
    tip: str | None = None


def page(title: str, *content: Content, lead: Content = None) -> str:
    """Return a whole page as text. `lead`: a line below the title."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("title", title),
        Html(f"<style>{CSS}</style>"),
    )
    body = element(
        "body",
        element("h1", title),
        None if lead is None else element("p", lead, class_="lead"),
        content,
        element("footer", f"canister-sandbox {__version__}"),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def section(title: Content, *content: Content, level: int = 2, anchor: str | None = None) -> Html:
    """Return a section with a heading of level 2 to 4. `anchor`: the name by which `#name` links to it."""
    return element("section", element(f"h{level}", title, id=anchor), content)


def paragraph(*content: Content, dim: bool = False) -> Html:
    """Return a paragraph; a `dim` one is in the background."""
    return element("p", content, class_="dim" if dim else None)


def note(kind: Kind, *content: Content) -> Html:
    """Return a remark with a bar in the colour of its kind."""
    return element("div", content, class_=f"note {kind}")


def badge(text: str, kind: Kind = "plain") -> Html:
    """Return a word in the colour of its kind."""
    return element("span", text, class_=f"badge {kind}")


def code(text: str) -> Html:
    """Return text of several lines as it is, cut to `MOST_CODE` characters."""
    cut = f"\n... {len(text) - MOST_CODE:,} more characters" if len(text) > MOST_CODE else ""
    return element("pre", text[:MOST_CODE] + cut)


def details(summary: Content, *content: Content, opened: bool = False) -> Html:
    """Return content that a click on its summary shows."""
    return element("details", element("summary", summary), content, open=opened)


def fields(pairs: Mapping[str, Content]) -> Html:
    """Return names and values, one pair a line."""
    return element("dl", [joined(element("dt", name), element("dd", value)) for name, value in pairs.items()])


def row(*content: Content) -> Html:
    """Return figures side by side where the page is wide enough."""
    return element("div", content, class_="row")


def table(headers: Sequence[Content], rows: Iterable[Iterable[Content | Cell]], right: Collection[str] = ()) -> Html:
    """Return a table; columns whose header is in `right` are aligned to the right."""
    sides = ["right" if header in right else None for header in headers]
    top = element("tr", [element("th", header, class_=side) for header, side in zip(headers, sides, strict=True)])
    lines = [element("tr", [_cell(value, side) for value, side in zip(cells, sides, strict=True)]) for cells in rows]
    return element("div", element("table", element("thead", top), element("tbody", lines)), class_="wide")


def _cell(value: Content | Cell, side: str | None) -> Html:
    if isinstance(value, Cell):
        return element("td", value.content, class_=" ".join(filter(None, (side, value.kind))), title=value.tip)
    return element("td", value, class_=side)
