"""Messages to and from Python values: bytes, accepted forms, coercion, and what errors say."""

from __future__ import annotations

import time
from typing import Any

import pytest

from sandbox.candid import (
    Func,
    Service,
    Some,
    Variant,
    decode,
    decode_to_text,
    decode_untyped,
    encode,
    encode_text,
    parse_did,
)
from sandbox.errors import CandidDecodeError, CandidSyntaxError, CandidTypeError
from sandbox.principal import Principal

CAFFEE = Principal(b"\xca\xff\xee")
LISTS = parse_did("type List = opt record { int; List }; type Bottomless = opt Bottomless;").types

FOO_BAR = {"foo": 42, "bar": True}
MESSAGES: list[tuple[str, Any, bytes]] = [
    ("null", None, b"\0\1\x7f"),
    ("bool", True, b"\0\1\x7e\1"),
    ("nat", 300, b"\0\1\x7d\xac\2"),
    ("nat", 1 << 70, b"\0\1\x7d" + b"\x80" * 10 + b"\1"),
    ("int", -1, b"\0\1\x7c\x7f"),
    ("int", 64, b"\0\1\x7c\xc0\0"),
    ("int", -(1 << 70), b"\0\1\x7c" + b"\x80" * 10 + b"\x7f"),
    ("nat8", 255, b"\0\1\x7b\xff"),
    ("int16", -2, b"\0\1\x76\xfe\xff"),
    ("nat64", 1, b"\0\1\x78\1\0\0\0\0\0\0\0"),
    ("float32", 0.5, b"\0\1\x73\0\0\0\x3f"),
    ("float64", -2.0, b"\0\1\x72\0\0\0\0\0\0\0\xc0"),
    ("text", "☃", b"\0\1\x71\3\xe2\x98\x83"),
    ("reserved", None, b"\0\1\x70"),
    ("principal", CAFFEE, b"\0\1\x68\1\3\xca\xff\xee"),
    ("opt nat", 5, b"\1\x6e\x7d\1\0\1\5"),
    ("opt opt nat", Some(None), b"\2\x6e\1\x6e\x7d\1\0\1\0"),
    ("blob", b"ab", b"\1\x6d\x7b\1\0\2ab"),
    ("vec nat16", [1, 2], b"\1\x6d\x7a\1\0\2\1\0\2\0"),
    ("vec bool", [True], b"\1\x6d\x7e\1\0\1\1"),
    ("record {}", {}, b"\1\x6c\0\1\0"),
    ("record { nat; bool }", (7, False), b"\1\x6c\2\0\x7d\1\x7e\1\0\7\0"),
    (
        "record { bar : bool; foo : int }",
        {"foo": 42, "bar": True},
        b"\1\x6c\2\xd3\xe3\xaa\2\x7e\x86\x8e\xb7\2\x7c\1\0\1\x2a",
    ),
    ("record { 5 : nat }", {"_5_": 1}, b"\1\x6c\1\5\x7d\1\0\1"),
    ("variant { ok : text; err }", {"ok": "x"}, b"\1\x6b\2\x9c\xc2\1\x71\xe5\x8e\xb4\2\x7f\1\0\0\1x"),
    ("variant { ok : text; err }", {"err": None}, b"\1\x6b\2\x9c\xc2\1\x71\xe5\x8e\xb4\2\x7f\1\0\1"),
    ("service {}", Service(CAFFEE), b"\1\x69\0\1\0\1\3\xca\xff\xee"),
    ("func (nat) -> () query", Func(CAFFEE, "m"), b"\1\x6a\1\x7d\0\1\1\1\0\1\1\3\xca\xff\xee\1m"),
]


@pytest.mark.parametrize(("kind", "value", "tail"), MESSAGES)
def test_messages(kind: str, value: Any, tail: bytes) -> None:
    assert encode(f"({kind})", [value]) == b"DIDL" + tail
    assert decode(f"({kind})", b"DIDL" + tail) == [value]


@pytest.mark.parametrize(
    ("kind", "given", "same_as"),
    [
        ("principal", CAFFEE.to_text(), CAFFEE),
        ("service {}", CAFFEE, Service(CAFFEE)),
        ("func () -> ()", (CAFFEE.to_text(), "m"), Func(CAFFEE, "m")),
        ("blob", [1, 2], b"\1\2"),
        ("blob", memoryview(b"ab"), b"ab"),
        ("vec text", ("a",), ["a"]),
        ("float64", 3, 3.0),
        ("vec float32", [1, 2.5], [1.0, 2.5]),
        ("opt nat", Some(5), 5),
        ("opt opt nat", 5, Some(5)),
        ("record { nat; opt text }", [5], (5, None)),
        ("record { nat; text }", {1: "x", "_0_": 5}, (5, "x")),
        ("record { a : opt nat; b : null; c : nat }", {"c": 1}, {"a": None, "b": None, "c": 1}),
        ("record { name : nat }", {"_1224700491_": 1}, {"name": 1}),
        ("record { 1224700491 : nat }", {"name": 1}, {"_1224700491_": 1}),
        ("variant { ok : nat; err }", "err", {"err": None}),
        ("variant { ok : nat; err }", Variant("ok", 1), {"ok": 1}),
        ("variant { 24860 : nat }", {"ok": 1}, {"_24860_": 1}),
        ("reserved", object(), None),
    ],
)
def test_other_forms_of_the_same_value(kind: str, given: Any, same_as: Any) -> None:
    message = encode(f"({kind})", [given])
    assert message == encode(f"({kind})", [same_as])
    assert decode(f"({kind})", message) == [same_as]


ACCOUNT = "(record { owner : record { account : text; sub : vec opt nat8 } }, variant { ok; err : text })"


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("nat", -1, "argument 0: expected nat, got int -1"),
        ("nat", True, "argument 0: expected nat, got bool True"),
        ("nat", 1.0, "argument 0: expected nat, got float 1.0"),
        ("nat8", 256, "argument 0: 256 is out of the range of nat8"),
        ("vec nat8", [1, 300], "argument 0[1]: 300 is out of the range of nat8"),
        ("float32", 1e300, "argument 0: 1e+300 is out of the range of float32"),
        ("nat64", [10**5000], "argument 0: expected nat64, got list"),
        ("text", 5, "argument 0: expected text, got int 5"),
        ("text", "\ud800", "lone surrogate"),
        ("text", None, "argument 0: expected text, got None"),
        ("null", 0, "expected null (None), got int 0"),
        ("bool", 1, "expected bool, got int 1"),
        ("empty", None, "the type empty has no values"),
        ("principal", "aaaaa-ab", "argument 0: not a principal"),
        ("vec text", "abc", "expected vec text, got str 'abc'"),
        ("vec nat", {"a": 1}, "expected vec nat, got dict {'a': 1}"),
        ("opt nat", "x", "argument 0: expected nat, got str 'x'"),
        ("record { a : nat }", {}, "argument 0: the field a is missing"),
        ("record { a : nat }", {"a": 1, "b": 2}, "argument 0: unknown field 'b'; the fields are: a"),
        ("record { a : nat }", {"a": 1, "_97_": 2}, "the field a is given twice"),
        ("record { a : nat }", 5, "expected a dict for a record, got int 5"),
        ("record { nat; nat }", 5, "expected a tuple of 2, got int 5"),
        ("record { nat }", (1, 2), "unknown field 1"),
        ("variant { a; b : nat }", {"c": 1}, "unknown variant case 'c'; the cases are: a, b"),
        ("variant { a; b : nat }", "b", "argument 0.b: expected nat, got None"),
        ("variant { a; b : nat }", {"a": 1, "b": 2}, "expected one of a, b (a dict with one key"),
        ("variant { a }", Variant([]), "expected one of a"),  # type: ignore[arg-type]
        ("func () -> ()", "x", "expected func (a Func, or a pair of principal and method name)"),
        ("record { a : record { 7 : vec text } }", {"a": {7: ["x", 5]}}, "argument 0.a.7[1]: expected text, got int 5"),
    ],
)
def test_a_value_that_does_not_fit(kind: str, value: Any, message: str) -> None:
    with pytest.raises(CandidTypeError) as caught:
        encode(f"({kind})", [value])
    assert message in str(caught.value)
    assert len(str(caught.value)) < 200


def test_the_number_of_arguments_must_be_right() -> None:
    with pytest.raises(CandidTypeError, match="expected 2 arguments, got 1"):
        encode("(nat, nat)", [1])


def test_a_value_that_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    kind = parse_did("type V = vec V").types["V"]
    with pytest.raises(CandidTypeError, match="nested too deeply"):
        encode([kind], [endless])


COERCED: list[tuple[str, Any, str, Any]] = [
    ("nat", 5, "int", 5),
    ("nat", 5, "opt nat", 5),
    ("nat", 5, "opt opt nat", Some(5)),
    ("nat", 5, "opt text", None),
    ("nat", 5, "opt reserved", Some(None)),
    ("null", None, "opt nat", None),
    ("reserved", None, "opt nat", None),
    ("opt nat", None, "opt opt nat", None),
    ("opt opt bool", Some(True), "opt opt nat", Some(None)),
    ("text", "x", "reserved", None),
    ("record { a : nat; b : text }", {"a": 1, "b": "x"}, "record { b : text; c : opt nat }", {"b": "x", "c": None}),
    (
        "record { nat; text; bool }",
        (1, "x", True),
        "record { nat; opt nat; reserved; opt text }",
        (1, None, None, None),
    ),
    ("variant { a : nat; b }", {"a": 1}, "variant { a : int; c }", {"a": 1}),
    ("variant { a : nat; b }", {"b": None}, "opt variant { a : nat }", None),
    ("vec variant { a; b }", ["a", "b"], "vec opt variant { a }", [{"a": None}, None]),
    ("vec int", [], "blob", b""),
    ("vec null", [None] * 3, "vec opt nat", [None] * 3),
    ("service { f : () -> () }", Service(CAFFEE), "service {}", Service(CAFFEE)),
    ("service { f : () -> () }", Service(CAFFEE), "principal", CAFFEE),
    ("func () -> (nat)", Func(CAFFEE, "m"), "func (text) -> (int)", Func(CAFFEE, "m")),
    ("func () -> (int)", Func(CAFFEE, "m"), "opt func () -> (nat)", None),
    ("record { opt nat; vec opt text }", (1, ["x"]), "record { opt text; vec opt nat }", (None, [None])),
]


@pytest.mark.parametrize(("sent", "value", "expected", "seen"), COERCED)
def test_coercion(sent: str, value: Any, expected: str, seen: Any) -> None:
    message = encode(f"({sent}, text)", [value, "next"])
    assert decode(f"({expected}, text)", message) == [seen, "next"]


def test_missing_and_extra_arguments() -> None:
    assert decode("(nat, opt nat, null, reserved)", encode("(nat)", [1])) == [1, None, None, None]
    assert decode("(nat)", encode("(nat, text)", [1, "x"])) == [1]
    with pytest.raises(CandidDecodeError, match="argument 1: nat is missing"):
        decode("(nat, nat)", encode("(nat)", [1]))


@pytest.mark.parametrize(
    ("sent", "value", "expected", "message"),
    [
        ("int", 5, "nat", "argument 0: expected nat, the message has int"),
        (
            "vec record { a : nat }",
            [{"a": 1}],
            "vec record { a : text }",
            "argument 0[0].a: expected text, the message has nat",
        ),
        ("record {}", {}, "record { a : nat }", "the field a : nat is missing"),
        ("variant { a; b }", "b", "variant { a }", "this case is not expected; the cases are: a"),
        ("variant { b : nat }", {"b": 1}, "variant { a; c : text }", "this case is not expected; the cases are: a, c"),
        ("variant { b }", "b", "variant {}", "this case is not expected; the cases are: none"),
        ("func () -> () query", Func(CAFFEE, "m"), "func () -> ()", "expected func () -> ()"),
        ("principal", CAFFEE, "service {}", "expected service {}, the message has principal"),
    ],
)
def test_what_does_not_coerce(sent: str, value: Any, expected: str, message: str) -> None:
    with pytest.raises(CandidDecodeError) as caught:
        decode(f"({expected})", encode(f"({sent})", [value]))
    assert message in str(caught.value)
    assert ", at byte " in str(caught.value)


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        (b"", "ends too early"),
        (b"\0\0\0", "1 bytes follow the last value, at byte 6"),
        (b"\0\1\x7e\2", "a bool is 0 or 1, not 2"),
        (b"\0\1\x71\2\xe2\x98", "not valid UTF-8"),
        (b"\0\1\x71\7abc", "ends too early"),
        (b"\0\1\x6f", "a value of the type empty"),
        (b"\0\1\x68\0\0", "an opaque reference"),
        (b"\0\1\x68\1\x1e" + bytes(30), "a principal of 30 bytes"),
        (b"\1\x6e\x7d\1\0\2", "the tag of an option is 0 or 1, not 2"),
        (b"\1\x6b\1\0\x7f\1\0\1", "a variant index beyond the cases"),
        (b"\1\x6c\2\1\x7d\0\x7d\1\0\1\1", "field ids that are not increasing"),
        (b"\1\x6d\x7e\1\0\xff\xff\3", "a vector goes beyond the end"),
        (b"\1\x6d\x7a\1\0\2\0", "a vector goes beyond the end"),
        (b"\1\x7d\0", "a type in the table that does not belong there"),
        (b"\0\1\0", "a reference to no type"),
        (b"\1\x6a\0\0\1\4\0", "an unknown function annotation"),
        (b"\1\x69\1\1m\x7d\0", "a method that is not a function"),
        (b"\2\x6a\0\0\0\x69\2\1b\0\1a\0\0", "methods that are not in increasing order"),
        (b"\x80\x94\xeb\xdc\3\0", "a count goes beyond the end"),
        (b"\0\x80\x94\xeb\xdc\3", "a count goes beyond the end"),
    ],
)
def test_malformed_messages(tail: bytes, message: str) -> None:
    with pytest.raises(CandidDecodeError) as caught:
        decode_untyped(b"DIDL" + tail)
    assert message in str(caught.value)


def test_a_message_must_begin_with_its_magic() -> None:
    with pytest.raises(CandidDecodeError, match="does not begin with DIDL"):
        decode("()", b"\0asm")


def test_future_types_are_skipped() -> None:
    message = b"DIDL\1\x67\3ABC\2\0\x7e\5\0hello\1"
    assert decode("(opt nat, bool)", message) == [None, True]
    assert decode_untyped(message)[1] == [None, True]


def test_names_come_from_the_expected_type_or_a_table() -> None:
    message = encode("(record { id : nat; odd : text }, variant { ok })", [{"id": 1, "odd": "x"}, "ok"])
    assert decode_untyped(message)[1] == [{"_23515_": 1, "_5442810_": "x"}, {"_24860_": None}] or decode_untyped(
        message
    )
    assert decode_untyped(message, ["id", "odd", "ok", "unused"])[1] == [{"id": 1, "odd": "x"}, {"ok": None}]


BOTH = '(record { 1 : nat; "_1_" : text })'
BOTH_CASES = '(variant { 1 : nat; "_1_" : text })'


def test_a_name_that_looks_like_the_number_of_another_field_is_a_field_of_its_own() -> None:
    message = b"DIDL\1\x6c\2\1\x7d\xad\x82\xa1\2\x71\1\0\7\1x"
    value = {"_1_": 7, "_4735277_": "x"}
    assert decode(BOTH, message) == [value]
    assert decode_untyped(message, ["_1_"])[1] == [value]
    assert encode(BOTH, [value]) == encode(BOTH, [{1: 7, 4735277: "x"}]) == message
    text = '(record { 1 = 7 : nat; _1_ = "x" })'
    assert decode_to_text(message, BOTH) == decode_to_text(message, names=["_1_"]) == text
    assert encode_text(text, BOTH) == encode_text(text) == message
    assert decode('(record { "_1_" : text })', message) == [{"_4735277_": "x"}]
    assert encode('(record { "_1_" : text })', [{"_1_": "x"}]) == encode(
        "(record { 4735277 : text })", [{4735277: "x"}]
    )


@pytest.mark.parametrize("value", [{1: 7, "_1_": "x"}, {"_1_": 7}, {4735277: "x"}])
def test_no_field_is_taken_for_another(value: Any) -> None:
    with pytest.raises(CandidTypeError, match=r"the field _1_ is given twice|the field _(1|4735277)_ is missing"):
        encode(BOTH, [value])


@pytest.mark.parametrize(
    ("value", "text"), [({"_1_": 7}, "(variant { 1 = 7 : nat })"), ({"_4735277_": "x"}, '(variant { _1_ = "x" })')]
)
def test_no_case_is_taken_for_another(value: Any, text: str) -> None:
    message = encode(BOTH_CASES, [value])
    assert decode(BOTH_CASES, message) == [value]
    assert decode_to_text(message, BOTH_CASES) == text
    assert encode_text(text, BOTH_CASES) == message


def test_recursive_values() -> None:
    kind = LISTS["List"]
    value = (1, (2, (3, None)))
    assert decode([kind], encode([kind], [value])) == [value]


CHAIN = b"".join(b"\x6e%c%c" % (128 | n & 127, n >> 7) for n in range(1, 1600))
BOMBS = {
    "nulls": b"\1\x6d\x7f\1\0\x80\x94\xeb\xdc\3",
    "empty records": b"\2\x6d\1\x6c\0\1\0\x80\xad\xe2\4",
    "vectors of nulls": b"\2\x6d\1\x6d\x7f\1\0\5" + b"\xff\xff\x3f" * 5,
    "doubling records": b"\x19" + b"".join(b"\x6c\2\0%c\1%c" % (n, n) for n in range(1, 24)) + b"\x6c\0\x6c\0\1\0",
    "endless record": b"\1\x6c\1\0\0\1\0",
    "deep options": b"\1\x6e\0\1\0" + b"\1" * 150_000 + b"\0",
    "deep vectors": b"\1\x6d\0\1\0" + b"\1" * 150_000 + b"\0",
    "deep types": b"\xc0\x0c" + CHAIN + b"\x6e\x7d\1\0",
    "long chain": b"\1\x6e\x7d\xff\xff\xff\x7f\0",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_defused_quickly(bomb: str) -> None:
    start = time.process_time()
    for types in ("()", "(opt nat)", "(reserved)", "(vec opt record {})"):
        with pytest.raises(CandidDecodeError):
            decode(types, b"DIDL" + BOMBS[bomb])
    with pytest.raises(CandidDecodeError):
        decode([LISTS["Bottomless"]], b"DIDL" + BOMBS[bomb])
    assert time.process_time() - start < 20


def test_an_option_of_itself_holds_no_bool() -> None:
    with pytest.raises(CandidDecodeError, match="nested too deeply"):
        decode([LISTS["Bottomless"]], b"DIDL\0\1\x7e\1")


@pytest.mark.parametrize("kind", ["nat", "int"])
def test_huge_numbers_take_linear_time(kind: str) -> None:
    huge = (1 << 400_000) - 12345
    message = encode(f"({kind})", [huge])
    assert decode(f"({kind})", message) == [huge]
    text = decode_to_text(message)
    assert "0x" in text
    assert encode_text(text) == message
    with pytest.raises(CandidSyntaxError, match="write it in hexadecimal"):
        encode_text("9" * 100_000)


ROWS = "(vec record { id : nat; name : text; email : text; age : nat; active : bool; tags : vec text })"


def test_ten_thousand_records_are_quick() -> None:
    rows = [
        {
            "id": n,
            "name": f"user {n}",
            "email": f"user{n}@example.com",
            "age": n % 90,
            "active": n % 2 == 0,
            "tags": ["a", "bb"],
        }
        for n in range(10_000)
    ]
    started = time.perf_counter()
    message = encode(ROWS, [rows])
    encoded = time.perf_counter()
    assert decode(ROWS, message) == [rows]
    assert encoded - started < 1.0
    assert time.perf_counter() - encoded < 1.7
