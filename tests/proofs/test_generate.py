"""Values by Candid type: every type has some, the same seed draws the same, and what is known is used."""

from __future__ import annotations

from random import Random

import pytest

from sandbox.candid import Some, decode, encode, encode_text, parse_did, parse_type
from sandbox.principal import Principal
from sandbox.proofs.generate import Generator, Pool, Uninhabited, readings

TYPES = parse_did(
    """
    type List = opt record { head : nat8; tail : List };
    type Tree = variant { leaf : int; node : record { Tree; Tree } };
    type Forest = vec record { name : text; trees : Forest };
    service : {
      numbers : (nat, nat8, nat16, nat32, nat64, int, int8, int16, int32, int64, float32, float64) -> ();
      others : (null, bool, text, reserved, principal, blob, vec text, opt opt text) -> ();
      records : (record {}, record { nat; text }, record { a : nat; b : text }) -> ();
      variants : (variant { a; b : record { x : nat }; "a text" : vec variant { c } }) -> ();
      recursive : (List, Tree, Forest) -> ();
      references : (func (nat) -> (text) query, service { f : () -> () }) -> ();
      half : (opt empty, vec empty, variant { possible; never : empty }) -> ();
    }
    """
)


@pytest.mark.parametrize("method", TYPES.methods)
def test_every_type_has_values_and_the_same_seed_draws_the_same(method: str) -> None:
    function = TYPES.method(method)
    drawn = []
    for seed in range(60):
        messages = [encode(function.args, Generator(Random(seed)).arguments(function)) for _ in range(2)]
        assert messages[0] == messages[1]
        decode(function.args, messages[0])
        drawn.append(messages[0])
    assert len(set(drawn)) > 3 or method == "half"


@pytest.mark.parametrize("text", ["empty", "record { nat; empty }", "variant { a : empty }"])
def test_a_type_without_values_says_so(text: str) -> None:
    with pytest.raises(Uninhabited, match="has no finite value"):
        Generator(Random(0)).value(parse_type(text))


def test_a_record_that_contains_itself_has_no_value() -> None:
    function = parse_did("type R = record { again : R }; service : { f : (R) -> (); }").method("f")
    with pytest.raises(Uninhabited):
        Generator(Random(0)).arguments(function)


@pytest.mark.slow
def test_types_may_be_nested_deeper_than_the_stack() -> None:
    deep = parse_type("record { " * 3000 + "nat8" + " }" * 3000)
    assert len(encode((deep,), [Generator(Random(1)).value(deep)])) > 3000


ALICE = Principal(b"\7\7\7")
KNOWN = Pool.of([{"key": "person1", "n": [5, 300]}, (Some("person2"), ALICE), b"bytes", 5, True])


def test_a_pool_has_each_leaf_once_in_its_order() -> None:
    assert Pool(("person1", "person2"), (5, 300), (b"bytes",), (ALICE,)) == KNOWN
    assert Pool.of(["person2", "person3"]) + KNOWN == Pool(
        ("person2", "person3", "person1"), (5, 300), (b"bytes",), (ALICE,)
    )


def test_known_values_are_drawn_where_their_type_fits() -> None:
    function = parse_did("service : { f : (text, nat8, nat, principal, blob) -> (); }").method("f")
    drawn = [Generator(Random(seed), KNOWN, 1.0).arguments(function) for seed in range(20)]
    assert {values[0] for values in drawn} == {"person1", "person2"}
    assert {values[1] for values in drawn} == {5}, "300 is no nat8"
    assert {values[2] for values in drawn} == {5, 300}
    assert {values[3:] for values in drawn} == {(ALICE, b"bytes")}


def test_without_known_values_the_edges_of_a_type_are_drawn() -> None:
    drawn = {Generator(Random(seed)).value(parse_type("int16")) for seed in range(60)}
    assert {-(2**15), 2**15 - 1, 0} <= drawn


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"person1", [b"person1", "person1", Principal(b"person1")]),
        (b"\0\0\0\0\0\0\1\0", [b"\0\0\0\0\0\0\1\0", 256, Principal(b"\0\0\0\0\0\0\1\0")]),
        (encode_text('("a", 5)'), [encode_text('("a", 5)'), "a", 5]),
        (b"", [b""]),
        (b"\xff" * 40, [b"\xff" * 40]),
    ],
)
def test_bytes_of_unknown_type_are_read_in_every_way_that_fits(data: bytes, expected: list[object]) -> None:
    assert list(readings(data)) == expected
