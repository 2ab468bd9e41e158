"""The subtype relation and the compatibility of services."""

from __future__ import annotations

import pytest

from sandbox.candid import explain_subtype, parse_did, parse_type, service_compatible, subtype

ENV = parse_did("""
    type List = opt record { head : nat; tail : List };
    type IntList = opt record { head : int; tail : IntList };
    type Two = record { next : opt record { next : opt Two } };
    type One = record { next : opt One };
    type Vec = vec Vec;
    type Tree = variant { leaf; node : record { Tree; Tree } };
    type OtherTree = variant { leaf; node : record { Tree; OtherTree }; more };
    type Self = service { me : () -> (Self) };
    type Loop = record { Loop };
    """).types

HOLDS = [
    ("nat", "int"),
    ("empty", "nat"),
    ("record { nat }", "reserved"),
    ("text", "opt nat"),
    ("opt text", "opt nat"),
    ("reserved", "opt nat"),
    ("vec nat", "vec int"),
    ("record { a : nat; b : text }", "record { a : int }"),
    ("record {}", "record { a : opt nat; b : null; c : reserved }"),
    ("variant { a }", "variant { a; b }"),
    ("variant { a : nat }", "variant { a : int; b }"),
    ("func (int) -> (nat)", "func (nat) -> (int)"),
    ("func (opt nat) -> (nat, text)", "func () -> (nat)"),
    ("func () -> ()", "func (nat) -> (opt nat)"),
    ("service { a : () -> (); b : () -> () }", "service { b : () -> () }"),
    ("service { a : () -> () }", "principal"),
    ("Self", "principal"),
    ("List", "IntList"),
    ("One", "Two"),
    ("Two", "One"),
    ("Vec", "vec vec Vec"),
    ("Tree", "OtherTree"),
    ("Loop", "record { record { Loop } }"),
]
FAILS = [
    ("int", "nat", "int is not a subtype of nat"),
    ("nat8", "nat", "nat8 is not a subtype of nat"),
    ("null", "nat", "null is not a subtype of nat"),
    ("reserved", "null", "reserved is not a subtype of null"),
    ("opt nat", "nat", "opt nat is not a subtype of nat"),
    ("vec record { a : nat }", "vec record { a : text }", "[].a: nat is not a subtype of text"),
    ("record {}", "record { a : nat }", "the field a : nat is missing"),
    ("variant { a; b }", "variant { a }", "the variant case b is not known"),
    ("func () -> () query", "func () -> ()", "the kinds of call differ: query and update"),
    ("func (nat) -> ()", "func (int) -> ()", "argument 0: int is not a subtype of nat"),
    ("func (nat) -> ()", "func () -> ()", "argument 0: nat is missing"),
    ("func () -> ()", "func () -> (nat)", "result 0: nat is missing"),
    ("service {}", "service { a : () -> () }", "the method a is missing"),
    ("principal", "service {}", "principal is not a subtype of service {}"),
    ("OtherTree", "Tree", "the variant case more is not known"),
    ("Vec", "empty", "vec Vec is not a subtype of empty"),
]


@pytest.mark.parametrize(("sub", "sup"), HOLDS)
def test_subtypes(sub: str, sup: str) -> None:
    assert subtype(parse_type(sub, ENV), parse_type(sup, ENV))


@pytest.mark.parametrize(("sub", "sup", "reason"), FAILS)
def test_what_is_no_subtype(sub: str, sup: str, reason: str) -> None:
    verdict = explain_subtype(parse_type(sub, ENV), parse_type(sup, ENV))
    assert not verdict
    assert verdict.reason == reason


OLD = "type R = record { id : nat }; service : { get : (nat) -> (R) query; put : (R) -> () }"


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (OLD, ""),
        (OLD.replace("id : nat", "id : nat; note : opt text"), ""),
        (OLD.replace("put", "drop : () -> (); put"), ""),
        (OLD.replace("(nat)", "(int)"), ""),
        (OLD.replace("id : nat", "id : nat; note : text"), "method put argument 0: the field note : text is missing"),
        (OLD.replace("query", ""), "method get: the kinds of call differ: update and query"),
        (OLD.replace("; put : (R) -> ()", ""), "the method put is missing"),
        ("type R = nat", "the new interface has no service"),
    ],
)
def test_upgrading_a_service(new: str, reason: str) -> None:
    verdict = service_compatible(parse_did(new), parse_did(OLD))
    assert verdict.reason == reason
    assert bool(verdict) is not bool(reason)
