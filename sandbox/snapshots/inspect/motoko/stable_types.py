"""Parse the metadata section `motoko:stable-types`: names and declared types of the stable variables.

The grammar is that of stable signatures (dfinity/motoko `src/mo_frontend/parser.mly`, `parse_stab_sig`):
type definitions, then `actor { stable var x : T; ... }` or `actor ({ before }, { after })`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.candid import field_id

_MAX_TEXT = 4 << 20
TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:[^"\\]|\\.)*"|[A-Za-z_][A-Za-z0-9_]*|->|\s+|.', re.DOTALL)
_NUMBERED = re.compile(r"_([0-9]{1,10})_")
_OPEN, _CLOSE = frozenset("{([<"), frozenset("})]>")


@dataclass(frozen=True, slots=True)
class Declared:
    """The declaration of a stable variable."""

    name: str
    type: str
    mutable: bool


@dataclass(frozen=True)
class StableTypes:
    """The declared `variables` by name, after the migration if there is one; all `names` in the text by field id."""

    variables: dict[str, Declared]
    names: dict[int, str]


NOTHING = StableTypes({}, {})


def parse_stable_types(text: str) -> StableTypes:
    """Parse the text as far as it is understood; text that is no signature has no variables."""
    tokens = [token for token in TOKEN.findall(text[:_MAX_TEXT]) if not token.startswith(("//", "/*"))]
    words = [token for token in tokens if not token.isspace()]
    names: dict[int, str] = {}
    for word in words:
        if word[0].isalpha() or word[0] == "_":
            names.setdefault(label_id(word), candid_name(word))
    return StableTypes({variable.name: variable for variable in _declared(words)}, names)


def label_id(label: str) -> int:
    """Return the field id of a Motoko label (`src/idllib/escape.ml`): `_7_` is 7, `func_` is `func`."""
    numbered = _NUMBERED.fullmatch(label)
    if numbered and int(numbered[1]) < 1 << 32:
        return int(numbered[1])
    return field_id(candid_name(label))


def candid_name(label: str) -> str:
    """Return the Candid name of a Motoko label."""
    return label[:-1] if label.endswith("_") and len(label) > 1 and not _NUMBERED.fullmatch(label) else label


def _declared(words: list[str]) -> Iterator[Declared]:
    """Yield each `stable NAME : TYPE` or `stable var NAME : TYPE`, up to the `;`, `,` or bracket that ends it."""
    at = 0
    while at < len(words):
        if words[at] not in ("stable", "in") or at + 3 >= len(words):
            at += 1
            continue
        mutable = words[at + 1] == "var"
        name_at = at + 1 + mutable
        if name_at + 1 >= len(words) or words[name_at + 1] != ":":
            at += 1
            continue
        end = _end(words, name_at + 2)
        yield Declared(words[name_at], _spaced(words[name_at + 2 : end]), mutable)
        at = end


def _end(words: list[str], at: int) -> int:
    depth = 0
    while at < len(words):
        word = words[at]
        if word in _OPEN:
            depth += 1
        elif word in _CLOSE:
            depth -= 1
        if depth < 0 or (depth == 0 and word in (";", ",")):
            break
        at += 1
    return at


def _spaced(words: list[str]) -> str:
    """Join the tokens of a type on one line, with the spaces of Motoko's printer."""
    text = ""
    for word in words:
        tight = not text or text[-1] in "{([?#<.@" or word in "})];,:>.<"
        if word == "<" or (text and word in ("->", ":", "=", "and", "or")):
            tight = word == "<"
        text += word if tight else f" {word}"
    return text
