"""Layout of nested text: on one line where it fits, else one item a line, indented by two."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, Union

LINE_WIDTH = 80

Doc: TypeAlias = Union[str, "Block", "tuple[Doc, ...]"]
"""Text, a block, or several of them in a row."""


class Block:
    """Items between an opening and a closing mark.

    `pad` surrounds the items on one line; `last` follows the last one when the block is broken; `one_line` forbids
    breaking it.
    """

    __slots__ = ("closing", "items", "last", "one_line", "opening", "pad", "separator", "width")

    def __init__(
        self,
        marks: tuple[str, str, str],
        items: Iterable[Doc],
        *,
        pad: str = "",
        last: str | None = None,
        one_line: bool = False,
    ) -> None:
        self.opening, self.separator, self.closing = marks
        self.last = self.separator if last is None else last
        self.items = tuple(items)
        self.pad = pad if self.items else ""
        self.one_line = one_line
        gaps = max(len(self.items) - 1, 0) * (len(self.separator) + 1)
        ends = len(self.opening) + len(self.closing) + 2 * len(self.pad)
        self.width = ends + gaps + _width(self.items)


def parenthesised(items: Iterable[Doc]) -> Block:
    """Return the block `(a, b)`."""
    return Block(("(", ",", ")"), items)


def braced(items: Iterable[Doc], *, one_line: bool = False) -> Block:
    """Return the block `{ a; b }`."""
    return Block(("{", ";", "}"), items, pad=" ", one_line=one_line)


def alone(item: Doc) -> Block:
    """Return the block `{ a }`: the case of a variant value, which no separator may follow."""
    return Block(("{", ";", "}"), (item,), pad=" ", last="")


def render(doc: Doc, width: int = LINE_WIDTH) -> str:
    """Return the text of `doc`; a block that would end beyond `width` is broken, unless it begins there."""
    out: list[str] = []
    column = 0
    todo: list[tuple[int, bool, Doc]] = [(0, False, doc)]
    while todo:
        indent, flat, part = todo.pop()
        if isinstance(part, str):
            out.append(part)
            column = len(part) - 1 if part.startswith("\n") else column + len(part)
        elif isinstance(part, tuple):
            todo.extend((indent, flat, piece) for piece in reversed(part))
        else:
            flat = flat or part.one_line or column + part.width < width or indent >= width or not part.items
            todo.extend(reversed(_flat(part, indent) if flat else _broken(part, indent)))
    return "".join(out)


def _flat(block: Block, indent: int) -> list[tuple[int, bool, Doc]]:
    pieces: list[Doc] = [block.opening + block.pad]
    for number, item in enumerate(block.items):
        pieces += [block.separator + " ", item] if number else [item]
    pieces.append(block.pad + block.closing)
    return [(indent, True, piece) for piece in pieces]


def _broken(block: Block, indent: int) -> list[tuple[int, bool, Doc]]:
    pieces: list[Doc] = [block.opening]
    for item in block.items:
        pieces += ["\n" + " " * (indent + 2), item, block.separator]
    pieces[-1] = block.last
    pieces += ["\n" + " " * indent, block.closing]
    return [(indent + 2, False, piece) for piece in pieces]


def _width(doc: Doc) -> int:
    """Return the width of `doc` on one line."""
    width = 0
    todo: list[Doc] = [doc]
    while todo:
        part = todo.pop()
        if isinstance(part, str):
            width += len(part)
        elif isinstance(part, tuple):
            todo += part
        else:
            width += part.width
    return width
