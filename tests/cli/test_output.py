"""JSON of every kind of value, and text for people."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rich.text import Text

from sandbox import Principal
from sandbox.candid import Func, Service, Some, Variant
from sandbox.candid.as_json import to_json
from sandbox.cli.render.output import fields, json_text, named, one_line, show, size, table

SELF = Principal.management()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (2**53, 2**53),
        (2**53 + 1, str(2**53 + 1)),
        (-(2**53) - 1, str(-(2**53) - 1)),
        (10**30, str(10**30)),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ("text", "text"),
        (b"\x00\xff", "00ff"),
        (SELF, "aaaaa-aa"),
        (Service(SELF), "aaaaa-aa"),
        (Func(SELF, "f"), {"principal": "aaaaa-aa", "method": "f"}),
        (Some(None), [None]),
        (Variant("ok", 1), {"ok": 1}),
        ({"a": (b"x", [1])}, {"a": ["78", [1]]}),
    ],
)
def test_to_json(value: Any, expected: Any) -> None:
    assert to_json(value) == expected
    assert json.loads(json_text(to_json(value))) == expected


def test_integers_that_are_too_long_for_readers_are_hexadecimal() -> None:
    """Python, for one, reads integers of up to 4,300 digits."""
    for value, expected in (
        (16**3500, "0x1" + "0" * 3500),
        (-(16**4000), "-0x1" + "0" * 4000),
        ({"a": [10**4400, 1]}, {"a": [f"{10**4400:#x}", 1]}),
    ):
        assert json.loads(json_text(to_json(value))) == expected


def test_to_json_refuses_what_it_does_not_know() -> None:
    with pytest.raises(TypeError, match="no JSON for object"):
        to_json(object())


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (500 << 30, "500.0 GiB")])
def test_size(count: int, text: str) -> None:
    assert size(count) == text


def test_one_line() -> None:
    assert one_line("a\n\tb\x1b[31m") == "a b [31m"


def test_no_text_commands_the_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    evil = "\x1b]0;title\x07 \x1b[2J \x9b31m \r \u202e"
    show(Text(evil, "dim"), evil, table(["a"], [[evil], [Text(evil)]]), fields({"b": evil, "c": Text(evil)}))
    shown = capsys.readouterr().out
    assert shown.count("]0;title") == 6
    assert "\x1b[2m" in shown
    assert not any(command in shown for command in ("\x1b]", "\x1b[2J", "\x9b", "\r", "\x07"))


def test_a_label_within_a_line() -> None:
    assert named("before\r\nv2\u202e!\x9b") == "before v2 !"
    assert named("x" * 60) == "x" * 60
    assert named("x" * 61) == "x" * 59 + "…"
