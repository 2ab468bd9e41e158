"""Forms from Candid types: what can be filled in by itself has a field, everything else is Candid text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sandbox.candid import (
    BOOL,
    EMPTY,
    NULL,
    PRINCIPAL,
    RESERVED,
    TEXT,
    OptType,
    PrimType,
    RecordType,
    Type,
    VariantType,
    VecType,
    parse_values,
    values_text,
)
from sandbox.candid.values import Variant
from sandbox.errors import CandidError, CandidSyntaxError
from sandbox.markup import Html, element

_DEEPEST: Final = 3
"""Levels of records that have fields of their own."""
_MOST: Final = 24
"""Fields of a record that has them."""


def fields(types: Sequence[Type], names: Sequence[str | None], given: Mapping[str, str]) -> list[Html]:
    """Return the fields for values of these types; `given`: what was filled in before, by the names of inputs."""
    labels = [name or ("argument" if len(types) == 1 else f"argument {place}") for place, name in enumerate(names)]
    return [_field(kind, f"a{place}", labels[place], given, 0) for place, kind in enumerate(types)]


def text_of(types: Sequence[Type], given: Mapping[str, str]) -> str:
    """Return the values that were filled in as Candid text; `CandidError` says what does not fit."""
    return values_text(types, [_value(kind, f"a{place}", given, 0) for place, kind in enumerate(types)])


def _field(kind: Type, name: str, label: str, given: Mapping[str, str], depth: int) -> Html:
    known, value = kind.resolve(), given.get(name, "")
    parts = _parts(known, depth)
    if parts is not None:
        inner = [_field(part.type, f"{name}.{part.id}", part.key, given, depth + 1) for part in parts]
        return element(
            "fieldset", element("legend", label, _hint(kind)), inner or element("p", "no fields", class_="dim")
        )
    hint = _hint(kind)
    choices = _choices(known)
    if choices is not None:
        options = [element("option", choice, value=choice, selected=choice == value) for choice in choices]
        return element("label", element("span", label, hint), element("select", options, name=name))
    if _inner(known) == TEXT and known != TEXT:
        hint = element("span", hint, " empty: null", class_="dim")
    if _inner(known) == TEXT or _is_number(_inner(known)) or _inner(known) == PRINCIPAL:
        number = "numeric" if _is_number(_inner(known)) else None
        field = element("input", name=name, value=value, inputmode=number, autocomplete="off", spellcheck="false")
        return element("label", element("span", label, hint), field)
    sample = value or _sample(known, 0)
    rows = min(6, 1 + sample.count("\n"))
    area = element("textarea", sample, name=name, rows=rows, spellcheck="false", class_="mono")
    return element("label", element("span", label, hint), area)


def _hint(kind: Type) -> Html:
    text = str(kind)
    return element("code", text if len(text) <= 60 else f"{text[:59]}…", class_="type")


def _value(kind: Type, name: str, given: Mapping[str, str], depth: int) -> Any:
    known, text = kind.resolve(), given.get(name, "")
    parts = _parts(known, depth)
    if parts is not None:
        return {part.key: _value(part.type, f"{name}.{part.id}", given, depth + 1) for part in parts}
    if known == BOOL:
        return text == "true"
    if _choices(known) is not None:
        return Variant(text, None)
    if known == TEXT:
        return text
    if isinstance(known, OptType) and not text.strip():
        return None
    if _inner(known) == TEXT:
        return text
    if _inner(known) == PRINCIPAL:
        return text.strip()
    try:
        wanted = kind if not (isinstance(known, OptType) and _is_number(_inner(known))) else _inner(known)
        [value] = parse_values(f"({text})", [wanted])
    except CandidSyntaxError as error:
        raise CandidSyntaxError(f"{name}: {error}") from None
    except ValueError:
        raise CandidError(f"{name}: one value is expected") from None
    return value


def _parts(kind: Type, depth: int) -> Any:
    """The fields of a record that is filled in field by field; None for every other type."""
    if isinstance(kind, RecordType) and not kind.is_tuple and depth < _DEEPEST and len(kind.fields) <= _MOST:
        return kind.fields
    return None


def _choices(kind: Type) -> list[str] | None:
    """The values of a type that has few, None for every other type."""
    if kind == BOOL:
        return ["false", "true"]
    if isinstance(kind, VariantType) and kind.fields and all(f.type.resolve() == NULL for f in kind.fields):
        return [field.key for field in kind.fields]
    return None


def _inner(kind: Type) -> Type:
    """The type that is optional, once; any other type is its own."""
    return kind.inner.resolve() if isinstance(kind, OptType) else kind


def _is_number(kind: Type) -> bool:
    return isinstance(kind, PrimType) and kind not in (BOOL, TEXT, NULL, RESERVED, EMPTY, PRINCIPAL)


def _sample(kind: Type, depth: int) -> str:
    """Candid text of a value of the type, to begin with."""
    match kind:
        case OptType():
            return "null"
        case VecType(inner):
            return 'blob ""' if str(inner.resolve()) == "nat8" else "vec {}"
        case RecordType(parts) if depth < _DEEPEST:
            items = [_sample(part.type.resolve(), depth + 1) for part in parts]
            if kind.is_tuple:
                return f"record {{ {'; '.join(items)} }}"
            return f"record {{ {'; '.join(f'{p.key} = {item}' for p, item in zip(parts, items, strict=True))} }}"
        case VariantType(parts) if parts and depth < _DEEPEST:
            inner = parts[0].type.resolve()
            tag = parts[0].key
            return f"variant {{ {tag} }}" if inner == NULL else f"variant {{ {tag} = {_sample(inner, depth + 1)} }}"
        case PrimType(name):
            return {"text": '""', "bool": "false", "principal": 'principal "aaaaa-aa"', "null": "null"}.get(name, "0")
    return "null"
