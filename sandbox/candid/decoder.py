"""Decoding a message at expected types.

For each pair of a wire type and an expected type a reader is built once, which reads bytes of the first and gives a
Python value of the second (the spec's coercion `v : t ~> v' : t'`). The readers of a message are kept by its head.

A value that does not coerce raises `Mismatch`. An option around it catches that, returns to the start of the value and
skips it by decoding it at its own type.

Spec: dfinity/candid `spec/Candid.md`, "Coercion" and "Deserialisation".
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sandbox.candid.composite_readers import (
    ignoring,
    opt_reader,
    record_reader,
    variant_reader,
    vec_reader,
)
from sandbox.candid.labels import field_id, path_text
from sandbox.candid.message import read_header
from sandbox.candid.nesting import Nested, Plan, run, then
from sandbox.candid.reader import (
    PRIMITIVE_READERS,
    STRUCT_CODES,
    Malformed,
    Mismatch,
    Read,
    Reader,
    read_func,
    read_nat,
    read_null,
    read_principal,
    reading,
    skip_future,
)
from sandbox.candid.subtyping import Comparison
from sandbox.candid.type_base import Type
from sandbox.candid.types import (
    EMPTY,
    INT,
    NAT,
    NAT8,
    PRINCIPAL,
    RESERVED,
    FuncType,
    FutureType,
    OptType,
    PrimType,
    RecordType,
    ServiceType,
    VariantType,
    VecType,
)
from sandbox.candid.values import Service
from sandbox.errors import CandidDecodeError, CandidTypeError

_MAX_CACHED_HEADER = 4_096
_FREE_PAIRS = 20_000
"""Limit on the pairs of types that are compared for one message; each byte of its type table adds one."""

Types = tuple[Type, ...]


def decode_at(types: Sequence[Type], data: bytes) -> list[Any]:
    """Return the values of a message at the expected types."""
    reader, expected = Reader(bytes(data)), tuple(types)
    with reading(reader):
        last = _last_header(expected)
        if last and reader.data.startswith(last[0]):  # a header says where it ends
            reader.pos = len(last[0])
            return _read_arguments(reader, _kept_plans(last[0], expected))
        wire = read_header(reader, {})
        header = reader.data[: reader.pos]
        if len(header) > _MAX_CACHED_HEADER:
            return _read_arguments(reader, _argument_plans(wire, expected, len(header)))
        last[:] = [header]
        return _read_arguments(reader, _kept_plans(header, expected))


@lru_cache(maxsize=256)
def _last_header(_expected: Types) -> list[bytes]:
    """The header of the last message that was read at these types, once there was one."""
    return []


def decode_as_is(data: bytes, names: Iterable[str] = ()) -> tuple[Types, list[Any]]:
    """Return the types in the head of a message, and its values at these; `names` are known field names."""
    reader = Reader(bytes(data))
    with reading(reader):
        wire = read_header(reader, {field_id(name): name for name in names})
        return wire, _read_arguments(reader, _argument_plans(wire, wire, reader.pos))


@lru_cache(maxsize=256)
def _kept_plans(header: bytes, expected: Types) -> tuple[list[Plan], list[Plan]]:
    return _argument_plans(read_header(Reader(header), {}), expected, len(header))


def _argument_plans(wire: Types, expected: Types, header_size: int) -> tuple[list[Plan], list[Plan]]:
    """Return a reader for each expected argument, and one for each further argument of the message."""
    plan = _Builder(_FREE_PAIRS + header_size).plan
    wanted = [run(plan(wire[n], t)) if n < len(wire) else _missing_argument(t) for n, t in enumerate(expected)]
    return wanted, [run(plan(t, RESERVED)) for t in wire[len(expected) :]]


def _missing_argument(expected: Type) -> Plan:
    return Plan(read_null if expected.nullable else _failing(f"{expected} is missing"))


def _read_arguments(reader: Reader, plans: tuple[list[Plan], list[Plan]]) -> list[Any]:
    wanted, extra = plans
    values: list[Any] = []
    try:
        for plan in wanted:
            values.append(plan.perform(reader))  # noqa: PERF401 - the length is needed when one fails
    except Mismatch as error:
        raise CandidDecodeError(
            f"argument {len(values)}{path_text(error.path)}: {error}, at byte {reader.pos}"
        ) from None
    for plan in extra:
        plan.perform(reader)
    if reader.remaining:
        raise Malformed(f"{reader.remaining} bytes follow the last value")
    return values


def _failing(problem: str) -> Read:
    def fail(reader: Reader) -> Any:
        raise Mismatch(problem)

    return fail


def _read_empty(reader: Reader) -> Any:
    raise Malformed("a value of the type empty, which has none")


def _read_service(reader: Reader) -> Service:
    return Service(read_principal(reader))


class _Builder:
    """Builder of the readers of a message, one for each pair of types."""

    def __init__(self, max_pairs: int) -> None:
        self.plans: dict[tuple[Type, Type], Plan | None] = {}
        self.sized: dict[Type, bool] = {}
        self.max_pairs = max_pairs
        self.comparison = Comparison(max_pairs)

    def plan(self, wire: Type, expected: Type) -> Nested[Plan] | Plan:
        """Return the reader for a pair; for a pair under construction, one that looks it up when called."""
        pair = (wire.resolve(), expected.resolve())
        if pair not in self.plans:
            return self._planned(pair)
        return self.plans[pair] or Plan(self._forward(pair), None)

    def _planned(self, pair: tuple[Type, Type]) -> Nested[Plan] | Plan:
        self.plans[pair] = None
        if len(self.plans) > self.max_pairs:
            raise Malformed("the types of the message are too large")

        def keep(plan: Plan) -> Plan:
            self.plans[pair] = plan
            return plan

        return then(self._build(*pair), keep)

    def _forward(self, pair: tuple[Type, Type]) -> Read:
        plans = self.plans

        def forward(reader: Reader) -> Any:
            plan = plans[pair]
            assert plan is not None
            return plan.function(reader)

        return forward

    def _build(self, wire: Type, expected: Type) -> Nested[Plan] | Plan:
        if wire == EMPTY:
            return Plan(_read_empty)
        if expected == RESERVED:
            return self._ignored(wire)
        if isinstance(expected, OptType):
            return self._opt(wire, expected)
        match wire, expected:
            case VecType(), VecType():
                return self._vec(wire.inner.resolve(), expected.inner.resolve())
            case RecordType(), RecordType():
                return self._record(wire, expected)
            case VariantType(), VariantType():
                return self._variant(wire, expected)
        return Plan(self._leaf(wire, expected))

    def _leaf(self, wire: Type, expected: Type) -> Read:
        if isinstance(wire, PrimType) and (wire == expected or (wire == NAT and expected == INT)):
            return PRIMITIVE_READERS[wire]
        match wire, expected:
            case FuncType(), FuncType() if self._is_subtype(wire, expected):
                return read_func
            case ServiceType(), ServiceType() if self._is_subtype(wire, expected):
                return _read_service
            case ServiceType(), _ if expected == PRINCIPAL:
                return read_principal
            case FutureType(), FutureType():
                return skip_future
        return _failing(f"expected {_short(expected)}, the message has {_short(wire)}")

    def _is_subtype(self, wire: Type, expected: Type) -> bool:
        try:
            return self.comparison.check(wire, expected).holds
        except CandidTypeError as error:
            raise Malformed(str(error)) from None

    def _ignored(self, wire: Type) -> Nested[Plan] | Plan:
        return Plan(read_null) if wire == RESERVED else then(self.plan(wire, wire), ignoring)

    def _opt(self, wire: Type, expected: OptType) -> Nested[Plan]:
        if wire.nullable and not isinstance(wire, OptType):
            return Plan(read_null)
        given = wire.inner if isinstance(wire, OptType) else wire
        read = yield self.plan(given, expected.inner)
        skip = yield self.plan(given, given)
        return opt_reader(read, skip, is_opt=isinstance(wire, OptType), ambiguous=expected.inner.nullable)

    def _vec(self, wire: Type, expected: Type) -> Nested[Plan]:
        if wire == expected and wire in STRUCT_CODES:
            return Plan(_read_blob if wire == NAT8 else _array_reader(STRUCT_CODES[wire]))
        part = yield self.plan(wire, expected)
        return vec_reader(part, sized=(yield self._has_bytes(wire)), is_blob=expected == NAT8)

    def _record(self, wire: RecordType, expected: RecordType) -> Nested[Plan]:
        given = {field.id for field in wire.fields}
        for field in expected.fields:
            if field.id not in given and not field.type.nullable:
                return Plan(_failing(f"the field {field.label} : {_short(field.type)} is missing"))
        is_tuple = expected.is_tuple
        wanted: dict[int, tuple[Any, Type]] = {f.id: (f.id if is_tuple else f.key, f.type) for f in expected.fields}
        parts: list[tuple[Any, Plan]] = []
        for field in wire.fields:
            key, target = wanted.get(field.id, (None, RESERVED))
            parts.append((key, (yield self.plan(field.type, target))))
        blank: Any = [None] * len(wanted) if is_tuple else {f.key: None for f in expected.fields if f.id not in given}
        return record_reader(parts, blank, is_tuple=is_tuple)

    def _variant(self, wire: VariantType, expected: VariantType) -> Nested[Plan]:
        known = {case.id: case for case in expected.fields}
        parts: list[tuple[str, Plan]] = []
        for case in wire.fields:
            target = known.get(case.id)
            if target is None:
                cases = ", ".join(case.label for case in expected.fields) or "none"
                parts.append((case.key, Plan(_failing(f"this case is not expected; the cases are: {cases}"))))
            else:
                parts.append((target.key, (yield self.plan(case.type, target.type))))
        return variant_reader(parts)

    def _has_bytes(self, wire: Type) -> Nested[bool]:
        """Return whether a value takes at least one byte; a record that contains itself counts as taking none."""
        wire = wire.resolve()
        if not isinstance(wire, RecordType):
            return not wire.nullable or isinstance(wire, OptType)
        if wire not in self.sized:
            self.sized[wire] = False
            for field in wire.fields:
                if (yield self._has_bytes(field.type)):
                    self.sized[wire] = True
                    break
        return self.sized[wire]


def _read_blob(reader: Reader) -> bytes:
    length = read_nat(reader)
    start = reader.pos
    chunk = reader.data[start : start + length]
    if len(chunk) != length:
        raise IndexError
    reader.pos = start + length
    return chunk


def _array_reader(code: str) -> Read:
    """Return the reader of vectors of numbers of fixed size, which reads all elements at once."""
    size = struct.calcsize("<" + code)

    def read_array(reader: Reader) -> list[Any]:
        count = read_nat(reader)
        if count * size > reader.remaining:
            raise Malformed("a vector goes beyond the end of the message")
        values = struct.unpack_from(f"<{count}{code}", reader.data, reader.pos)
        reader.pos += count * size
        return list(values)

    return read_array


def _short(candid_type: Type) -> str:
    text = str(candid_type)
    return text if len(text) <= 60 else text[:59] + "…"
