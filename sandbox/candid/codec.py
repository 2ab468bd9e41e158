"""Messages from and to Python values and text: the functions that most callers need.

`types` is everywhere a sequence of types, or their text such as `"(nat, opt text)"`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from sandbox.candid import value_printer
from sandbox.candid.decoder import decode_as_is, decode_at
from sandbox.candid.encoder import encode_at
from sandbox.candid.guard import bounded_nesting
from sandbox.candid.interface import environment, parse_types
from sandbox.candid.lexer import Source
from sandbox.candid.type_base import Type
from sandbox.candid.value_parser import ValueParser
from sandbox.candid.value_typing import Typist, infer
from sandbox.errors import CandidSyntaxError

Types: TypeAlias = Sequence[Type] | str


def encode(types: Types, values: Sequence[Any]) -> bytes:
    """Return the message with these values. CandidTypeError, with the path, for a value that does not fit its type."""
    return encode_at(_types(types), values)


def decode(types: Types, data: bytes) -> list[Any]:
    """Return the values of a message at the expected types. CandidDecodeError if it does not have such values."""
    return decode_at(_types(types), data)


def decode_untyped(data: bytes, names: Iterable[str] = ()) -> tuple[tuple[Type, ...], list[Any]]:
    """Return the types in the head of a message, and its values at these types.

    A message carries no field names: fields have keys such as `_1224700491_`, but for those named in `names`.
    """
    return decode_as_is(data, names)


@bounded_nesting(CandidSyntaxError)
def encode_text(text: str, types: Types | None = None, env: Mapping[str, Type] | None = None) -> bytes:
    """Return the message for text such as `(1, record { a = "x" })`.

    Without `types` they are taken from the text: whole numbers are `int` and others `float64` unless annotated. `env`
    defines the names in annotations. The check is stricter than Candid's coercion: unknown fields are errors.
    """
    source = Source(text)
    literals = ValueParser(source, environment(env)).arguments()
    wanted = tuple(infer(literal, source) for literal in literals) if types is None else _types(types)
    return encode_at(wanted, Typist(source, exact=True).arguments(literals, wanted))


@bounded_nesting(CandidSyntaxError)
def parse_values(text: str, types: Types, env: Mapping[str, Type] | None = None, *, exact: bool = True) -> list[Any]:
    """Return the Python values of Candid text. With `exact=False`, they are coerced by the rules for messages."""
    source = Source(text)
    literals = ValueParser(source, environment(env)).arguments()
    return Typist(source, exact).arguments(literals, _types(types))


def decode_to_text(data: bytes, types: Types | None = None, names: Iterable[str] = ()) -> str:
    """Return a message as Candid text, at `types` or at its own types (`names` as in `decode_untyped`)."""
    if types is None:
        return value_printer.values_text(*decode_as_is(data, names))
    wanted = _types(types)
    return value_printer.values_text(wanted, decode_at(wanted, data))


def values_text(types: Types, values: Sequence[Any]) -> str:
    """Return values, in any of the forms that `encode` accepts, as Candid text."""
    return decode_to_text(encode(types, values), types)


def _types(types: Types) -> tuple[Type, ...]:
    return parse_types(types) if isinstance(types, str) else tuple(types)
