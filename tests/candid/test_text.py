"""Values as text: literals, types given and inferred, the printed form, and what errors say."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sandbox.candid import (
    Func,
    Service,
    Some,
    decode_to_text,
    encode,
    encode_text,
    parse_did,
    parse_values,
    values_text,
)
from sandbox.errors import CandidError, CandidSyntaxError, CandidTypeError
from sandbox.principal import Principal

CAFFEE = Principal(b"\xca\xff\xee")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("nat", "1_000_000", 1_000_000),
        ("nat", "0x2A", 42),
        ("int", "-5", -5),
        ("int", "+5", 5),
        ("nat", "(5)", 5),
        ("nat", "5 : nat", 5),
        ("int", "5 : nat", 5),
        ("nat8", "255", 255),
        ("float64", "5", 5.0),
        ("float64", "1.5e-3", 0.0015),
        ("float64", "1E3", 1000.0),
        ("float64", "1.", 1.0),
        ("float64", "0x1.8p1", 3.0),
        ("float64", "-inf", -math.inf),
        ("float32", "0.1", 0.10000000149011612),
        ("text", r'"\t\n\r\"\'\\\41\u{1F600}\u{2_6_03}"', "\t\n\r\"'\\A😀☃"),
        ("text", '"a // b /* c */"', "a // b /* c */"),
        ("blob", r'blob "\00ab\ff"', b"\0ab\xff"),
        ("blob", "vec { 1; 2; }", b"\1\2"),
        ("vec nat", "vec {}", []),
        ("opt nat", "null", None),
        ("opt nat", "opt 5", 5),
        ("opt nat", "5", 5),
        ("opt opt nat", "opt null", Some(None)),
        ("null", "null", None),
        ("reserved", '"anything"', None),
        ("record { nat; text }", 'record { 1; "x" }', (1, "x")),
        ("record { 5 : nat; 6 : nat }", "record { 5 = 1; 2 }", {"_5_": 1, "_6_": 2}),
        ('record { a : nat; "b c" : text }', 'record { "b c" = "x"; a = 2 }', {"a": 2, "b c": "x"}),
        ("record { a : nat; b : opt nat }", "record { 97 = 2 }", {"a": 2, "b": None}),
        ("variant { ok; err : text }", "variant { ok }", {"ok": None}),
        ("variant { ok; err : text }", 'variant { "err" = "x" }', {"err": "x"}),
        ("principal", 'principal "w7x7r-cok77-xa"', CAFFEE),
        ("principal", 'service "w7x7r-cok77-xa"', CAFFEE),
        ("service {}", 'service "w7x7r-cok77-xa"', Service(CAFFEE)),
        ("func () -> ()", 'func "w7x7r-cok77-xa"."m"', Func(CAFFEE, "m")),
        ("func () -> ()", 'func "w7x7r-cok77-xa".go', Func(CAFFEE, "go")),
        ("bool", "/* yes */ true // really\n", True),
    ],
)
def test_literals(kind: str, text: str, value: Any) -> None:
    assert parse_values(f"({text})", f"({kind})") == [value]
    assert encode_text(f"({text},)", f"({kind})") == encode(f"({kind})", [value])


def test_a_single_value_needs_no_parentheses() -> None:
    assert encode_text("record { a = 1 }", "(record { a : nat })") == encode("(record { a : nat })", [{"a": 1}])


def test_missing_arguments_that_may_be_null() -> None:
    assert parse_values("(1)", "(nat, opt nat)") == [1, None]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1", "int"),
        ("1.0", "float64"),
        ("1 : nat8", "nat8"),
        ('"x"', "text"),
        ("null", "null"),
        ("opt 1", "opt int"),
        ("vec {}", "vec empty"),
        ("vec { 1 : nat; 2 }", "vec int"),
        ("vec { null; opt 1 }", "vec opt int"),
        ("vec { variant { a }; variant { b = 1 } }", "vec variant { a; b : int }"),
        ("vec { record { vec {} }; record { vec { true } } }", "vec record { vec bool }"),
        ("record { 1; b = true }", "record { 0 : int; b : bool }"),
        ('blob "x"', "blob"),
        ('principal "aaaaa-aa"', "principal"),
        ('service "aaaaa-aa"', "service {}"),
        ('func "aaaaa-aa".m', "func () -> ()"),
    ],
)
def test_types_are_inferred_where_none_are_given(text: str, kind: str) -> None:
    assert encode_text(f"({text})") == encode_text(f"({text})", f"({kind})")


def test_annotations_may_use_names_of_an_interface() -> None:
    types = parse_did("type Level = variant { low; high }").types
    assert encode_text("variant { high } : Level", env=types) == encode("(variant { low; high })", ["high"])


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("(1,\n  true)", "(nat, nat)", "line 2, column 3: argument 1: expected nat, got bool True"),
        ("(-1)", "(nat)", "line 1, column 2: argument 0: expected nat, got number -1"),
        ("(256)", "(nat8)", "256 is out of the range of nat8"),
        ("(5 : nat8)", "(nat)", "expected nat, got a value of type nat8"),
        ("(record { a = 1; amuont = 2 })", "(record { a : nat })", "unknown field amuont; the fields are: a"),
        ("(record {})", "(record { a : nat })", "the field a : nat is missing"),
        ("(variant { c })", "(variant { a; b })", "unknown variant case c; the cases are: a, b"),
        ("(opt true)", "(opt nat)", "line 1, column 6: argument 0: expected nat, got bool True"),
        ("(1, 2)", "(nat)", "expected 1 arguments, got 2"),
        ("()", "(nat)", "argument 0 : nat is missing"),
        ("(vec { 1; true })", None, "line 1, column 11: this element has another type than those before it"),
        ("(record { a = 1; 97 = 2 })", None, "line 1, column 18: the field 97 is given twice"),
        ("(variant { a; b })", None, "a variant has exactly one case"),
        ('(principal "aaaaa-ab")', None, "line 1, column 12: not a principal"),
        ('("\\q")', None, "line 1, column 3: unknown escape \\q"),
        ("(1", None, "expected `,` or `)`, found the end of the text"),
        ("(1) 2", None, "expected the end of the text, found 2"),
        ("(nat)", None, "expected a value, found nat"),
        ("(1 : Nat)", None, "the type Nat is not defined"),
        ("(" * 500, None, "column 501: expected a value, found the end of the text"),
    ],
)
def test_errors_say_what_and_where(text: str, kind: str | None, message: str) -> None:
    with pytest.raises(CandidError) as caught:
        encode_text(text, kind)
    assert isinstance(caught.value, (CandidSyntaxError, CandidTypeError))
    assert message in str(caught.value)


def test_coercion_of_text_is_on_request() -> None:
    kinds = "(record { a : opt nat })"
    assert parse_values('(record { a = opt "x"; b = 1 })', kinds, exact=False) == [{"a": None}]
    with pytest.raises(CandidTypeError):
        parse_values('(record { a = opt "x" })', kinds)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("nat", 1234567, "1_234_567 : nat"),
        ("int", -1000, "-1_000 : int"),
        ("float64", 3.0, "3.0 : float64"),
        ("float32", 0.10000000149011612, "0.1 : float32"),
        ("float64", math.nan, "NaN : float64"),
        ("text", 'a"\n\\☃\x07', '"a\\"\\n\\\\☃\\u{7}"'),
        ("blob", b"hello 'x'", 'blob "hello \\27x\\27"'),
        ("blob", b"\0a", 'blob "\\00\\61"'),
        ("null", None, "null : null"),
        ("opt nat", None, "null"),
        ("opt nat", 5, "opt (5 : nat)"),
        ("opt opt nat", 5, "opt opt (5 : nat)"),
        ("opt text", "x", 'opt "x"'),
        ("opt text", "5 : text", 'opt "5 : text"'),
        ("opt null", Some(None), "opt (null : null)"),
        ("vec nat", [1, 2], "vec { 1 : nat; 2 : nat }"),
        ("vec nat", [], "vec {}"),
        ("record {}", {}, "record {}"),
        ("record { nat; text }", (1, "x"), 'record { 1 : nat; "x" }'),
        ("record { 7 : nat; 100000 : bool }", {7: 1, 100000: True}, "record { 7 = 1 : nat; 100_000 = true }"),
        ('record { "opt" : bool; a : bool }', {"opt": True, "a": False}, 'record { a = false; "opt" = true }'),
        ("variant { a; b : nat }", "a", "variant { a }"),
        ("variant { a; b : nat }", {"b": 1}, "variant { b = 1 : nat }"),
        ("principal", CAFFEE, 'principal "w7x7r-cok77-xa"'),
        ("service {}", CAFFEE, 'service "w7x7r-cok77-xa"'),
        ("func () -> ()", Func(CAFFEE, "query"), 'func "w7x7r-cok77-xa"."query"'),
    ],
)
def test_printed_form(kind: str, value: Any, text: str) -> None:
    assert values_text(f"({kind})", [value]) == f"({text})"


def test_long_values_are_broken_over_lines() -> None:
    kind = "(record { name : text; tags : vec text; inner : opt record { nat; nat } }, vec nat)"
    value = {"name": "a rather long name to fill the line", "tags": ["one", "two"], "inner": (1, 2)}
    text = values_text(kind, [value, list(range(12))])
    assert text.splitlines() == [
        "(",
        "  record {",
        '    name = "a rather long name to fill the line";',
        '    tags = vec { "one"; "two" };',
        "    inner = opt record { 1 : nat; 2 : nat };",
        "  },",
        "  vec { " + "; ".join(f"{n} : nat" for n in range(12)) + " },",
        ")",
    ]
    assert encode_text(text, kind) == encode(kind, [value, list(range(12))])


def test_no_separator_follows_the_case_of_a_wide_variant() -> None:
    kind = "(variant { Ok : variant { both : record { a : text; b : text } } })"
    value = {"Ok": {"both": {"a": "x" * 45, "b": "y" * 45}}}
    text = values_text(kind, [value])
    assert text.splitlines() == [
        "(",
        "  variant {",
        "    Ok = variant {",
        "      both = record {",
        f'        a = "{"x" * 45}";',
        f'        b = "{"y" * 45}";',
        "      }",
        "    }",
        "  },",
        ")",
    ]
    assert parse_values(text, kind) == [value]


def test_labels_are_numbers_unless_names_are_given() -> None:
    message = encode("(record { owner : nat })", [{"owner": 1}])
    assert decode_to_text(message) == "(record { 947_296_307 = 1 : nat })"
    assert decode_to_text(message, names=["owner"]) == "(record { owner = 1 : nat })"
    assert decode_to_text(message, "(record { owner : int })") == "(record { owner = 1 : int })"
