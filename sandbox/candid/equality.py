"""Whether two types are the same, however they are written and whatever names their definitions have."""

from __future__ import annotations

from sandbox.candid.type_base import Type, equal


def same_type(one: Type, other: Type) -> bool:
    """Return whether both have the same parts, modes and labels all the way down. Options of different types differ
    here, though each is a subtype of the other."""
    return equal(one, other, by_name=False)
