"""Whether two types are the same, however they are written and whatever names their definitions have."""

from __future__ import annotations

from sandbox.candid.types import Type, equal


def same_type(one: Type, other: Type) -> bool:
    """True if both have the same parts, modes and labels all the way down. Unlike mutual subtyping this tells options
    of different types apart."""
    return equal(one, other, by_name=False)
