"""Motoko's types, as they occur in stable signatures, and their text.

Sources: dfinity/motoko `src/mo_types/type.ml` (types, MakePretty).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from sandbox.snapshots.inspect.source import InspectError

MAX_HEIGHT = 200
"""The most levels of a type."""
_STAMP = re.compile(r"__\d+$")

ANY, NONE = "Any", "None"
PRIMS = frozenset(
    (
        "Null", "Bool", "Nat", "Nat8", "Nat16", "Nat32", "Nat64", "Int", "Int8", "Int16", "Int32", "Int64", "Float",
        "Char", "Text", "Blob", "Error", "Principal", "Region", ANY, NONE,
    )
)  # fmt: skip


@dataclass(frozen=True)
class Type:
    """A type. `height`: its levels, those of a named type counted by its arguments alone."""

    height: int = field(default=1, init=False, repr=False, compare=False)
    _parts_of: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        height = 1 + max((part.height for part in self.parts), default=0)
        if height > MAX_HEIGHT:
            raise InspectError(f"a Motoko type has more than {MAX_HEIGHT} levels")
        object.__setattr__(self, "height", height)

    @property
    def parts(self) -> Iterable[Type]:
        return ()


@dataclass(frozen=True)
class Prim(Type):
    """A primitive type, also `Any` and `None`."""

    name: str


@dataclass(frozen=True)
class Con(Type):
    """A defined type, with the hash of its definition in its name, or a type parameter."""

    name: str
    args: tuple[Type, ...] = ()

    @property
    def parts(self) -> Iterable[Type]:
        return self.args


@dataclass(frozen=True)
class Opt(Type):
    inner: Type

    @property
    def parts(self) -> Iterable[Type]:
        return (self.inner,)


@dataclass(frozen=True)
class Weak(Opt):
    """A weak reference."""


@dataclass(frozen=True)
class Array(Opt):
    mutable: bool = False


@dataclass(frozen=True)
class Tuple(Type):
    items: tuple[Type, ...] = ()

    @property
    def parts(self) -> Iterable[Type]:
        return self.items


@dataclass(frozen=True)
class Field:
    """A field of a record, a tag of a variant, or a variable."""

    label: str
    type: Type
    mutable: bool = False


@dataclass(frozen=True)
class Fields(Type):
    """Fields with different labels, in their order."""

    fields: tuple[Field, ...] = ()

    @property
    def parts(self) -> Iterable[Type]:
        return (each.type for each in self.fields)

    def by_label(self) -> Mapping[str, Field]:
        return {each.label: each for each in self.fields}


@dataclass(frozen=True)
class Object(Fields):
    """A record, or an `actor` or `module`."""

    sort: str = ""


@dataclass(frozen=True)
class Variant(Fields):
    pass


@dataclass(frozen=True)
class Func(Type):
    """A function. `sort`: `shared`, `shared query`, `shared composite query`, or nothing; `control`: `async`, `async*`,
    or nothing."""

    params: tuple[Type, ...]
    results: tuple[Type, ...]
    sort: str = ""
    control: str = ""

    @property
    def parts(self) -> Iterable[Type]:
        return (*self.params, *self.results)


@dataclass(frozen=True)
class Definition:
    """`type NAME<PARAMETERS> = BODY`."""

    name: str
    parameters: tuple[str, ...]
    body: Type


Definitions = Mapping[str, Definition]


def unfolded(kind: Type, definitions: Definitions) -> Type:
    """Return the type with its outermost definition put in; InspectError if that does not end."""
    for _ in range(MAX_HEIGHT):
        if not isinstance(kind, Con) or kind.name not in definitions:
            return kind
        definition = definitions[kind.name]
        if len(definition.parameters) != len(kind.args):
            raise InspectError(
                f"the type {kind.name} has {len(definition.parameters)} parameters, not {len(kind.args)}"
            )
        kind = substituted(definition.body, dict(zip(definition.parameters, kind.args, strict=True)))
    raise InspectError(f"the definition of the type {type_text(kind)} does not end")


def substituted(kind: Type, arguments: Mapping[str, Type]) -> Type:
    """Return the type with arguments for its parameters."""
    if not arguments:
        return kind

    def inside(each: Type) -> Type:
        return substituted(each, arguments)

    match kind:
        case Con():
            found = arguments.get(kind.name)
            return found if found is not None and not kind.args else Con(kind.name, tuple(map(inside, kind.args)))
        case Opt():
            return replace(kind, inner=inside(kind.inner))
        case Tuple():
            return Tuple(tuple(map(inside, kind.items)))
        case Fields():
            return replace(kind, fields=tuple(replace(each, type=inside(each.type)) for each in kind.fields))
        case Func():
            return replace(kind, params=tuple(map(inside, kind.params)), results=tuple(map(inside, kind.results)))
    return kind


# --- text


def plain_name(name: str) -> str:
    """Return the program's name of a defined type: without the hash."""
    return _STAMP.sub("", name)


def type_text(kind: Type) -> str:
    """Return the text of a type on one line, without the hashes of names."""
    match kind:
        case Func():
            words = (kind.sort, _operand(kind.params), "->", kind.control, _operand(kind.results))
            return " ".join(word for word in words if word)
        case Array():
            return f"[{'var ' if kind.mutable else ''}{type_text(kind.inner)}]"
        case Weak():
            return f"weak {_within(kind.inner)}"
        case Opt():
            return f"?{_within(kind.inner)}"
        case Tuple():
            return f"({', '.join(map(type_text, kind.items))}{',' if len(kind.items) == 1 else ''})"
        case Object():
            fields = "; ".join(field_text(each) for each in kind.fields)
            return f"{kind.sort} {{{fields}}}" if kind.sort else f"{{{fields}}}"
        case Variant():
            return f"{{{'; '.join(map(_tag, kind.fields)) or '#'}}}"
        case Con() if kind.args:
            return f"{plain_name(kind.name)}<{', '.join(map(type_text, kind.args))}>"
        case Con():
            return plain_name(kind.name)
        case Prim():
            return kind.name
    raise AssertionError(kind)


def field_text(each: Field) -> str:
    return f"{'var ' if each.mutable else ''}{each.label} : {type_text(each.type)}"


def _tag(each: Field) -> str:
    return f"#{each.label}" if each.type == Tuple() else f"#{each.label} : {type_text(each.type)}"


def _within(kind: Type) -> str:
    return f"({type_text(kind)})" if _compound(kind) else type_text(kind)


def _operand(kinds: tuple[Type, ...]) -> str:
    """Return the text of parameters or results: alone without parentheses, unless it is a tuple or a function."""
    if len(kinds) == 1 and not isinstance(kinds[0], Tuple) and not _compound(kinds[0]):
        return type_text(kinds[0])
    return f"({', '.join(map(type_text, kinds))})"


def _compound(kind: Type) -> bool:
    """Whether the text of the type has several words."""
    return isinstance(kind, Func) or (isinstance(kind, Object) and bool(kind.sort))
