"""Values of a scenario: Candid text, or YAML read by the types of the interface; as arguments and as patterns.

Arguments and replies have one notation: a text is Candid (`'(1, "x")'`), a list has one YAML value for each argument or
result. In YAML, a record is a mapping, a variant a mapping with its only tag or the tag alone, an option its value or
null, a blob its text or `!hex 00ff`. In a pattern a record needs only the fields that matter; `!any` is any value,
`!some` any but null, `!match REGEX` a text, `!between [1, 5]` a number, `!among [...]` a list with these items.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sandbox import candid
from sandbox.candid import (
    FLOAT32,
    NAT8,
    RESERVED,
    Field,
    FuncType,
    OptType,
    PrimType,
    RecordType,
    ServiceType,
    Some,
    Type,
    VariantType,
    VecType,
)
from sandbox.errors import CandidError, PrincipalError
from sandbox.principal import Principal
from sandbox.proofs.scenario.forms import Form, number_of
from sandbox.proofs.scenario.patterns import (
    Among,
    Anything,
    Between,
    Exactly,
    Fields,
    Items,
    Matching,
    Pattern,
)
from sandbox.proofs.scenario.source import Node, nearest
from sandbox.state.messages import EMPTY_CANDID

VALUES_EXPECTED = "a Candid text such as '(1, \"x\")', or a list with a value for each"


def _values(node: Node) -> Node:
    if node.form == "seq" or (node.form == "scalar" and node.tag in ("str", "!hex")):
        return node
    return node.expected(VALUES_EXPECTED)


VALUES = Form(VALUES_EXPECTED, _values, {"anyOf": [{"type": "string"}, {"type": "array"}]})
"""Arguments or results; read when their types are known."""


def encoded(node: Node | None, types: Sequence[Type] | None, step: Node) -> bytes:
    """Return a message with these values, none if there is no node. `types`: None if no interface says them, and then
    only Candid text and `!hex` will do. `Wrong` where a value does not fit; where one is missing, at `step`."""
    if node is None:
        _check_count(step, (), types or ())
        return EMPTY_CANDID
    if node.tag == "!hex":
        return _hex(node)
    if node.form == "scalar":
        return _encode(node, lambda: candid.encode_text(node.text, types))
    if types is None:
        node.wrong("no interface says the types of these values; write them as Candid text, or give the version a did")
    _check_count(node, node.items, types)
    values = [_value(item, kind) for item, kind in zip(node.items, types, strict=False)]
    return _encode(node, lambda: candid.encode(types, [*values, *[None] * (len(types) - len(values))]))


def _encode(node: Node, encode: Callable[[], bytes]) -> bytes:
    try:
        return encode()
    except CandidError as error:
        node.wrong(f"wrong Candid value: {error}")


def _check_count(node: Node, items: Sequence[Node], types: Sequence[Type]) -> None:
    """Refuse, at `node`, too many values, or too few if the missing ones may not be null."""
    least = len(types)
    while least and types[least - 1].nullable:
        least -= 1
    if not least <= len(items) <= len(types):
        shown = f" ({', '.join(map(str, types))})" if types else ""
        node.wrong(f"expected {len(types)} value{'s' * (len(types) != 1)}{shown}, not {len(items)}")


@dataclass(frozen=True, slots=True)
class Expected:
    """An expected message. `raw`: its exact bytes; else `patterns` of its values, at `types` where they are known."""

    types: tuple[Type, ...] | None
    patterns: tuple[Pattern, ...] = ()
    raw: bytes | None = None


def expected(node: Node, types: Sequence[Type] | None) -> Expected:
    """Return the expected message of a reply."""
    if node.tag == "!hex":
        return Expected(None, raw=_hex(node))
    known = None if types is None else tuple(types)
    if node.form == "scalar":
        message = encoded(node, known, node)
        values = candid.decode_untyped(message)[1] if known is None else candid.decode(known, message)
        return Expected(known, tuple(map(Exactly, values)))
    if known is None:
        return Expected(None, tuple(map(plain_pattern, node.items)))
    _check_count(node, node.items, known)
    return Expected(known, tuple(pattern_of(item, kind) for item, kind in zip(node.items, known, strict=False)))


def _hex(node: Node) -> bytes:
    try:
        return bytes.fromhex(node.text)
    except ValueError:
        return node.expected("bytes in hexadecimal")


def pattern_of(node: Node, kind: Type) -> Pattern:
    """Return the pattern of a value of this type."""
    kind = kind.resolve()
    special = special_pattern(node, lambda item: pattern_of(item, _inner(kind)))
    if special is not None:
        return special
    match kind:
        case PrimType() if kind != FLOAT32:
            return Exactly(_primitive(node, kind))
        case OptType() if node.tag != "null" and not kind.inner.nullable:
            return pattern_of(node, kind.inner)
        case RecordType() if node.form == "map":
            return Fields({field.key: pattern_of(value, field.type) for field, value in _fields(node.pairs, kind)})
        case RecordType() if node.form == "seq" and kind.is_tuple:
            _check_count(node, node.items, [f.type for f in kind.fields])
            return Items(tuple(pattern_of(item, f.type) for item, f in zip(node.items, kind.fields, strict=False)))
        case VecType() if node.form == "seq" and kind.inner.resolve() != NAT8:
            return Items(tuple(pattern_of(item, kind.inner) for item in node.items))
        case VariantType() if node.form == "map":
            return Fields({field.key: pattern_of(value, field.type) for field, value in _fields([_case(node)], kind)})
    return Exactly(_decoded(_value(node, kind), kind, node))


def _decoded(value: Any, kind: Type, node: Node) -> Any:
    """Return a value in the form that decoding a message returns."""
    try:
        return candid.decode([kind], candid.encode([kind], [value]))[0]
    except CandidError as error:
        node.wrong(f"wrong Candid value: {error}")


def _inner(kind: Type) -> Type:
    """Return the type of the items of `!among`, in an option or not."""
    kind = kind.resolve()
    if isinstance(kind, OptType):
        return _inner(kind.inner)
    return kind.inner if isinstance(kind, VecType) else RESERVED


def special_pattern(node: Node, item_pattern: Callable[[Node], Pattern]) -> Pattern | None:
    """Return the pattern that a tag such as `!any` means; None without such a tag."""
    match node.tag:
        case "!any":
            return Anything()
        case "!some":
            return Anything(present=True)
        case "!match":
            try:
                return Matching(re.compile(node.text))
            except re.error as error:
                node.wrong(f"this is no regular expression: {error}")
        case "!between":
            bounds = [number_of(item) for item in node.items]
            if len(bounds) != 2 or None in bounds:
                node.expected("a list of two numbers")
            return Between(*bounds)
        case "!among":
            return Among(tuple(map(item_pattern, node.items)))
    return None


def plain_pattern(node: Node) -> Pattern:
    """Return the pattern of a value without a type: YAML as it is written."""
    special = special_pattern(node, plain_pattern)
    if special is not None:
        return special
    if node.form == "map":
        return Fields({name.text: plain_pattern(value) for name, value in node.pairs})
    if node.form == "seq":
        return Items(tuple(map(plain_pattern, node.items)))
    if node.tag == "!hex":
        return Exactly(_hex(node).hex())
    return Exactly(_plain(node))


def _plain(node: Node) -> Any:
    match node.tag:
        case "null":
            return None
        case "bool":
            return node.text.lower() in ("true", "yes", "on")
        case "int" | "float":
            return number_of(node)
    return node.text


def _value(node: Node, kind: Type) -> Any:
    """Return the Python value of YAML at a type."""
    kind = kind.resolve()
    if node.tag.startswith("!") and not (node.tag == "!hex" and isinstance(kind, VecType | OptType)):
        node.wrong(f"{node.tag} cannot stand for a value of type {kind}")
    match kind:
        case PrimType():
            return _primitive(node, kind)
        case OptType():
            if node.tag == "null":
                return None
            inner = _value(node, kind.inner)
            return Some(inner) if kind.inner.nullable else inner
        case VecType():
            return _vec(node, kind)
        case RecordType():
            return _record(node, kind)
        case VariantType():
            return {field.key: _value(value, field.type) for field, value in _fields([_case(node)], kind)}
        case FuncType():
            if node.form != "seq" or len(node.items) != 2:
                node.expected("a list of a principal and a method name")
            return (_principal(node.items[0]), node.items[1].text)
        case ServiceType():
            return _principal(node)
    return node.wrong(f"a value of type {kind} can only be written in Candid")


def _primitive(node: Node, kind: PrimType) -> Any:
    if kind.name == "reserved":
        return None
    if node.form != "scalar":
        node.expected(kind.name)
    read = _PRIMITIVES.get(kind.name)
    return _number(node, kind) if read is None else read(node)


def _number(node: Node, kind: PrimType) -> int | float:
    number = number_of(node)
    if number is None or (not kind.name.startswith("float") and not isinstance(number, int)):
        node.expected(kind.name)
    if not (kind.name == "nat" and number >= 0):
        _encode(node, lambda: candid.encode([kind], [number]))
    return number


def _bool(node: Node) -> bool:
    return node.text == "true" if node.text in ("true", "false") else node.expected("true or false")


def _null(node: Node) -> None:
    return None if node.tag == "null" else node.expected("null")


def _principal(node: Node) -> Principal:
    try:
        return Principal.from_text(node.text)
    except PrincipalError:
        return node.wrong(
            f"expected a principal, not {node}; $canister.NAME is that of a canister, $user.NAME that of a user"
        )


def _vec(node: Node, kind: VecType) -> Any:
    if kind.inner.resolve() == NAT8 and node.form == "scalar":
        return _hex(node) if node.tag == "!hex" else node.text.encode()
    if node.form != "seq":
        node.expected(f"a list, {kind}")
    return [_value(item, kind.inner) for item in node.items]


def _record(node: Node, kind: RecordType) -> Any:
    if node.form == "seq" and kind.is_tuple:
        _check_count(node, node.items, [field.type for field in kind.fields])
        return [_value(item, field.type) for item, field in zip(node.items, kind.fields, strict=False)]
    if node.form != "map":
        node.expected(f"a mapping, {kind}")
    values = {field.key: _value(value, field.type) for field, value in _fields(node.pairs, kind)}
    for field in kind.fields:
        if field.key not in values and not field.type.nullable:
            node.wrong(f"the field {field.label} : {field.type} is missing")
    return values


def _case(node: Node) -> tuple[Node, Node]:
    """Return the tag of a variant and its value."""
    if node.form == "scalar":
        return node, Node(node.place, "null")
    if node.form != "map" or len(node.pairs) != 1:
        node.expected("a variant: a tag, or a mapping from its only tag")
    return node.pairs[0]


def _fields(pairs: Iterable[tuple[Node, Node]], kind: RecordType | VariantType) -> Iterator[tuple[Field, Node]]:
    """Yield the fields that the keys name, with their values."""
    return ((_known(name, kind), value) for name, value in pairs)


def _known(name: Node, kind: RecordType | VariantType) -> Field:
    text = name.text
    for field in kind.fields:
        if text in (field.name, field.key) or text == str(field.id):
            return field
    labels = [field.name or str(field.id) for field in kind.fields]
    what = "case" if isinstance(kind, VariantType) else "field"
    return name.wrong(f"no {what} {text!r}{nearest(text, labels)}; there are: {', '.join(labels)}")


_PRIMITIVES: Final[Mapping[str, Callable[[Node], Any]]] = {
    "text": lambda node: node.text,
    "principal": _principal,
    "bool": _bool,
    "null": _null,
}
"""The readers of types without parts that are no numbers."""
