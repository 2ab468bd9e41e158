"""Print results: text for people, in colour on a terminal and plain in a pipe, or one JSON document."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from json.encoder import encode_basestring
from typing import Any

import click
from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.highlighter import RegexHighlighter
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from sandbox.candid.as_json import to_json
from sandbox.candid.nesting import Nested, run

_PIPE_WIDTH = 100_000
"""Width of the console in a pipe, in columns: no line is wrapped or cut."""

_MOST = 2_000
"""Longest text of a canister that is printed, in characters."""

_LABEL = 60
"""Longest label within a line, in characters."""

Rendered = tuple[dict[str, Any], list[RenderableType]]
"""A result twice: facts for JSON, and parts to print for people."""

_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_SCALARS: dict[type, Callable[[Any], str]] = {str: encode_basestring, int: repr}
_JSON_LEVELS = 64
"""Deeper levels of a document are not indented, so that its size is linear in its content."""

_THEME = Theme({"candid.string": "green", "candid.number": "cyan", "candid.word": "dim", "candid.name": "bold"})


class CandidHighlighter(RegexHighlighter):
    """Strings, numbers, field names and type words of Candid text."""

    base_style = "candid."
    highlights = (
        r"(?P<word>\b(?:record|variant|vec|opt|blob|principal|service|func|null|true|false)\b)",
        r"(?P<word>: (?:nat|int|float)\d*\b)",
        r"(?P<name>\b\w+)(?= = )",
        r"(?P<number>(?<![\w.])[-+]?\d[\d_]*(?:\.\d+)?(?:e[-+]?\d+)?\b)",
        r'(?P<string>"(?:[^"\\]|\\.)*")',
    )


def console(*, stderr: bool = False) -> Console:
    """Return a console on the current standard output or error."""
    target = Console(stderr=stderr, highlight=False, theme=_THEME)
    if not target.is_terminal:
        target.width = _PIPE_WIDTH
    return target


def coloured() -> bool:
    """Return whether standard output shows colours: a terminal that has them, with NO_COLOR not set."""
    target = console()
    return target.is_terminal and target.color_system is not None and not target.no_color


def show(*parts: RenderableType, stderr: bool = False) -> None:
    """Print for people: strings are text, never markup."""
    target = console(stderr=stderr)
    for part in parts:
        item = _harmless(part) if isinstance(part, str | Text) else part
        if target.is_terminal:
            target.print(item, soft_wrap=isinstance(item, Text))
            continue
        with target.capture() as captured:
            target.print(item, soft_wrap=isinstance(item, Text))
        click.echo("\n".join(line.rstrip() for line in captured.get().split("\n")), nl=False, err=stderr)


def print_json(facts: object) -> None:
    """Print one JSON document on standard output."""
    click.echo(json_text(to_json(facts)))


def candid(text: str) -> Text:
    """Return Candid text in colour."""
    return CandidHighlighter()(Text(text))


def table(headers: Iterable[str], rows: Iterable[Iterable[object]], right: Iterable[str] = ()) -> Table:
    """Return a table; the columns named in `right` are aligned to the right."""
    lines = box.SIMPLE_HEAD if console().is_terminal else None
    result = Table(box=lines, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    for header in headers:
        result.add_column(header, justify="right" if header in set(right) else "left", overflow="fold")
    for row in rows:
        result.add_row(*map(_harmless, row))
    return result


@dataclass(frozen=True)
class Listing:
    """Rows as a table if its width fits, else one below the other as fields, so that no id is cut."""

    headers: tuple[str, ...]
    rows: Sequence[tuple[object, ...]]
    right: tuple[str, ...] = ()

    def __rich_console__(self, target: Console, options: ConsoleOptions) -> RenderResult:
        whole = table(self.headers, self.rows, self.right)
        if whole.__rich_measure__(target, options.update(width=_PIPE_WIDTH)).maximum <= options.max_width:
            yield whole
            return
        for number, row in enumerate(self.rows):
            if number:
                yield Text()
            yield fields(dict(zip(self.headers, row, strict=True)))


def fields(pairs: Mapping[str, object]) -> Table:
    """Return names and values, one pair a line."""
    result = Table.grid(padding=(0, 2))
    result.add_column(style="bold")
    result.add_column(overflow="fold")
    for name, value in pairs.items():
        result.add_row(Text(name), _harmless(value))
    return result


_COMMANDS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _harmless(value: object) -> Text:
    """Replace control characters, which labels, logs and rejects of canisters could send to the terminal."""
    text = value.copy() if isinstance(value, Text) else Text(str(value))
    text.plain = _COMMANDS.sub("\ufffd", text.plain)
    return text


def size(count: int) -> str:
    """Return a size in bytes with a binary unit, such as `6.8 MiB`."""
    if count < 1024:
        return f"{count} B"
    power = min(int(math.log2(count) // 10), 4)
    return f"{count / (1 << 10 * power):.1f} {' KMGT'[power]}iB"


def date(nanoseconds: int) -> str:
    """Return a time of the sandbox to the second, in UTC, such as `2026-07-01 12:00:00`."""
    return datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def json_text(value: Any) -> str:
    """Return a JSON document, indented by two spaces a level up to _JSON_LEVELS."""
    if not _has_parts(value):
        return _JSON.encode(value)
    out: list[str] = []
    run(_write_json(out, value, 0))
    return "".join(out)


def _has_parts(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(value)


def _write_json(out: list[str], value: Any, level: int) -> Nested[None]:
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    line, last = (f"\n{'  ' * depth}" if depth <= _JSON_LEVELS else "" for depth in (level + 1, level))
    before = opening + line
    for item in value.items() if isinstance(value, dict) else value:
        key, part = (encode_basestring(item[0]) + ": ", item[1]) if isinstance(value, dict) else ("", item)
        if _has_parts(part):
            out.append(before + key)
            yield _write_json(out, part, level + 1)
        else:
            out.append(before + key + _SCALARS.get(type(part), _JSON.encode)(part))
        before = "," + line
    out.append(last + closing)


def cut(text: str) -> str:
    """Return the beginning of a text that is too long for a terminal, with the number of characters left out."""
    left = len(text) - _MOST
    return text if left <= 0 else f"{text[:_MOST]}… ({left:,} more characters; --output json has all)"


def visible(text: str) -> str:
    """Replace unprintable characters of a canister's text; line breaks and tabs stay."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text)


def one_line(text: str) -> str:
    """Return text for a table cell: line breaks and unprintable characters become spaces."""
    return re.sub("\n+", " ", "".join(char if char.isprintable() else "\n" for char in text)).strip()


def named(label: str) -> str:
    """Return a label for use within a line, cut to _LABEL characters."""
    text = one_line(label)
    return text if len(text) <= _LABEL else f"{text[: _LABEL - 1]}…"
