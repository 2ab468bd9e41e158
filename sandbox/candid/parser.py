"""The parser of types, and the cursor over tokens that the parser of values shares with it.

Spec: dfinity/candid `spec/Candid.md`, "Core Grammar" and "Syntactic Shorthands".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeVar

from sandbox.candid.labels import KEYWORDS, MAX_FIELD_ID, field_id
from sandbox.candid.lexer import Source, Token, integer, string_text, tokenize
from sandbox.candid.nesting import Nested, run, then
from sandbox.candid.type_base import Env, Field, Type
from sandbox.candid.types import (
    BLOB,
    FUNC_MODES,
    NULL,
    PRIMITIVE_BY_NAME,
    FuncType,
    NamedType,
    OptType,
    RecordType,
    ServiceType,
    VariantType,
    VecType,
)
from sandbox.errors import CandidTypeError

MAX_ALIASES = 100
"""Limit on the names in a chain of definitions such as `type a = b`."""

_T = TypeVar("_T")


class Parser:
    """Parser of types; `env` defines the names of types."""

    def __init__(self, source: Source, env: Env | None = None) -> None:
        self.source = source
        self.env = Env() if env is None else env
        self.tokens = tokenize(source)
        self.position = 0
        self.references: list[Token] = []
        self.method_references: list[Token] = []

    # The cursor.

    @property
    def token(self) -> Token:
        return self.tokens[self.position]

    def advance(self) -> Token:
        token = self.token
        self.position += token.kind != "end"
        return token

    def sees(self, *words: str, ahead: int = 0) -> bool:
        """Return whether one of these marks or keywords is next."""
        return self.tokens[self.position + ahead].text in words

    def accept(self, word: str) -> bool:
        if self.tokens[self.position].text != word:
            return False
        self.position += 1
        return True

    def expect(self, word: str) -> None:
        if not self.accept(word):
            self.unexpected(f"`{word}`")

    def unexpected(self, wanted: str) -> NoReturn:
        token = self.token
        actual = "the end of the text" if token.kind == "end" else token.text
        actual = actual if len(actual) <= 40 else actual[:39] + "…"
        self.fail(f"expected {wanted}, found {actual}")

    def fail(self, message: str, at: int | None = None) -> NoReturn:
        raise self.source.error(message, self.token.at if at is None else at)

    def finish(self) -> None:
        if self.token.kind != "end":
            self.unexpected("the end of the text")

    @contextmanager
    def _rejecting(self, at: int) -> Iterator[None]:
        """Report an inconsistent type at its first token."""
        try:
            yield
        except CandidTypeError as error:
            self.fail(str(error), at)

    def separated(
        self, opening: str, separator: str, closing: str, item: Callable[[], Nested[_T] | _T]
    ) -> Nested[list[_T]]:
        """Parse items between marks; the last one may have a separator too."""
        self.expect(opening)
        items: list[_T] = []
        while not self.accept(closing):
            items.append((yield item()))
            if not self.accept(separator) and not self.sees(closing):
                self.unexpected(f"`{separator}` or `{closing}`")
        return items

    # Names and labels.

    def name(self) -> str:
        token = self.token
        if token.kind == "text":
            return string_text(self.source, self.advance())
        if token.kind != "name":
            self.unexpected("a name")
        if token.text in KEYWORDS:
            self.fail(f'`{token.text}` is a keyword; as a name it stands in quotes: "{token.text}"')
        return self.advance().text

    def identifier(self) -> str:
        if self.token.kind != "name":
            self.unexpected("a name")
        return self.name()

    def string(self) -> str:
        if self.token.kind != "text":
            self.unexpected("a string")
        return string_text(self.source, self.advance())

    def field_number(self) -> int:
        value = integer(self.source, self.token)
        if not 0 <= value <= MAX_FIELD_ID or self.token.text[0] in "+-":
            self.fail("a field id is a number below 2^32")
        self.advance()
        return value

    def label(self) -> tuple[int, str | None]:
        """Parse the label of a field: its id, and its name or None for a number."""
        if self.token.kind == "number":
            return self.field_number(), None
        name = self.name()
        return field_id(name), name

    # Types.

    def type(self) -> Type:
        return run(self.type_call())

    def types(self) -> tuple[tuple[Type, ...], tuple[str | None, ...]]:
        """Parse `(name : type, type)` into types and names; without any name, the names are empty."""
        return run(self._types())

    def service(self) -> ServiceType:
        return run(self._service())

    def type_call(self) -> Nested[Type] | Type:
        """Parse a type, for a caller inside `run`."""
        token = self.token
        if token.kind != "name":
            self.unexpected("a type")
        build = _TYPE_PARSERS.get(token.text)
        if build is not None:
            self.advance()
            return self._built(build, token.at)
        if token.text in PRIMITIVE_BY_NAME:
            return PRIMITIVE_BY_NAME[self.advance().text]
        self.references.append(token)
        return NamedType(self.identifier(), self.env)

    def _built(self, build: Callable[[Parser], Nested[Type] | Type], at: int) -> Nested[Type]:
        with self._rejecting(at):
            built: Type = yield build(self)
            return built

    def _opt(self) -> Nested[Type] | Type:
        return then(self.type_call(), OptType)

    def _vec(self) -> Nested[Type] | Type:
        return then(self.type_call(), VecType)

    def _record(self) -> Nested[Type]:
        following = 0

        def field() -> Nested[Field] | Field:
            nonlocal following
            number, name = following, None
            if self.token.kind == "number" or (self.token.kind in ("name", "text") and self.sees(":", ahead=1)):
                number, name = self.label()
                self.expect(":")
            following = number + 1
            return then(self.type_call(), lambda parsed: Field(number, parsed, name))

        return RecordType(tuple((yield self.separated("{", ";", "}", field))))

    def _variant(self) -> Nested[Type]:
        def case() -> Nested[Field] | Field:
            number, name = self.label()
            if not self.accept(":"):
                return Field(number, NULL, name)
            return then(self.type_call(), lambda parsed: Field(number, parsed, name))

        return VariantType(tuple((yield self.separated("{", ";", "}", case))))

    def _types(self) -> Nested[tuple[tuple[Type, ...], tuple[str | None, ...]]]:
        seen: set[str] = set()

        def argument() -> Nested[tuple[Type, str | None]] | tuple[Type, str | None]:
            name = None
            if self.token.kind in ("name", "text") and self.sees(":", ahead=1):
                at, name = self.token.at, self.name()
                if name in seen:
                    self.fail(f"the argument name {name} is used twice", at)
                seen.add(name)
                self.expect(":")
            return then(self.type_call(), lambda parsed: (parsed, name))

        pairs = yield self.separated("(", ",", ")", argument)
        return tuple(t for t, _ in pairs), tuple(name for _, name in pairs) if seen else ()

    def _func(self) -> Nested[FuncType]:
        args, arg_names = yield self._types()
        self.expect("->")
        results, result_names = yield self._types()
        modes: list[str] = []
        while self.sees(*FUNC_MODES):
            if modes:
                self.fail("a function has at most one of query, composite_query and oneway")
            modes.append(self.advance().text)
        if "oneway" in modes and results:
            self.fail("a oneway function has no results")
        return FuncType(args, results, tuple(modes), arg_names, result_names)

    def _service(self) -> Nested[ServiceType]:
        at = self.token.at
        with self._rejecting(at):
            return ServiceType(tuple((yield self.separated("{", ";", "}", self._method))))

    def _method(self) -> Nested[tuple[str, Type]] | tuple[str, Type]:
        name = self.name()
        self.expect(":")
        if self.sees("("):
            return then(self._func(), lambda parsed: (name, parsed))
        self.references.append(self.token)
        self.method_references.append(self.token)
        return name, NamedType(self.identifier(), self.env)

    def check_references(self) -> None:
        """Check that every name has a definition that ends in a type, and that methods are functions."""
        for token in self.references:
            self._check_definition(token)
        for token in self.method_references:
            if not isinstance(NamedType(token.text, self.env).resolve(), FuncType):
                self.fail(f"the method type {token.text} is not a function", token.at)

    def _check_definition(self, token: Token) -> None:
        name = token.text
        for _ in range(MAX_ALIASES):
            definition = self.env.get(name)
            if definition is None:
                self.fail(f"the type {name} is not defined", token.at)
            if not isinstance(definition, NamedType):
                return
            name = definition.name
        self.fail(f"the type {token.text} is defined as itself, or by more than {MAX_ALIASES} other names", token.at)


_TYPE_PARSERS: dict[str, Callable[[Parser], Nested[Type] | Type]] = {
    "blob": lambda parser: BLOB,
    "opt": Parser._opt,
    "vec": Parser._vec,
    "record": Parser._record,
    "variant": Parser._variant,
    "func": Parser._func,
    "service": Parser._service,
}
