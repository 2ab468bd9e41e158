"""Patterns of values, and the differences of a value from one.

A pattern is compared with the Python value that `sandbox.candid` decodes, or with plain values of decoded state.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.candid import Func, Service, Some, Variant
from sandbox.candid.labels import number_text
from sandbox.principal import Principal

_LEVELS = 32
"""Levels of a value that are compared."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A part of a value that does not match the pattern. `path`: `.people[3].name`, empty for the whole."""

    path: str
    expected: str
    came: str

    def __str__(self) -> str:
        where = f"{self.path.removeprefix('.')}: " if self.path else ""
        return f"{where}expected {self.expected}, got {self.came}"


@dataclass(frozen=True, slots=True)
class Exactly:
    """This value and no other."""

    value: Any


@dataclass(frozen=True, slots=True)
class Anything:
    """Any value; with `present`, any but null."""

    present: bool = False


@dataclass(frozen=True, slots=True)
class Fields:
    """A record or mapping that has at least these keys."""

    fields: Mapping[str, Pattern]


@dataclass(frozen=True, slots=True)
class Items:
    """A list, or the fields of a tuple, with one item for each pattern."""

    items: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class Among:
    """A list in which each of these patterns has an item of its own, in any order."""

    items: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class Matching:
    """A text with a match of the regular expression."""

    expression: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Between:
    """A number from `least` to `most`; None is no bound."""

    least: float | None
    most: float | None


Pattern = Exactly | Anything | Fields | Items | Among | Matching | Between


def differences(pattern: Pattern, value: Any, path: str = "") -> Iterator[Difference]:
    """Yield the parts of a value that do not match the pattern, outermost first."""
    match pattern:
        case Exactly():
            yield from _exact(pattern.value, value, path, _LEVELS)
        case Anything():
            if pattern.present and value is None:
                yield Difference(path, "any value but null", "null")
        case Fields():
            yield from _fields(pattern, value, path)
        case Items():
            yield from _items(pattern, value, path)
        case Among():
            yield from _among(pattern, value, path)
        case Matching():
            if not (isinstance(value, str) and pattern.expression.search(value)):
                yield Difference(path, f"a text with /{pattern.expression.pattern}/", shown(value))
        case Between():
            if not (_is_number(value) and _within(pattern, value)):
                yield Difference(path, between_text(pattern), shown(value))


def at_least(value: Any, levels: int = _LEVELS) -> Pattern:
    """Return the pattern of values that have everything that this one has; records may have more fields, but not
    deeper than `levels`."""
    if isinstance(value, Mapping) and levels:
        return Fields({name: at_least(inner, levels - 1) for name, inner in value.items()})
    if _is_list(value) and levels:
        return Items(tuple(at_least(item, levels - 1) for item in value))
    return Exactly(value)


def _exact(wanted: Any, value: Any, path: str, levels: int) -> Iterator[Difference]:
    """Yield the innermost parts that differ, but not deeper than `levels`."""
    if same(wanted, value):
        return
    if levels and isinstance(wanted, Mapping) and isinstance(value, Mapping) and wanted.keys() == value.keys():
        for name, inner in wanted.items():
            yield from _exact(inner, value[name], f"{path}.{name}", levels - 1)
    elif levels and _is_list(wanted) and _is_list(value) and len(wanted) == len(value):
        for place, (inner, item) in enumerate(zip(wanted, value, strict=True)):
            yield from _exact(inner, item, f"{path}[{place}]", levels - 1)
    else:
        yield Difference(path, shown(wanted), shown(value))


def _fields(pattern: Fields, value: Any, path: str) -> Iterator[Difference]:
    if not isinstance(value, Mapping):
        yield Difference(path, f"a record with {', '.join(pattern.fields) or 'any fields'}", shown(value))
        return
    for name, inner in pattern.fields.items():
        if name in value:
            yield from differences(inner, value[name], f"{path}.{name}")
        else:
            yield Difference(f"{path}.{name}", pattern_text(inner), f"no such field in {shown(value)}")


def _items(pattern: Items, value: Any, path: str) -> Iterator[Difference]:
    if not _is_list(value):
        yield Difference(path, pattern_text(pattern), shown(value))
        return
    for place, (inner, item) in enumerate(zip(pattern.items, value, strict=False)):
        yield from differences(inner, item, f"{path}[{place}]")
    if len(value) != len(pattern.items):
        yield Difference(path, f"{len(pattern.items)} items", f"{len(value)}: {shown(value)}")


def _among(pattern: Among, value: Any, path: str) -> Iterator[Difference]:
    if not _is_list(value):
        yield Difference(path, pattern_text(pattern), shown(value))
        return
    left = list(value)
    for inner in pattern.items:
        place = next((n for n, item in enumerate(left) if next(differences(inner, item), None) is None), None)
        if place is None:
            yield Difference(path, f"an item {pattern_text(inner)}", f"none among {len(value)}: {shown(value)}")
        else:
            del left[place]


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _within(pattern: Between, value: float) -> bool:
    return (pattern.least is None or value >= pattern.least) and (pattern.most is None or value <= pattern.most)


def between_text(pattern: Between) -> str:
    """Return `at most 5`, `at least 3`, `3 to 5`, or `exactly 3`."""
    least, most = (None if n is None else f"{n:,}" for n in (pattern.least, pattern.most))
    if least == most:
        return "any number" if least is None else f"exactly {least}"
    if least is None or most is None:
        return f"at most {most}" if least is None else f"at least {least}"
    return f"{least} to {most}"


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal; NaN equals NaN, and numbers are no booleans."""
    todo = [(one, other)]
    while todo:
        one, other = todo.pop()
        if isinstance(one, float) and isinstance(other, float):
            if one != other and not (math.isnan(one) and math.isnan(other)):
                return False
        elif isinstance(one, Mapping) and isinstance(other, Mapping):
            if one.keys() != other.keys():
                return False
            todo += [(value, other[key]) for key, value in one.items()]
        elif _is_list(one) and _is_list(other):
            if len(one) != len(other):
                return False
            todo += zip(one, other, strict=True)
        elif isinstance(one, Some) and isinstance(other, Some):
            todo.append((one.value, other.value))
        elif isinstance(one, bool) is not isinstance(other, bool) or one != other:
            return False
    return True


def pattern_text(pattern: Pattern) -> str:
    """Return a pattern as text."""
    match pattern:
        case Exactly():
            return shown(pattern.value)
        case Anything():
            return "any value but null" if pattern.present else "any value"
        case Fields():
            inner = ", ".join(f"{name}: {pattern_text(value)}" for name, value in pattern.fields.items())
            return f"{{{inner}, ...}}"
        case Items():
            return f"[{', '.join(map(pattern_text, pattern.items))}]"
        case Among():
            return f"a list with {', '.join(map(pattern_text, pattern.items))}"
        case Matching():
            return f"a text with /{pattern.expression.pattern}/"
        case Between():
            return between_text(pattern)


def shown(value: Any) -> str:
    """Return a value as text, without parts deeper than 32 levels; reports may cut it further."""
    return _text(value, _LEVELS)


def _text(value: Any, depth: int) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value}"'
        case bytes():
            return f"{value.hex()} ({len(value):,} bytes)"
        case Principal():
            return str(value)
        case Service():
            return str(value.principal)
        case Func():
            return f"{value.principal}.{value.method}"
        case Some():
            return f"opt {_text(value.value, depth - 1)}"
        case Variant():
            return f"{{{value.tag}: {_text(value.value, depth - 1)}}}"
        case Mapping() if depth:
            return f"{{{', '.join(f'{key}: {_text(item, depth - 1)}' for key, item in value.items())}}}"
        case list() | tuple() if depth:
            return f"[{', '.join(_text(item, depth - 1) for item in value)}]"
        case Mapping() | list() | tuple():
            return "..."
    return number_text(value).replace("_", ",") if isinstance(value, int) else str(value)
