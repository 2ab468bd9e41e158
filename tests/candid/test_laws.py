"""Laws that hold for every type and value, and for every input however broken."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sandbox.candid import (
    BOOL,
    EMPTY,
    FLOAT32,
    FLOAT64,
    INT,
    INT8,
    INT64,
    NAT,
    NAT8,
    NAT16,
    NAT64,
    NULL,
    PRINCIPAL,
    RESERVED,
    TEXT,
    Field,
    Func,
    FuncType,
    OptType,
    RecordType,
    Service,
    ServiceType,
    Some,
    Type,
    VariantType,
    VecType,
    decode,
    decode_to_text,
    decode_untyped,
    encode,
    encode_text,
    field_id,
    field_names,
    parse_did,
    parse_type,
    parse_values,
    subtype,
    values_text,
)
from sandbox.candid.labels import KEYWORDS, TYPE_WORDS
from sandbox.candid.lexer import Source
from sandbox.candid.nesting import Nested
from sandbox.candid.value_parser import Member, ValueParser
from sandbox.candid.value_typing import Typist
from sandbox.errors import CandidError, CandidSyntaxError
from sandbox.principal import Principal

LAW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))

NAMES = st.sampled_from(
    ["id", "owner", "name", "nat", "query", "a b", "☃", "", "x_1", '"\\\n', "_1_", "_04_", "_23515_"]
)
"""Among them names that look like the key of another field: `_23515_` is that of `id`."""
INHABITED = [NULL, BOOL, NAT, INT, NAT8, NAT16, NAT64, INT8, INT64, FLOAT32, FLOAT64, TEXT, RESERVED, PRINCIPAL]
CHARS = st.characters(exclude_categories=["Cs"])


@st.composite
def types(draw: st.DrawFn, depth: int = 3) -> Type:
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(INHABITED))
    some = types(depth - 1)
    match draw(st.integers(0, 6)):
        case 0:
            return OptType(draw(some))
        case 1:
            return VecType(draw(some))
        case 2:
            return RecordType(draw(fields(some, 0)))
        case 3:
            return RecordType(tuple(Field(n, t) for n, t in enumerate(draw(several(some)))))
        case 4:
            return VariantType(draw(fields(some, 1)))
        case 5:
            return draw(funcs(some))
    methods = st.tuples(NAMES, funcs(some))
    return ServiceType(tuple(draw(st.lists(methods, max_size=2, unique_by=lambda method: method[0]))))


def fields(some: st.SearchStrategy[Type], least: int) -> st.SearchStrategy[tuple[Field, ...]]:
    either = st.builds(Field.named, NAMES, some) | st.builds(Field, st.integers(0, 4), some)
    return st.lists(either, min_size=least, max_size=4, unique_by=lambda f: f.id).map(tuple)


def several(some: st.SearchStrategy[Type]) -> st.SearchStrategy[tuple[Type, ...]]:
    return st.lists(some, max_size=3).map(tuple)


def funcs(some: st.SearchStrategy[Type]) -> st.SearchStrategy[FuncType]:
    return st.builds(FuncType, several(some), several(some), st.sampled_from([(), ("query",), ("composite_query",)]))


TYPES = types()
PRINCIPALS = st.binary(max_size=29).map(Principal)
SIMPLE: dict[Type, st.SearchStrategy[Any]] = {
    BOOL: st.booleans(),
    TEXT: st.text(CHARS, max_size=9) | st.just("wide " * 16),
    PRINCIPAL: PRINCIPALS,
    NAT: st.integers(0, 1 << 200),
    INT: st.integers(-(1 << 200), 1 << 200),
    NAT8: st.integers(0, 255),
    NAT16: st.integers(0, (1 << 16) - 1),
    NAT64: st.integers(0, (1 << 64) - 1),
    INT8: st.integers(-128, 127),
    INT64: st.integers(-(1 << 63), (1 << 63) - 1),
    FLOAT32: st.floats(width=32, allow_nan=False),
    FLOAT64: st.floats(allow_nan=False),
}


@st.composite
def values(draw: st.DrawFn, kind: Type) -> Any:
    """A value of a type, in the form in which the decoder gives it."""
    match kind:
        case OptType(inner):
            if draw(st.booleans()):
                return None
            value = draw(values(inner))
            return Some(value) if inner.nullable else value
        case VecType(inner):
            return draw(st.binary(max_size=9) if inner == NAT8 else st.lists(values(inner), max_size=3))
        case RecordType() if kind.is_tuple:
            return tuple(draw(values(f.type)) for f in kind.fields)
        case RecordType(members):
            return {f.key: draw(values(f.type)) for f in members}
        case VariantType(cases):
            case = draw(st.sampled_from(cases))
            return {case.key: draw(values(case.type))}
        case FuncType():
            return Func(draw(PRINCIPALS), draw(st.text(CHARS, max_size=5)))
        case ServiceType():
            return Service(draw(PRINCIPALS))
    return draw(SIMPLE.get(kind, st.none()))


@st.composite
def typed_values(draw: st.DrawFn) -> tuple[Type, Any]:
    kind = draw(TYPES)
    return kind, draw(values(kind))


TYPED_VALUES = typed_values()


def wider(kind: Type) -> st.SearchStrategy[Type]:
    """Supertypes of a type."""
    options: list[st.SearchStrategy[Type]] = [
        st.just(kind),
        st.just(RESERVED),
        st.just(OptType(kind)),
        TYPES.map(OptType),
    ]
    match kind:
        case VecType(inner):
            options.append(wider(inner).map(VecType))
        case RecordType(members) if members and all(f.id != 77 for f in members):
            more = Field(77, OptType(TEXT))
            options.append(st.just(RecordType((*members[1:], more))))
            options.append(wider(members[0].type).map(lambda t: RecordType((Field(members[0].id, t), *members[1:]))))
        case VariantType(cases) if all(case.id != 77 for case in cases):
            options.append(st.just(VariantType((*cases, Field(77, EMPTY)))))
        case ServiceType():
            options.append(st.just(PRINCIPAL))
    if kind == NAT:
        options.append(st.just(INT))
    return st.one_of(options)


@LAW
@given(TYPED_VALUES)
def test_what_is_encoded_is_decoded(typed: tuple[Type, Any]) -> None:
    kind, value = typed
    assert decode([kind], encode([kind], [value])) == [value]


@LAW
@given(TYPED_VALUES)
def test_a_message_can_be_read_without_types(typed: tuple[Type, Any]) -> None:
    kind, value = typed
    own_types, own_values = decode_untyped(encode([kind], [value]), field_names([kind]))
    assert decode([kind], encode(own_types, own_values)) == [value]


@LAW
@given(TYPED_VALUES)
def test_printed_values_are_read_back(typed: tuple[Type, Any]) -> None:
    kind, value = typed
    assert parse_values(values_text([kind], [value]), [kind]) == [value]


class StrictParser(ValueParser):
    """Refuses what this package reads beyond the grammar: a separator behind the only case of a variant."""

    def separated(self, opening: str, separator: str, closing: str, item: Any) -> Any:
        if item != self._case:
            return super().separated(opening, separator, closing, item)
        return self._only_case(opening, closing)

    def _only_case(self, opening: str, closing: str) -> Nested[list[Member]]:
        self.expect(opening)
        case = yield self._case()
        self.expect(closing)
        return [case]


def test_the_strict_parser_is_strict() -> None:
    StrictParser(Source("variant { a = variant { b } }")).arguments()
    with pytest.raises(CandidSyntaxError, match="expected `}`, found ;"):
        StrictParser(Source("variant { a = variant { b; } }")).arguments()


@LAW
@given(TYPED_VALUES)
def test_printed_values_keep_to_the_grammar(typed: tuple[Type, Any]) -> None:
    kind, value = typed
    text = values_text([kind], [value])
    literals = StrictParser(Source(text)).arguments()
    assert Typist(Source(text), exact=True).arguments(literals, (kind,)) == [value]


@LAW
@given(TYPED_VALUES)
def test_text_of_any_message_is_candid(typed: tuple[Type, Any]) -> None:
    kind, value = typed
    message = encode([kind], [value])
    assert encode_text(decode_to_text(message), [kind]) == message
    assert encode_text(decode_to_text(message, [kind]), [kind]) == message


@LAW
@given(TYPES)
def test_printed_types_are_read_back(kind: Type) -> None:
    assert parse_type(str(kind)) == kind
    assert parse_did(f"type T = {kind}").types["T"] == kind
    interface = parse_did(f"type T = {kind}; service : (T) -> {{ f : (T) -> (opt T) }}")
    assert str(parse_did(str(interface))) == str(interface)


@LAW
@given(TYPES)
def test_subtyping_is_reflexive(kind: Type) -> None:
    assert subtype(kind, kind)


@LAW
@given(st.data())
def test_wider_types_are_supertypes_and_reading_at_them_works(data: st.DataObject) -> None:
    kind, value = data.draw(TYPED_VALUES)
    once = data.draw(wider(kind))
    twice = data.draw(wider(once))
    assert subtype(kind, once)
    assert subtype(once, twice)
    assert subtype(kind, twice)
    message = encode([kind], [value])
    for seen in (once, twice):
        read = decode([seen], message)
        assert decode([seen], encode([seen], read)) == read


@LAW
@given(TYPES, TYPED_VALUES)
def test_a_message_at_a_foreign_type_is_read_or_refused(kind: Type, typed: tuple[Type, Any]) -> None:
    actual, value = typed
    message = encode([actual], [value])
    if subtype(actual, kind):
        decode([kind], message)
    else:
        tolerated(decode, [kind], message)


@LAW
@given(st.binary(max_size=60), TYPES)
@example(b"\x01\x6e\x00\x01\x00" + b"\x01" * 3_000, OptType(NAT))
@example(b"\x01\x6d\x7f\x01\x00\xff\xff\xff\x7f", VecType(NULL))
def test_no_bytes_cause_any_other_error(tail: bytes, kind: Type) -> None:
    for data in (tail, b"DIDL" + tail):
        tolerated(decode, [kind], data)
        tolerated(decode_to_text, data)


@LAW
@given(TYPED_VALUES, st.data())
def test_no_damage_causes_any_other_error(typed: tuple[Type, Any], data: st.DataObject) -> None:
    kind, value = typed
    message = bytearray(encode([kind], [value]))
    place = data.draw(st.integers(0, len(message) - 1))
    message[place] ^= data.draw(st.integers(1, 255))
    tolerated(decode, [kind], bytes(message))
    tolerated(decode_untyped, bytes(message))
    tolerated(decode, [kind], bytes(message[:place]))


MARKS = st.sampled_from("(){},;:=.\n☃\ud800")
TOKENS = st.sampled_from(["->", '"a"', '"\\ff"', '"aaaaa-aa"', "1", "-2", "0x_", "1.5e3", "a", "//", "/*", "*/"])
WORDS = MARKS | TOKENS | st.sampled_from(sorted(KEYWORDS)) | st.sampled_from(sorted(TYPE_WORDS))


@LAW
@given(st.lists(WORDS, max_size=20).map(" ".join))
def test_no_text_causes_any_other_error(text: str) -> None:
    for read in (parse_did, parse_type, encode_text):
        tolerated(read, text)


@LAW
@given(
    TYPES,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=5,
    ),
)
def test_no_value_causes_any_other_error(kind: Type, value: Any) -> None:
    tolerated(encode, [kind], [value])


@LAW
@given(st.text(CHARS, max_size=12))
def test_field_ids_are_the_hash_of_the_name(name: str) -> None:
    raw = name.encode()
    assert field_id(name) == sum(byte * 223 ** (len(raw) - n - 1) for n, byte in enumerate(raw)) % 2**32


def tolerated(function: Any, *arguments: Any) -> None:
    """The function gives a result or raises a CandidError."""
    with contextlib.suppress(CandidError):
        function(*arguments)


def test_the_helper_lets_other_errors_through() -> None:
    with pytest.raises(ZeroDivisionError):
        tolerated(lambda: 1 // 0)
