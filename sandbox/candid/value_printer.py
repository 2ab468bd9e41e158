"""The text of values, as didc and dfx print it: annotated with types, so that it can be read back.

Values are in the form that the decoder returns.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from typing import Any

from sandbox.candid.guard import bounded_nesting
from sandbox.candid.labels import name_text, number_text, quoted
from sandbox.candid.layout import Doc, alone, braced, parenthesised, render
from sandbox.candid.nesting import Nested, run
from sandbox.candid.type_base import Type
from sandbox.candid.types import (
    FLOAT32,
    FLOAT64,
    NAT8,
    NULL,
    TEXT,
    FuncType,
    OptType,
    PrimType,
    RecordType,
    ServiceType,
    VariantType,
    VecType,
)
from sandbox.candid.values import Some
from sandbox.errors import CandidTypeError

MAX_BROKEN_VECTOR = 10
"""Items of the longest vector that may be broken over lines."""

_BARE_BYTES = frozenset(range(0x20, 0x7F)) - frozenset(b"\"'`\\")


@bounded_nesting(CandidTypeError)
def values_text(types: tuple[Type, ...], values: Iterable[Any]) -> str:
    """Return the text `(value, value)`."""
    printer = _Printer()
    return render(
        parenthesised([run(printer.doc(value, candid_type)) for value, candid_type in zip(values, types, strict=True)])
    )


class _Printer:
    """Printer of values for `layout.render`; the labels of each type are made once."""

    def __init__(self) -> None:
        self.labels: dict[Type, list[tuple[str, str, Type]]] = {}

    def doc(self, value: Any, candid_type: Type) -> Nested[Doc] | Doc:
        candid_type = candid_type.resolve()
        match candid_type:
            case PrimType():
                return _primitive_text(value, candid_type)
            case OptType():
                return "null" if value is None else self._opt(value, candid_type.inner.resolve())
            case VecType() if candid_type.inner.resolve() == NAT8:
                return f'blob "{blob_text(value)}"'
            case VecType():
                return self._vec(value, candid_type.inner.resolve())
            case RecordType():
                return self._record(value, candid_type)
            case VariantType():
                return self._variant(value, candid_type)
            case ServiceType():
                return f'service "{value.principal}"'
            case FuncType():
                return f'func "{value.principal}".{name_text(value.method)}'
        return f"null : {candid_type}"

    def _opt(self, value: Any, inner: Type) -> Nested[Doc] | Doc:
        content = value.value if isinstance(value, Some) else value
        if isinstance(inner, PrimType):
            text = _primitive_text(content, inner)
            return f"opt ({text})" if text.endswith(f" : {inner.name}") else f"opt {text}"
        return self._composite_opt(content, inner)

    def _composite_opt(self, content: Any, inner: Type) -> Nested[Doc]:
        return ("opt ", (yield self.doc(content, inner)))

    def _vec(self, value: Any, inner: Type) -> Nested[Doc]:
        items: list[Doc] = []
        for item in value:
            items.append((yield self.doc(item, inner)))  # noqa: PERF401 - a comprehension cannot yield
        return ("vec ", braced(items, one_line=len(items) > MAX_BROKEN_VECTOR))

    def _record(self, value: Any, candid_type: RecordType) -> Nested[Doc]:
        items: list[Doc] = []
        if isinstance(value, tuple):
            for item, part in zip(value, candid_type.fields, strict=True):
                items.append((yield self.doc(item, part.type)))
        else:
            for key, label, kind in self._labelled(candid_type):
                items.append((label, (yield self.doc(value[key], kind))))
        return ("record ", braced(items))

    def _labelled(self, candid_type: RecordType) -> list[tuple[str, str, Type]]:
        if candid_type not in self.labels:
            self.labels[candid_type] = [
                (part.key, f"{part.label} = ", part.type.resolve()) for part in candid_type.fields
            ]
        return self.labels[candid_type]

    def _variant(self, value: dict[str, Any], candid_type: VariantType) -> Nested[Doc]:
        ((tag, content),) = value.items()
        case = next(case for case in candid_type.fields if case.key == tag)
        if case.type.resolve() == NULL:
            return ("variant ", alone(case.label))
        return ("variant ", alone((f"{case.label} = ", (yield self.doc(content, case.type)))))


def _primitive_text(value: Any, candid_type: Type) -> str:
    if candid_type == TEXT:
        return quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and candid_type not in (FLOAT32, FLOAT64):
        return f"{number_text(value)} : {candid_type}"
    if isinstance(value, (int, float)):
        return f"{float_text(value, single=candid_type == FLOAT32)} : {candid_type}"
    return f"null : {candid_type}" if value is None else f'principal "{value}"'


def float_text(value: float, *, single: bool = False) -> str:
    """Return the shortest decimal that reads back as the same number."""
    if math.isnan(value):
        return "NaN"
    text = _shortest_single(value) if single else repr(float(value))
    return text if any(mark in text for mark in ".enf") else text + ".0"


def _shortest_single(value: float) -> str:
    for digits in range(6, 9):
        text = f"{value:.{digits}g}"
        if struct.pack("<f", float(text)) == struct.pack("<f", value):
            return text
    return f"{value:.9g}"


def blob_text(raw: bytes) -> str:
    """Return the content of a blob literal: printable text as it is, anything else as bytes in hexadecimal."""
    if all(0x20 <= byte <= 0x7E or byte in (0x09, 0x0A, 0x0D) for byte in raw):
        return "".join(chr(byte) if byte in _BARE_BYTES else f"\\{byte:02x}" for byte in raw)
    return "".join(f"\\{byte:02x}" for byte in raw)
