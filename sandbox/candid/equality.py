"""Whether two types are the same, however they are written and whatever names their definitions have."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

from sandbox.candid.types import Type


def same_type(one: Type, other: Type) -> bool:
    """True if both have the same parts, modes and labels all the way down. Unlike mutual subtyping this tells options
    of different types apart. A pair that was met before holds, so that recursive types end."""
    waiting: list[tuple[object, object]] = [(one, other)]
    met: set[tuple[Type, Type]] = set()
    while waiting:
        a, b = waiting.pop()
        if isinstance(a, Type) and isinstance(b, Type):
            if (a, b) in met:
                continue
            met.add((a, b))
            a, b = a.resolve(), b.resolve()
        if type(a) is not type(b):
            return False
        if isinstance(a, tuple) and isinstance(b, tuple):
            if len(a) != len(b):
                return False
            waiting.extend(zip(a, b, strict=True))
        elif is_dataclass(a) and is_dataclass(b):
            waiting.extend((getattr(a, f.name), getattr(b, f.name)) for f in fields(a) if f.compare)
        elif a != b:
            return False
    return True
