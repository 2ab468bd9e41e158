"""Encoding Python values at given types.

For each type a writer is built once; the head of the message and the writers are kept by the list of types. A value
that does not fit raises CandidTypeError with the path to it: `argument 0.owner.account: expected text, got int 5`.

Spec: dfinity/candid `spec/Candid.md`, "Serialisation". The accepted Python values are listed in the package docstring.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sandbox.candid.composite_writers import opt_writer, record_writer, variant_writer, vec_writer
from sandbox.candid.guard import bounded_nesting
from sandbox.candid.labels import path_text
from sandbox.candid.message import MAGIC
from sandbox.candid.nesting import Nested, Plan, run, then
from sandbox.candid.type_base import Field, Type
from sandbox.candid.types import (
    FUNC,
    FUNC_MODES,
    OPT,
    RECORD,
    SERVICE,
    VARIANT,
    VEC,
    FuncType,
    OptType,
    PrimType,
    RecordType,
    ServiceType,
    VariantType,
    VecType,
)
from sandbox.candid.writer import (
    PRIMITIVE_WRITERS,
    Misfit,
    Write,
    leb,
    length_first,
    sleb,
    write_func,
    write_nat,
    write_service,
)
from sandbox.errors import CandidTypeError


@bounded_nesting(CandidTypeError)
def encode_at(types: Sequence[Type], values: Sequence[Any]) -> bytes:
    """Return the message with these values at these types."""
    if len(types) != len(values):
        raise CandidTypeError(f"expected {len(types)} arguments, got {len(values)}")
    header, plans = _plan(tuple(types))
    out = bytearray(header)
    for number, (plan, value) in enumerate(zip(plans, values, strict=True)):
        try:
            plan.perform(out, value)
        except Misfit as error:
            raise CandidTypeError(f"argument {number}{path_text(error.path)}: {error}") from None
    return bytes(out)


@lru_cache(maxsize=512)
def _plan(types: tuple[Type, ...]) -> tuple[bytes, list[Plan]]:
    table = _TypeTable()
    head = run(table.types(types))
    plan = _Builder().plan
    return table.header() + head, [run(plan(candid_type)) for candid_type in types]


class _TypeTable:
    """The type table of a message: its composite types, each once."""

    def __init__(self) -> None:
        self.indexes: dict[Type, int] = {}
        self.entries: list[bytes] = []

    def header(self) -> bytes:
        out = bytearray(MAGIC)
        write_nat(out, len(self.entries))
        return bytes(out) + b"".join(self.entries)

    def reference(self, candid_type: Type) -> Nested[bytes]:
        candid_type = candid_type.resolve()
        if isinstance(candid_type, PrimType):
            return sleb(candid_type.opcode)
        if candid_type not in self.indexes:
            self.indexes[candid_type] = index = len(self.entries)
            self.entries.append(b"")
            self.entries[index] = yield self._entry(candid_type)
        return sleb(self.indexes[candid_type])

    def _entry(self, candid_type: Type) -> Nested[bytes]:
        match candid_type:
            case OptType(inner):
                return b"".join((sleb(OPT), (yield self.reference(inner))))
            case VecType(inner):
                return b"".join((sleb(VEC), (yield self.reference(inner))))
            case RecordType(fields):
                return b"".join((sleb(RECORD), (yield self._fields(fields))))
            case VariantType(fields):
                return b"".join((sleb(VARIANT), (yield self._fields(fields))))
            case FuncType(args, results, modes):
                kinds = leb(len(modes)) + bytes(FUNC_MODES[mode] for mode in modes)
                return b"".join((sleb(FUNC), (yield self.types(args)), (yield self.types(results)), kinds))
            case ServiceType(methods):
                entries = bytearray(sleb(SERVICE) + leb(len(methods)))
                for name, kind in methods:
                    entries += length_first(name.encode()) + (yield self.reference(kind))
                return bytes(entries)
        raise CandidTypeError(f"the type {candid_type} cannot be encoded")

    def _fields(self, fields: tuple[Field, ...]) -> Nested[bytes]:
        out = bytearray(leb(len(fields)))
        for field in fields:
            out += leb(field.id) + (yield self.reference(field.type))
        return bytes(out)

    def types(self, types: tuple[Type, ...]) -> Nested[bytes]:
        out = bytearray(leb(len(types)))
        for candid_type in types:
            out += yield self.reference(candid_type)
        return bytes(out)


class _Builder:
    """Builder of writers, one for each type."""

    def __init__(self) -> None:
        self.plans: dict[Type, Plan | None] = {}

    def plan(self, candid_type: Type) -> Nested[Plan] | Plan:
        """Return the writer for a type; for a type under construction, one that looks it up when called."""
        candid_type = candid_type.resolve()
        if candid_type not in self.plans:
            return self._planned(candid_type)
        return self.plans[candid_type] or Plan(self._forward(candid_type), None)

    def _planned(self, candid_type: Type) -> Nested[Plan] | Plan:
        self.plans[candid_type] = None

        def keep(plan: Plan) -> Plan:
            self.plans[candid_type] = plan
            return plan

        return then(self._build(candid_type), keep)

    def _forward(self, candid_type: Type) -> Write:
        plans = self.plans

        def forward(out: bytearray, value: Any) -> Any:
            plan = plans[candid_type]
            assert plan is not None
            return plan.function(out, value)

        return forward

    def _build(self, candid_type: Type) -> Nested[Plan] | Plan:
        match candid_type:
            case OptType() | VecType():
                return self._build_inner(candid_type)
            case RecordType() | VariantType():
                return self._build_fields(candid_type)
            case FuncType():
                return Plan(write_func)
            case ServiceType():
                return Plan(write_service)
        return Plan(PRIMITIVE_WRITERS[candid_type])

    def _build_inner(self, candid_type: OptType | VecType) -> Nested[Plan]:
        part = yield self.plan(candid_type.inner)
        return opt_writer(part) if isinstance(candid_type, OptType) else vec_writer(candid_type, part)

    def _build_fields(self, candid_type: RecordType | VariantType) -> Nested[Plan]:
        parts: list[Plan] = []
        for field in candid_type.fields:
            parts.append((yield self.plan(field.type)))  # noqa: PERF401 - a comprehension cannot yield
        return (
            record_writer(candid_type, parts)
            if isinstance(candid_type, RecordType)
            else variant_writer(candid_type, parts)
        )
