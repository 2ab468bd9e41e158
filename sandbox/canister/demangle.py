"""Symbol names made readable: for backtraces as the replica prints them, Rust's legacy names alone; for people, also
Rust's v0 names and those of C++.

Format: `_ZN` (length, identifier)* `17h` and 16 hexadecimal digits `E` (RFC 2603, "Legacy mangling").
"""

from __future__ import annotations

import re

import pycxxfilt

_ESCAPES = {
    "$SP$": "@",
    "$BP$": "*",
    "$RF$": "&",
    "$LT$": "<",
    "$GT$": ">",
    "$LP$": "(",
    "$RP$": ")",
    "$C$": ",",
}
_ESCAPE = re.compile(r"\$(?:SP|BP|RF|LT|GT|LP|RP|C|u[0-9a-f]{1,6})\$")
_HASH = re.compile(r"h[0-9a-f]{16}")


def demangle(name: str) -> str:
    """`_ZN4core9panicking5panic17h0123456789abcdefE` -> `core::panicking::panic`."""
    match = re.fullmatch(r"_ZN(.*)E(?:\.llvm\.[0-9A-F]+)?", name)
    if match is None:
        return name
    parts, rest = [], match.group(1)
    while rest:
        length = re.match(r"[0-9]{1,6}", rest)
        if length is None:
            return name
        end = length.end() + int(length.group())
        if end > len(rest):
            return name
        parts.append(rest[length.end() : end])
        rest = rest[end:]
    if parts and _HASH.fullmatch(parts[-1]):
        parts.pop()
    return "::".join(map(_readable, parts))


def readable(name: str) -> str:
    """Return a symbol of Rust (both forms) or C++ (Itanium) as in the source; every other name as it is."""
    legacy = demangle(name)
    if legacy != name or not name.startswith(("_R", "_Z", "___Z")):
        return legacy
    try:
        return pycxxfilt.demangle(name) or name
    except ValueError:
        return name


def _readable(part: str) -> str:
    if part.startswith("_$"):
        part = part[1:]
    return _ESCAPE.sub(_unescape, part.replace("..", "::"))


def _unescape(match: re.Match[str]) -> str:
    text = match.group()
    if text in _ESCAPES:
        return _ESCAPES[text]
    try:
        character = chr(int(text[2:-1], 16))
    except (ValueError, OverflowError):
        return text
    return character if character.isprintable() else text  # no surrogates, no control characters
