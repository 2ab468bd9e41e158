"""Decoding a message at expected types.

For each pair of a wire type and an expected type a reader is built once, which reads bytes of the first and gives a
Python value of the second (the spec's coercion `v : t ~> v' : t'`). The readers of a message are kept by its head.

A value that does not coerce raises `Mismatch`. An option around it catches that, goes back to where the value began and
skips it; to skip a value is to decode it at its own type.

Spec: dfinity/candid `spec/Candid.md`, "Coercion" and "Deserialisation".
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sandbox.candid.labels import field_id
from sandbox.candid.message import read_header
from sandbox.candid.reader import (
    PRIMITIVE_READERS,
    STRUCT_CODES,
    Malformed,
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
    Type,
    VariantType,
    VecType,
)
from sandbox.candid.values import Service, Some
from sandbox.errors import CandidDecodeError, CandidTypeError

_MAX_CACHED_HEADER = 4_096
_MAX_TYPE_DEPTH = 150
_MAX_PAIRS = 20_000

Types = tuple[Type, ...]


class Mismatch(Exception):
    """A well-formed value that does not coerce to the expected type; `path` is filled from the inside out."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.path: list[str] = []


def decode_at(types: Sequence[Type], data: bytes) -> list[Any]:
    """The values of a message at the expected types."""
    reader = Reader(bytes(data))
    with reading(reader):
        wire = read_header(reader, {})
        header, expected = reader.data[: reader.pos], tuple(types)
        if len(header) > _MAX_CACHED_HEADER:
            return _read_arguments(reader, _argument_readers(wire, expected))
        return _read_arguments(reader, _kept_readers(header, expected))


def decode_as_is(data: bytes, names: Iterable[str] = ()) -> tuple[Types, list[Any]]:
    """The message's own types, and its values at these; `names` gives fields their names."""
    reader = Reader(bytes(data))
    with reading(reader):
        wire = read_header(reader, {field_id(name): name for name in names})
        return wire, _read_arguments(reader, _argument_readers(wire, wire))


@lru_cache(maxsize=256)
def _kept_readers(header: bytes, expected: Types) -> tuple[list[Read], list[Read]]:
    return _argument_readers(read_header(Reader(header), {}), expected)


def _argument_readers(wire: Types, expected: Types) -> tuple[list[Read], list[Read]]:
    """A reader for each expected argument, and one for each argument beyond these."""
    build = _Builder().reader
    wanted = [build(wire[n], t) if n < len(wire) else _missing_argument(t) for n, t in enumerate(expected)]
    return wanted, [build(t, RESERVED) for t in wire[len(expected) :]]


def _missing_argument(expected: Type) -> Read:
    return read_null if expected.nullable else _failing(f"{expected} is missing")


def _read_arguments(reader: Reader, readers: tuple[list[Read], list[Read]]) -> list[Any]:
    wanted, extra = readers
    values: list[Any] = []
    try:
        for read in wanted:
            values.append(read(reader))  # noqa: PERF401 - the length is needed when one fails
    except Mismatch as error:
        place = f"argument {len(values)}" + "".join(reversed(error.path))
        raise CandidDecodeError(f"{place}: {error}, at byte {reader.pos}") from None
    for read in extra:
        read(reader)
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
    """Builds readers, one for each pair of types."""

    def __init__(self) -> None:
        self.readers: dict[tuple[Type, Type], Read | None] = {}
        self.sized: dict[Type, bool] = {}
        self.comparison = Comparison(_MAX_PAIRS)
        self.depth = 0

    def reader(self, wire: Type, expected: Type) -> Read:
        """The reader for a pair; for a pair that is being built, one that looks it up when called."""
        pair = (wire.resolve(), expected.resolve())
        if pair not in self.readers:
            self.readers[pair] = None
            self.depth += 1
            if self.depth > _MAX_TYPE_DEPTH or len(self.readers) > _MAX_PAIRS:
                raise Malformed("the types of the message are too large")
            self.readers[pair] = self._build(*pair)
            self.depth -= 1
        return self.readers[pair] or self._forward(pair)

    def _forward(self, pair: tuple[Type, Type]) -> Read:
        readers = self.readers

        def forward(reader: Reader) -> Any:
            read = readers[pair]
            assert read is not None
            return read(reader)

        return forward

    def _build(self, wire: Type, expected: Type) -> Read:
        if wire == EMPTY:
            return _read_empty
        if expected == RESERVED:
            return self._ignored(wire)
        if isinstance(expected, OptType):
            return self._opt(wire, expected)
        if isinstance(wire, PrimType) and (wire == expected or (wire == NAT and expected == INT)):
            return PRIMITIVE_READERS[wire]
        match wire, expected:
            case VecType(), VecType():
                return self._vec(wire.inner.resolve(), expected.inner.resolve())
            case RecordType(), RecordType():
                return self._record(wire, expected)
            case VariantType(), VariantType():
                return self._variant(wire, expected)
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

    def _ignored(self, wire: Type) -> Read:
        if wire == RESERVED:
            return read_null
        skip = self.reader(wire, wire)

        def ignore(reader: Reader) -> None:
            skip(reader)

        return ignore

    def _opt(self, wire: Type, expected: OptType) -> Read:
        if wire.nullable and not isinstance(wire, OptType):
            return read_null
        is_opt = isinstance(wire, OptType)
        given = wire.inner if isinstance(wire, OptType) else wire
        read, skip = self.reader(given, expected.inner), self.reader(given, given)
        ambiguous = expected.inner.nullable

        def read_opt(reader: Reader) -> Any:
            if is_opt:
                flag = reader.data[reader.pos]
                if flag > 1:
                    raise Malformed(f"the tag of an option is 0 or 1, not {flag}")
                reader.pos += 1
                if flag == 0:
                    return None
            start, depth = reader.pos, reader.depth
            reader.depth = inside = depth - 1
            if not inside:
                raise RecursionError
            try:
                value = read(reader)
            except Mismatch:
                reader.pos, reader.depth = start, inside
                skip(reader)
                reader.depth = depth
                return None
            reader.depth = depth
            return Some(value) if ambiguous else value

        return read_opt

    def _vec(self, wire: Type, expected: Type) -> Read:
        if wire == expected and wire in STRUCT_CODES:
            return _read_blob if wire == NAT8 else _array_reader(STRUCT_CODES[wire])
        read, sized, is_blob = self.reader(wire, expected), self._has_bytes(wire), expected == NAT8

        def read_vec(reader: Reader) -> Any:
            count = read_nat(reader)
            if sized and count > reader.remaining:
                raise Malformed("a vector goes beyond the end of the message")
            reader.spend(count)
            depth = reader.depth
            reader.depth = depth - 1
            if not reader.depth:
                raise RecursionError
            values: list[Any] = []
            append = values.append
            try:
                for _ in range(count):
                    append(read(reader))
            except Mismatch as error:
                error.path.append(f"[{len(values)}]")
                raise
            reader.depth = depth
            return bytes(values) if is_blob else values

        return read_vec

    def _record(self, wire: RecordType, expected: RecordType) -> Read:
        given = {field.id for field in wire.fields}
        for field in expected.fields:
            if field.id not in given and not field.type.nullable:
                return _failing(f"the field {field.label} : {_short(field.type)} is missing")
        is_tuple = expected.is_tuple
        wanted: dict[int, tuple[Any, Type]] = {f.id: (f.id if is_tuple else f.key, f.type) for f in expected.fields}
        steps: list[tuple[Any, Read]] = []
        for field in wire.fields:
            key, target = wanted.get(field.id, (None, RESERVED))
            steps.append((key, self.reader(field.type, target)))
        blank: Any = [None] * len(wanted) if is_tuple else {f.key: None for f in expected.fields if f.id not in given}
        cost = len(steps) + len(blank)

        def read_record(reader: Reader) -> Any:
            reader.budget -= cost
            depth = reader.depth
            reader.depth = depth - 1
            if depth == 1 or reader.budget < 0:
                _exhausted(reader)
            values = blank.copy()
            key = None
            try:
                for key, read in steps:
                    if key is None:
                        read(reader)
                    else:
                        values[key] = read(reader)
            except Mismatch as error:
                error.path.append(f".{key}")
                raise
            reader.depth = depth
            return tuple(values) if is_tuple else values

        return read_record

    def _variant(self, wire: VariantType, expected: VariantType) -> Read:
        known = {case.id: case for case in expected.fields}
        cases: list[tuple[str, Read]] = []
        for case in wire.fields:
            target = known.get(case.id)
            if target is None:
                cases.append((case.key, _failing("this case is not expected")))
            else:
                cases.append((target.key, self.reader(case.type, target.type)))

        def read_variant(reader: Reader) -> Any:
            index = read_nat(reader)
            if index >= len(cases):
                raise Malformed("a variant index beyond the cases of its type")
            key, read = cases[index]
            depth = reader.depth
            reader.depth = depth - 1
            if not reader.depth:
                raise RecursionError
            try:
                value = read(reader)
            except Mismatch as error:
                error.path.append(f".{key}")
                raise
            reader.depth = depth
            return {key: value}

        return read_variant

    def _has_bytes(self, wire: Type) -> bool:
        """Whether a value takes at least one byte; a record that contains itself counts as taking none."""
        wire = wire.resolve()
        if not isinstance(wire, RecordType):
            return not wire.nullable or isinstance(wire, OptType)
        if wire not in self.sized:
            self.sized[wire] = False
            self.sized[wire] = any(self._has_bytes(field.type) for field in wire.fields)
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
    """Vectors of numbers of fixed size, read at once."""
    size = struct.calcsize("<" + code)

    def read_array(reader: Reader) -> list[Any]:
        count = read_nat(reader)
        if count * size > reader.remaining:
            raise Malformed("a vector goes beyond the end of the message")
        values = struct.unpack_from(f"<{count}{code}", reader.data, reader.pos)
        reader.pos += count * size
        return list(values)

    return read_array


def _exhausted(reader: Reader) -> None:
    reader.spend(0)
    raise RecursionError


def _short(found: Type) -> str:
    text = str(found)
    return text if len(text) <= 60 else text[:59] + "…"
