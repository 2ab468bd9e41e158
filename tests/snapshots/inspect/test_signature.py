"""Stable signatures of Motoko programs: what is parsed, and what is no signature."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import wasm
from sandbox.snapshots.inspect import InspectError
from sandbox.snapshots.inspect.motoko.signature import Before, Migration, parse_signature
from sandbox.snapshots.inspect.motoko.types import (
    Array,
    Con,
    Field,
    Func,
    Object,
    Opt,
    Prim,
    Tuple,
    Type,
    Variant,
    field_text,
    type_text,
    unfolded,
)
from tests.conftest import FIXTURES, fixture

NAT, TEXT = Prim("Nat"), Prim("Text")


def stable_types(name: str) -> str | None:
    """The section of a fixture's module; None if it has none."""
    facts = wasm.read_facts(wasm.decode_module(fixture(name)))
    found = {**facts.private_metadata, **facts.public_metadata}.get("motoko:stable-types")
    return None if found is None else found.decode()


def variable(text: str, definitions: str = "") -> Type:
    return parse_signature(f"{definitions} actor {{ stable x : {text} }};").after[0].type


TYPES = {
    "?[var Nat]": Opt(Array(NAT, True)),
    "(Nat, Text)": Tuple((NAT, TEXT)),
    "()": Tuple(),
    "{a : Nat; var b : Text}": Object((Field("a", NAT), Field("b", TEXT, True))),
    "{#a; #b : Nat}": Variant((Field("a", Tuple()), Field("b", NAT))),
    "{#}": Variant(),
    "Map<Text, ?Nat>": Con("Map", (TEXT, Opt(NAT))),
    "shared query (Nat, Text) -> async Nat": Func((NAT, TEXT), (NAT,), "shared query", "async"),
    "shared Nat -> ()": Func((NAT,), (), "shared"),
    "actor {go : shared () -> async ()}": Object((Field("go", Func((), (), "shared", "async")),), "actor"),
    "?(shared Nat -> ())": Opt(Func((NAT,), (), "shared")),
    "shared (actor {}) -> async (shared () -> ())": Func(
        (Object((), "actor"),), (Func((), (), "shared"),), "shared", "async"
    ),
}


@pytest.mark.parametrize("text", TYPES)
def test_types_are_parsed_and_printed(text: str) -> None:
    assert variable(text) == TYPES[text]
    assert type_text(TYPES[text]) == text


def test_names_lose_the_hash_of_their_definition_in_text_alone() -> None:
    kind = variable("[Person__762770418]")
    assert kind == Array(Con("Person__762770418"))
    assert type_text(kind) == "[Person]"


def test_names_in_tuples_and_parameters_are_no_part_of_the_type() -> None:
    assert variable("(x : Nat, y : Text)") == Tuple((NAT, TEXT))
    assert variable("(x : Nat)") == NAT
    assert variable("shared (name : Text) -> ()") == Func((TEXT,), (), "shared")


def test_arguments_take_the_place_of_parameters() -> None:
    signature = parse_signature("type Pair<A, B <: Any> = (A, ?B); type P = Pair<Nat, Text>; actor { stable x : P }")
    assert unfolded(signature.after[0].type, signature.definitions) == Tuple((NAT, Opt(TEXT)))


def test_a_migration_function_has_what_it_wants_and_what_is_there_after_it() -> None:
    found = parse_signature("// Version: 3.0.0\nactor ({in a : Nat; stable var b : Text}, {stable var c : Nat});")
    assert found.before == (Before(Field("a", NAT), True), Before(Field("b", TEXT, True)))
    assert found.after == (Field("c", NAT, True),)


def test_a_chain_of_migrations_has_labels() -> None:
    found = parse_signature('{ "One" : {} -> {a : Nat}; "Two" : (old : {a : Nat}) -> {var b : Text} } actor { }')
    assert found.chain == (
        Migration("One", (), (Field("a", NAT),)),
        Migration("Two", (Field("a", NAT),), (Field("b", TEXT, True),)),
    )


def test_sections_of_real_modules_are_parsed_and_printed_back() -> None:
    names = [path.stem for path in FIXTURES.glob("*.wasm") if path.stem.endswith(("classical", "enhanced"))]
    texts = [text for text in map(stable_types, names) if text is not None]
    assert len(texts) > 30
    for text in texts:
        signature = parse_signature(text)
        definitions = "".join(
            f"type {each.name}<{', '.join(each.parameters)}> = {type_text(each.body)};"
            for each in signature.definitions.values()
        )
        variables = "; ".join(f"stable {field_text(each)}" for each in signature.after)
        again = parse_signature(f"{definitions} actor {{ {variables} }}")
        assert [field_text(each) for each in again.after] == [field_text(each) for each in signature.after]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the end instead of 'actor', in line 1"),
        ("actor {\n stable x Nat }", "'Nat' instead of ':', in line 2"),
        ("actor { stable x : Nat and Text }", "those with 'and' or 'or' are not supported"),
        ("actor { stable x : shared Nat }", "instead of '->'"),
        ("actor { x : Nat }", "'x' instead of 'stable'"),
        ('{ "One" : Nat } actor { }', "instead of a migration function"),
        ('{ "One" : Nat -> {} } actor { }', "instead of a migration from one record to another"),
        ("actor { stable x : " + "[" * 100 + "Nat" + "]" * 100 + " }", "a type of at most 64 levels"),
        ("actor { stable x : " + "?" * 100 + "Nat }", "a type of at most 64 levels"),
        ("actor { } actor { }", "instead of the end"),
    ],
)
def test_what_is_no_signature_is_refused_with_the_line(text: str, problem: str) -> None:
    with pytest.raises(InspectError, match=problem.replace("(", r"\(")):
        parse_signature(text)


def test_definitions_without_end_are_refused() -> None:
    signature = parse_signature("type A = B; type B = A; type C<T> = ?T; actor { stable x : A; stable y : C }")
    with pytest.raises(InspectError, match="does not end"):
        unfolded(signature.after[0].type, signature.definitions)
    with pytest.raises(InspectError, match="the type C has 1 parameters, not 0"):
        unfolded(signature.after[1].type, signature.definitions)


WORDS = [*"{}()[]<>?:;,=#x", "->", "//", "/*", "*/", '"a"', "actor", "stable", "in", "var", "type", "shared", "async"]


@given(st.lists(st.sampled_from(WORDS), max_size=40))
def test_any_words_are_parsed_or_refused(words: list[str]) -> None:
    with suppress(InspectError):
        parse_signature(" ".join(words))
