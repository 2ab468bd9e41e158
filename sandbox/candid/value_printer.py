"""Values as text, as didc and dfx print them: numbers annotated with their types, so that the text can be read back.

Takes values in the form that the decoder gives them.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from typing import Any

from sandbox.candid.guard import bounded_nesting
from sandbox.candid.labels import name_text, number_text, quoted
from sandbox.candid.layout import Doc, braced, parenthesised, render
from sandbox.candid.types import (
    FLOAT32,
    FLOAT64,
    NAT8,
    NULL,
    TEXT,
    FuncType,
    OptType,
    RecordType,
    ServiceType,
    Type,
    VariantType,
    VecType,
)
from sandbox.candid.values import Some
from sandbox.errors import CandidTypeError

MAX_BROKEN_VECTOR = 10
"""A longer vector stands on one line."""

_BARE_BYTES = frozenset(range(0x20, 0x7F)) - frozenset(b"\"'`\\")


@bounded_nesting(CandidTypeError)
def values_text(types: tuple[Type, ...], values: Iterable[Any]) -> str:
    """`(value, value)`."""
    return render(parenthesised(map(_doc, values, types)))


def _doc(value: Any, found: Type) -> Doc:
    found = found.resolve()
    match found:
        case OptType():
            return _opt_doc(value, found)
        case VecType() if found.inner.resolve() == NAT8:
            return f'blob "{blob_text(value)}"'
        case VecType():
            items = [_doc(item, found.inner) for item in value]
            return ("vec ", braced(items, one_line=len(items) > MAX_BROKEN_VECTOR))
        case RecordType():
            return ("record ", braced(_record_items(value, found)))
        case VariantType():
            return _variant_doc(value, found)
        case ServiceType():
            return f'service "{value.principal}"'
        case FuncType():
            return f'func "{value.principal}".{name_text(value.method)}'
    return _primitive_text(value, found)


def _opt_doc(value: Any, found: OptType) -> Doc:
    if value is None:
        return "null"
    doc = _doc(value.value if isinstance(value, Some) else value, found.inner)
    annotated = isinstance(doc, str) and doc.endswith(f" : {found.inner.resolve()}")
    return f"opt ({doc})" if annotated else ("opt ", doc)


def _record_items(value: Any, found: RecordType) -> list[Doc]:
    if found.is_tuple:
        return [_doc(item, field.type) for item, field in zip(value, found.fields, strict=True)]
    return [(f"{field.label} = ", _doc(value[field.key], field.type)) for field in found.fields]


def _variant_doc(value: dict[str, Any], found: VariantType) -> Doc:
    ((tag, content),) = value.items()
    case = next(case for case in found.fields if case.key == tag)
    if case.type.resolve() == NULL:
        return ("variant ", braced([case.label]))
    return ("variant ", braced([(f"{case.label} = ", _doc(content, case.type))]))


def _primitive_text(value: Any, found: Type) -> str:
    if found == TEXT:
        return quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and found not in (FLOAT32, FLOAT64):
        return f"{number_text(value)} : {found}"
    if isinstance(value, (int, float)):
        return f"{float_text(value, single=found == FLOAT32)} : {found}"
    return f"null : {found}" if value is None else f'principal "{value}"'


def float_text(value: float, *, single: bool = False) -> str:
    """The shortest decimal that reads back as the same number."""
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
    """The inside of a blob literal: printable text as it is, anything else as bytes in hexadecimal."""
    if all(0x20 <= byte <= 0x7E or byte in (0x09, 0x0A, 0x0D) for byte in raw):
        return "".join(chr(byte) if byte in _BARE_BYTES else f"\\{byte:02x}" for byte in raw)
    return "".join(f"\\{byte:02x}" for byte in raw)
