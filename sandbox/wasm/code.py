"""Checks of function bodies: refused instructions, the limits on one function, and a search for `data.drop`.

The engine checks whether a body is *valid*.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from sandbox import limits
from sandbox.errors import InvalidModule
from sandbox.wasm.instructions import (
    DATA_DROP,
    HEAVIEST_BYTE,
    REFUSED,
    WEIGHTS,
    instruction_chunk,
    instruction_run,
    one_instruction,
    step,
    whole_body,
)
from sandbox.wasm.reader import Reader

_MAYBE_DATA_DROP: Final = re.compile(rb"\xfc[\x09\x89]")
_EXACT_UP_TO: Final = 4
"""Multiple of the limit up to which complexity is exact; a function beyond it is refused with the count so far."""


def check_bodies(wasm: bytes, bodies: Sequence[tuple[int, int]]) -> None:
    """Check for refused instructions, and the limits on one function (SPECIFICATION 2.4, 2.6).

    The index in the texts counts defined functions, as the replica does.
    """
    take = whole_body().match
    for index, (start, end) in enumerate(bodies):
        match = take(wasm, start, end)
        if match is None or match.end() != end:
            _check_instructions(index, wasm, start, end)
        if (end - start) * HEAVIEST_BYTE > limits.FUNCTION_COMPLEXITY:
            _check_weight(index, *weigh(wasm, start, end))


def _check_instructions(index: int, wasm: bytes, start: int, end: int) -> None:
    reader = behind_locals(wasm, start, end)
    while reader.at < end:
        run = instruction_run().match(wasm, reader.at, end)
        reader.at = run.end() if run else reader.at
        if reader.at < end and (code := step(reader)) in REFUSED:
            raise InvalidModule(
                f"Wasm module contains a function at index {index} with unsupported instruction {REFUSED[code]}"
            )


def _check_weight(index: int, size: int, complexity: int) -> None:
    if complexity > limits.FUNCTION_COMPLEXITY:
        raise InvalidModule(
            f"Wasm module contains a function at index {index} with complexity {complexity} which exceeds the maximum "
            f"complexity allowed {limits.FUNCTION_COMPLEXITY}"
        )
    if size > limits.FUNCTION_SIZE:
        raise InvalidModule(
            f"Wasm module contains a function at index {index} of size {size} that exceeds the maximum allowed size of "
            f"{limits.FUNCTION_SIZE}"
        )


def weigh(wasm: bytes, start: int, end: int) -> tuple[int, int]:
    """Return (instructions, complexity) of the body at `start:end`; a lower bound once far beyond the limit."""
    size = complexity = 0
    for counts in _counts(wasm, start, end):
        size += counts.total()
        complexity += sum(count * WEIGHTS.get(code, 1) for code, count in counts.items())
        if complexity > limits.FUNCTION_COMPLEXITY * _EXACT_UP_TO:
            break
    return size, complexity


def uses_data_drop(wasm: bytes, bodies: Sequence[tuple[int, int]]) -> bool:
    """Return True if some body contains `data.drop`. Bodies that cannot be read count as not containing it."""
    for start, end in bodies:
        if _MAYBE_DATA_DROP.search(wasm, start, end):
            try:
                if any(DATA_DROP in counts for counts in _counts(wasm, start, end)):
                    return True
            except InvalidModule:
                continue
    return False


def split(wasm: bytes, start: int, end: int) -> list[bytes]:
    """Return the instructions at `start:end`, which must be valid, one by one."""
    instructions: list[bytes] = one_instruction().findall(wasm, start, end)
    if sum(map(len, instructions)) == end - start:
        return instructions
    instructions, reader = [], Reader(wasm, start, end)
    while reader.at < end:
        run = instruction_run().match(wasm, reader.at, end)
        if run is not None:
            instructions += one_instruction().findall(wasm, reader.at, run.end())
            reader.at = run.end()
        if (at := reader.at) < end:
            step(reader)
            instructions.append(wasm[at : reader.at])
    return instructions


def _counts(wasm: bytes, start: int, end: int) -> Iterator[Counter[tuple[int, int]]]:
    """Yield the number of occurrences of each instruction, one stretch of the body after the other."""
    reader = behind_locals(wasm, start, end)
    while reader.at < end:
        chunk = instruction_chunk().match(wasm, reader.at, end)
        if chunk is None:
            yield Counter((step(reader),))
            continue
        counts: Counter[tuple[int, int]] = Counter()
        for spelling, count in Counter(one_instruction().findall(wasm, reader.at, chunk.end())).items():
            prefixed = spelling[0] == 0xFC
            counts[spelling[0], spelling[1] & 0x7F if prefixed else 0] += count
        reader.at = chunk.end()
        yield counts


def behind_locals(wasm: bytes, start: int, end: int) -> Reader:
    """Return a reader at the first instruction of the body at `start:end`."""
    reader = Reader(wasm, start, end)
    for _ in range(reader.u32()):
        reader.u32()
        reader.skip(1)
    return reader
