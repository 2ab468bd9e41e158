"""A faster `dataclasses.replace`, for records that change with every message (`evolve` is the word of attrs)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

Record = TypeVar("Record")
Tools = tuple[Callable[[Any], Any], dict[str, Callable[[Any, Any], None]]]

_known: dict[type[Any], Tools] = {}


def evolve(record: Record, **changes: Any) -> Record:
    """Return a copy of a frozen record with some fields changed; `KeyError` if it has no such field.

    For records with `slots=True` and without `__post_init__`.
    """
    kind: type[Any] = type(record)
    copy, writers = _known.get(kind) or _tools(kind)
    new: Record = copy(record)
    for name, value in changes.items():
        writers[name](new, value)
    return new


def _tools(kind: type[Any]) -> Tools:
    """A generated function that copies field by field, and the slots' writers, which work on frozen records too."""
    names = [field.name for field in fields(kind)]
    writers = {name: kind.__dict__[name].__set__ for name in names}
    lines = "".join(f"    set_{name}(new, old.{name})\n" for name in names)
    scope: dict[str, Any] = {f"set_{name}": writers[name] for name in names}
    scope |= {"make": kind.__new__, "kind": kind}
    exec(f"def copy(old):\n    new = make(kind)\n{lines}    return new\n", scope)
    _known[kind] = tools = scope["copy"], writers
    return tools
