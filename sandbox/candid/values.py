"""Python stand-ins for the Candid values that have no natural Python type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sandbox.principal import Principal

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Some(Generic[T]):
    """A present option, needed only where None could also mean an inner null (`opt opt t`, `opt null`)."""

    value: T


@dataclass(frozen=True, slots=True)
class Variant:
    """A tag and its value: an alternative to the dict `{tag: value}` when encoding."""

    tag: str | int
    value: Any = None


@dataclass(frozen=True, slots=True)
class Service:
    """A reference to a service."""

    principal: Principal


@dataclass(frozen=True, slots=True)
class Func:
    """A reference to a method of a service."""

    principal: Principal
    method: str
