"""Predict whether the runtime accepts an upgrade of a Motoko program with enhanced orthogonal persistence.

The runtime checks types once more, by rules of its own (dfinity/motoko `rts/motoko-rts/src/idl.rs`,
`memory_compatible`; `src/codegen/compile_enhanced.ml`, `type_desc`). They differ from the compiler's:

- the variables of both versions are walked together in the order of the ids of their names. If that ends with a new
  variable whose id is lower than those of variables that the new version has not, the upgrade is accepted and these are
  lost without a word;
- `Char` counts as `Nat32` and `Null` as `()`;
- an actor may lose methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sandbox.snapshots.diff.stable_types import found_by
from sandbox.snapshots.inspect.motoko.signature import Signature, parse_signature
from sandbox.snapshots.inspect.motoko.stable_types import label_id
from sandbox.snapshots.inspect.motoko.types import (
    ANY,
    NONE,
    Array,
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
    unfolded,
)
from sandbox.snapshots.inspect.source import InspectError

MAX_PAIRS = 200_000
_SAME = {"Char": "Nat32", "Null": "()"}


@dataclass(frozen=True, slots=True)
class RuntimeCheck:
    """The predicted outcome. `refused`: None if the upgrade is accepted, else the place in a type at which the check
    fails, the variable that would be lost ("Memory-incompatible program upgrade"), or the one that a migration misses
    ("expected but not found"). `lost`: variables of the old version whose values are lost although it is accepted."""

    refused: str | None = None
    lost: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        return self.refused is None


def predict_runtime_check(old: str, new: str) -> RuntimeCheck:
    """Predict the check of an upgrade between two sections `motoko:stable-types`, both of programs with enhanced
    orthogonal persistence; InspectError if one cannot be parsed or their types are too large to be compared."""
    return check_signatures(parse_signature(old), parse_signature(new))


def check_signatures(old: Signature, new: Signature) -> RuntimeCheck:
    """Predict the check for two parsed signatures."""
    found = found_by(new, old)
    pairs, refused, lost = _walked(_by_id(old.after), _by_id([each.field for each in found]))
    for one, two in pairs:
        place = _incompatible(one, two, (old.definitions, new.definitions))
        if place is not None:
            return RuntimeCheck(refused=place)
    had = {each.label for each in old.after}
    missing = [each.field.label for each in found if each.required and each.field.label not in had]
    refused = refused or next(iter(missing), None)
    return RuntimeCheck(refused, lost if refused is None else ())


def _by_id(fields: Sequence[Field]) -> list[tuple[int, Field]]:
    return sorted(((label_id(each.label), each) for each in fields), key=lambda pair: pair[0])


_Walk = tuple[list[tuple[Field, Field]], str | None, tuple[str, ...]]


def _walked(old: list[tuple[int, Field]], new: list[tuple[int, Field]]) -> _Walk:
    """Walk the variables of both as the runtime does: the pairs to compare, the variable whose loss is refused, those
    whose loss is not noticed."""
    pairs: list[tuple[Field, Field]] = []
    coming = iter(new)
    left = len(new)
    for place, (name, one) in enumerate(old):
        if not left:
            return pairs, one.label, ()
        for other, two in coming:
            left -= 1
            if name < other:
                return pairs, one.label, ()
            if name == other:
                pairs.append((one, two))
                break
        else:
            return pairs, None, tuple(each.label for _, each in old[place:])
    return pairs, None, ()


class _Side(NamedTuple):
    """A type, whether it is a mutable thing of it, and 0 or 1 for the version whose definitions it uses."""

    type: Type
    version: int
    mutable: bool = False


class _Pair(NamedTuple):
    path: str
    one: _Side
    two: _Side
    variance: int
    """1 covariant, -1 contravariant, 0 invariant."""


def _incompatible(one: Field, two: Field, definitions: tuple[Definitions, Definitions]) -> str | None:
    """Return the first place at which the values of a variable do not fit its new type; None if they do."""
    waiting = [_Pair(one.label, _Side(one.type, 0), _Side(two.type, 1), 1)]
    met: set[tuple[_Side, _Side, int]] = set()
    while waiting:
        pair = waiting.pop()
        if pair[1:] in met:
            continue
        met.add(pair[1:])
        if len(met) > MAX_PAIRS:
            raise InspectError(f"the types of {one.label} are too large to be compared")
        one_side, two_side = (
            side._replace(type=unfolded(side.type, definitions[side.version])) for side in (pair.one, pair.two)
        )
        parts = _parts(pair._replace(one=one_side, two=two_side))
        if parts is None:
            return pair.path
        waiting += reversed(parts)
    return None


def _parts(pair: _Pair) -> list[_Pair] | None:
    """Return the pairs of parts that must fit; None if the outermost constructors do not fit."""
    one, two = pair.one, pair.two
    if _alias(one) or _alias(two):
        both = _alias(one) and _alias(two)
        return [_Pair(pair.path, _held(one), _held(two), 0)] if both else None
    match one.type, two.type:
        case (Prim(), _) | (Tuple(items=()), _) if _code(one.type) == _code(two.type):
            return []
        case _, Prim(name=name) if name == ANY:
            return None
        case Prim(name=name), _ if name == NONE:
            return [] if pair.variance else None
        case Prim(name="Nat"), Prim(name="Int"):
            return [] if pair.variance else None
        case ((Prim(name="Null") | Tuple(items=())), Opt()) if type(two.type) is Opt:
            return []
        case Opt(), Opt() if type(one.type) is type(two.type):
            step = "[]" if isinstance(one.type, Array) else "?"
            return [_part(pair, step, one.type.inner, two.type.inner)]
        case Tuple(), Tuple() if len(one.type.items) == len(two.type.items):
            items = enumerate(zip(one.type.items, two.type.items, strict=True))
            return [_part(pair, f".{index}", ours, theirs) for index, (ours, theirs) in items]
        case Func(), Func():
            return _functions(pair, one.type, two.type)
        case Object(), Object() if one.type.sort == two.type.sort:
            return _methods(pair, one.type, two.type) if one.type.sort else _fields(pair, one.type, two.type)
        case Variant(), Variant():
            return _tags(pair, one.type, two.type)
    return None


def _alias(side: _Side) -> bool:
    """Whether this is a mutable thing: a mutable field or array."""
    return side.mutable or (isinstance(side.type, Array) and side.type.mutable)


def _held(side: _Side) -> _Side:
    """Return what a mutable thing holds. For the runtime, a mutable field of an array is as a mutable array."""
    if side.mutable:
        return side._replace(mutable=False)
    assert isinstance(side.type, Array)
    return side._replace(type=Array(side.type.inner))


def _code(kind: Type) -> str | None:
    """Return the name of a primitive type in the runtime's type table; None of another type."""
    if kind == Tuple():
        return "()"
    return _SAME.get(kind.name, kind.name) if isinstance(kind, Prim) else None


def _part(pair: _Pair, step: str, one: Type, two: Type) -> _Pair:
    return _field(pair, step, Field("", one), Field("", two))


def _field(pair: _Pair, step: str, one: Field, two: Field) -> _Pair:
    ours = pair.one._replace(type=one.type, mutable=one.mutable)
    theirs = pair.two._replace(type=two.type, mutable=two.mutable)
    return _Pair(pair.path + step, ours, theirs, pair.variance)


def _functions(pair: _Pair, one: Func, two: Func) -> list[_Pair] | None:
    shapes = [(each.sort, bool(each.control), len(each.params), len(each.results)) for each in (one, two)]
    if shapes[0] != shapes[1]:
        return None
    params = [_part(pair, "(in)", ours, theirs) for ours, theirs in zip(one.params, two.params, strict=True)]
    turned = [each._replace(one=each.two, two=each.one, variance=-each.variance) for each in params]
    results = zip(one.results, two.results, strict=True)
    return [*turned, *(_part(pair, "(out)", ours, theirs) for ours, theirs in results)]


def _fields(pair: _Pair, one: Fields, two: Fields) -> list[_Pair] | None:
    ours, theirs = one.by_label(), two.by_label()
    if ours.keys() != theirs.keys():
        return None
    return [_field(pair, f".{label}", ours[label], theirs[label]) for label in ours]


def _tags(pair: _Pair, one: Fields, two: Fields) -> list[_Pair] | None:
    ours, theirs = one.by_label(), two.by_label()
    if ours.keys() - theirs.keys() or (not pair.variance and theirs.keys() - ours.keys()):
        return None
    return [_field(pair, f"#{label}", ours[label], theirs[label]) for label in ours]


def _methods(pair: _Pair, one: Fields, two: Fields) -> list[_Pair] | None:
    ours, theirs = one.by_label(), two.by_label()
    if theirs.keys() - ours.keys() or (not pair.variance and ours.keys() - theirs.keys()):
        return None
    return [_field(pair, f".{label}", ours[label], theirs[label]) for label in theirs]
