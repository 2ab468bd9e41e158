"""Readers of options, vectors, records and variants, made from the readers of their parts.

Each reader has two forms (`nesting.Plan`): plain calls, and a generator for values of unbounded nesting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sandbox.candid.nesting import Nested, Plan, height_over
from sandbox.candid.reader import Malformed, Mismatch, Read, Reader, read_nat
from sandbox.candid.values import Some


def ignoring(skip: Plan) -> Plan:
    """Return a reader that skips a value and returns None."""
    call = skip.function

    def ignore(reader: Reader) -> None:
        call(reader)

    def ignore_deep(reader: Reader) -> Nested[None]:
        yield call(reader)

    return Plan(ignore_deep if skip.height is None else ignore, skip.height)


def opt_reader(read: Plan, skip: Plan, *, is_opt: bool, ambiguous: bool) -> Plan:
    """Return the reader of an option; a value that does not coerce is skipped and becomes null.

    `is_opt`: the wire type is an option too, else the value alone. `ambiguous`: the value may itself be null."""
    call, skip_call, height = read.function, skip.function, height_over((read, skip))

    def read_opt(reader: Reader) -> Any:
        if is_opt and not _is_present(reader):
            return None
        start = reader.pos
        try:
            value = call(reader)
        except Mismatch:
            reader.pos = start
            skip_call(reader)
            return None
        return Some(value) if ambiguous else value

    def read_deep_opt(reader: Reader) -> Nested[Any]:
        if is_opt and not _is_present(reader):
            return None
        start = reader.pos
        try:
            value = yield call(reader)
        except Mismatch:
            reader.pos = start
            yield skip_call(reader)
            return None
        return Some(value) if ambiguous else value

    return Plan(read_deep_opt if height is None else read_opt, height)


def _is_present(reader: Reader) -> bool:
    flag = reader.data[reader.pos]
    if flag > 1:
        raise Malformed(f"the tag of an option is 0 or 1, not {flag}")
    reader.pos += 1
    return flag == 1


def vec_reader(part: Plan, *, sized: bool, is_blob: bool) -> Plan:
    """Return the reader of a vector. `sized`: every element takes at least one byte."""
    call, height = part.function, height_over((part,))

    def read_vec(reader: Reader) -> Any:
        values: list[Any] = []
        append = values.append
        try:
            for _ in range(_count(reader, sized)):
                append(call(reader))
        except Mismatch as error:
            error.path.append(f"[{len(values)}]")
            raise
        return bytes(values) if is_blob else values

    def read_deep_vec(reader: Reader) -> Nested[Any]:
        values: list[Any] = []
        try:
            for _ in range(_count(reader, sized)):
                values.append((yield call(reader)))  # noqa: PERF401 - a comprehension cannot yield
        except Mismatch as error:
            error.path.append(f"[{len(values)}]")
            raise
        return bytes(values) if is_blob else values

    return Plan(read_deep_vec if height is None else read_vec, height)


def _count(reader: Reader, sized: bool) -> int:
    count = read_nat(reader)
    if sized and count > reader.remaining:
        raise Malformed("a vector goes beyond the end of the message")
    reader.spend(count)
    return count


def record_reader(parts: Sequence[tuple[Any, Plan]], blank: Any, *, is_tuple: bool) -> Plan:
    """Return the reader of a record. `parts`: the fields of the message with their keys (None: skipped); `blank`: the
    record before any field is read."""
    steps: list[tuple[Any, Read]] = [(key, part.function) for key, part in parts]
    cost, height = len(steps) + len(blank), height_over(part for _, part in parts)

    def read_record(reader: Reader) -> Any:
        reader.budget -= cost
        if reader.budget < 0:
            reader.spend(0)
        values = blank.copy()
        key = None
        try:
            for key, call in steps:
                if key is None:
                    call(reader)
                else:
                    values[key] = call(reader)
        except Mismatch as error:
            error.path.append(f".{key}")
            raise
        return tuple(values) if is_tuple else values

    def read_deep_record(reader: Reader) -> Nested[Any]:
        reader.spend(cost)
        values = blank.copy()
        key = None
        try:
            for key, call in steps:
                value = yield call(reader)
                if key is not None:
                    values[key] = value
        except Mismatch as error:
            error.path.append(f".{key}")
            raise
        return tuple(values) if is_tuple else values

    return Plan(read_deep_record if height is None else read_record, height)


def variant_reader(parts: Sequence[tuple[str, Plan]]) -> Plan:
    """Return the reader of a variant. `parts`: the cases of the message with their keys."""
    cases: list[tuple[str, Read]] = [(key, part.function) for key, part in parts]
    height = height_over(part for _, part in parts)

    def case(reader: Reader) -> tuple[str, Read]:
        index = read_nat(reader)
        if index >= len(cases):
            raise Malformed("a variant index beyond the cases of its type")
        return cases[index]

    def read_variant(reader: Reader) -> Any:
        key, call = case(reader)
        try:
            return {key: call(reader)}
        except Mismatch as error:
            error.path.append(f".{key}")
            raise

    def read_deep_variant(reader: Reader) -> Nested[Any]:
        key, call = case(reader)
        try:
            return {key: (yield call(reader))}
        except Mismatch as error:
            error.path.append(f".{key}")
            raise

    return Plan(read_deep_variant if height is None else read_variant, height)
