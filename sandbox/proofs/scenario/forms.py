"""Forms of values in a scenario: each reads a node, names the expected value in errors, and has a JSON Schema.

`Table` is the form of a mapping with known keys; steps, expectations and the document itself are tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from sandbox.proofs.scenario.patterns import Between
from sandbox.proofs.scenario.source import Node, nearest
from sandbox.units import nanoseconds

JsonSchema: TypeAlias = dict[str, Any]
_SPECIAL = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}
"""Special numbers of YAML, by their spelling there."""


@dataclass(frozen=True)
class Form:
    """The form of a value. `expected`: the expected value in errors; `read` raises `Wrong`."""

    expected: str
    read: Callable[[Node], Any]
    schema: JsonSchema = field(default_factory=dict)


@dataclass(frozen=True)
class Key:
    """A key of a table. `doc`: its meaning, for the JSON Schema and the documentation."""

    name: str
    form: Form
    doc: str
    required: bool = False


def _text(node: Node) -> str:
    if node.form != "scalar" or node.tag == "null":
        node.expected("a text")
    return node.text


def _flag(node: Node) -> bool:
    if node.tag != "bool":
        node.expected("true or false")
    return node.text.lower() in ("true", "yes", "on")


def number_of(node: Node) -> int | float | None:
    """Return the number that is written, with or without quotes; None if it is none."""
    if node.form != "scalar":
        return None
    text = node.text.replace("_", "")
    try:
        return int(text, 0) if re.fullmatch(r"[+-]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+)", text) else int(text)
    except ValueError:
        try:
            return float(_SPECIAL.get(text.lower(), text))
        except ValueError:
            return None


def whole(least: int = 0, most: int = (1 << 64) - 1) -> Form:
    """Return the form of a whole number from `least` to `most`."""
    expected = f"a whole number from {least:,}" + ("" if most >= 1 << 63 else f" to {most:,}")

    def read(node: Node) -> int:
        value = number_of(node)
        if not isinstance(value, int) or not least <= value <= most:
            node.expected(expected)
        return value

    return Form(expected, read, {"type": "integer", "minimum": least})


def choice(names: Iterable[str]) -> Form:
    """Return the form of one of several words."""
    known = tuple(names)
    expected = f"one of {', '.join(known)}"

    def read(node: Node) -> str:
        if node.form != "scalar" or node.text not in known:
            hint = nearest(node.text, known) if node.form == "scalar" else ""
            node.wrong(f"expected {expected}, not {node}{hint}")
        return node.text

    return Form(expected, read, {"enum": list(known)})


def listed(form: Form, *, single: bool = False) -> Form:
    """Return the form of a list; with `single`, one value stands for a list of it."""

    def read(node: Node) -> list[Any]:
        if node.form == "seq":
            return [form.read(item) for item in node.items]
        return [form.read(node)] if single else node.expected(f"a list, each {form.expected}")

    schema: JsonSchema = {"type": "array", "items": form.schema}
    whole_schema = {"anyOf": [form.schema, schema]} if single else schema
    return Form(f"{form.expected}, or a list of it" if single else f"a list, each {form.expected}", read, whole_schema)


def mapped(form: Form, what: str) -> Form:
    """Return the form of a mapping from any names; `what`: the kind of names."""

    def read(node: Node) -> dict[str, Any]:
        if node.form != "map":
            node.expected(f"a mapping from {what}")
        return {key.text: form.read(value) for key, value in node.pairs}

    return Form(f"a mapping from {what}", read, {"type": "object", "additionalProperties": form.schema})


def either(expected: str, *forms: Form) -> Form:
    """Return the form that is a mapping, the last of `forms`, or else the first."""

    def read(node: Node) -> Any:
        return forms[-1].read(node) if node.form == "map" else forms[0].read(node)

    return Form(expected, read, {"anyOf": [form.schema for form in forms]})


def _existing(node: Node) -> Path:
    path = node.place.file.parent / _text(node)
    if not path.exists():
        near = nearest(path.name, (p.name for p in path.parent.iterdir())) if path.parent.is_dir() else ""
        node.wrong(f"there is no file {path}{near}")
    return path


def _bounds(node: Node) -> Between:
    if node.form == "map":
        values = BOUND_KEYS.read(node)
        return Between(values.get("min"), values.get("max"))
    exact = number_of(node)
    if exact is None:
        node.expected("a number, or a mapping with min and max")
    return Between(exact, exact)


def _duration(node: Node) -> int:
    seconds = number_of(node)
    if seconds is not None and seconds >= 0:
        return round(seconds * 10**9)
    span = nanoseconds(node.text) if node.form == "scalar" else None
    if span is None:
        node.expected(DURATION_EXPECTED)
    return span


def _share(node: Node) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?%", node.text) if node.form == "scalar" else None
    if match is None:
        node.expected("a percentage such as 2 %")
    return float(match[1]) / 100


DURATION_EXPECTED = "seconds, or a duration such as 500ms, 90s, 5m, 2h, 1d"
TEXT = Form("a text", _text, {"type": ["string", "number", "boolean"]})
FLAG = Form("true or false", _flag, {"type": "boolean"})
FILE = Form("the path of a file, relative to the scenario", _existing, {"type": "string"})
DURATION = Form(DURATION_EXPECTED, _duration, {"type": ["string", "number"]})
SHARE = Form("a percentage such as 2 %", _share, {"type": "string"})
NODE = Form("a value", lambda node: node)
"""Read later, when the types are known."""


@dataclass(frozen=True)
class Table:
    """Keys of a mapping by their names; `what` names the mapping in errors. A key that is unknown or missing is a
    problem."""

    what: str
    keys: tuple[Key, ...]

    def read(self, node: Node) -> dict[str, Any]:
        """Return the values of the keys that are given."""
        if node.form != "map":
            node.expected(f"{self.what}, a mapping")
        known = self._by_name
        values = {}
        for name, value in node.pairs:
            key = known.get(name.text)
            if key is None:
                hint = nearest(name.text, known)
                name.wrong(f"{self.what} has no key {name.text!r}{hint}; it has: {', '.join(known)}")
            values[name.text] = key.form.read(value)
        missing = [key.name for key in self.keys if key.required and key.name not in values]
        if missing:
            node.wrong(f"{self.what} needs the key {missing[0]!r}: {known[missing[0]].form.expected}")
        return values

    @cached_property
    def _by_name(self) -> dict[str, Key]:
        return {key.name: key for key in self.keys}

    @property
    def form(self) -> Form:
        """The table as the form of a value."""
        return Form(f"{self.what}, a mapping", self.read, self.schema)

    @property
    def schema(self) -> JsonSchema:
        """The JSON Schema of the mapping."""
        return {
            "type": "object",
            "properties": {key.name: {"description": key.doc, **key.form.schema} for key in self.keys},
            "required": [key.name for key in self.keys if key.required],
            "additionalProperties": False,
        }


NUMBER = Form(
    "a number",
    lambda node: value if (value := number_of(node)) is not None else node.expected("a number"),
    {"type": "number"},
)
BOUND_KEYS = Table("a bound", (Key("min", NUMBER, "The least number."), Key("max", NUMBER, "The greatest number.")))
BOUNDS = Form("a number, or a mapping with min and max", _bounds, {"anyOf": [{"type": "number"}, BOUND_KEYS.schema]})
