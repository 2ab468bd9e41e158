"""Candid values as JSON, and back by a type.

Bytes are hexadecimal text, principals their text, NaN and infinities text, nested options lists of at most one item.
Integers beyond 2^53 are their decimal digits as text, hexadecimal beyond some thousand digits: many readers, such as
JavaScript's, round larger numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sandbox.candid.labels import number_text
from sandbox.candid.nesting import Nested, run
from sandbox.candid.type_base import Type
from sandbox.candid.types import NAT8, FuncType, OptType, PrimType, RecordType, ServiceType, VariantType, VecType
from sandbox.candid.values import Func, Service, Some, Variant
from sandbox.errors import CandidTypeError
from sandbox.principal import Principal

_EXACT: Final = 1 << 53
_DIGITS: Final = 4_000
"""Most decimal digits that are read as an integer."""


def to_json(value: Any) -> Any:
    """Return a value as JSON types. TypeError for a value of a class that Candid does not have."""
    return run(_to_json(value))


def _to_json(value: Any) -> Any:
    match value:
        case int() if abs(value) > _EXACT:
            return number_text(value).replace("_", "")
        case None | bool() | int() | str():
            return str(value) if isinstance(value, str) else value
        case float():
            return value if math.isfinite(value) else str(value)
        case bytes():
            return value.hex()
        case Principal():
            return str(value)
        case Service():
            return str(value.principal)
        case Func():
            return {"principal": str(value.principal), "method": value.method}
        case Some():
            return _items_to_json([value.value])
        case Variant():
            return _fields_to_json({value.tag: value.value})
        case Mapping():
            return _fields_to_json(value)
    if isinstance(value, Iterable):
        return _items_to_json(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


def _items_to_json(items: Iterable[Any]) -> Nested[list[Any]]:
    result: list[Any] = []
    for item in items:
        result.append((yield _to_json(item)))  # noqa: PERF401 - a comprehension cannot yield
    return result


def _fields_to_json(fields: Mapping[Any, Any]) -> Nested[dict[str, Any]]:
    result: dict[str, Any] = {}
    for key, item in fields.items():
        result[str(key)] = yield _to_json(item)
    return result


def from_json(types: Sequence[Type], values: Sequence[Any]) -> list[Any]:
    """Return JSON values as `encode` takes them at these types. What does not fit is left for `encode` to refuse.

    The reverse of `to_json`. CandidTypeError for text that is not hexadecimal or not a number where the type has one.
    """
    if len(types) != len(values):
        raise CandidTypeError(f"expected {len(types)} values, got {len(values)}")
    return [run(_from_json(kind, value)) for kind, value in zip(types, values, strict=True)]


def _from_json(kind: Type, value: Any) -> Nested[Any]:
    kind = kind.resolve()
    match kind, value:
        case PrimType(name), str() if name.startswith(("nat", "int")):
            return _number(int, value, name)
        case PrimType(name), str() if name.startswith("float"):
            return _number(float, value, name)
        case OptType(inner), list() if inner.nullable and len(value) < 2:
            return Some((yield _from_json(inner, value[0]))) if value else None
        case OptType(inner), _ if value is not None:
            return (yield _from_json(inner, value))
        case VecType(inner), str() if inner.resolve() == NAT8:
            return _bytes(value)
        case VecType(inner), list():
            result = []
            for item in value:
                result.append((yield _from_json(inner, item)))  # noqa: PERF401 - a comprehension cannot yield
            return result
        case RecordType(parts), list() if kind.is_tuple:
            types = [part.type for part in parts]
            result = []
            for place, item in enumerate(value):
                result.append((yield _from_json(types[place], item)) if place < len(types) else item)
            return result
        case ((RecordType(parts) | VariantType(parts)), dict()):
            known = {part.key: part.type for part in parts}
            read = {}
            for key, item in value.items():
                read[key] = (yield _from_json(known[key], item)) if key in known else item
            return read
        case FuncType(), {"principal": str(principal), "method": str(method), **rest} if not rest:
            return Func(Principal.from_text(principal), method)
        case ServiceType(), str():
            return Service(Principal.from_text(value))
    return value


def _number(read: type[int] | type[float], text: str, name: str) -> int | float:
    try:
        return read(text) if len(text) <= _DIGITS else read("none")
    except ValueError:
        raise CandidTypeError(f"{text[:40]!r} is no {name}") from None


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise CandidTypeError(f"not hexadecimal bytes: {error}") from None
