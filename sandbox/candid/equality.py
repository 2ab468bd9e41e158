"""Structural equality of types, independent of their text and of the names of their definitions."""

from __future__ import annotations

from sandbox.candid.type_base import Type, equal


def same_type(one: Type, other: Type) -> bool:
    """Return whether both types have the same parts, modes and labels at every level.

    Options of different types differ here, although each is a subtype of the other.
    """
    return equal(one, other, by_name=False)
