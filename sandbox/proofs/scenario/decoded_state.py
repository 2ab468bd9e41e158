"""The decoded state of a canister: its structures and variables as an upgrade would read them.

A module with `canister_pre_upgrade` saves first, on a copy that is dropped; stable memory alone is decoded otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from sandbox.candid import decode_untyped, parse_did
from sandbox.errors import CallRejected, CandidError
from sandbox.proofs.scenario.forms import BOUNDS, NODE, TEXT, Form, Key, Table, listed
from sandbox.proofs.scenario.patterns import (
    Between,
    Difference,
    Pattern,
    between_text,
    differences,
    pattern_text,
    shown,
)
from sandbox.proofs.scenario.source import Node
from sandbox.proofs.scenario.stage import Stage
from sandbox.proofs.scenario.values import plain_pattern
from sandbox.snapshots.inspect import Decoded, InspectError, Part, formats
from sandbox.snapshots.inspect.model import Cell
from sandbox.snapshots.inspect.motoko.tree import WHOLE
from sandbox.snapshots.inspect.target import InspectionTarget, inspection_target
from sandbox.snapshots.inspect.value import (
    DEPTH,
    Elided,
    Opt,
    Packed,
    Record,
    Region,
    Same,
    Scalar,
    Var,
    Variant,
    Vec,
    node_json,
)
from sandbox.snapshots.inspect.value import Node as Value

_PRE_UPGRADE = "canister_pre_upgrade"
_SAMPLE = 32

PREDICATE = Table(
    "a predicate of the state",
    (
        Key("structure", TEXT, "Name or number of a decoded structure, as `snapshot inspect --decode` lists them."),
        Key("variable", TEXT, "Path of a saved variable, such as `people.0.email`."),
        Key("count", BOUNDS, "Number of entries of the structure."),
        Key("entries", NODE, "Mapping from keys of the structure to patterns of their values."),
        Key("lacks", listed(TEXT), "Keys that the structure does not have."),
        Key("is", NODE, "Pattern of the variable's value."),
    ),
)


def _predicates(node: Node) -> list[Predicate]:
    if node.form != "seq":
        node.expected("a list of predicates, each with structure or variable")
    return [_predicate(item) for item in node.items]


PREDICATES = Form(
    "a list of predicates, each with structure or variable",
    _predicates,
    {"type": "array", "items": PREDICATE.schema},
)


@dataclass(frozen=True, slots=True)
class Predicate:
    """The conditions on one structure or variable."""

    structure: str | None = None
    variable: str | None = None
    count: Between | None = None
    entries: Mapping[str, Pattern] | None = None
    lacks: tuple[str, ...] = ()
    value: Pattern | None = None


def _predicate(node: Node) -> Predicate:
    values = PREDICATE.read(node)
    structure, variable = values.get("structure"), values.get("variable")
    if (structure is None) == (variable is None):
        node.wrong("expected a predicate with either structure or variable")
    wanted = ("count", "entries", "lacks") if variable is None else ("is",)
    if not any(name in values for name in wanted):
        node.wrong(f"expected one of {', '.join(wanted)} beside {'variable' if structure is None else 'structure'}")
    for name in values.keys() - {"structure", "variable", *wanted}:
        node.wrong(f"{name} belongs to a predicate with {'structure' if structure is None else 'variable'}")
    entries = values.get("entries")
    if entries is not None and entries.form != "map":
        entries.expected("a mapping from keys to patterns")
    return Predicate(
        structure=structure,
        variable=variable,
        count=values.get("count"),
        entries=None if entries is None else {key.text: plain_pattern(value) for key, value in entries.pairs},
        lacks=tuple(values.get("lacks", ())),
        value=plain_pattern(values["is"]) if "is" in values else None,
    )


def state_differences(stage: Stage, canister: str, predicates: list[Predicate]) -> Iterator[Difference]:
    """Yield the differences of the canister's decoded state from the conditions."""
    try:
        target = _saved(stage, canister)
        decoded, names = target.decode(WHOLE), _names(target)
        for predicate in predicates:
            yield from _checked(decoded, predicate, names)
    except CallRejected as error:
        yield Difference("", "a state that can be saved", f"pre_upgrade failed: {error}")
    except InspectError as error:
        yield Difference("", "a state that can be decoded", str(error))


def _saved(stage: Stage, canister: str) -> InspectionTarget:
    live = inspection_target(stage.state(canister))
    if live.facts is None or _PRE_UPGRADE not in live.facts.entry_points:
        return live
    return stage.sandbox.snapshots.inspect_via_hooks(stage.canisters[canister])


def _names(target: InspectionTarget) -> tuple[str, ...]:
    text = target.metadata.get("candid:service")
    try:
        return tuple(parse_did(text.decode("utf-8", "replace")).field_names()) if text else ()
    except CandidError:
        return ()


def _checked(decoded: Decoded, predicate: Predicate, names: tuple[str, ...]) -> Iterator[Difference]:
    if predicate.variable is not None:
        assert predicate.value is not None
        yield from _variable(decoded, predicate.variable, predicate.value)
        return
    assert predicate.structure is not None
    part = decoded.part(predicate.structure)
    where = f"structure {predicate.structure}"
    if part is None or part.problem is not None:
        known = ", ".join(p.name for p in decoded.parts) or "none"
        problem = f"none; there are: {known}{_notes(decoded)}" if part is None else str(part.problem)
        yield Difference("", where, problem)
        return
    count = part.count if part.count is not None else sum(1 for _ in part.rows())
    if predicate.count is not None:
        yield from (
            Difference(f"{where}, count", between_text(predicate.count), d.came)
            for d in differences(predicate.count, count)
        )
    if predicate.entries or predicate.lacks:
        yield from _entries(part, predicate, where, names)


def _entries(part: Part, predicate: Predicate, where: str, names: tuple[str, ...]) -> Iterator[Difference]:
    wanted = dict(predicate.entries or {})
    seen = {}
    for number, (key, value) in enumerate(_rows(part, names)):
        text = str(number) if key is None else _key_text(key)
        if text in wanted or text in predicate.lacks:
            seen[text] = value
    for key, pattern in wanted.items():
        if key not in seen:
            yield Difference(f"{where}, key {key}", pattern_text(pattern), "no such key")
        else:
            yield from differences(pattern, seen[key], f"{where}, key {key}")
    for key in predicate.lacks:
        if key in seen:
            yield Difference(f"{where}, key {key}", "no such key", shown(seen[key]))


def _rows(part: Part, names: tuple[str, ...]) -> Iterator[tuple[Any, Any]]:
    """Yield the keys and values of a structure; the keys of one without keys are None."""
    rows = list(part.rows())
    keyed = "key" in part.columns
    columns = list(zip(*rows, strict=True))
    plain = [_column(column, names) for column in columns]
    for row in zip(*plain, strict=True):
        yield (row[0], row[1] if len(row) > 1 else None) if keyed else (None, row[-1])


def _column(cells: tuple[Cell, ...], names: tuple[str, ...]) -> list[Any]:
    data = [cell for cell in cells if not isinstance(cell, Value)]
    if not data:
        return [plain_value(cell) for cell in cells if isinstance(cell, Value)]
    form = formats.guess_format([c.read(0, min(c.size, formats.MOST)) for c in data[:_SAMPLE]], names)
    return [_decoded(cell.read(0, cell.size), form, names) for cell in data]


def _decoded(data: bytes, form: str, names: tuple[str, ...]) -> Any:
    try:
        if form == "candid":
            values = decode_untyped(data, names)[1]
            return values[0] if len(values) == 1 else values
        return formats.FORMS[form](data, names)
    except (CandidError, formats.FormatMismatch):
        return data


def _key_text(key: Any) -> str:
    if isinstance(key, Mapping) and len(key) == 1:
        return _key_text(next(iter(key.values())))
    return key.hex() if isinstance(key, bytes) else str(key)


def _variable(decoded: Decoded, path: str, pattern: Pattern) -> Iterator[Difference]:
    name, *rest = path.split(".")
    part = next((p for p in decoded.parts if "variable" in p.columns), None)
    rows = {} if part is None else {_scalar(row[0]): row[part.columns.index("value")] for row in part.rows()}
    if name not in rows:
        known = ", ".join(sorted(rows)) or "none"
        yield Difference("", f"a variable {name}", f"none; there are: {known}{_notes(decoded)}")
        return
    value: Any = plain_value(rows[name])
    for place, step in enumerate(rest):
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            yield Difference(".".join([name, *rest[:place]]), f"something at {step!r}", shown(value))
            return
    yield from differences(pattern, value, f"variable {path}")


def _scalar(cell: Cell) -> str:
    return str(cell.value) if isinstance(cell, Scalar) else ""


def _notes(decoded: Decoded) -> str:
    return f" ({' '.join(decoded.notes)})" if decoded.notes else ""


def plain_value(value: Cell, levels: int = DEPTH) -> Any:
    """Return a decoded value as plain Python values: records as mappings, tuples as lists, an option as its value.
    Parts deeper than `levels` become `...`."""
    if not levels and not isinstance(value, Scalar):
        return "..."
    inner = partial(plain_value, levels=levels - 1)
    match value:
        case Scalar():
            return value.value
        case Record():
            if value.fields and all(isinstance(label, int) for label, _ in value.fields):
                return [inner(part) for _, part in value.fields]
            return {str(label): inner(part) for label, part in value.fields}
        case Vec():
            return [inner(item) for item in value.items]
        case Opt() | Var():
            return inner(value.value)
        case Variant():
            return {str(value.tag): inner(value.value)}
        case Packed():
            return inner(value.read())
        case Region() | Same() | Elided():
            return node_json(value)
    return value.read(0, value.size)
