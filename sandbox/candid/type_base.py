"""The base of Candid types: hashing, comparison and text without recursion, fields, and definitions by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

from sandbox.candid.labels import field_id, key_id, name_text, number_text
from sandbox.candid.layout import Doc, render
from sandbox.candid.nesting import Nested, run


class Env(Mapping[str, "Type"]):
    """Type definitions by name, compared by identity. The code that makes an `Env` fills it."""

    __slots__ = ("_types",)

    def __init__(self) -> None:
        self._types: dict[str, Type] = {}

    def define(self, name: str, definition: Type) -> None:
        self._types[name] = definition

    def __getitem__(self, name: str) -> Type:
        return self._types[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


class Type:
    """Base class of types; types of one class are equal if the attributes in `_parts` are equal."""

    __slots__ = ("_hash",)
    _parts: ClassVar[tuple[str, ...]] = ()
    _hash: int

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            _keep_hashes(self)
            return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Type) and hash(self) == hash(other) and equal(self, other)

    def __reduce__(self) -> tuple[type[Type], tuple[object, ...]]:
        return type(self), tuple([getattr(self, item.name) for item in fields(self)])  # type: ignore[arg-type]

    def parts(self) -> tuple[object, ...]:
        """Return the attributes by which types of this class are compared."""
        return tuple([getattr(self, name) for name in self._parts])

    def inner_types(self) -> Iterable[Type]:
        """Return the types directly inside this one; the definition of a name is not inside it."""
        return ()

    def resolve(self) -> Type:
        """Return the definition of a name; any other type is its own."""
        return self

    @property
    def nullable(self) -> bool:
        """Whether null is a value of this type (null, reserved, options). Such a field or argument may be missing."""
        return False

    def doc(self) -> Doc:
        """Return the text of the type for `layout.render`."""
        return run(self.laid_out())

    def laid_out(self) -> Nested[Doc] | Doc:
        """Return `doc`, or the nested call for it."""
        raise NotImplementedError

    def __str__(self) -> str:
        return render(self.doc(), width=1 << 30)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record or a case of a variant; the name is None where only the id is known."""

    id: int
    type: Type
    name: str | None = None

    @property
    def key(self) -> str:
        """The key in a Python dict: the name; `_id_` without one, or if it looks like the `_id_` of another field."""
        name = self.name
        return f"_{self.id}_" if name is None or (name[:1] == "_" and key_id(name) != self.id) else name

    @property
    def label(self) -> str:
        """The label in Candid text: the name, else the id."""
        return number_text(self.id) if self.name is None else name_text(self.name)

    @classmethod
    def named(cls, name: str, type: Type) -> Field:
        return cls(field_id(name), type, name)


def _keep_hashes(candid_type: Type) -> None:
    """Compute and store the hashes of a type and all types inside it."""
    waiting = [candid_type]
    while waiting:
        last = waiting[-1]
        missing = [inner for inner in last.inner_types() if not hasattr(inner, "_hash")]
        if missing:
            waiting += missing
            continue
        object.__setattr__(last, "_hash", hash((type(last), *last.parts())))
        waiting.pop()


def equal(one: Type, other: Type, *, by_name: bool = True) -> bool:
    """Return whether two types have the same parts at every level; without `by_name`, names of definitions may differ.

    A pair that was met before counts as equal, so that recursive types end.
    """
    waiting: list[tuple[object, object]] = [(one, other)]
    met: set[tuple[int, int]] = set()
    while waiting:
        a, b = waiting.pop()
        if a is b:
            continue
        if isinstance(a, Type) and isinstance(b, Type):
            if (id(a), id(b)) in met:
                continue
            met.add((id(a), id(b)))
            if not by_name:
                a, b = a.resolve(), b.resolve()
            elif hash(a) != hash(b):
                return False
            if type(a) is not type(b):
                return False
            waiting.append((a.parts(), b.parts()))
        elif isinstance(a, Field) and isinstance(b, Field):
            waiting += ((a.id, b.id), (a.name, b.name), (a.type, b.type))
        elif isinstance(a, tuple) and isinstance(b, tuple):
            if len(a) != len(b):
                return False
            waiting.extend(zip(a, b, strict=True))
        elif a != b:
            return False
    return True
