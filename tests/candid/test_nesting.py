"""Values and types of any depth: read, written, printed, parsed and compared without the interpreter's stack."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from sandbox.candid import (
    NAT,
    OptType,
    RecordType,
    Service,
    Some,
    Type,
    VecType,
    decode,
    decode_to_text,
    decode_untyped,
    encode,
    encode_text,
    explain_subtype,
    parse_did,
    parse_type,
    parse_values,
    same_type,
    subtype,
    values_text,
)
from sandbox.candid.nesting import MAX_NESTING
from sandbox.errors import CandidDecodeError, CandidError, CandidTypeError

LEVELS = 2_000
TYPES = parse_did(
    """
    type List = opt record { nat; List };
    type Named = record { id : nat; next : opt Named };
    type Vecs = vec Vecs;
    type Cases = variant { leaf : text; node : Cases };
    type Tree = variant { leaf; node : record { left : Tree; size : nat; right : vec Tree } };
    type Options = opt Options;
    """
).types


def wrapped(levels: int, inner: Any, wrap: Callable[[Any], Any]) -> Any:
    for _ in range(levels):
        inner = wrap(inner)
    return inner


VALUES: dict[str, Callable[[int], Any]] = {
    "List": lambda n: wrapped(n, None, lambda inner: (7, inner)),
    "Named": lambda n: wrapped(n, {"id": 0, "next": None}, lambda inner: {"id": 1, "next": inner}),
    "Vecs": lambda n: wrapped(n, [], lambda inner: [[], inner]),
    "Cases": lambda n: wrapped(n, {"leaf": "x"}, lambda inner: {"node": inner}),
    "Tree": lambda n: wrapped(
        n, {"leaf": None}, lambda inner: {"node": {"left": inner, "size": 1, "right": [{"leaf": None}]}}
    ),
    "Options": lambda n: wrapped(n, None, Some),
}


def same(one: Any, other: Any) -> bool:
    """Equality of values, which Python's `==` has not for deep ones."""
    waiting = [(one, other)]
    while waiting:
        a, b = waiting.pop()
        if type(a) is not type(b):
            return False
        if isinstance(a, dict):
            if list(a) != list(b):
                return False
            a, b = list(a.values()), list(b.values())
        elif isinstance(a, Some):
            a, b = [a.value], [b.value]
        elif not isinstance(a, (list, tuple)):
            if a != b:
                return False
            continue
        if len(a) != len(b):
            return False
        waiting += zip(a, b, strict=True)
    return True


def with_little_stack(action: Callable[[], Any]) -> Any:
    """The result of an action that is called with room for a hundred more calls."""

    def down(levels: int) -> Any:
        return down(levels - 1) if levels else action()

    depth = 0
    frame: Any = sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    return down(sys.getrecursionlimit() - depth - 100)


each_type = pytest.mark.parametrize("name", VALUES)


@each_type
def test_a_message_is_read_and_written_whatever_its_depth(name: str) -> None:
    kind, value = TYPES[name], VALUES[name](LEVELS)
    message = encode([kind], [value])
    assert same(decode([kind], message), [value])
    types, values = decode_untyped(message, ["id", "next", "leaf", "node", "left", "size", "right"])
    assert encode(types, values) == message
    assert decode([kind, OptType(NAT)], encode([kind, NAT], [value, 5]))[1] == 5
    assert decode("()", message) == []
    assert decode("(reserved)", message) == [None]


@each_type
def test_text_is_printed_and_parsed_whatever_its_depth(name: str) -> None:
    kind, value = TYPES[name], VALUES[name](LEVELS)
    message = encode([kind], [value])
    text = values_text([kind], [value])
    assert same(parse_values(text, [kind]), [value])
    assert same(parse_values(text, [kind], exact=False), [value])
    assert encode_text(decode_to_text(message), [kind]) == message
    assert len(text) < 100 * len(message)


@pytest.mark.parametrize("name", ["List", "Named", "Cases", "Options"])
def test_text_needs_no_types(name: str) -> None:
    kind, value = TYPES[name], VALUES[name](1_500)
    message = encode_text(values_text([kind], [value]))
    if name != "Options":  # whose innermost null could be one of an option of anything
        assert same(decode([kind], message), [value])
    assert same(decode_untyped(encode_text(decode_to_text(message)))[1], decode_untyped(message)[1])


@each_type
def test_the_callers_stack_does_not_matter(name: str) -> None:
    kind, value = TYPES[name], VALUES[name](1_500)

    def there_and_back() -> bool:
        message = encode([kind], [value])
        text = decode_to_text(message, [kind])
        return same(decode([kind], message), [value]) and same(parse_values(text, [kind]), [value])

    assert with_little_stack(there_and_back)


def vecs(levels: int) -> Any:
    return wrapped(levels - 1, [], lambda inner: [inner])


def test_the_bound_is_the_same_in_both_directions() -> None:
    kind = TYPES["Vecs"]
    message = encode([kind], [vecs(MAX_NESTING)])
    assert same(decode([kind], message), [vecs(MAX_NESTING)])
    with pytest.raises(CandidTypeError, match="nested too deeply"):
        encode([kind], [vecs(MAX_NESTING + 1)])
    head, value = message[:-MAX_NESTING], message[-MAX_NESTING:]
    with pytest.raises(CandidDecodeError, match="nested too deeply, at byte"):
        decode([kind], head + b"\1" + value)


@pytest.mark.slow
def test_text_of_the_deepest_message_is_read_back() -> None:
    kind = TYPES["Vecs"]
    message = encode([kind], [vecs(MAX_NESTING)])
    text = decode_to_text(message, [kind])
    assert text.count("vec {") == MAX_NESTING
    assert encode_text(text, [kind]) == message
    with pytest.raises(CandidTypeError, match="nested too deeply"):
        encode_text(text.replace("vec {}", "vec { vec {} }"), [kind])


def test_errors_say_where_even_far_down() -> None:
    kind = TYPES["List"]
    with pytest.raises(CandidTypeError) as encoding:
        encode([kind], [wrapped(LEVELS, "x", lambda inner: (7, inner))])
    path = ".1" * 10 + "...(1,980 levels)..." + ".1" * 10
    assert str(encoding.value) == f"argument 0{path}: expected a tuple of 2, got str 'x'"
    cases = parse_did("type A = variant { n : A; x : nat }; type B = variant { n : B; x : text }").types
    with pytest.raises(CandidDecodeError) as decoding:
        decode([cases["B"]], encode([cases["A"]], [wrapped(LEVELS, {"x": 1}, lambda inner: {"n": inner})]))
    assert ".n" * 10 + "...(1,981 levels)..." + ".n" * 9 + ".x: expected text" in str(decoding.value)
    text = "(" + "variant { n = " * LEVELS + 'variant { x = "a" }' + " }" * LEVELS + ")"
    with pytest.raises(CandidTypeError, match="line 1, column 28016: argument 0: expected nat, got text 'a'"):
        parse_values(text, [cases["A"]])


def test_a_value_that_does_not_fit_becomes_null_at_the_option_around_it() -> None:
    types = parse_did("type A = opt record { A; variant { a; b } }; type B = opt record { B; variant { a } }").types
    value = wrapped(500, (None, {"b": None}), lambda inner: (inner, {"a": None}))
    seen = wrapped(500, None, lambda inner: (inner, {"a": None}))
    assert same(decode([types["B"]], encode([types["A"]], [value])), [seen])


TALL: dict[str, tuple[Callable[[Type], Type], str, Callable[[Any], Any]]] = {
    "opt": (OptType, "opt ", Some),
    "vec": (VecType, "vec ", lambda inner: [inner]),
    "record": (lambda inner: RecordType.of(a=inner), "record { a : ", lambda inner: {"a": inner}),
}


@pytest.mark.parametrize("name", TALL)
def test_types_without_recursion_may_be_as_deep(name: str) -> None:
    make, opening, wrap = TALL[name]
    kind, again = (wrapped(LEVELS, NAT, make) for _ in range(2))
    shorter = wrapped(LEVELS - 1, NAT, make)
    text = opening * LEVELS + "nat" + " }" * opening.count("{") * LEVELS
    assert str(kind) == text
    assert parse_type(text) == kind == again != shorter
    assert hash(kind) == hash(again)
    assert same_type(kind, again)
    assert not same_type(kind, shorter)
    assert subtype(kind, again)
    value = wrapped(LEVELS - 1, 5, wrap) if name == "opt" else wrapped(LEVELS, 5, wrap)
    message = encode([kind], [value])
    assert same(decode([again], message), [value])
    own, values = decode_untyped(message, ["a"])
    assert same(values, [value])
    assert encode_text(decode_to_text(message), own) == message


def test_a_verdict_on_deep_types_says_where() -> None:
    one, other = (wrapped(LEVELS, inner, lambda t: RecordType.of(a=t)) for inner in (NAT, Service_))
    verdict = explain_subtype(one, other)
    assert verdict.reason == ".a" * 10 + "...(1,980 levels)..." + ".a" * 10 + ": nat is not a subtype of service {}"


Service_ = parse_type("service {}")


@pytest.mark.parametrize("text", ["(" * 20_000, "opt " * 20_000, "vec {" * 20_000, "(1 : " + "vec " * 20_000])
def test_text_that_ends_early_is_an_error_of_syntax(text: str) -> None:
    with pytest.raises(CandidError, match=r"line 1, column .*expected a"):
        encode_text(text)


def test_annotations_within_annotations_are_checked_once() -> None:
    """Each is of a supertype of the one within; checking all that is within twice would take 2^60 steps."""
    fields = [f"{n} : nat" for n in range(1, 61)]
    text = "(record { " + "; ".join(f"{n} = {n}" for n in range(1, 61)) + " }"
    for count in range(60, 0, -1):
        text = f"({text} : record {{ {'; '.join(fields[:count])} }})"
    assert parse_values(text + ")", "(record { 1 : nat })", exact=False) == [{"_1_": 1}]


def test_values_are_compared_by_the_helper() -> None:
    assert same((1, [Some({"a": None})]), (1, [Some({"a": None})]))
    for other in [(1, [Some({"a": 0})]), (1, [Some({"b": None})]), (1, []), [1, [Some({"a": None})]]]:
        assert not same((1, [Some({"a": None})]), other)
    assert same(Service, Service)
