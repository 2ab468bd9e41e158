"""Claims about Candid values as JSON: what is written is read back by its type."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from sandbox.candid import decode, encode, encode_text, parse_did, parse_types
from sandbox.candid.as_json import from_json, to_json
from sandbox.errors import CandidTypeError

CASES = [
    ("(nat)", "(123456789012345678901234567890)"),
    ("(int, nat8)", "(-5, 255)"),
    ("(blob)", '(blob "\\00\\ff")'),
    ("(vec nat16)", "(vec { 1; 65535 })"),
    ("(opt nat)", "(null)"),
    ("(opt nat)", "(opt 5)"),
    ("(opt opt nat)", "(opt null)"),
    ("(opt opt nat)", "(opt opt 5)"),
    ("(record { a : text; b : opt record { c : bool } })", '(record { a = "x"; b = opt record { c = true } })'),
    ("(record { nat; text })", '(record { 1; "x" })'),
    ("(variant { ok : nat; err : text })", "(variant { ok = 18446744073709551616 })"),
    ("(principal, service {}, func () -> ())", '(principal "aaaaa-aa", service "aaaaa-aa", func "aaaaa-aa".m)'),
    ("(float64)", "(0.5)"),
]


@pytest.mark.parametrize(("types", "text"), CASES)
def test_a_value_is_the_same_after_it_was_json(types: str, text: str) -> None:
    message = encode_text(text, types)
    values = json.loads(json.dumps(to_json(decode(types, message))))
    assert encode(types, from_json(parse_types(types), values)) == message


def test_a_float_that_is_no_number_is_text() -> None:
    [value] = from_json(parse_types("(float64)"), ["nan"])
    assert math.isnan(value)


def test_a_recursive_type_is_followed() -> None:
    interface = parse_did("type list = opt record { head : nat; tail : list }; service : { f : (list) -> () }")
    function = interface.method("f")
    value = {"head": "1", "tail": {"head": 2, "tail": None}}
    assert decode(function.args, encode(function.args, from_json(function.args, [value]))) == [
        {"head": 1, "tail": {"head": 2, "tail": None}}
    ]


@pytest.mark.parametrize(
    ("types", "values"),
    [("(nat)", ["x"]), ("(nat)", ["9" * 5_000]), ("(blob)", ["0g"]), ("(nat)", []), ("(nat)", [{}]), ("(text)", [1])],
)
def test_what_does_not_fit_is_refused(types: str, values: list[Any]) -> None:
    with pytest.raises(CandidTypeError):
        encode(types, from_json(parse_types(types), values))
