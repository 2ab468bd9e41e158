"""Names and numbers in Candid text: field ids, identifiers, quoted text, digit groups.

Spec: dfinity/candid `spec/Candid.md`, "Names", "Shorthand: Symbolic Field Ids" and "Values".
"""

from __future__ import annotations

import re
import reprlib
from functools import lru_cache

MAX_FIELD_ID = 0xFFFF_FFFF
KEYWORDS = frozenset(
    {"import", "service", "func", "type", "opt", "vec", "record", "variant", "blob", "principal", "null"}
    | {"oneway", "query", "composite_query", "true", "false"}
)
"""Words that are names only in quotes."""
TYPE_WORDS = frozenset(
    {"nat", "nat8", "nat16", "nat32", "nat64", "int", "int8", "int16", "int32", "int64"}
    | {"float32", "float64", "bool", "text", "reserved", "empty"}
)
"""Names of types: also allowed as other names, but printed in quotes there, as other tools do."""

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBERED = re.compile(r"_(0|[1-9][0-9]{0,9})_")
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\", '"': '\\"'}
_DECIMAL_BITS = 8_192
_PATH_ENDS = 10


@lru_cache(maxsize=65_536)
def field_id(name: str) -> int:
    """Return the 32-bit id of a field or tag name."""
    value = 0
    for byte in name.encode("utf-8", "surrogatepass"):
        value = (value * 223 + byte) & MAX_FIELD_ID
    return value


def key_id(key: str | int) -> int:
    """Return the id for a key of a Python dict: a number, `_number_`, or a name to be hashed."""
    if isinstance(key, int):
        return key
    numbered = _NUMBERED.fullmatch(key)
    if numbered and int(numbered[1]) <= MAX_FIELD_ID:
        return int(numbered[1])
    return field_id(key)


def quoted(text: str) -> str:
    """Return `text` as a Candid string literal."""
    return '"' + "".join(_ESCAPES.get(char) or _visible(char) for char in text) + '"'


def _visible(char: str) -> str:
    return char if char.isprintable() else f"\\u{{{ord(char):x}}}"


def name_text(name: str) -> str:
    """Return `name` as an identifier where the grammar allows that, else in quotes."""
    plain = _IDENTIFIER.fullmatch(name) and name not in KEYWORDS and name not in TYPE_WORDS
    return name if plain else quoted(name)


def number_text(value: int) -> str:
    """Return a number in decimal, digits grouped by `_`; beyond some thousand digits in hexadecimal."""
    if value.bit_length() > _DECIMAL_BITS:
        return f"{'-' if value < 0 else ''}{abs(value):#x}"
    return f"{value:_}"


def path_text(labels: list[str]) -> str:
    """Return the path of a part; `labels` are from the innermost to the outermost, and the middle of many is cut."""
    if len(labels) > 2 * _PATH_ENDS:
        labels = [*labels[:_PATH_ENDS], f"...({len(labels) - 2 * _PATH_ENDS:,} levels)...", *labels[-_PATH_ENDS:]]
    return "".join(reversed(labels))


def clipped(value: object, limit: int = 40) -> str:
    """Return a short text for any value, for error messages."""
    if isinstance(value, int) and value.bit_length() > _DECIMAL_BITS:
        text = number_text(value)
    elif isinstance(value, (str, bytes)):
        text = repr(value[: limit + 1])
    else:
        try:
            text = reprlib.repr(value)
        except ValueError:
            text = f"a {type(value).__name__}"
    return text if len(text) <= limit else text[: limit - 1] + "…"
