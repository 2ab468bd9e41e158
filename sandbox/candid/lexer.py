"""The lexer of Candid text.

Spec: dfinity/candid `spec/Candid.md`, "Comments" and "Values" (`<id>`, `<nat>`, `<float>`, `<text>`). As in other tools
and unlike the spec, underscores may stand anywhere behind the first digit of a number.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sandbox.errors import CandidSyntaxError

_DIGITS = r"[0-9][0-9_]*"
_HEX = r"[0-9a-fA-F][0-9a-fA-F_]*"
_SPACE = r"(?>[ \t\r\n]+|//[^\n]*)*+"
_TOKEN = re.compile(
    rf"""
    {_SPACE}
    (?:
      (?P<comment> /\* )
    | (?P<name>   [A-Za-z_][A-Za-z0-9_]* )
    | (?P<float>  [+-]?0[xX]{_HEX}(?:\.(?:{_HEX})?(?:[pP][+-]?{_DIGITS})?|[pP][+-]?{_DIGITS})
                | [+-]?{_DIGITS}(?:\.(?:{_DIGITS})?(?:[eE][+-]?{_DIGITS})?|[eE][+-]?{_DIGITS})
                | [+-](?:inf|NaN)\b )
    | (?P<number> [+-]?(?:0[xX]{_HEX}|{_DIGITS}) )
    | (?P<text>   "[^"\\]*(?:\\.[^"\\]*)*" )
    | (?P<mark>   -> | == | != | !: | [{{}}()=;:,.] )
    | (?P<end>    \Z )
    )
    """,
    re.VERBOSE | re.DOTALL,
)
_SPACES = re.compile(_SPACE)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_ESCAPE = re.compile(rf"\\(?:u\{{({_HEX})\}}|([0-9a-fA-F]{{2}})|(.))", re.DOTALL)
_SIMPLE_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "'": "'"}


class Token(NamedTuple):
    """A token. `kind`: name, number, float, text, mark or end; `at`: the offset in the source.

    The text of a string keeps its quotes, so that no string equals a mark or a keyword.
    """

    kind: str
    text: str
    at: int


class Source:
    """A text and its file name in errors."""

    __slots__ = ("file", "text")

    def __init__(self, text: str, file: str = "") -> None:
        self.text = text
        self.file = file

    def place(self, at: int) -> str:
        """Return a place such as `line 2, column 7`, after the file name if there is one."""
        line = self.text.count("\n", 0, at) + 1
        column = at - (self.text.rfind("\n", 0, at) + 1) + 1
        return f"{self.file + ': ' if self.file else ''}line {line}, column {column}"

    def error(self, message: str, at: int) -> CandidSyntaxError:
        return CandidSyntaxError(f"{self.place(at)}: {message}")


def tokenize(source: Source) -> list[Token]:
    """Return all tokens and two of kind `end`, for parsers that look one token ahead."""
    text, at = source.text, 0
    tokens: list[Token] = []
    _check_unicode(source)
    while match := _TOKEN.match(text, at):
        kind = match.lastgroup or ""
        start = match.start(kind)
        if kind == "end":
            return [*tokens, Token("end", "", start), Token("end", "", start)]
        if kind == "comment":
            at = _comment_end(source, start)
        else:
            tokens.append(Token(kind, match[kind], start))
            at = match.end()
    at = _SPACES.match(text, at).end()  # type: ignore[union-attr]
    raise source.error("unclosed string" if text[at] == '"' else f"unexpected character {text[at]!r}", at)


def _check_unicode(source: Source) -> None:
    try:
        source.text.encode()
    except UnicodeEncodeError as error:
        raise source.error("a lone surrogate is not Unicode", error.start) from None


def _comment_end(source: Source, start: int) -> int:
    depth = 0
    for edge in _COMMENT_EDGE.finditer(source.text, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    raise source.error("unclosed comment", start)


def string_bytes(source: Source, token: Token) -> bytes:
    """Return the bytes of a string literal."""
    body, out, last = token.text[1:-1], bytearray(), 0
    for escape in _ESCAPE.finditer(body):
        out += body[last : escape.start()].encode()
        out += _unescaped(source, escape, token)
        last = escape.end()
    return bytes(out) + body[last:].encode()


def string_text(source: Source, token: Token) -> str:
    """Return the text of a string literal."""
    if "\\" not in token.text:
        return token.text[1:-1]
    try:
        return string_bytes(source, token).decode()
    except UnicodeDecodeError:
        raise source.error("this string is not valid UTF-8", token.at) from None


def _unescaped(source: Source, escape: re.Match[str], token: Token) -> bytes:
    scalar, byte, char = escape.groups()
    if byte:
        return bytes.fromhex(byte)
    if scalar:
        digits = scalar.replace("_", "").lstrip("0") or "0"
        value = int(digits, 16) if len(digits) <= 6 else 0x110000
        if value > 0x10FFFF or 0xD800 <= value <= 0xDFFF:
            raise source.error(f"{escape[0]} is not a Unicode scalar value", token.at + 1 + escape.start())
        return chr(value).encode()
    if char not in _SIMPLE_ESCAPES:
        raise source.error(f"unknown escape {escape[0]}", token.at + 1 + escape.start())
    return _SIMPLE_ESCAPES[char].encode()


def integer(source: Source, token: Token) -> int:
    """Return the value of a token of kind `number`."""
    digits = token.text.replace("_", "")
    try:
        return int(digits, 16) if "x" in digits.lower() else int(digits)
    except ValueError:
        raise source.error("a decimal number of that many digits; write it in hexadecimal", token.at) from None


def floating(source: Source, token: Token) -> float:
    """Return the value of a token of kind `float`."""
    digits = token.text.replace("_", "")
    try:
        return (
            float.fromhex(digits if "p" in digits.lower() else digits + "p0")
            if "0x" in digits.lower()
            else float(digits)
        )
    except (ValueError, OverflowError):
        raise source.error("this number is beyond the range of float64", token.at) from None
