"""The subtype relation of types, and the compatibility of services.

Every rule reduces a pair of types to pairs of their parts, all of which must hold; so the relation is decided by a list
of pairs still to check and a set of pairs met before (coinduction: a pair met again holds). Nothing recurses.

Spec: dfinity/candid `spec/Candid.md`, "Upgrading and Subtyping".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sandbox.candid.interface import Interface
from sandbox.candid.labels import name_text, path_text
from sandbox.candid.type_base import Type
from sandbox.candid.types import (
    EMPTY,
    INT,
    NAT,
    PRINCIPAL,
    RESERVED,
    FuncType,
    OptType,
    RecordType,
    ServiceType,
    VariantType,
    VecType,
)
from sandbox.errors import CandidTypeError

MAX_PAIRS = 200_000
"""Limit on the pairs of types in one comparison; only types that are made to be slow need more."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a comparison; `reason` says where it fails, and is empty if it holds."""

    holds: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.holds


class _Path(NamedTuple):
    """The path of a pair of parts: the path of the whole, and one step such as `.name`."""

    whole: _Path | None
    step: str

    def __str__(self) -> str:
        steps: list[str] = []
        here = self
        while here.whole is not None:
            steps.append(here.step)
            here = here.whole
        return path_text(steps).strip()


class _Pair(NamedTuple):
    path: _Path
    sub: Type
    sup: Type


class Comparison:
    """Subtype checks with a common limit on their work."""

    def __init__(self, max_pairs: int = MAX_PAIRS) -> None:
        self.pairs_left = max_pairs
        self.proven: set[tuple[Type, Type]] = set()

    def check(self, sub: Type, sup: Type) -> Verdict:
        """Return whether `sub` is a subtype of `sup`."""
        todo = [_Pair(_Path(None, ""), sub, sup)]
        met: set[tuple[Type, Type]] = set()
        while todo:
            pair = todo.pop()
            types = (pair.sub, pair.sup)
            if types in met or types in self.proven:
                continue
            met.add(types)
            self.pairs_left -= 1
            if self.pairs_left < 0:
                raise CandidTypeError("these types are too large to compare")
            try:
                todo.extend(_premises(pair))
            except _Refuted as refuted:
                return Verdict(False, str(refuted))
        self.proven |= met
        return Verdict(True)


class _Refuted(Exception):
    """The first pair that does not hold."""


def subtype(sub: Type, sup: Type) -> bool:
    """Return whether every value of `sub` can be read as `sup`."""
    return Comparison().check(sub, sup).holds


def explain_subtype(sub: Type, sup: Type) -> Verdict:
    """Return the result of `subtype` with its reason."""
    return Comparison().check(sub, sup)


def service_compatible(new: Interface | ServiceType, old: Interface | ServiceType) -> Verdict:
    """Return whether clients of the `old` service can use the `new` one."""
    services = [given.service if isinstance(given, Interface) else given for given in (new, old)]
    if services[1] is None:
        return Verdict(True)
    if services[0] is None:
        return Verdict(False, "the new interface has no service")
    return explain_subtype(services[0], services[1])


def _premises(pair: _Pair) -> Iterator[_Pair]:
    path, sub, sup = pair.path, pair.sub.resolve(), pair.sup.resolve()
    if isinstance(sup, OptType) or sup == RESERVED or sub in (EMPTY, sup) or (sub == NAT and sup == INT):
        return
    match sub, sup:
        case VecType(), VecType():
            yield _Pair(_Path(path, "[]"), sub.inner, sup.inner)
        case RecordType(), RecordType():
            yield from _record_premises(path, sub, sup)
        case VariantType(), VariantType():
            yield from _variant_premises(path, sub, sup)
        case FuncType(), FuncType():
            yield from _func_premises(path, sub, sup)
        case ServiceType(), ServiceType():
            yield from _service_premises(path, sub, sup)
        case _:
            if not (isinstance(sub, ServiceType) and sup == PRINCIPAL):
                raise _Refuted(_at(path, f"{_short(sub)} is not a subtype of {_short(sup)}"))


def _record_premises(path: _Path, sub: RecordType, sup: RecordType) -> Iterator[_Pair]:
    given = {field.id: field.type for field in sub.fields}
    for field in sup.fields:
        if field.id in given:
            yield _Pair(_Path(path, f".{field.label}"), given[field.id], field.type)
        elif not field.type.nullable:
            raise _Refuted(_at(path, f"the field {field.label} : {_short(field.type)} is missing"))


def _variant_premises(path: _Path, sub: VariantType, sup: VariantType) -> Iterator[_Pair]:
    known = {case.id: case.type for case in sup.fields}
    for case in sub.fields:
        if case.id not in known:
            raise _Refuted(_at(path, f"the variant case {case.label} is not known"))
        yield _Pair(_Path(path, f".{case.label}"), case.type, known[case.id])


def _func_premises(path: _Path, sub: FuncType, sup: FuncType) -> Iterator[_Pair]:
    if set(sub.modes) != set(sup.modes):
        kinds = " and ".join(" ".join(func.modes) or "update" for func in (sub, sup))
        raise _Refuted(_at(path, f"the kinds of call differ: {kinds}"))
    yield from _tuple_premises(path, "argument", sup.args, sub.args)
    yield from _tuple_premises(path, "result", sub.results, sup.results)


def _tuple_premises(path: _Path, kind: str, sub: tuple[Type, ...], sup: tuple[Type, ...]) -> Iterator[_Pair]:
    for number, wanted in enumerate(sup):
        if number < len(sub):
            yield _Pair(_Path(path, f" {kind} {number}"), sub[number], wanted)
        elif not wanted.nullable:
            raise _Refuted(_at(_Path(path, f" {kind} {number}"), f"{_short(wanted)} is missing"))


def _service_premises(path: _Path, sub: ServiceType, sup: ServiceType) -> Iterator[_Pair]:
    given = dict(sub.methods)
    for name, wanted in sup.methods:
        if name not in given:
            raise _Refuted(_at(path, f"the method {name_text(name)} is missing"))
        yield _Pair(_Path(path, f" method {name_text(name)}"), given[name], wanted)


def _at(path: _Path, problem: str) -> str:
    return f"{path}: {problem}" if str(path) else problem


def _short(candid_type: Type) -> str:
    text = str(candid_type)
    return text if len(text) <= 60 else text[:59] + "…"
