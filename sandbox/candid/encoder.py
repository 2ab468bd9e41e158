"""Encoding Python values at given types.

For each type a writer is built once; the head of the message and the writers are kept by the list of types. A value
that does not fit raises CandidTypeError with the path to it: `argument 0.owner.account: expected text, got int 5`.

Spec: dfinity/candid `spec/Candid.md`, "Serialisation". The accepted Python values are listed in the package docstring.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from sandbox.candid.guard import bounded_nesting
from sandbox.candid.labels import clipped, key_id
from sandbox.candid.message import MAGIC
from sandbox.candid.reader import STRUCT_CODES
from sandbox.candid.types import (
    FLOAT32,
    FLOAT64,
    FUNC,
    FUNC_MODES,
    NAT8,
    OPT,
    RECORD,
    SERVICE,
    VARIANT,
    VEC,
    Field,
    FuncType,
    OptType,
    PrimType,
    RecordType,
    ServiceType,
    Type,
    VariantType,
    VecType,
)
from sandbox.candid.values import Some, Variant
from sandbox.candid.writer import (
    PRIMITIVE_WRITERS,
    Misfit,
    Write,
    leb,
    length_first,
    misfit,
    sleb,
    write_func,
    write_nat,
    write_service,
)
from sandbox.errors import CandidTypeError


@bounded_nesting(CandidTypeError)
def encode_at(types: Sequence[Type], values: Sequence[Any]) -> bytes:
    """The message with these values at these types."""
    if len(types) != len(values):
        raise CandidTypeError(f"expected {len(types)} arguments, got {len(values)}")
    header, writers = _plan(tuple(types))
    out = bytearray(header)
    for number, (write, value) in enumerate(zip(writers, values, strict=True)):
        try:
            write(out, value)
        except Misfit as error:
            place = f"argument {number}" + "".join(reversed(error.path))
            raise CandidTypeError(f"{place}: {error}") from None
    return bytes(out)


@lru_cache(maxsize=512)
def _plan(types: tuple[Type, ...]) -> tuple[bytes, list[Write]]:
    table = _TypeTable()
    head = leb(len(types)) + b"".join(map(table.reference, types))
    build = _Builder().writer
    return table.header() + head, [build(found) for found in types]


class _TypeTable:
    """Collects the composite types of a message, equal ones once."""

    def __init__(self) -> None:
        self.indexes: dict[Type, int] = {}
        self.entries: list[bytes] = []

    def header(self) -> bytes:
        out = bytearray(MAGIC)
        write_nat(out, len(self.entries))
        return bytes(out) + b"".join(self.entries)

    def reference(self, found: Type) -> bytes:
        found = found.resolve()
        if isinstance(found, PrimType):
            return sleb(found.opcode)
        if found not in self.indexes:
            self.indexes[found] = len(self.entries)
            self.entries.append(b"")
            self.entries[self.indexes[found]] = self._entry(found)
        return sleb(self.indexes[found])

    def _entry(self, found: Type) -> bytes:
        match found:
            case OptType(inner):
                return sleb(OPT) + self.reference(inner)
            case VecType(inner):
                return sleb(VEC) + self.reference(inner)
            case RecordType(fields):
                return sleb(RECORD) + self._fields(fields)
            case VariantType(fields):
                return sleb(VARIANT) + self._fields(fields)
            case FuncType(args, results, modes):
                kinds = leb(len(modes)) + bytes(FUNC_MODES[mode] for mode in modes)
                return sleb(FUNC) + self._types(args) + self._types(results) + kinds
            case ServiceType(methods):
                entries = (length_first(name.encode()) + self.reference(kind) for name, kind in methods)
                return sleb(SERVICE) + leb(len(methods)) + b"".join(entries)
        raise CandidTypeError(f"the type {found} cannot be encoded")

    def _fields(self, fields: tuple[Field, ...]) -> bytes:
        return leb(len(fields)) + b"".join(leb(field.id) + self.reference(field.type) for field in fields)

    def _types(self, types: tuple[Type, ...]) -> bytes:
        return leb(len(types)) + b"".join(map(self.reference, types))


class _Builder:
    """Builds writers, one for each type."""

    def __init__(self) -> None:
        self.writers: dict[Type, Write | None] = {}

    def writer(self, found: Type) -> Write:
        """The writer for a type; for a type that is being built, one that looks it up when called."""
        found = found.resolve()
        if found not in self.writers:
            self.writers[found] = None
            self.writers[found] = self._build(found)
        return self.writers[found] or self._forward(found)

    def _forward(self, found: Type) -> Write:
        writers = self.writers

        def forward(out: bytearray, value: Any) -> None:
            write = writers[found]
            assert write is not None
            write(out, value)

        return forward

    def _build(self, found: Type) -> Write:
        match found:
            case OptType():
                return self._opt(found)
            case VecType():
                return self._vec(found)
            case RecordType():
                return self._record(found)
            case VariantType():
                return self._variant(found)
            case FuncType():
                return write_func
            case ServiceType():
                return write_service
        return PRIMITIVE_WRITERS[found]

    def _opt(self, found: OptType) -> Write:
        write = self.writer(found.inner)

        def write_opt(out: bytearray, value: Any) -> None:
            if value is None:
                out.append(0)
                return
            out.append(1)
            write(out, value.value if type(value) is Some else value)

        return write_opt

    def _vec(self, found: VecType) -> Write:
        element = found.inner.resolve()
        write, expected = self.writer(element), str(found)
        is_blob, code = element == NAT8, STRUCT_CODES.get(element)
        plain = {int, float} if element in (FLOAT32, FLOAT64) else {int}

        def write_vec(out: bytearray, value: Any) -> None:
            if is_blob and isinstance(value, (bytes, bytearray, memoryview)):
                raw = bytes(value)
                write_nat(out, len(raw))
                out += raw
                return
            if not isinstance(value, (list, tuple)):
                raise misfit(expected, value)
            write_nat(out, len(value))
            if code is not None and plain.issuperset(map(type, value)):
                with suppress(struct.error, OverflowError):
                    out += struct.pack(f"<{len(value)}{code}", *value)
                    return
            index = 0
            try:
                for index, item in enumerate(value):  # noqa: B007 - the index is needed when one fails
                    write(out, item)
            except Misfit as error:
                error.path.append(f"[{index}]")
                raise

        return write_vec

    def _record(self, found: RecordType) -> Write:
        steps = [(field.key, self.writer(field.type)) for field in found.fields]
        labels = {field.key: field.label for field in found.fields}

        def write_record(out: bytearray, value: Any) -> None:
            if type(value) is not dict or value.keys() != labels.keys():
                value = _aligned(found, value)
            key = ""
            try:
                for key, write in steps:
                    write(out, value[key])
            except Misfit as error:
                error.path.append(f".{labels[key]}")
                raise

        return write_record

    def _variant(self, found: VariantType) -> Write:
        cases = {case.key: (leb(number), self.writer(case.type)) for number, case in enumerate(found.fields)}

        def write_variant(out: bytearray, value: Any) -> None:
            tag, value = _tag_and_value(found, value)
            index, write = cases[tag] if tag in cases else cases[_known_case(found, tag)]
            out += index
            try:
                write(out, value)
            except Misfit as error:
                error.path.append(f".{tag}")
                raise

        return write_variant


def _aligned(record: RecordType, value: Any) -> dict[str, Any]:
    """`value` with exactly the keys of the record; fields that may be null may be missing."""
    if isinstance(value, (tuple, list)):
        value = dict(enumerate(value))
    elif not isinstance(value, Mapping):
        raise misfit("a dict for a record" if not record.is_tuple else f"a tuple of {len(record.fields)}", value)
    by_id = {field.id: field for field in record.fields}
    by_key = {field.key: field for field in record.fields}
    aligned: dict[str, Any] = {}
    for key, item in value.items():
        field = by_key.get(key) or (by_id.get(key_id(key)) if isinstance(key, (str, int)) else None)
        if field is None:
            known = ", ".join(by_key) or "none"
            raise Misfit(f"unknown field {clipped(key)}; the fields are: {known}")
        if field.key in aligned:
            raise Misfit(f"the field {field.key} is given twice")
        aligned[field.key] = item
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


def _known_case(variant: VariantType, tag: Any) -> str:
    if isinstance(tag, (str, int)):
        for case in variant.fields:
            if case.id == key_id(tag):
                return case.key
    raise Misfit(f"unknown variant case {clipped(tag)}; the cases are: {_case_names(variant)}")


def _case_names(variant: VariantType) -> str:
    return ", ".join(case.key for case in variant.fields) or "none"
