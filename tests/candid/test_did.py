"""Interface descriptions: what the parser accepts, refuses and says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.candid import (
    BLOB,
    NAT,
    NAT8,
    NULL,
    TEXT,
    Field,
    FuncType,
    Interface,
    OptType,
    RecordType,
    VariantType,
    VecType,
    load_did,
    parse_did,
    parse_type,
    parse_types,
)
from sandbox.errors import CandidSyntaxError, CandidTypeError


def test_a_service_with_definitions_comments_and_init_args() -> None:
    interface = parse_did(
        """
        // a line comment
        type Account = record { owner : principal; sub : opt blob; }; /* a block /* nested */ comment */
        type List = opt record { Account; List };
        service ledger : (Account, limit : nat) -> {
          transfer : (to : Account, amount : nat) -> (variant { ok : nat; err : text });
          all : () -> (List) query;
          notify : Callback;
          "два слова" : () -> () oneway;
        };
        """.replace("service ledger", "type Callback = func (text) -> () oneway; service ledger")
    )
    assert interface.init_args == (interface.types["List"].resolve().inner.fields[0].type, NAT)  # type: ignore[attr-defined]
    assert sorted(interface.methods) == ["all", "notify", "transfer", "два слова"]
    assert interface.method("all").is_query
    assert interface.method("notify") == FuncType((TEXT,), (), ("oneway",))
    assert interface.method("transfer").arg_names == ("to", "amount")
    assert {"owner", "sub", "ok", "err"} == interface.field_names()
    with pytest.raises(CandidTypeError, match="no method burn; it has: all, notify, transfer"):
        interface.method("burn")


def test_field_shorthands() -> None:
    assert parse_type("record { nat; text }") == RecordType((Field(0, NAT), Field(1, TEXT)))
    assert parse_type("record { 5 : nat; text; 0x2a : nat8 }") == RecordType(
        (Field(5, NAT), Field(6, TEXT), Field(42, NAT8))
    )
    assert parse_type("variant { a; 1_000; b : nat }") == VariantType(
        (Field.named("a", NULL), Field(1000, NULL), Field.named("b", NAT))
    )
    assert parse_type("blob") == parse_type("vec nat8") == BLOB
    assert parse_types("(a : nat, opt vec text)") == (NAT, OptType(VecType(TEXT)))


def test_a_name_that_is_a_type_word_needs_no_quotes() -> None:
    assert parse_type("record { text : text; nat : nat }") == RecordType.of(text=TEXT, nat=NAT)


def test_printing_quotes_keywords_and_strange_names() -> None:
    text = 'record { "principal" : nat; "a b" : nat; "\\n\\"" : nat; "" : nat; plain_1 : nat }'
    printed = str(parse_type(text))
    for label in ('"principal"', '"a b"', '"\\n\\""', '""', " plain_1"):
        assert f"{label} : nat" in printed
    assert parse_type(printed) == parse_type(text)


def test_a_long_interface_is_printed_over_several_lines() -> None:
    text = """type List = opt record { head : nat; tail : List };
type Long = variant {
  the_first_of_two_long_case_names : record { nat; text };
  the_second_of_two_long_case_names;
};
service : (nat) -> {
  get : (first_argument : List, second_argument : Long) -> (
    record { one : nat; another : text },
  ) query;
}
"""
    assert str(parse_did(text)).split() == text.split()
    assert str(parse_did(str(parse_did(text)))) == str(parse_did(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type A = nat; type A = text", "line 1, column 15: the type A is defined twice"),
        ("service : {\n  f : (Nat) -> ()\n}", "line 2, column 8: the type Nat is not defined"),
        ("type A = B; type B = A", "the type B is defined as itself"),
        ("type A = nat; service : { f : A }", "the method type A is not a function"),
        ("type A = nat; service : A", "the main service is not a service type"),
        ("service : { f : () -> (); f : () -> () }", "the method f is defined twice"),
        ("service : { f : () -> (nat) oneway }", "a oneway function has no results"),
        ("service : { f : () -> () query oneway }", "at most one of"),
        ("service : { f : (a : nat, a : nat) -> () }", "the argument name a is used twice"),
        ("type A = record { a : nat; a : text }", "line 1, column 10: the fields a and a have the same id 97"),
        ("type A = record { 1 : nat; 0 : nat; nat }", "the fields 1 and 1 have the same id"),
        ("type A = record { 4294967296 : nat }", "a field id is a number below 2^32"),
        ("type A = record { opt : nat }", "`opt` is a keyword; as a name it stands in quotes"),
        ("type opt = nat", "`opt` is a keyword"),
        ("type A = record { a : nat", "expected `;` or `}`, found the end of the text"),
        ("type A = variant { nat : }", "expected a type, found }"),
        ("/* /* */", "line 1, column 1: unclosed comment"),
        ('type A = record { "\\u{d800}" : nat }', "is not a Unicode scalar value"),
        ('type A = record { "\\ff" : nat }', "this string is not valid UTF-8"),
        ('type A = record { "open : nat }', "line 1, column 19: unclosed string"),
        ("type A = nat\ntype B = nat", "line 2, column 1: expected the end of the text, found type"),
        ("type A0 = nat; " + "".join(f"type A{n + 1} = A{n}; " for n in range(200)), "more than 100 other names"),
        ('import "a.did"', 'cannot import "a.did"'),
        ("type A = nat ? ", "line 1, column 14: unexpected character '?'"),
    ],
)
def test_errors_say_what_and_where(text: str, message: str) -> None:
    with pytest.raises(CandidSyntaxError) as caught:
        parse_did(text)
    assert message in str(caught.value)


FILES = {
    "lib/a.did": 'import "b.did"; type A = record { b : B }; service : { a : (A) -> () }',
    "lib/b.did": "type B = nat; service : (nat) -> { b : () -> () }",
    "loop.did": 'import "loop.did"; type L = nat',
    "self.did": 'import service "self.did"; service : {}',
    "broken.did": "type X =\n  ;",
    "empty.did": "type E = nat",
}


def read(name: str) -> Interface:
    return parse_did(FILES[name], FILES.__getitem__, file=name)


def test_imports_are_relative_to_the_importing_file_and_loaded_once() -> None:
    text = 'import "lib/a.did"; import service "lib/a.did"; import "lib/b.did"; service : { main : (A, B) -> () }'
    interface = parse_did(text, FILES.__getitem__)
    assert sorted(interface.methods) == ["a", "main"]
    assert str(interface.types["A"]) == "record { b : B }"
    assert list(read("loop.did").types) == ["L"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('import service "lib/b.did"', "takes arguments and cannot be imported"),
        ('import service "empty.did"', "has no service to import"),
        ('import service "self.did"', "imports itself"),
        ('import "broken.did"', "broken.did: line 2, column 3: expected a type"),
        ('import "missing.did"', 'line 1, column 1: cannot import "missing.did"'),
        ('import service "lib/a.did"; service : { a : () -> () }', "the method a is defined twice"),
        ('import "empty.did"; type E = text', "the type E is defined twice"),
    ],
)
def test_what_cannot_be_imported(text: str, message: str) -> None:
    with pytest.raises(CandidSyntaxError) as caught:
        parse_did(text, FILES.__getitem__)
    assert message in str(caught.value)


def test_a_file_is_loaded_with_its_imports(tmp_path: Path) -> None:
    (tmp_path / "types.did").write_text("type T = record { n : nat }")
    (tmp_path / "main.did").write_text('import "types.did"; service : { get : () -> (T) query }')
    assert str(load_did(tmp_path / "main.did").method("get").results[0].resolve()) == "record { n : nat }"


def test_equal_texts_give_interchangeable_interfaces() -> None:
    make: Callable[[], Interface] = lambda: parse_did("type L = opt record { nat; L }; service : { f : (L) -> () }")  # noqa: E731
    assert str(make()) == str(make())
