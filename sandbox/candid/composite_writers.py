"""Writers of options, vectors, records and variants, made from the writers of their parts.

Each writer has two forms (`nesting.Plan`): plain calls, and a generator for values of unbounded nesting.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from sandbox.candid.labels import clipped, key_id
from sandbox.candid.nesting import Nested, Plan, height_over
from sandbox.candid.reader import STRUCT_CODES
from sandbox.candid.type_base import Field
from sandbox.candid.types import FLOAT32, FLOAT64, NAT8, RecordType, VariantType, VecType
from sandbox.candid.values import Some, Variant
from sandbox.candid.writer import Misfit, leb, misfit, write_nat


def opt_writer(part: Plan) -> Plan:
    write, height = part.function, height_over((part,))

    def write_opt(out: bytearray, value: Any) -> None:
        if value is None:
            out.append(0)
            return
        out.append(1)
        write(out, value.value if type(value) is Some else value)

    def write_deep_opt(out: bytearray, value: Any) -> Nested[None]:
        if value is None:
            out.append(0)
            return
        out.append(1)
        yield write(out, value.value if type(value) is Some else value)

    return Plan(write_deep_opt if height is None else write_opt, height)


def vec_writer(candid_type: VecType, part: Plan) -> Plan:
    write, height, whole = part.function, height_over((part,)), _whole_vec(candid_type)

    def write_vec(out: bytearray, value: Any) -> None:
        if whole(out, value):
            return
        index = 0
        try:
            for index, item in enumerate(value):  # noqa: B007 - the index is needed when one fails
                write(out, item)
        except Misfit as error:
            error.path.append(f"[{index}]")
            raise

    def write_deep_vec(out: bytearray, value: Any) -> Nested[None]:
        if whole(out, value):
            return
        index = 0
        try:
            for index, item in enumerate(value):  # noqa: B007 - the index is needed when one fails
                yield write(out, item)
        except Misfit as error:
            error.path.append(f"[{index}]")
            raise

    return Plan(write_deep_vec if height is None else write_vec, height)


def _whole_vec(candid_type: VecType) -> Callable[[bytearray, Any], bool]:
    """Return a writer of blobs and vectors of numbers; for other vectors it writes the length and returns False."""
    element = candid_type.inner.resolve()
    is_blob, code = element == NAT8, STRUCT_CODES.get(element)
    plain = {int, float} if element in (FLOAT32, FLOAT64) else {int}

    def write_whole(out: bytearray, value: Any) -> bool:
        if is_blob and isinstance(value, (bytes, bytearray, memoryview)):
            raw = bytes(value)
            write_nat(out, len(raw))
            out += raw
            return True
        if not isinstance(value, (list, tuple)):
            raise misfit(str(candid_type), value)
        write_nat(out, len(value))
        if code is not None and plain.issuperset(map(type, value)):
            with suppress(struct.error, OverflowError):
                out += struct.pack(f"<{len(value)}{code}", *value)
                return True
        return False

    return write_whole


def record_writer(candid_type: RecordType, parts: Sequence[Plan]) -> Plan:
    steps = [(field.key, part.function) for field, part in zip(candid_type.fields, parts, strict=True)]
    labels, height = {field.key: field.label for field in candid_type.fields}, height_over(parts)
    known = _accepted_keys(candid_type.fields)

    def write_record(out: bytearray, value: Any) -> None:
        if type(value) is not dict or value.keys() != labels.keys():
            value = _aligned(candid_type, known, value)
        key = ""
        try:
            for key, write in steps:
                write(out, value[key])
        except Misfit as error:
            error.path.append(f".{labels[key]}")
            raise

    def write_deep_record(out: bytearray, value: Any) -> Nested[None]:
        if type(value) is not dict or value.keys() != labels.keys():
            value = _aligned(candid_type, known, value)
        key = ""
        try:
            for key, write in steps:
                yield write(out, value[key])
        except Misfit as error:
            error.path.append(f".{labels[key]}")
            raise

    return Plan(write_deep_record if height is None else write_record, height)


def variant_writer(candid_type: VariantType, parts: Sequence[Plan]) -> Plan:
    known, height = _accepted_keys(candid_type.fields), height_over(parts)
    cases = {
        case.key: (leb(number), part.function)
        for number, (case, part) in enumerate(zip(candid_type.fields, parts, strict=True))
    }

    def write_variant(out: bytearray, value: Any) -> None:
        tag, value = _tag_and_value(candid_type, value)
        index, write = cases[tag] if tag in cases else cases[_known_case(candid_type, known, tag)]
        out += index
        try:
            write(out, value)
        except Misfit as error:
            error.path.append(f".{tag}")
            raise

    def write_deep_variant(out: bytearray, value: Any) -> Nested[None]:
        tag, value = _tag_and_value(candid_type, value)
        index, write = cases[tag] if tag in cases else cases[_known_case(candid_type, known, tag)]
        out += index
        try:
            yield write(out, value)
        except Misfit as error:
            error.path.append(f".{tag}")
            raise

    return Plan(write_deep_variant if height is None else write_variant, height)


def _accepted_keys(fields: Sequence[Field]) -> dict[str | int, str]:
    """Return the key of every field by its name, its number and `_number_`; of equal ones the later counts."""
    keys: dict[str | int, str] = {field.name: field.key for field in fields if field.name is not None}
    for field in fields:
        keys[field.id] = keys[f"_{field.id}_"] = field.key
    return keys


def _known_key(known: Mapping[str | int, str], key: Any) -> str | None:
    """Return the key of the field that a key stands for; a name that is not known stands for its hash."""
    return (known.get(key) or known.get(key_id(key))) if isinstance(key, (str, int)) else None


def _aligned(record: RecordType, known: Mapping[str | int, str], value: Any) -> dict[str, Any]:
    """Return `value` with exactly the keys of the record; missing nullable fields become None."""
    if isinstance(value, (tuple, list)):
        value = dict(enumerate(value))
    elif not isinstance(value, Mapping):
        raise misfit("a dict for a record" if not record.is_tuple else f"a tuple of {len(record.fields)}", value)
    aligned: dict[str, Any] = {}
    for given, item in value.items():
        key = _known_key(known, given)
        if key is None:
            names = ", ".join(field.key for field in record.fields) or "none"
            raise Misfit(f"unknown field {clipped(given)}; the fields are: {names}")
        if key in aligned:
            raise Misfit(f"the field {key} is given twice")
        aligned[key] = item
    for field in record.fields:
        if field.key not in aligned:
            if not field.type.nullable:
                raise Misfit(f"the field {field.key} is missing")
            aligned[field.key] = None
    return aligned


def _tag_and_value(variant: VariantType, value: Any) -> tuple[Any, Any]:
    if type(value) is dict and len(value) == 1:
        return next(iter(value.items()))
    if isinstance(value, Variant) and isinstance(value.tag, (str, int)):
        return value.tag, value.value
    if isinstance(value, str):
        return value, None
    raise misfit(f"one of {_case_names(variant)} (a dict with one key, or the name alone)", value)


def _known_case(variant: VariantType, known: Mapping[str | int, str], tag: Any) -> str:
    key = _known_key(known, tag)
    if key is None:
        raise Misfit(f"unknown variant case {clipped(tag)}; the cases are: {_case_names(variant)}")
    return key


def _case_names(variant: VariantType) -> str:
    return ", ".join(case.key for case in variant.fields) or "none"
