"""Candid types: frozen, hashable values that know their own text.

A recursive type is a `NamedType`, which carries the environment of its name, so that a type can be used on its own.
`str(t)` is text that parses to the same type. Types may be nested to any depth: a type keeps its hash, and neither
comparing nor printing recurses.

Spec: dfinity/candid `spec/Candid.md`, "Core Grammar" and "Types" (opcodes).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar, Self

from sandbox.candid.labels import MAX_FIELD_ID, name_text
from sandbox.candid.layout import Doc, braced, parenthesised
from sandbox.candid.nesting import Nested
from sandbox.candid.type_base import Env, Field, Type
from sandbox.errors import CandidTypeError


@dataclass(frozen=True, slots=True, eq=False)
class PrimType(Type):
    """A type without parts."""

    name: str
    opcode: int

    @property
    def nullable(self) -> bool:
        return self.name in ("null", "reserved")

    _parts: ClassVar = ("name", "opcode")

    def laid_out(self) -> Doc:
        return self.name


NULL = PrimType("null", -1)
BOOL = PrimType("bool", -2)
NAT = PrimType("nat", -3)
INT = PrimType("int", -4)
NAT8 = PrimType("nat8", -5)
NAT16 = PrimType("nat16", -6)
NAT32 = PrimType("nat32", -7)
NAT64 = PrimType("nat64", -8)
INT8 = PrimType("int8", -9)
INT16 = PrimType("int16", -10)
INT32 = PrimType("int32", -11)
INT64 = PrimType("int64", -12)
FLOAT32 = PrimType("float32", -13)
FLOAT64 = PrimType("float64", -14)
TEXT = PrimType("text", -15)
RESERVED = PrimType("reserved", -16)
EMPTY = PrimType("empty", -17)
PRINCIPAL = PrimType("principal", -24)

PRIMITIVES = (
    NULL, BOOL, NAT, INT, NAT8, NAT16, NAT32, NAT64, INT8, INT16, INT32, INT64,
    FLOAT32, FLOAT64, TEXT, RESERVED, EMPTY, PRINCIPAL,
)  # fmt: skip
PRIMITIVE_BY_NAME = {prim.name: prim for prim in PRIMITIVES}
PRIMITIVE_BY_OPCODE = {prim.opcode: prim for prim in PRIMITIVES}

OPT, VEC, RECORD, VARIANT, FUNC, SERVICE = -18, -19, -20, -21, -22, -23
FUNC_MODES = {"query": 1, "oneway": 2, "composite_query": 3}


@dataclass(frozen=True, slots=True, eq=False)
class OptType(Type):
    """`opt inner`."""

    inner: Type

    @property
    def nullable(self) -> bool:
        return True

    _parts: ClassVar = ("inner",)

    def inner_types(self) -> Iterable[Type]:
        return (self.inner,)

    def laid_out(self) -> Nested[Doc]:
        return ("opt ", (yield self.inner.laid_out()))


@dataclass(frozen=True, slots=True, eq=False)
class VecType(Type):
    """`vec inner`; `vec nat8` is also written `blob`."""

    inner: Type

    _parts: ClassVar = ("inner",)

    def inner_types(self) -> Iterable[Type]:
        return (self.inner,)

    def laid_out(self) -> Nested[Doc]:
        return "blob" if self.inner == NAT8 else ("vec ", (yield self.inner.laid_out()))


@dataclass(frozen=True, slots=True, eq=False)
class _FieldsType(Type):
    """A type of labelled parts, ordered by id."""

    fields: tuple[Field, ...]
    _parts: ClassVar = ("fields",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", _ordered(self.fields))

    @classmethod
    def of(cls, **fields: Type) -> Self:
        return cls(tuple(Field.named(name, type) for name, type in fields.items()))

    def inner_types(self) -> Iterable[Type]:
        return [part.type for part in self.fields]


@dataclass(frozen=True, slots=True, eq=False)
class RecordType(_FieldsType):
    """`record { fields }`."""

    @property
    def is_tuple(self) -> bool:
        """Whether there are fields and their labels are exactly the numbers from 0."""
        return bool(self.fields) and all(f.id == n and f.name is None for n, f in enumerate(self.fields))

    def laid_out(self) -> Nested[Doc]:
        items: list[Doc] = []
        for part in self.fields:
            doc = yield part.type.laid_out()
            items.append(doc if self.is_tuple else (f"{part.label} : ", doc))
        return ("record ", braced(items))


@dataclass(frozen=True, slots=True, eq=False)
class VariantType(_FieldsType):
    """`variant { cases }`."""

    def laid_out(self) -> Nested[Doc]:
        items: list[Doc] = []
        for case in self.fields:
            doc = yield case.type.laid_out()
            items.append(case.label if case.type == NULL else (f"{case.label} : ", doc))
        return ("variant ", braced(items))


@dataclass(frozen=True, slots=True, eq=False)
class FuncType(Type):
    """`func (args) -> (results) modes`; `arg_names` and `result_names` are documentation only."""

    args: tuple[Type, ...]
    results: tuple[Type, ...]
    modes: tuple[str, ...] = ()
    arg_names: tuple[str | None, ...] = field(default=(), compare=False)
    result_names: tuple[str | None, ...] = field(default=(), compare=False)
    _parts: ClassVar = ("args", "results", "modes")

    @property
    def is_query(self) -> bool:
        return "query" in self.modes or "composite_query" in self.modes

    @property
    def is_oneway(self) -> bool:
        return "oneway" in self.modes

    def signature(self) -> Nested[Doc]:
        """Return the type without the word `func`, as in a service."""
        modes = "".join(f" {mode}" for mode in self.modes)
        args = yield arguments_laid_out(self.args, self.arg_names)
        return (args, " -> ", (yield arguments_laid_out(self.results, self.result_names)), modes)

    def inner_types(self) -> Iterable[Type]:
        return self.args + self.results

    def laid_out(self) -> Nested[Doc]:
        return ("func ", (yield self.signature()))


@dataclass(frozen=True, slots=True, eq=False)
class ServiceType(Type):
    """`service { methods }`, ordered by the UTF-8 bytes of the names; a method is a FuncType or a name of one."""

    methods: tuple[tuple[str, Type], ...]
    _parts: ClassVar = ("methods",)

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.methods, key=lambda method: method[0].encode("utf-8", "surrogatepass")))
        for (one, _), (other, _) in pairwise(ordered):
            if one == other:
                raise CandidTypeError(f"the method {name_text(one)} is defined twice")
        object.__setattr__(self, "methods", ordered)

    def body(self) -> Nested[Doc]:
        """Return the methods in braces."""
        items: list[Doc] = []
        for name, kind in self.methods:
            doc = yield kind.signature() if isinstance(kind, FuncType) else kind.laid_out()
            items.append((f"{name_text(name)} : ", doc))
        return braced(items)

    def inner_types(self) -> Iterable[Type]:
        return [kind for _, kind in self.methods]

    def laid_out(self) -> Nested[Doc]:
        return ("service ", (yield self.body()))


@dataclass(frozen=True, slots=True, eq=False)
class NamedType(Type):
    """A reference to a definition of `env`."""

    name: str
    env: Env = field(repr=False)

    def resolve(self) -> Type:
        definition: Type = self
        while isinstance(definition, NamedType):
            definition = definition.env[definition.name]
        return definition

    @property
    def nullable(self) -> bool:
        return self.resolve().nullable

    _parts: ClassVar = ("name", "env")

    def laid_out(self) -> Doc:
        return self.name


@dataclass(frozen=True, slots=True, eq=False)
class FutureType(Type):
    """A type of a later version of Candid: its values can be skipped, not decoded."""

    opcode: int

    _parts: ClassVar = ("opcode",)

    def laid_out(self) -> Doc:
        return "future"


BLOB = VecType(NAT8)


def _ordered(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    ordered = tuple(sorted(fields, key=lambda f: f.id))
    for one, other in pairwise(ordered):
        if one.id == other.id:
            raise CandidTypeError(f"the fields {one.label} and {other.label} have the same id {one.id}")
    if ordered and not 0 <= ordered[0].id <= ordered[-1].id <= MAX_FIELD_ID:
        raise CandidTypeError("a field id has at most 32 bits")
    return ordered


def arguments_laid_out(types: tuple[Type, ...], names: tuple[str | None, ...] = ()) -> Nested[Doc]:
    """Return the text `(name : type, type)` of an argument list."""
    items: list[Doc] = []
    for candid_type, name in zip(types, names or (None,) * len(types), strict=True):
        doc = yield candid_type.laid_out()
        items.append(doc if name is None else (f"{name_text(name)} : ", doc))
    return parenthesised(items)
