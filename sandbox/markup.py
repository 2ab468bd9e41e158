"""HTML as a separate type: all other text is escaped, so that no output of a canister becomes markup."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import TypeAlias

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_VOID = frozenset({"br", "img", "input", "link", "meta"})


@dataclass(frozen=True, slots=True)
class Html:
    """A piece of HTML for the page."""

    text: str

    def __str__(self) -> str:
        return self.text


Content: TypeAlias = "Html | str | int | float | Iterable[Content] | None"
"""The content of an element: HTML unchanged, other values as text, nothing for None, the items of an iterable."""


def text_of(value: object) -> str:
    """Return text escaped for an element or an attribute; characters that HTML forbids become U+FFFD."""
    return escape(_UNPRINTABLE.sub("\ufffd", str(value)), quote=True)


def joined(*content: Content) -> Html:
    """Return the content as one piece."""
    return Html("".join(_pieces(content)))


def element(tag: str, *content: Content, **attributes: object) -> Html:
    """Return an element. Attributes: a trailing `_` is dropped, other `_` become `-`; None and False are left out."""
    return Html(f"<{tag}{''.join(map(_attribute, attributes.items()))}>{_body(tag, content)}")


def _body(tag: str, content: Iterable[Content]) -> str:
    return "" if tag in _VOID else f"{''.join(_pieces(content))}</{tag}>"


def _attribute(item: tuple[str, object]) -> str:
    name, value = item
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{text_of(value)}"'


def _pieces(content: Iterable[Content]) -> Iterable[str]:
    for item in content:
        if isinstance(item, Html):
            yield item.text
        elif isinstance(item, str | int | float):
            yield text_of(item)
        elif item is not None:
            yield from _pieces(item)
