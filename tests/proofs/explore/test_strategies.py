"""Values by type: each is one of its type, recursive types end, known values come again, and a seed decides."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from sandbox.candid import FuncType, Interface, ServiceType, Type, decode, encode, parse_did
from sandbox.principal import Principal
from sandbox.proofs.calls import made_call, parse_call, read_calls
from sandbox.proofs.explore.sequences import drawn
from sandbox.proofs.explore.strategies import arguments, inhabited
from sandbox.proofs.generate import Pool
from tests.candid.test_laws import TYPES

POOL = Pool(("known",), (123_456_789,), (b"\xca\xfe",), (Principal(b"\1\2"),))
RECURSIVE = parse_did(
    """type List = opt record { nat; List };
    type Tree = variant { node : record { Tree; Tree }; leaf };
    type Trees = vec Trees;
    type Deep = record { a : record { b : record { c : record { d : record { e : record { f : opt Deep } } } } } };
    type Mutual = variant { other : Other }; type Other = variant { back : Mutual; end : text };
    type Never = record { Never };
    type Perhaps = record { opt Never; vec Never; variant { never : Never; end } };
    """
).types


def interface(types: tuple[Type, ...]) -> Interface:
    return Interface({}, ServiceType((("do it", FuncType(types, ())),)))


@settings(max_examples=25)
@given(st.data())
def test_a_value_of_any_type_is_encoded_and_comes_back(data: st.DataObject) -> None:
    types = tuple(data.draw(st.lists(TYPES, max_size=3)))
    if not inhabited(types):
        return
    values = data.draw(arguments(types, POOL))
    assert decode(types, encode(types, values)) == list(values)
    sender = data.draw(st.sampled_from([None, "alice"]))
    call = made_call("do it", types, values, sender)
    assert "\n" not in call.text
    read = parse_call(call.text, interface(types))
    assert (read.method, read.sender, decode(types, read.arg)) == ("do it", sender, list(values))


@pytest.mark.parametrize("name", [name for name in RECURSIVE if name != "Never"])
def test_recursive_types_end(name: str) -> None:
    sizes = set[int]()

    def use(values: tuple[Any, ...]) -> None:
        raw = encode((RECURSIVE[name],), values)
        assert decode((RECURSIVE[name],), raw) == list(values)
        sizes.add(len(raw))

    drawn(arguments((RECURSIVE[name],)), 20, 0, use)
    assert sizes
    assert max(sizes) < 30_000


def test_a_type_without_a_finite_value_is_not_inhabited() -> None:
    assert not inhabited((RECURSIVE["Never"],))
    assert not inhabited((RECURSIVE["List"], RECURSIVE["Never"]))
    assert inhabited(())
    assert inhabited((RECURSIVE["Perhaps"],))


def values(text: str, count: int = 60, pool: Pool | None = None, number: int = 0) -> list[Any]:
    """The first arguments that are drawn for one type."""
    types = parse_did(f"service : {{ m : ({text}) -> () }}").method("m").args
    found: list[Any] = []
    drawn(arguments(types, pool), count, number, lambda values: found.append(values[0]))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nat", [0, 1, 123_456_789, 2**64]),
        ("int", [0, -1, 1, 123_456_789, -(2**64)]),
        ("nat8", [0, 255]),
        ("int16", [0, 32767, -32768]),
        ("nat64", [0, 123_456_789, 2**64 - 1]),
        ("float64", [0.0, 1e300]),
        ("bool", [False, True]),
        ("text", ["", "known", "ä é 漢"]),
        ("blob", [b"", b"\xca\xfe"]),
        ("principal", [Principal(b"\1\2"), Principal.anonymous(), Principal.management()]),
        ("opt opt bool", [None]),
    ],
)
def test_small_values_boundaries_and_known_ones_are_drawn(text: str, expected: list[Any]) -> None:
    found = values(text, 100, POOL)
    assert [value for value in expected if value not in found] == []


def test_texts_are_empty_long_and_of_more_than_ascii() -> None:
    found = values("text", 100)
    assert "" in found
    assert max(map(len, found)) >= 1_000
    assert any(not text.isascii() for text in found)
    assert any("\n" in text for text in found)


@pytest.mark.parametrize(
    ("text", "simplest"),
    [
        ("nat", 0),
        ("text", ""),
        ("opt nat", None),
        ("vec text", []),
        ("blob", b""),
        ("variant { z : nat; a : record { nat; nat }; b }", {"b": None}),
        ("record { a : int; b : bool }", {"a": 0, "b": False}),
    ],
)
def test_values_shrink_to_the_simplest(text: str, simplest: Any) -> None:
    types = parse_did(f"service : {{ m : ({text}) -> () }}").method("m").args
    options = settings(max_examples=50, database=None, phases=[Phase.generate, Phase.shrink])
    assert find(arguments(types, POOL), lambda values: True, settings=options)[0] == simplest
    least = find(arguments(types, Pool(numbers=(5,))), lambda values: values[0] != simplest, settings=options)[0]
    assert len(encode(types, [least])) <= len(encode(types, [simplest])) + 4


def test_the_values_depend_on_the_seed_alone(tmp_path: Path) -> None:
    """Hypothesis takes constants from the source of modules that are no libraries; a seed must not depend on them."""
    text = "record { nat; int; text; blob; float64; nat64; vec int64 }"

    def hypothesis_alone() -> list[int]:
        found: list[int] = []
        drawn(st.integers(0, 1 << 64), 100, 0, found.append)
        return found

    first, other, alone = values(text, 25), values(text, 25, number=1), hypothesis_alone()
    file = tmp_path / "constants.py"
    file.write_text("".join(f"a_{n} = {n * 7919 + 77}, {n}.25, 'text {n}', b'{n}'\n" for n in range(100)))
    spec = spec_from_file_location("constants_of_a_user", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        assert hypothesis_alone() != alone
        assert values(text, 25) == first
    finally:
        del sys.modules[spec.name]
    assert other != first


def test_a_made_call_can_be_saved_and_read(tmp_path: Path) -> None:
    types = (
        parse_did('service : { m : (record { a : text; b : vec text; "c d" : opt blob }, nat) -> () }').method("m").args
    )
    calls = []
    drawn(arguments(types), 30, 0, lambda values: calls.append(made_call("do it", types, values, "bob")))
    (tmp_path / "calls").write_text("".join(f"{call.text}\n" for call in calls))
    read = read_calls(tmp_path / "calls", interface(types))
    assert [(call.method, call.arg, call.sender) for call in read] == [(c.method, c.arg, c.sender) for c in calls]
