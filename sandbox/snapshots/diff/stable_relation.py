"""The subtype relation of Motoko that keeps data, with all places where it fails.

Every rule reduces a pair of types to pairs of their parts, all of which must be related; a pair met again is related
(coinduction). So the relation is decided by a list of pairs; nothing recurses. A type that occurs at several places of
one variable is named at the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from sandbox.snapshots.inspect.motoko.types import (
    ANY,
    NONE,
    Array,
    Con,
    Definitions,
    Field,
    Fields,
    Func,
    Object,
    Opt,
    Prim,
    Tuple,
    Type,
    Variant,
    Weak,
    type_text,
    unfolded,
)
from sandbox.snapshots.inspect.source import InspectError

MAX_PAIRS = 200_000


class Fate(Enum):
    """What becomes of a variable, or of a part of its type."""

    ADDED = "added"
    DROPPED = "dropped"
    REQUIRED = "required"
    """The migration needs a variable that is not there."""
    CHANGED = "type changed"
    FIELD_DROPPED = "field dropped"
    FIELD_ADDED = "field added"
    TAG_DROPPED = "variant tag dropped"
    TAG_ADDED = "variant tag added"
    PROMOTED = "promoted to Any"
    WIDENED = "widened"
    """To a type that holds all old values: `Nat` to `Int`, `Null` to an option."""
    MUTABILITY = "mutability changed"
    CHAIN = "chain of migrations left"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: the place, and what is there before and after, None for nothing. `code`: the compiler's error,
    `REFUSED` or `LOSES`, empty if there is none."""

    path: str
    before: str | None
    after: str | None
    fate: Fate
    code: str

    @property
    def text(self) -> str:
        """A sentence."""
        if self.before is not None and self.after is not None:
            return f"{self.path} : {self.before} -> {self.after}"
        kind = self.before or self.after
        return f"{self.path} {'dropped' if self.after is None else 'added'}{'' if kind == '()' else f' ({kind})'}"


REFUSED, LOSES = "M0170", "M0216"


class _Pair(NamedTuple):
    """The type on the side of the data that must be held, and the type that must hold it. `exact`: both must be equal;
    `turned`: the first is the new one, as for parameters of functions."""

    path: str
    sub: Type
    sup: Type
    exact: bool = False
    turned: bool = False


def differences(
    name: str, types: tuple[Type, Type], definitions: tuple[Definitions, Definitions]
) -> Iterator[Difference]:
    """Yield the differences of the old and the new type of a variable, in order."""
    waiting = [_Pair(name, *types)]
    met: set[tuple[Type, Type, bool, bool]] = set()
    while waiting:
        pair = waiting.pop()
        if pair[1:] in met:
            continue
        met.add(pair[1:])
        if len(met) > MAX_PAIRS:
            raise InspectError(f"the types of {name} are too large to be compared")
        old, new = definitions[pair.turned], definitions[not pair.turned]
        shown = pair.sub, pair.sup
        pair = pair._replace(sub=unfolded(pair.sub, old), sup=unfolded(pair.sup, new))
        parts: list[_Pair] = []
        for found in _compared(pair, shown):
            if isinstance(found, _Pair):
                parts.append(found)
            else:
                yield found
        waiting += reversed(parts)


def _compared(pair: _Pair, shown: tuple[Type, Type]) -> Iterator[_Pair | Difference]:
    """Compare two types by their outermost constructors; `shown`: the same as they are written."""
    match pair.sub, pair.sup:
        case Prim() | Con(), _ if pair.sub == pair.sup:
            return
        case Object(), Object() if pair.sub.sort == pair.sup.sort:
            yield from _fields(pair, pair.sub, pair.sup)
        case Variant(), Variant():
            yield from _tags(pair, pair.sub, pair.sup)
        case Array(), Array() if pair.sub.mutable == pair.sup.mutable:
            yield _part(pair, "[]", pair.sub.inner, pair.sup.inner, pair.sub.mutable)
        case Array(), Array():
            yield _difference(pair, shown, Fate.MUTABILITY, REFUSED)
        case (Opt(), Opt()) | (Weak(), Weak()) if type(pair.sub) is type(pair.sup):
            yield _part(pair, "?", pair.sub.inner, pair.sup.inner)
        case Tuple(), Tuple() if len(pair.sub.items) == len(pair.sup.items):
            for index, (one, two) in enumerate(zip(pair.sub.items, pair.sup.items, strict=True)):
                yield _part(pair, f".{index}", one, two)
        case Func(), Func() if _shape(pair.sub) == _shape(pair.sup):
            for one, two in zip(pair.sup.params, pair.sub.params, strict=True):
                yield _part(pair, "(in)", one, two)._replace(turned=not pair.turned)
            for one, two in zip(pair.sub.results, pair.sup.results, strict=True):
                yield _part(pair, "(out)", one, two)
        case _:
            yield _difference(pair, shown, *_judged(pair))


def _judged(pair: _Pair) -> tuple[Fate, str]:
    """Judge two types of different shapes."""
    if pair.exact:
        return Fate.CHANGED, REFUSED
    if pair.sup == Prim(ANY):
        return Fate.PROMOTED, LOSES
    widened = (
        pair.sub == Prim(NONE)
        or (pair.sub, pair.sup) == (Prim("Nat"), Prim("Int"))
        or (pair.sub == Prim("Null") and type(pair.sup) is Opt)
    )
    return (Fate.WIDENED, "") if widened else (Fate.CHANGED, REFUSED)


def _shape(function: Func) -> tuple[str, str, int, int]:
    return function.sort, function.control, len(function.params), len(function.results)


def _part(pair: _Pair, step: str, sub: Type, sup: Type, mutable: bool = False) -> _Pair:
    """Return the pair of two parts; both must be equal if they are `mutable`."""
    return _Pair(pair.path + step, sub, sup, pair.exact or mutable, pair.turned)


def _difference(pair: _Pair, shown: tuple[Type, Type], fate: Fate, code: str) -> Difference:
    """Describe two types: as they are written, or without their name if both have the same."""
    texts = [type_text(kind) for kind in shown]
    if texts[0] == texts[1]:
        texts = [type_text(kind) for kind in (pair.sub, pair.sup)]
    before, after = reversed(texts) if pair.turned else texts
    return Difference(pair.path, before, after, fate, code)


def _fields(pair: _Pair, sub: Object, sup: Object) -> Iterator[_Pair | Difference]:
    for label, one, two in _aligned(sub, sup):
        if one is None or two is None:
            code = LOSES if two is None and not pair.exact else REFUSED
            yield _alone(pair, f".{label}", (one, two), (Fate.FIELD_ADDED, Fate.FIELD_DROPPED), code)
        elif one.mutable != two.mutable:
            yield _alone(pair, f".{label}", (one, two), (Fate.MUTABILITY, Fate.MUTABILITY), REFUSED)
        else:
            yield _part(pair, f".{label}", one.type, two.type, one.mutable)


def _tags(pair: _Pair, sub: Variant, sup: Variant) -> Iterator[_Pair | Difference]:
    for label, one, two in _aligned(sub, sup):
        if one is None or two is None:
            code = REFUSED if two is None or pair.exact else ""
            yield _alone(pair, f"#{label}", (one, two), (Fate.TAG_ADDED, Fate.TAG_DROPPED), code)
        else:
            yield _part(pair, f"#{label}", one.type, two.type)


def _aligned(sub: Fields, sup: Fields) -> Iterator[tuple[str, Field | None, Field | None]]:
    ours, theirs = sub.by_label(), sup.by_label()
    for label in sorted(ours.keys() | theirs.keys()):
        yield label, ours.get(label), theirs.get(label)


def _alone(
    pair: _Pair, step: str, sides: tuple[Field | None, Field | None], fates: tuple[Fate, Fate], code: str
) -> Difference:
    """Describe a field or tag that only one of two types has, or in which it is mutable. `fates`: if it was not there
    before, else."""
    before, after = reversed(sides) if pair.turned else sides
    texts = [None if each is None else _content(each) for each in (before, after)]
    return Difference(pair.path + step, texts[0], texts[1], fates[before is not None], code)


def _content(each: Field) -> str:
    return f"{'var ' if each.mutable else ''}{type_text(each.type)}"
