"""Calls in a text file: one a line, `method(arguments)` with Candid arguments, or `alice: method(...)` with a caller.

Empty lines and lines that begin with `#` are left out. A line whose brackets are not closed goes on in the next one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox import candid
from sandbox.candid import Interface, Type
from sandbox.candid.labels import name_text
from sandbox.errors import CandidError, SandboxError
from sandbox.principal import Principal

_CALL = re.compile(
    r'(?:(?P<sender>[^:\s("]+)\s*:\s*)?(?P<method>"(?:[^"\\]|\\.)*"|[A-Za-z_][\w.]*)\s*(?P<args>\(.*\))\s*', re.S
)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


class CallFileError(SandboxError):
    """A file of calls that cannot be used; the text begins with file and line."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call to be made. `sender`: name of a user or principal, None for the controller; `where`: file and line."""

    method: str
    arg: bytes
    text: str
    sender: Principal | str | None = None
    where: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A call as text that is not parsed yet, for any interface. `where`: file and line."""

    text: str
    where: str = ""

    @property
    def method(self) -> str:
        """The name of the method; empty if the text is no call."""
        match = _CALL.fullmatch(self.text)
        return "" if match is None else _method(match)


def call_of(call: Call | Line | str, interface: Interface | None, where: str) -> Call:
    """Return a call; a text or line is parsed. `where`: the place of a text, for errors."""
    if isinstance(call, Call):
        return call
    line = Line(call) if isinstance(call, str) else call
    return parse_call(line.text, interface, line.where or where)


def read_calls(path: Path, interface: Interface | None) -> tuple[Call, ...]:
    """Read a file of calls; the arguments get the types of `interface`, or those of their text without one.

    `CallFileError` says which line cannot be used and why.
    """
    return tuple(call_of(line, interface, str(path)) for line in read_lines(path))


def read_lines(path: Path) -> tuple[Line, ...]:
    """Read a file of calls whose interface is not known yet."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CallFileError(f"{path}: {error}") from error
    return tuple(Line(line, f"{path}:{number}") for number, line in _joined(text, path))


def _joined(text: str, path: Path) -> Iterator[tuple[int, str]]:
    """Yield each call with the number of its first line."""
    held, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if not held and (not line.strip() or line.lstrip().startswith("#")):
            continue
        first = first or number
        held += line + "\n"
        if _closed(held):
            yield first, held.strip()
            held, first = "", 0
    if held:
        raise CallFileError(f"{path}:{first}: brackets are not closed: {held.strip()[:80]}")


def _closed(text: str) -> bool:
    plain = _QUOTED.sub('""', text)
    return plain.count('"') % 2 == 0 and sum(plain.count(c) for c in "({") <= sum(plain.count(c) for c in ")}")


def parse_call(text: str, interface: Interface | None, where: str = "") -> Call:
    """Parse one call such as `alice: transfer(principal "aaaaa-aa", 5)`."""
    match = _CALL.fullmatch(text)
    if match is None:
        raise CallFileError(f'{where}: expected method(arguments), such as greet("World"), not {text[:80]!r}')
    method = _method(match)
    try:
        if interface is None:
            arg = candid.encode_text(match["args"])
        else:
            arg = candid.encode_text(match["args"], interface.method(method).args)
    except CandidError as error:
        raise CallFileError(f"{where}: {method}: {error}") from error
    return Call(method, arg, text, match["sender"], where)


def _method(match: re.Match[str]) -> str:
    name = match["method"]
    return name[1:-1].replace('\\"', '"').replace("\\\\", "\\") if name.startswith('"') else name


def made_call(method: str, types: Sequence[Type], values: Sequence[Any], sender: Principal | str | None = None) -> Call:
    """Return a call with these values as arguments; its text is one line that `parse_call` reads."""
    said = "" if sender is None else f"{sender}: "
    text = f"{said}{name_text(method)}{_one_line(candid.values_text(types, values))}"
    return Call(method, candid.encode(types, values), text, sender)


def _one_line(text: str) -> str:
    """Return Candid text on one line; its line breaks are only between parts."""
    text = re.sub(r"(?<=\()\n *|[,;]\n *(?=\))", "", text)
    return re.sub(r"\n *", " ", re.sub(r";\n *(?=\})", " ", text))
