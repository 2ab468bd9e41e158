"""The same type is the same however it is written; what differs anywhere is another."""

from __future__ import annotations

import pytest

from sandbox.candid import parse_did, same_type, subtype

ONE = "type P = record { name : text; next : opt P }; service : { f : (P) -> (opt P) query }"
RENAMED = "type Q = record { next : opt Q; name : text }; service : { f : (person : Q) -> (opt Q) query }"
UNROLLED = (
    "type Q = record { name : text; next : opt record { name : text; next : opt Q } };"
    "service : { f : (Q) -> (opt Q) query }"
)
OTHERS = [
    "type P = record { name : text; next : opt P; age : nat }; service : { f : (P) -> (opt P) query }",
    "type P = record { name : opt text; next : opt P }; service : { f : (P) -> (opt P) query }",
    "type P = record { name : text; next : vec P }; service : { f : (P) -> (opt P) query }",
    "type P = record { name : text; next : opt P }; service : { f : (P) -> (opt P) }",
    "type P = record { name : text; next : opt P }; service : { f : (P) -> (P) query }",
    "type P = record { name : text; next : opt P }; service : { f : (P, P) -> (opt P) query }",
    "type P = variant { name : text; next : opt P }; service : { f : (P) -> (opt P) query }",
]


@pytest.mark.parametrize("text", [ONE, RENAMED, UNROLLED])
def test_however_it_is_written(text: str) -> None:
    one, other = parse_did(ONE).method("f"), parse_did(text).method("f")
    assert same_type(one, other)
    assert same_type(other, one)


@pytest.mark.parametrize("text", OTHERS)
def test_what_differs_anywhere_is_another(text: str) -> None:
    one, other = parse_did(ONE).method("f"), parse_did(text).method("f")
    assert not same_type(one, other)
    assert not same_type(other, one)


def test_options_that_are_subtypes_of_each_other_are_not_the_same() -> None:
    one, other = (
        parse_did(f"service : {{ f : () -> (opt record {{ {fields} }}) }}").method("f")
        for fields in ("a : nat", "a : nat; b : text")
    )
    assert subtype(one, other)
    assert subtype(other, one)
    assert not same_type(one, other)
