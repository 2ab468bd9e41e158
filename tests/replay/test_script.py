"""The drun script format: lines, operands, escapes, and what is said about mistakes."""

from __future__ import annotations

import pytest

from sandbox.principal import Principal
from sandbox.replay import Line, ScriptError, octets, read_script
from sandbox.replay.script import FIRST, identified

SECOND = Principal.from_index(1)


def test_a_script_is_its_commands_in_order_with_their_line_numbers() -> None:
    lines = read_script(f'# first\ncreate\n\n  install $ID a.wasm ""\nquery {SECOND} get 0x4449444c0000  \r\n')
    assert lines == [
        Line(2, "create", FIRST),
        Line(4, "install", FIRST, "a.wasm"),
        Line(5, "query", SECOND, "get", b"DIDL\0\0"),
    ]


def test_a_script_without_create_begins_with_one() -> None:
    assert read_script('install $ID a.wasm ""')[0] == Line(1, "create", FIRST)


def test_an_empty_script_does_nothing() -> None:
    assert read_script("") == read_script("# nothing\n\n") == []


def test_words_may_be_apart_by_any_space() -> None:
    assert read_script("create\ningress\t$ID   go  0x")[1] == Line(2, "ingress", FIRST, "go")


def test_stop_and_start_take_an_id_alone() -> None:
    assert read_script("create\nstop $ID\nstart $ID")[1:] == [Line(2, "stop", FIRST), Line(3, "start", FIRST)]


def test_id_stands_for_the_canister_that_is_asked_for() -> None:
    [_, line] = read_script("create\ningress aaaaa-aa stop_canister $PRINCIPAL", SECOND)
    assert line == Line(2, "ingress", Principal.management(), "stop_canister", identified(SECOND))
    assert read_script("stop $ID", SECOND)[1].canister_id == SECOND


def test_principal_stands_for_the_record_of_the_first_id() -> None:
    assert identified(FIRST).hex() == "4449444c016c01b3c4b1f204680100010a00000000000000000101"


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ("0x", b""),
        ('""', b""),
        ("0x4449444c0000", b"DIDL\0\0"),
        ("0xFFfe", b"\xff\xfe"),
        (r'"DIDL\x00\x00"', b"DIDL\0\0"),
        (r'"A\b00000001\b11111110"', b"A\x01\xfe"),
        (r'"\"\\\x5C\xfF"', b'"\\\\\xff'),
        ('"two words  or three"', b"two words  or three"),
    ],
)
def test_arguments(text: str, raw: bytes) -> None:
    assert octets(text) == raw


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("4449", "neither 0x"),
        ("0x4", "not hexadecimal"),
        ("0xgg", "not hexadecimal"),
        ('"', "closing double quote is missing"),
        ('"abc', "closing double quote is missing"),
        ('"abc" d', "' d' follows the closing double quote"),
        (r'"\xzz"', "needs 2 digits of base 16"),
        (r'"\x1"', "needs 2 digits of base 16"),
        (r'"\b01"', "needs 8 digits of base 2"),
        (r'"\b00000002"', "needs 8 digits of base 2"),
        (r'"\n"', "is no escape"),
        ('"\\', "is no escape"),
        ('"ü"', "ASCII only"),
    ],
)
def test_wrong_arguments(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        octets(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("create\n\nwait 5", "line 3: unknown command 'wait'; known are create, install"),
        ("install $ID a.wasm", "line 1: install takes ID MODULE ARG"),
        ("create 1", "line 1: create takes nothing"),
        ("#\nstop", "line 2: stop takes ID"),
        ("query nobody get 0x", "line 1: not a principal: 'nobody'"),
        ("query $ID get 1", "line 1: '1' is neither 0x"),
    ],
)
def test_mistakes_are_reported_with_their_line(text: str, problem: str) -> None:
    with pytest.raises(ScriptError) as caught:
        read_script(text)
    assert str(caught.value).startswith(problem)
