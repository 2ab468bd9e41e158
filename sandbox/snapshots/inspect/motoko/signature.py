"""Parse stable signatures of Motoko programs: the metadata section `motoko:stable-types`.

The grammar is that of the compiler (dfinity/motoko `src/mo_frontend/parser.mly`, `parse_stab_sig`): type definitions,
then one of

- `actor { stable var x : T; ... }`
- `actor ({ in x : T; stable y : U }, { stable z : V })`: what the migration function wants and what is passed on, then
  the variables after it
- `{ "label" : Old -> New; ... } actor { stable x : T; ... }`: a chain of migrations, and the variables after all
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from sandbox.snapshots.inspect.motoko.stable_types import TOKEN
from sandbox.snapshots.inspect.motoko.types import (
    PRIMS,
    Array,
    Con,
    Definition,
    Definitions,
    Field,
    Func,
    Object,
    Opt,
    Prim,
    Tuple,
    Type,
    Variant,
    Weak,
)
from sandbox.snapshots.inspect.source import InspectError

_MAX_TEXT = 16 << 20
_MAX_NESTING = 64
_SORTS = ("actor", "module", "object")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Before:
    """A variable that a program finds when it is upgraded to; `required`: it must have been there."""

    field: Field
    required: bool = False


@dataclass(frozen=True)
class Migration:
    """A migration of a chain: the fields that it takes and those that it gives."""

    label: str
    takes: tuple[Field, ...]
    gives: tuple[Field, ...]


@dataclass(frozen=True)
class Signature:
    """A stable signature. `before`: what the program finds, None if it has no migration function of its own; `chain`:
    the migrations, in order, if it has a chain; `after`: its variables."""

    definitions: Definitions
    after: tuple[Field, ...]
    before: tuple[Before, ...] | None = None
    chain: tuple[Migration, ...] = ()


def parse_signature(text: str) -> Signature:
    """Parse a whole signature; InspectError with the line if it is none."""
    if len(text) > _MAX_TEXT:
        raise InspectError(f"a stable signature of {len(text):,} characters is too long")
    return _Parser(text).signature()


class _Parser:
    def __init__(self, text: str) -> None:
        self._words: list[tuple[str, int]] = []
        line = 1
        for word in TOKEN.findall(text):
            if not word.isspace() and not word.startswith(("//", "/*")):
                self._words.append((word, line))
            line += word.count("\n")
        self._at = 0
        self._depth = 0
        self._defined = {b for (a, _), (b, _) in pairwise(self._words) if a == "type"}

    # --- words

    def _peek(self, ahead: int = 0) -> str:
        at = self._at + ahead
        return self._words[at][0] if at < len(self._words) else ""

    def _next(self) -> str:
        word = self._peek()
        self._at += 1
        return word

    def _skip(self, word: str) -> bool:
        if self._peek() != word:
            return False
        self._at += 1
        return True

    def _expect(self, word: str) -> None:
        if not self._skip(word):
            raise self._error(f"{word!r}")

    def _error(self, expected: str) -> InspectError:
        line = self._words[min(self._at, len(self._words) - 1)][1] if self._words else 1
        found = repr(self._peek()[:40]) if self._peek() else "the end"
        return InspectError(f"the stable signature has {found} instead of {expected}, in line {line}")

    def _name(self) -> str:
        if not _NAME.fullmatch(self._peek()):
            raise self._error("a name")
        return self._next()

    def _many(self, end: str, item: Callable[[], _T], between: str = ";") -> tuple[_T, ...]:
        """Read items up to the word `end`."""
        items: list[_T] = []
        while not self._skip(end):
            items.append(item())
            if not self._skip(between):
                self._expect(end)
                break
        return tuple(items)

    # --- signatures

    def signature(self) -> Signature:
        definitions: dict[str, Definition] = {}
        while self._skip("type"):
            definition = self._definition()
            definitions[definition.name] = definition
            self._expect(";")
        chain: tuple[Migration, ...] = ()
        before: tuple[Before, ...] | None = None
        if self._skip("{"):
            chain = self._many("}", lambda: self._migration(definitions))
        self._expect("actor")
        if self._skip("("):
            self._expect("{")
            before = self._many("}", self._before)
            self._expect(",")
            self._expect("{")
            after = self._many("}", self._variable)
            self._expect(")")
        else:
            self._expect("{")
            after = self._many("}", self._variable)
        self._skip(";")
        if self._peek():
            raise self._error("the end")
        return Signature(definitions, after, before, chain)

    def _definition(self) -> Definition:
        name = self._name()
        parameters = self._parameters()
        self._expect("=")
        return Definition(name, parameters, self._type())

    def _parameters(self) -> tuple[str, ...]:
        return self._many(">", self._parameter, ",") if self._skip("<") else ()

    def _parameter(self) -> str:
        name = self._name()
        if self._skip("<"):
            self._expect(":")
            self._type()
        return name

    def _variable(self) -> Field:
        self._expect("stable")
        return self._field()

    def _before(self) -> Before:
        required = self._skip("in")
        if not required:
            self._expect("stable")
        return Before(self._field(), required)

    def _migration(self, definitions: Definitions) -> Migration:
        if not self._peek().startswith('"'):
            raise self._error("the label of a migration")
        label = self._next()[1:-1]
        self._expect(":")
        kind = self._type()
        sides = (kind.params, kind.results) if isinstance(kind, Func) else ()
        return Migration(label, *(self._side(side) for side in sides)) if sides else self._no_migration()

    def _side(self, kinds: tuple[Type, ...]) -> tuple[Field, ...]:
        """Return the fields of the only parameter or result of a migration function."""
        [kind] = kinds if len(kinds) == 1 else [Tuple()]
        if not isinstance(kind, Object):
            raise self._error("a migration from one record to another")
        return kind.fields

    def _no_migration(self) -> Migration:
        raise self._error("a migration function")

    # --- types

    def _field(self) -> Field:
        mutable = self._skip("var")
        label = self._name()
        self._expect(":")
        return Field(label, self._type(), mutable)

    def _type(self) -> Type:
        self._depth += 1
        if self._depth > _MAX_NESTING:
            raise self._error(f"a type of at most {_MAX_NESTING} levels")
        sort, parameters = self._sort(), self._parameters()
        operand = self._operand()
        kind = self._function(operand, sort) if self._skip("->") else _one(operand)
        if (sort or parameters) and not isinstance(kind, Func):
            raise self._error("'->'")
        if self._peek() in ("and", "or"):
            raise self._error("the end of a type (those with 'and' or 'or' are not supported)")
        self._depth -= 1
        return kind

    def _sort(self) -> str:
        if not self._skip("shared"):
            return ""
        words = ["shared", *(word for word in ("composite", "query") if self._skip(word))]
        return " ".join(words)

    def _function(self, params: tuple[Type, ...], sort: str) -> Func:
        if self._skip("async"):
            control = "async*" if self._skip("*") else "async"
            return Func(params, self._operand(), sort, control)
        if self._peek() in ("shared", "<"):
            return Func(params, (self._type(),), sort)
        operand = self._operand()
        return Func(params, (self._function(operand, ""),) if self._skip("->") else operand, sort)

    def _operand(self) -> tuple[Type, ...]:
        """Read the types between parentheses, or one type."""
        return self._many(")", self._item, ",") if self._skip("(") else (self._prefixed(),)

    def _item(self) -> Type:
        if _NAME.fullmatch(self._peek()) and self._peek(1) == ":":
            self._at += 2  # a name in a tuple says nothing about the type
        return self._type()

    def _prefixed(self) -> Type:
        word = self._peek()
        if word in ("?", "weak"):
            self._at += 1
            return self._nested(Opt if word == "?" else Weak)
        if word in _SORTS and self._peek(1) == "{":
            self._at += 2
            return Object(self._fields(), word)
        if self._skip("["):
            mutable = self._skip("var")
            kind = self._type()
            self._expect("]")
            return Array(kind, mutable)
        if self._skip("{"):
            return self._variant() if self._peek() == "#" else Object(self._fields())
        return self._named()

    def _nested(self, make: Callable[[Type], Type]) -> Type:
        """Read the operand of a prefix, which is a level of its own."""
        self._depth += 1
        if self._depth > _MAX_NESTING:
            raise self._error(f"a type of at most {_MAX_NESTING} levels")
        kind = make(_one(self._operand()))
        self._depth -= 1
        return kind

    def _named(self) -> Type:
        name = self._name()
        while self._skip("."):
            name += f".{self._name()}"
        args = self._many(">", self._type, ",") if self._skip("<") else ()
        return Prim(name) if name in PRIMS and not args and name not in self._defined else Con(name, args)

    def _fields(self) -> tuple[Field, ...]:
        found = self._many("}", self._object_field)
        return tuple(each for each in found if each is not None)

    def _object_field(self) -> Field | None:
        """Read a field; None for a type, which an object may name, too."""
        if self._skip("type"):
            self._definition()
            return None
        return self._field()

    def _variant(self) -> Variant:
        if self._peek(1) == "}":
            self._at += 2
            return Variant()
        return Variant(self._many("}", self._tag))

    def _tag(self) -> Field:
        self._expect("#")
        label = self._name()
        return Field(label, self._type() if self._skip(":") else Tuple())


def _one(operand: tuple[Type, ...]) -> Type:
    return operand[0] if len(operand) == 1 else Tuple(operand)
