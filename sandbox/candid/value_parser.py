"""The parser of values: from text to a tree of literals without types.

Spec: dfinity/candid `spec/Candid.md`, "Values". Beyond it, `inf` and `NaN` are floats, because they are printed so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.candid.lexer import Source, floating, integer, string_bytes
from sandbox.candid.nesting import Nested, run, then
from sandbox.candid.parser import Parser
from sandbox.candid.type_base import Env
from sandbox.errors import PrincipalError
from sandbox.principal import Principal


@dataclass(slots=True, eq=False)
class Literal:
    """A literal at offset `at` of the source.

    By `kind`, `content` is: null None, bool a bool, number an int, float a float, text a str, blob bytes, opt a
    Literal, vec a list of Literals, record a list of Members, variant a Member, principal and service a Principal,
    func a pair of Principal and method name, annotated a pair of Literal and Type.
    """

    kind: str
    content: Any
    at: int


@dataclass(slots=True, eq=False)
class Member:
    """A field of a record or the case of a variant; `name` is None for a numbered or unlabelled field."""

    id: int
    name: str | None
    value: Literal

    @property
    def label(self) -> str:
        return str(self.id) if self.name is None else self.name


class ValueParser(Parser):
    """Parser of values; `env` defines the names in annotations."""

    def __init__(self, source: Source, env: Env | None = None) -> None:
        super().__init__(source, env)

    def arguments(self) -> list[Literal]:
        """Parse the whole text: `(value, value)`, or a single value without parentheses."""
        if self.sees("("):
            values = run(self.separated("(", ",", ")", self.annotated))
        else:
            values = [run(self.annotated())]
        self.finish()
        self.check_references()
        return values

    def annotated(self) -> Nested[Literal] | Literal:
        at = self.token.at
        value = self._value()
        if isinstance(value, Literal) and not self.sees(":"):
            return value
        return self._with_annotation(value, at)

    def _with_annotation(self, call: Nested[Literal] | Literal, at: int) -> Nested[Literal]:
        value: Literal = yield call
        if not self.accept(":"):
            return value
        return Literal("annotated", (value, (yield self.type_call())), at)

    def _value(self) -> Nested[Literal] | Literal:
        token = self.token
        match token.kind:
            case "number":
                return Literal("number", integer(self.source, self.advance()), token.at)
            case "float":
                return Literal("float", floating(self.source, self.advance()), token.at)
            case "text":
                return Literal("text", self.string(), token.at)
        if token.text == "(":
            return self._parenthesised()
        parse = _VALUE_PARSERS.get(token.text)
        if token.kind != "name" or parse is None:
            self.unexpected("a value")
        self.advance()
        return parse(self, token.at)

    def _parenthesised(self) -> Nested[Literal]:
        self.advance()
        inner: Literal = yield self.annotated()
        self.expect(")")
        return inner

    def _opt_value(self, at: int) -> Nested[Literal]:
        return Literal("opt", (yield self._value()), at)

    def _vec_value(self, at: int) -> Nested[Literal]:
        return Literal("vec", (yield self.separated("{", ";", "}", self.annotated)), at)

    def _record_value(self, at: int) -> Nested[Literal]:
        following = 0
        seen: set[int] = set()

        def member() -> Nested[Member] | Member:
            nonlocal following
            start = self.token.at
            number, name = following, None
            if self.token.kind in ("number", "name", "text") and self.sees("=", ahead=1):
                number, name = self.label()
                self.expect("=")
            if number in seen:
                self.fail(f"the field {number if name is None else name} is given twice", start)
            seen.add(number)
            following = number + 1
            return then(self.annotated(), lambda value: Member(number, name, value))

        return Literal("record", (yield self.separated("{", ";", "}", member)), at)

    def _variant_value(self, at: int) -> Nested[Literal]:
        cases = yield self.separated("{", ";", "}", self._case)
        if len(cases) != 1:
            self.fail("a variant has exactly one case", at)
        return Literal("variant", cases[0], at)

    def _case(self) -> Nested[Member] | Member:
        at = self.token.at
        number, name = self.label()
        value = self.annotated() if self.accept("=") else Literal("null", None, at)
        return then(value, lambda value: Member(number, name, value))

    def _blob_value(self, at: int) -> Literal:
        if self.token.kind != "text":
            self.unexpected("a string")
        return Literal("blob", string_bytes(self.source, self.advance()), at)

    def _principal(self) -> Principal:
        at = self.token.at
        try:
            return Principal.from_text(self.string())
        except PrincipalError as error:
            self.fail(str(error), at)

    def _func_value(self, at: int) -> Literal:
        principal = self._principal()
        self.expect(".")
        return Literal("func", (principal, self.name()), at)


_VALUE_PARSERS: dict[str, Callable[[ValueParser, int], Nested[Literal] | Literal]] = {
    "null": lambda parser, at: Literal("null", None, at),
    "true": lambda parser, at: Literal("bool", True, at),
    "false": lambda parser, at: Literal("bool", False, at),
    "inf": lambda parser, at: Literal("float", float("inf"), at),
    "NaN": lambda parser, at: Literal("float", float("nan"), at),
    "opt": ValueParser._opt_value,
    "vec": ValueParser._vec_value,
    "record": ValueParser._record_value,
    "variant": ValueParser._variant_value,
    "blob": ValueParser._blob_value,
    "principal": lambda parser, at: Literal("principal", parser._principal(), at),
    "service": lambda parser, at: Literal("service", parser._principal(), at),
    "func": ValueParser._func_value,
}
