"""Values: YAML by the types of the interface, Candid text, and patterns of what comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings

from sandbox import candid
from sandbox.candid import Some, parse_type
from sandbox.principal import Principal
from sandbox.proofs.scenario.patterns import Exactly, at_least, differences, pattern_text, shown
from sandbox.proofs.scenario.source import Node, Wrong, filled, parse_yaml
from sandbox.proofs.scenario.values import encoded, pattern_of, plain_pattern
from tests.candid.test_laws import typed_values

FILE = Path("values.yaml")


def node(text: str) -> Node:
    return parse_yaml(text.encode(), FILE)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("nat", "7", 7),
        ("nat", "'7'", 7),
        ("nat", "1_000", 1000),
        ("nat", "0x10", 16),
        ("int", "-3", -3),
        ("float64", "2", 2.0),
        ("float64", ".5", 0.5),
        ("float64", "1e3", 1000.0),
        ("float64", "-.inf", float("-inf")),
        ("bool", "true", True),
        ("text", "no", "no"),
        ("text", "1.0", "1.0"),
        ("text", "'null'", "null"),
        ("null", "null", None),
        ("reserved", "[1]", None),
        ("opt nat", "null", None),
        ("opt nat", "5", 5),
        ("opt opt nat", "5", Some(5)),
        ("vec nat", "[1, 2]", [1, 2]),
        ("blob", "abc", b"abc"),
        ("blob", "!hex 00ff", b"\0\xff"),
        ("vec nat8", "[1, 2]", b"\1\2"),
        ("record { a : nat; b : opt text }", "{a: 1}", {"a": 1, "b": None}),
        ("record { nat; text }", "[1, x]", (1, "x")),
        ("record { 5 : nat }", "{5: 1}", {"_5_": 1}),
        ("variant { ok : nat; none }", "none", {"none": None}),
        ("variant { ok : nat; none }", "{ok: 3}", {"ok": 3}),
        ("principal", "aaaaa-aa", Principal.management()),
        ("service {}", "aaaaa-aa", candid.Service(Principal.management())),
        ("func () -> ()", "[aaaaa-aa, go]", candid.Func(Principal.management(), "go")),
    ],
)
def test_yaml_is_read_by_the_type_and_is_a_pattern_of_itself(kind: str, text: str, value: Any) -> None:
    found = parse_type(kind)
    values = node(f"[{text}]")
    message = encoded(values, [found], values)
    [decoded] = candid.decode([found], message)
    assert decoded == value
    assert list(differences(pattern_of(values.items[0], found), decoded)) == []


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("nat", "-1", "expected nat"),
        ("nat8", "256", "256 is out of the range of nat8"),
        ("nat", "[1]", "expected nat, not a list"),
        ("nat", "~", "expected nat, not nothing"),
        ("bool", "yes", "expected true or false, not yes"),
        ("null", "1", "expected null, not 1"),
        ("text", "[a]", "expected text, not a list"),
        ("blob", "!hex xyz", "expected bytes in hexadecimal"),
        ("vec nat", "1", "expected a list, vec nat, not 1"),
        ("principal", "alice", "expected a principal, not the text 'alice'; $canister.NAME is that of a canister"),
        ("record { a : nat }", "{}", "the field a : nat is missing"),
        ("record { a : nat }", "[1]", "expected a mapping, record"),
        ("record { a : nat }", "{a: 1, b: 2}", "no field 'b'; there are: a"),
        ("variant { ok; bad }", "okay", "no case 'okay'; did you mean 'ok'?; there are: ok, bad"),
        ("variant { ok; bad }", "{ok: null, bad: null}", "expected a variant: a tag, or a mapping from its only tag"),
        ("func () -> ()", "aaaaa-aa", "expected a list of a principal and a method name"),
        ("empty", "1", "the type empty has no values"),
    ],
)
def test_a_value_that_does_not_fit_says_what_was_expected(kind: str, text: str, expected: str) -> None:
    values = node(f"[{text}]")
    with pytest.raises(Wrong) as caught:
        encoded(values, [parse_type(kind)], values)
    assert expected in caught.value.problem.text


PERSON = parse_type("record { name : text; age : nat; tags : vec text; boss : opt record { name : text } }")
ADA = {"name": "Ada", "age": 36, "tags": ["a", "b", "c"], "boss": {"name": "Bob"}}


@pytest.mark.parametrize(
    "text",
    [
        "{name: Ada}",
        "{}",
        "!any",
        "{age: !between [30, 40], name: !match '^A', boss: !some }",
        "{tags: [a, !any , c]}",
        "{tags: !among [c, a]}",
        "{boss: {name: !match o}}",
    ],
)
def test_a_pattern_says_as_much_as_matters(text: str) -> None:
    assert list(differences(pattern_of(node(text), PERSON), ADA)) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{age: 37}", "age: expected 37, got 36"),
        ("{age: !between [37, 40]}", "age: expected 37 to 40, got 36"),
        ("{name: !match '^B'}", 'name: expected a text with /^B/, got "Ada"'),
        ("{boss: null}", 'boss: expected null, got {name: "Bob"}'),
        ("{boss: {name: Eve}}", 'boss.name: expected "Eve", got "Bob"'),
        ("{tags: [a, b]}", 'tags: expected 2 items, got 3: ["a", "b", "c"]'),
        ("{tags: [a, x, c]}", 'tags[1]: expected "x", got "b"'),
        ("{tags: !among [a, a]}", 'tags: expected an item "a", got none among 3: ["a", "b", "c"]'),
    ],
)
def test_a_difference_names_the_part(text: str, expected: str) -> None:
    assert list(map(str, differences(pattern_of(node(text), PERSON), ADA))) == [expected]


def test_an_absent_option_is_no_record() -> None:
    pattern = pattern_of(node("{boss: {name: Bob}}"), PERSON)
    assert [str(d) for d in differences(pattern, {**ADA, "boss": None})] == [
        "boss: expected a record with name, got null"
    ]


def test_candid_text_must_be_equal() -> None:
    assert list(differences(Exactly(ADA), {**ADA, "age": 37})) != []
    assert list(differences(Exactly(float("nan")), float("nan"))) == []
    assert list(differences(Exactly(1), True)) != []


def test_what_was_there_must_be_there_and_more_may_be() -> None:
    people = [{"name": "Ada", "tags": ["x"]}]
    assert list(differences(at_least(people), [{"name": "Ada", "tags": ["x"], "active": True}])) == []
    [lost] = differences(at_least(people), [{"tags": ["x"], "active": True}])
    assert str(lost) == '[0].name: expected "Ada", got no such field in {tags: ["x"], active: true}'


def test_deep_values_are_compared_without_end_of_the_stack() -> None:
    def chain(length: int, last: int) -> Any:
        value: Any = last
        for _ in range(length):
            value = {"next": value}
        return value

    one, other = chain(20_000, 1), chain(20_000, 2)
    assert list(differences(at_least(one), chain(20_000, 1))) == []
    [found] = differences(at_least(one), other)
    assert 0 < found.path.count(".next") <= 64
    assert shown(one).count("next") == 32


def test_plain_values_of_decoded_state_are_as_yaml_says() -> None:
    pattern = plain_pattern(node("{a: 1, b: [x, null, true, 1.5], c: !hex FF}"))
    assert list(differences(pattern, {"a": 1, "b": ["x", None, True, 1.5], "c": "ff", "d": 0})) == []
    assert pattern_text(pattern) == '{a: 1, b: ["x", null, true, 1.5], c: "ff", ...}'


def test_variables_are_replaced_as_values_and_within_texts() -> None:
    variables = {"n": node("7"), "list": node("[1, 2]"), "who": node("Ada")}
    made = filled(node("[$n, 'a $n ${who}s', $list, $$n, '5 $', '$5']"), variables)
    assert [(item.tag, item.text) for item in made.items] == [
        ("int", "7"),
        ("str", "a 7 Adas"),
        ("seq", ""),
        ("str", "$n"),
        ("str", "5 $"),
        ("str", "$5"),
    ]
    assert [item.text for item in made.items[2].items] == ["1", "2"]
    with pytest.raises(Wrong) as caught:
        filled(node("'x $list'"), variables)
    assert caught.value.problem.text == "a list cannot be a part of a text"


def written(value: Any) -> Any:
    """Return a decoded value as what PyYAML writes, or as a `_Hex`."""
    match value:
        case bytes():
            return _Hex(value.hex())
        case Some():
            return written(value.value)
        case Principal():
            return str(value)
        case candid.Service():
            return str(value.principal)
        case candid.Func():
            return [str(value.principal), value.method]
        case dict():
            return {key: written(inner) for key, inner in value.items()}
        case list() | tuple():
            return [written(item) for item in value]
        case int() if not isinstance(value, bool):
            return _Number(value)
    return value


class _Hex(str):
    """Bytes in hexadecimal."""


class _Number(int):
    """A number, which PyYAML writes as it is."""


class _Dumper(yaml.SafeDumper):
    """Writes `_Hex` with its tag."""


_Dumper.add_representer(_Hex, lambda dumper, value: dumper.represent_scalar("!hex", str(value), style="'"))
_Dumper.add_representer(_Number, lambda dumper, value: dumper.represent_int(int(value)))


def _nested_option(value: Any) -> bool:
    """Return whether an absent inner option occurs, which YAML cannot tell from an absent outer one."""
    match value:
        case Some():
            return value.value is None or _nested_option(value.value)
        case dict():
            return any(map(_nested_option, value.values()))
        case list() | tuple():
            return any(map(_nested_option, value))
    return False


@settings(max_examples=150)
@given(typed_values())
def test_every_value_can_be_written_in_yaml_and_matches_itself_alone(typed: tuple[candid.Type, Any]) -> None:
    kind, value = typed
    assume(not _nested_option(value))
    text = yaml.dump([written(value)], Dumper=_Dumper, allow_unicode=True)
    values = node(text)
    message = encoded(values, [kind], values)
    assert message == candid.encode([kind], [value]), text
    pattern = pattern_of(values.items[0], kind)
    [came] = candid.decode([kind], message)
    assert list(differences(pattern, came)) == [], text
    assert list(differences(at_least(came), came)) == []
