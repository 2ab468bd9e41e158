"""Types of literals: the Python value of a literal at a type, and the inferred type of a literal.

`Typist` follows the coercion rules of the spec. With `exact`, an unknown field or an option whose content does not fit
is an error; coercion would drop the field and make the option null.

Spec: dfinity/candid `spec/Candid.md`, "Values" and "Coercion".
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.candid.labels import clipped, name_text
from sandbox.candid.lexer import Source
from sandbox.candid.nesting import Nested, run
from sandbox.candid.reader import STRUCT_CODES
from sandbox.candid.subtyping import subtype
from sandbox.candid.type_base import Field, Type
from sandbox.candid.types import (
    BLOB,
    BOOL,
    EMPTY,
    FLOAT32,
    FLOAT64,
    INT,
    NAT,
    NAT8,
    NULL,
    PRINCIPAL,
    RESERVED,
    TEXT,
    FuncType,
    OptType,
    PrimType,
    RecordType,
    ServiceType,
    VariantType,
    VecType,
)
from sandbox.candid.value_parser import Literal, Member
from sandbox.candid.values import Func, Service, Some
from sandbox.errors import CandidTypeError

_PRIMITIVE_KINDS = {NULL: "null", BOOL: "bool", TEXT: "text", PRINCIPAL: "principal"}


class _Misfit(Exception):
    """A literal that does not fit a type."""

    def __init__(self, problem: str, at: int) -> None:
        super().__init__(problem)
        self.at = at


@dataclass(frozen=True, slots=True)
class Typist:
    """Conversion of the literals of a source into Python values."""

    source: Source
    exact: bool
    checked: set[int] = field(default_factory=set)
    """Offsets of the annotated literals that were checked against their annotation."""

    def arguments(self, literals: list[Literal], types: tuple[Type, ...]) -> list[Any]:
        """Return the Python values at these types; missing nullable arguments are None."""
        if self.exact and len(literals) > len(types):
            raise CandidTypeError(f"expected {len(types)} arguments, got {len(literals)}")
        values: list[Any] = []
        for number, candid_type in enumerate(types):
            if number < len(literals):
                values.append(self._argument(number, literals[number], candid_type))
            elif candid_type.nullable:
                values.append(None)
            else:
                raise CandidTypeError(f"argument {number} : {candid_type} is missing")
        return values

    def _argument(self, number: int, literal: Literal, candid_type: Type) -> Any:
        try:
            return run(self.value(literal, candid_type))
        except _Misfit as error:
            raise CandidTypeError(f"{self.source.place(error.at)}: argument {number}: {error}") from None

    def value(self, literal: Literal, candid_type: Type) -> Any:
        """Return the Python value of a literal at a type, or the nested call for it."""
        candid_type = candid_type.resolve()
        if literal.kind == "annotated":
            return self._annotated(literal, candid_type)
        match candid_type:
            case PrimType():
                return _primitive(literal, candid_type)
            case OptType():
                return None if literal.kind == "null" else self._opt(literal, candid_type.inner)
            case VecType() if candid_type.inner.resolve() == NAT8 and literal.kind == "blob":
                return literal.content
            case VecType() if literal.kind == "vec":
                return self._vec(literal, candid_type)
            case RecordType() if literal.kind == "record":
                return self._record(literal, candid_type)
            case VariantType() if literal.kind == "variant":
                return self._variant(literal, candid_type)
            case ServiceType() if literal.kind == "service":
                return Service(literal.content)
            case FuncType() if literal.kind == "func":
                return Func(*literal.content)
        raise _unfit(literal, candid_type)

    def _annotated(self, literal: Literal, candid_type: Type) -> Nested[Any]:
        inner, annotation = literal.content
        if annotation.resolve() != candid_type:
            if not subtype(annotation, candid_type):
                raise _Misfit(f"expected {candid_type}, got a value of type {annotation}", literal.at)
            if id(literal) not in self.checked:
                yield self.value(inner, annotation)
                self.checked.add(id(literal))
        return (yield self.value(inner, candid_type))

    def _opt(self, literal: Literal, inner: Type) -> Nested[Any]:
        content = literal.content if literal.kind == "opt" else literal
        if literal.kind != "opt" and inner.nullable:
            raise _unfit(literal, OptType(inner))
        try:
            value = yield self.value(content, inner)
        except _Misfit:
            if self.exact:
                raise
            return None
        return Some(value) if inner.nullable else value

    def _vec(self, literal: Literal, candid_type: VecType) -> Nested[Any]:
        inner = candid_type.inner.resolve()
        values: list[Any] = []
        for item in literal.content:
            values.append((yield self.value(item, inner)))  # noqa: PERF401 - a comprehension cannot yield
        return bytes(values) if inner == NAT8 else values

    def _record(self, literal: Literal, candid_type: RecordType) -> Nested[Any]:
        given: dict[int, Member] = {member.id: member for member in literal.content}
        values: dict[str, Any] = {}
        for part in candid_type.fields:
            member = given.pop(part.id, None)
            if member is not None:
                values[part.key] = yield self.value(member.value, part.type)
            elif part.type.nullable:
                values[part.key] = None
            else:
                raise _Misfit(f"the field {part.label} : {part.type} is missing", literal.at)
        if self.exact and given:
            member = next(iter(given.values()))
            known = ", ".join(part.label for part in candid_type.fields) or "none"
            raise _Misfit(f"unknown field {name_text(member.label)}; the fields are: {known}", member.value.at)
        return tuple(values.values()) if candid_type.is_tuple else values

    def _variant(self, literal: Literal, candid_type: VariantType) -> Nested[Any]:
        member: Member = literal.content
        case = next((case for case in candid_type.fields if case.id == member.id), None)
        if case is not None:
            return {case.key: (yield self.value(member.value, case.type))}
        known = ", ".join(case.label for case in candid_type.fields) or "none"
        raise _Misfit(f"unknown variant case {name_text(member.label)}; the cases are: {known}", literal.at)


def _primitive(literal: Literal, candid_type: PrimType) -> Any:
    kind, content = literal.kind, literal.content
    if candid_type == RESERVED:
        return None
    if kind == _PRIMITIVE_KINDS.get(candid_type) or (candid_type == PRINCIPAL and kind == "service"):
        return content
    if kind == "number" and (candid_type == INT or (candid_type == NAT and content >= 0)):
        return content
    if candid_type in STRUCT_CODES and (kind == "number" or (kind == "float" and candid_type in (FLOAT32, FLOAT64))):
        layout = struct.Struct("<" + STRUCT_CODES[candid_type])
        try:
            return layout.unpack(layout.pack(content))[0]
        except (struct.error, OverflowError):
            raise _Misfit(f"{clipped(content)} is out of the range of {candid_type}", literal.at) from None
    raise _unfit(literal, candid_type)


def _unfit(literal: Literal, candid_type: Type) -> _Misfit:
    shown = f" {clipped(literal.content)}" if literal.kind in ("number", "float", "text", "bool") else ""
    return _Misfit(f"expected {candid_type}, got {literal.kind}{shown}", literal.at)


# Literals without a type.


def infer(literal: Literal, source: Source) -> Type:
    """Return the inferred type of a literal: whole numbers are int, others float64."""
    return run(_Inference(source).type(literal))


class _Inference:
    """Inference of types; equal types are mostly one object, which makes comparisons fast."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.made: dict[tuple[Any, ...], Type] = {}

    def type(self, literal: Literal) -> Nested[Type] | Type:
        content = literal.content
        match literal.kind:
            case "annotated":
                annotation: Type = content[1]
                return annotation
            case "opt":
                return self._opt(content)
            case "vec":
                return self._vec(content)
            case "record":
                return self._record(content)
            case "variant":
                return self._variant(content)
        return _LONE_TYPES[literal.kind]

    def _opt(self, content: Literal) -> Nested[Type]:
        inner: Type = yield self.type(content)
        return self._once(OptType, (id(inner),), lambda: OptType(inner))

    def _vec(self, items: list[Literal]) -> Nested[Type]:
        element: Type = EMPTY
        for item in items:
            joined = yield join(element, (yield self.type(item)))
            if joined is None:
                place = self.source.place(item.at)
                raise CandidTypeError(f"{place}: this element has another type than those before it")
            element = joined
        return self._once(VecType, (id(element),), lambda: VecType(element))

    def _record(self, members: list[Member]) -> Nested[Type]:
        types: list[Type] = []
        for member in members:
            types.append((yield self.type(member.value)))  # noqa: PERF401 - a comprehension cannot yield
        return self._fields(RecordType, members, types)

    def _variant(self, member: Member) -> Nested[Type]:
        return self._fields(VariantType, [member], [(yield self.type(member.value))])

    def _fields(self, make: Callable[[tuple[Field, ...]], Type], members: list[Member], types: list[Type]) -> Type:
        key = tuple(
            [(member.id, member.name, id(candid_type)) for member, candid_type in zip(members, types, strict=True)]
        )
        return self._once(
            make, key, lambda: make(tuple(Field(m.id, t, m.name) for m, t in zip(members, types, strict=True)))
        )

    def _once(self, kind: Any, parts: tuple[Any, ...], make: Callable[[], Type]) -> Type:
        """Return the type made of the same objects before, or a new one, which keeps them alive."""
        key = (kind, parts)
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]


_LONE_TYPES: dict[str, Type] = {
    "null": NULL,
    "bool": BOOL,
    "number": INT,
    "float": FLOAT64,
    "text": TEXT,
    "blob": BLOB,
    "principal": PRINCIPAL,
    "service": ServiceType(()),
    "func": FuncType((), ()),
}


def join(one: Type, other: Type) -> Nested[Type | None] | Type | None:
    """Return the least type for values of both, or the nested call for it; None if only `reserved` or an added option
    fits."""
    if one in (other, EMPTY):
        return other
    if other == EMPTY:
        return one
    match one, other:
        case OptType(left), OptType(right):
            return _joined_parts(OptType, left, right)
        case (PrimType(name="null"), OptType()) | (OptType(), PrimType(name="null")):
            return one if isinstance(one, OptType) else other
        case VecType(left), VecType(right):
            return _joined_parts(VecType, left, right)
        case RecordType(), RecordType() if [f.id for f in one.fields] == [f.id for f in other.fields]:
            return _joined_fields(RecordType, one.fields, other.fields)
        case VariantType(), VariantType():
            return _joined_fields(VariantType, one.fields, other.fields)
    return one if subtype(other, one) else other if subtype(one, other) else None


def _joined_parts(make: Callable[[Type], Type], one: Type, other: Type) -> Nested[Type | None]:
    inner = yield join(one, other)
    return None if inner is None else make(inner)


def _joined_fields(
    make: Callable[[tuple[Field, ...]], Type], one: tuple[Field, ...], other: tuple[Field, ...]
) -> Nested[Type | None]:
    parts = {part.id: part for part in one}
    for part in other:
        mine = parts.get(part.id)
        joined = part.type if mine is None else (yield join(mine.type, part.type))
        if joined is None:
            return None
        parts[part.id] = Field(part.id, joined, part.name if mine is None else mine.name)
    return make(tuple(parts.values()))
