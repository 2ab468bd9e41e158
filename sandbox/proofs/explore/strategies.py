"""Hypothesis strategies for the arguments of Candid methods: small values, boundaries, and values that are known.

A value shrinks to the simplest one of its type: 0, the empty text, null, the case with the simplest content. Every draw
chooses among at most a hundred items, so that the values of a seed do not depend on the loaded modules: of larger
ranges, hypothesis also draws constants in the source of loaded modules.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from sandbox.candid import (
    BLOB,
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
    VariantType,
    VecType,
)
from sandbox.candid.nesting import Nested, run
from sandbox.proofs.generate import EDGES, Pool, heights, number_limits

_DEPTH = 4
"""Levels below which options, vectors and variants are as small as their types allow."""
_SMALL = 20
"""The greatest of the small numbers."""
_LARGE = 1 << 31
"""The least of the large ones. None between them is made up: the number of things to make, it makes a state large."""
_LETTERS = 'ab Z09_-.@/\\"\n\t\0ßéΩ漢\u0301\u202e😀'
_BYTES = (0, 1, 0x41, 0x7F, 0x80, 0xFF)
_ITEMS = 3
"""The most items of a vector, and of different letters or bytes in a text or blob."""
_LONG = (100, 1_000, 5_000)
"""The lengths of long texts and blobs."""
_CHOICES = 100
"""The most items that a draw chooses among."""

Strategy = st.SearchStrategy[Any]


def inhabited(types: Sequence[Type]) -> bool:
    """Whether each of the types has a finite value."""
    return all(heights(candid_type)[candid_type] < math.inf for candid_type in types)


@st.composite
def arguments(draw: st.DrawFn, types: Sequence[Type], pool: Pool | None = None) -> tuple[Any, ...]:
    """Values of these types, as `sandbox.candid` encodes them. Every type must be `inhabited`.

    `pool`: values that the canister knows; a value of a fitting type is one of them as often as a new one.
    """
    drawing = _Drawing(draw, pool or Pool())
    return tuple(drawing.value(candid_type) for candid_type in types)


class _Drawing:
    """Drawing of a value, part by part."""

    def __init__(self, draw: st.DrawFn, pool: Pool) -> None:
        self.draw = draw
        self.pool = pool

    def value(self, candid_type: Type) -> Any:
        """Return a value of a type."""
        return run(self._value(candid_type, _DEPTH, heights(candid_type)))

    def _value(self, candid_type: Type, depth: int, height: Mapping[Type, float]) -> Nested[Any]:
        match candid_type:
            case NamedType():
                return (yield self._value(candid_type.resolve(), depth, height))
            case OptType(inner):
                if depth <= 0 or height[inner] == math.inf or not self.draw(st.booleans()):
                    return None
                value = yield self._value(inner, depth - 1, height)
                return Some(value) if inner.nullable else value
            case VecType(inner) if candid_type != BLOB:
                most = 0 if depth <= 0 or height[inner] == math.inf else _ITEMS
                items = []
                for _ in range(self.draw(st.integers(0, most))):
                    items.append((yield self._value(inner, depth - 1, height)))  # noqa: PERF401 - yields
                return items
            case RecordType(members):
                record = {}
                for member in members:
                    record[member.key] = yield self._value(member.type, depth - 1, height)
                return tuple(record.values()) if candid_type.is_tuple else record
            case VariantType(members):
                cases = sorted((each for each in members if height[each.type] < math.inf), key=lambda c: height[c.type])
                case = self.draw(st.sampled_from(cases if depth > 0 else cases[:1]))
                return {case.key: (yield self._value(case.type, depth - 1, height))}
        return self.draw(self.leaf(candid_type))

    def leaf(self, candid_type: Type) -> Strategy:
        """Return the strategy for a type without parts."""
        match candid_type:
            case PrimType("null" | "reserved"):
                return st.none()
            case PrimType("bool"):
                return st.booleans()
            case PrimType("text"):
                return _either(_TEXTS, EDGES["text"], self.pool.texts)
            case PrimType("principal"):
                return self.principals()
            case PrimType("float32" | "float64"):
                return _either(st.integers(-_SMALL, _SMALL).map(float), EDGES[candid_type.name])
            case PrimType():
                return self.numbers(candid_type)
            case VecType():
                return _either(_BLOBS, self.pool.blobs)
            case ServiceType():
                return self.principals().map(Service)
            case FuncType():
                return self.principals().map(lambda principal: Func(principal, "method"))
        raise AssertionError(candid_type)

    def principals(self) -> Strategy:
        """Return the strategy for principals: known ones first."""
        return st.sampled_from((*self.pool.principals, *EDGES["principal"])[:_CHOICES])

    def numbers(self, candid_type: PrimType) -> Strategy:
        """Return the strategy for a type of integers: one draw, so that it shrinks from known to large to small."""
        least, most = number_limits(candid_type.name)
        small = (sign * number for number in range(_SMALL + 1) for sign in (1, -1))
        large = (*EDGES[candid_type.name.rstrip("0123456789")], *(1 << bits for bits in (32, 63)), (1 << 64) - 1)
        limits = [int(limit) for limit in (most, least) if abs(limit) < math.inf]
        made = [*small, *(number for number in large if abs(number) >= _LARGE), *limits]
        fitting = [number for number in self.pool.numbers if least <= number <= most][: _CHOICES // 2]
        known = fitting * (_SMALL // len(fitting) + 1 if fitting else 0)
        values = [number for number in dict.fromkeys(made) if least <= number <= most]
        return st.sampled_from((values + known)[:_CHOICES])


def _either(simple: Strategy, *more: Sequence[Any]) -> Strategy:
    """Return a strategy for a simple value, or one of each of the sequences that are not empty. One value alone is
    there twice: hypothesis takes what needs no draw for the simplest."""
    sampled = (values if len(values) > 1 else [*values, *values] for values in more if values)
    return st.one_of(simple, *(st.sampled_from(values[:_CHOICES]) for values in sampled))


@st.composite
def _rows(draw: st.DrawFn, letters: Sequence[Any]) -> list[Any]:
    """Draw a few letters, or, now and then, many: `_ITEMS` again and again."""
    size: int = draw(st.sampled_from((*range(_ITEMS + 1), *range(_ITEMS + 1), *_LONG)))
    row = [draw(st.sampled_from(letters)) for _ in range(min(size, _ITEMS))]
    return (row * size)[:size]


_TEXTS = _rows(_LETTERS).map("".join)
_BLOBS = _rows(_BYTES).map(bytes)
