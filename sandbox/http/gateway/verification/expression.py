"""The header `IC-CertificateExpression`: HTTP gateway protocol specification, "The certificate expression header".

The expression is of CEL, of which only this is used: `name(...)`, `Name{field:value,...}`, lists and text. White space
between them is skipped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from sandbox.http.gateway.verification.failure import Unverified

_LONGEST: Final = 16_384  # characters
_TOKEN = re.compile(r'\s*(?:(?P<name>[A-Za-z0-9_]+)|"(?P<text>[^"\\\0\n]*)"|(?P<sign>[][(){},:]))')
_END = re.compile(r"\s*")
_DEPTH: Final = 8


@dataclass(frozen=True, slots=True)
class RequestRule:
    """Headers and query parameters of a request that are certified."""

    headers: frozenset[str]
    parameters: frozenset[str]


@dataclass(frozen=True, slots=True)
class ResponseRule:
    """The headers of a response that are certified: those `listed`, or all but those."""

    headers: frozenset[str]
    listed: bool

    def certifies(self, name: str) -> bool:
        """Whether a header, in lower case, is certified."""
        return (name in self.headers) is self.listed


@dataclass(frozen=True, slots=True)
class Expression:
    """What is certified of a request (None: nothing of it) and of the response to it."""

    request: RequestRule | None
    response: ResponseRule


def read_expression(text: str) -> Expression | None:
    """Read the expression; None if it says that nothing is certified."""
    if len(text) > _LONGEST:
        raise Unverified("its certificate expression is too long")
    arguments = _object(_Parser(text).whole(), "default_certification", "ValidationArgs")
    if _one(arguments, "no_certification", "certification") == "no_certification":
        return None
    rules = _fields(arguments["certification"], "Certification")
    request = None
    if _one(rules, "no_request_certification", "request_certification") == "request_certification":
        wanted = _fields(rules["request_certification"], "RequestCertification")
        request = RequestRule(
            _names(wanted.get("certified_request_headers"), lower=True),
            _names(wanted.get("certified_query_parameters"), lower=False),
        )
    response = _fields(rules.get("response_certification"), "ResponseCertification")
    which = _one(response, "response_header_exclusions", "certified_response_headers")
    headers = _names(_fields(response[which], "ResponseHeaderList").get("headers"), lower=True)
    return Expression(request, ResponseRule(headers, which == "certified_response_headers"))


def _object(value: Any, function: str, name: str) -> dict[str, Any]:
    match value:
        case ("call", str(called), [argument, *_]) if called == function:
            return _fields(argument, name)
    raise _malformed(f"it is no {function}")


def _fields(value: Any, name: str) -> dict[str, Any]:
    match value:
        case ("object", str(named), dict(fields)) if named == name:
            return fields
    raise _malformed(f"there is no {name}")


def _one(fields: dict[str, Any], *names: str) -> str:
    there = [name for name in names if name in fields]
    if len(there) != 1:
        raise _malformed(f"it needs one of {' and '.join(names)}")
    return there[0]


def _names(value: Any, *, lower: bool) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise _malformed("a list of names is missing")
    return frozenset(name.lower() if lower else name for name in value)


def _malformed(text: str) -> Unverified:
    return Unverified(f"its certificate expression is malformed: {text}")


class _Parser:
    """Reads a value: text, a list, `("object", name, fields)` or `("call", name, arguments)`."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def whole(self) -> Any:
        value = self._value(_DEPTH)
        if not _END.fullmatch(self._text, self._at):
            raise _malformed("something follows it")
        return value

    def _value(self, depth: int) -> Any:
        kind, token = self._next()
        if kind == "text":
            return token
        if not depth:
            raise _malformed("it is nested too deeply")
        if token == "[":
            return self._row("]", depth)
        if kind == "name":
            _, opening = self._next()
            if opening == "(":
                return ("call", token, self._row(")", depth))
            if opening == "{":
                return ("object", token, self._fields(depth))
        raise _malformed(f"{token!r} is not expected")

    def _row(self, closing: str, depth: int) -> list[Any]:
        row: list[Any] = []
        while not self._closes(closing, first=not row):
            row.append(self._value(depth - 1))
        return row

    def _fields(self, depth: int) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        while not self._closes("}", first=not fields):
            kind, name = self._next()
            if kind != "name" or self._next()[1] != ":" or name in fields:
                raise _malformed(f"{name!r} is no field")
            fields[name] = self._value(depth - 1)
        return fields

    def _closes(self, closing: str, *, first: bool) -> bool:
        """Whether a list ends here; else a comma is skipped, but for the first item."""
        before = self._at
        _, token = self._next()
        if token == closing:
            return True
        if first:
            self._at = before
        elif token != ",":
            raise _malformed(f"{token!r} is not expected")
        return False

    def _next(self) -> tuple[str, str]:
        found = _TOKEN.match(self._text, self._at)
        if found is None or found.lastgroup is None:
            raise _malformed("it ends too early or has a character that is not expected")
        self._at = found.end()
        return found.lastgroup, found[found.lastgroup]
