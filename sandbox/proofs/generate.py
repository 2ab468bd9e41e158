"""Random Candid values by type, partly from pools of known values; the same seed draws the same values.

A pool holds the values of decoded stable memory and of replies to queries, so it has the keys that a canister knows.
Half of the drawn values come from the pool; the others are often edge cases: the empty text, the largest number, the
anonymous principal.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

from sandbox.candid import (
    BLOB,
    EMPTY,
    Func,
    FuncType,
    NamedType,
    OptType,
    PrimType,
    RecordType,
    Service,
    ServiceType,
    Some,
    Type,
    Variant,
    VariantType,
    VecType,
    decode_untyped,
)
from sandbox.candid.nesting import Nested, run
from sandbox.errors import CandidError
from sandbox.principal import MAX_LENGTH, Principal

_DEPTH = 4
"""Levels below which options, vectors and variants are as small as their types allow."""
_ITEMS = 3
"""The most items of a vector that is not a blob."""
_ANONYMOUS = Principal.anonymous()

EDGES: dict[str, tuple[Any, ...]] = {
    "bool": (False, True),
    "text": ("", "a", "name", "ä é 漢", "a longer text, with spaces and more than twenty letters"),
    "principal": (_ANONYMOUS, Principal.management()),
    "float32": (0.0, 1.5, -1.0),
    "float64": (0.0, 1.5, -1.0, 1e300),
    "nat": (0, 1, 7, 1000, 2**64),
    "int": (0, 1, -1, 1000, -(2**64)),
}
"""Edge cases by the name of a primitive type; those of limited numbers are derived from their limits."""


def number_limits(name: str) -> tuple[float, float]:
    """Return the limits of a number type, both included."""
    bits = int(name.lstrip("nati") or 0)
    if name.startswith("nat"):
        return 0, 2**bits - 1 if bits else math.inf
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if bits else (-math.inf, math.inf)


@dataclass(frozen=True)
class Pool:
    """Known values, the most useful first."""

    texts: Sequence[str] = ()
    numbers: Sequence[int] = ()
    blobs: Sequence[bytes] = ()
    principals: Sequence[Principal] = ()

    @classmethod
    def of(cls, values: Iterable[object]) -> Pool:
        """Return the pool of all leaves of these decoded Candid values, in their order, each once."""
        leaves: dict[type, dict[Any, None]] = {str: {}, int: {}, bytes: {}, Principal: {}}
        for leaf in _leaves(values):
            if type(leaf) in leaves:
                leaves[type(leaf)][leaf] = None
        return cls(tuple(leaves[str]), tuple(leaves[int]), tuple(leaves[bytes]), tuple(leaves[Principal]))

    def __add__(self, other: Pool) -> Pool:
        """Return a pool with the values of this one, then those of the other that this one lacks."""
        return Pool.of(
            value
            for pool in (self, other)
            for values in (pool.texts, pool.numbers, pool.blobs, pool.principals)
            for value in values
        )


def readings(data: bytes) -> Iterator[object]:
    """Return the possible readings of bytes of unknown type: text, number, principal, Candid values, and the bytes."""
    yield data
    if data.startswith(b"DIDL"):
        with suppress(CandidError):
            yield from decode_untyped(data)[1]
            return
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""
    if text.isprintable() and text:
        yield text
    if len(data) in (1, 2, 4, 8, 16):
        yield int.from_bytes(data, "big")
    if 0 < len(data) <= MAX_LENGTH:
        yield Principal(data)


def _leaves(values: Iterable[object]) -> Iterator[object]:
    waiting = [iter(values)]
    while waiting:
        for value in waiting[-1]:
            match value:
                case Mapping():
                    waiting.append(iter(value.values()))
                    break
                case list() | tuple():
                    waiting.append(iter(value))
                    break
                case Some() | Variant():
                    waiting.append(iter((value.value,)))
                    break
                case _:
                    yield value
        else:
            waiting.pop()


class Uninhabited(ValueError):
    """A type without a finite value."""


@dataclass
class Generator:
    """Generator of values from `random`. `known`: the probability of a value from the pool if that has one."""

    random: Random
    pool: Pool = field(default_factory=Pool)
    known: float = 0.5

    def arguments(self, function: FuncType) -> tuple[Any, ...]:
        """Return arguments of a method; `Uninhabited` if one of its types has no value."""
        return tuple(self.value(each) for each in function.args)

    def value(self, candid_type: Type) -> Any:
        every = heights(candid_type)
        if every[candid_type] == math.inf:
            raise Uninhabited(f"{candid_type} has no finite value")
        return run(self._value(candid_type, _DEPTH, every))

    def _value(self, candid_type: Type, depth: int, heights: Mapping[Type, float]) -> Nested[Any]:
        match candid_type:
            case NamedType():
                return (yield self._value(candid_type.resolve(), depth, heights))
            case PrimType():
                return self._primitive(candid_type)
            case OptType():
                if depth <= 0 or heights[candid_type.inner] == math.inf or self.random.random() < 0.25:
                    return None
                value = yield self._value(candid_type.inner, depth - 1, heights)
                return Some(value) if candid_type.inner.nullable else value
            case VecType():
                if candid_type == BLOB:
                    return self._pick(self.pool.blobs, (b"", b"\0", b"bytes"))
                few = 0 if depth <= 0 or heights[candid_type.inner] == math.inf else self.random.randint(0, _ITEMS)
                items: list[Any] = []
                while len(items) < few:
                    items.append((yield self._value(candid_type.inner, depth - 1, heights)))
                return items
            case RecordType():
                record = {}
                for member in candid_type.fields:
                    record[member.key] = yield self._value(member.type, depth - 1, heights)
                return tuple(record.values()) if candid_type.is_tuple else record
            case VariantType():
                possible = [member for member in candid_type.fields if heights[member.type] < math.inf]
                if depth <= 0:
                    possible = [min(possible, key=lambda member: heights[member.type])]
                member = self.random.choice(possible)
                return {member.key: (yield self._value(member.type, depth - 1, heights))}
            case ServiceType():
                return Service(self._pick(self.pool.principals, EDGES["principal"]))
            case _:
                return Func(self._pick(self.pool.principals, EDGES["principal"]), "method")

    def _primitive(self, candid_type: PrimType) -> Any:
        pools: dict[str, Sequence[Any]] = {"text": self.pool.texts, "principal": self.pool.principals}
        name = candid_type.name
        if name in ("null", "reserved"):
            return None
        if not name.startswith(("nat", "int")):
            return self._pick(pools.get(name, ()), EDGES[name])
        least, most = number_limits(name)
        edges = EDGES[name.rstrip("0123456789")]
        fitting = [number for number in self.pool.numbers if least <= number <= most]
        limits = (int(least), int(most)) if most < math.inf else ()
        return self._pick(fitting, [*(n for n in edges if least <= n <= most), *limits])

    def _pick(self, known: Sequence[Any], others: Sequence[Any]) -> Any:
        if known and self.random.random() < self.known:
            return self.random.choice(known)
        return self.random.choice(others)


def heights(candid_type: Type) -> dict[Type, float]:
    """Return the nesting of the smallest value of each type in a type; infinity if it has no value."""
    types, waiting = dict[Type, None](), [candid_type]
    while waiting:
        each = waiting.pop()
        if each not in types:
            types[each] = None
            waiting += [each.resolve()] if isinstance(each, NamedType) else each.inner_types()
    heights = dict.fromkeys(types, math.inf)
    while True:
        better = {each: _height(each, heights) for each in types}
        if better == heights:
            return heights
        heights = better


def _height(candid_type: Type, heights: Mapping[Type, float]) -> float:
    match candid_type:
        case NamedType():
            return heights[candid_type.resolve()]
        case RecordType():
            return 1 + max((heights[member.type] for member in candid_type.fields), default=0)
        case VariantType():
            return 1 + min((heights[member.type] for member in candid_type.fields), default=math.inf)
    return math.inf if candid_type == EMPTY else 0
