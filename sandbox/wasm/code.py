"""Walks function bodies: which instructions occur, how many, and what they weigh.

One regular expression takes all ordinary instructions with their immediates in a single run. Where a run ends stands an
instruction that needs a look: `br_table`, a typed `select`, `data.drop`, a refused one, an unusual spelling, or bytes
that are no instruction of the platform. The expression is possessive throughout, so a run costs time in proportion to
its bytes and no memory, whatever the bytes are. The expression and the exact reader come from the same table.

Refused instructions and weights are those of `wasm_function_complexity` in dfinity/ic
`rs/embedders/src/wasm_utils/validation.rs` (2024); tail calls, newer than that text, weigh what calls weigh. Whether a
body is *valid* is for the engine to say.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from sandbox import limits
from sandbox.errors import InvalidModule
from sandbox.wasm.reader import Reader, malformed

# Immediates by letter: u LEB128 integer, z zero byte, m memory argument, b lane, h heap type, 4 8 q constant bytes.
_SINGLE: Final[dict[str, tuple[range, ...]]] = {
    "u": (
        range(0x02, 0x05),  # block loop if
        range(0x0C, 0x0E),  # br br_if
        range(0x10, 0x11),  # call
        range(0x12, 0x13),  # return_call
        range(0x20, 0x26),  # local.get local.set local.tee global.get global.set table.get
        range(0x41, 0x43),  # i32.const i64.const
        range(0xD2, 0xD3),  # ref.func
    ),
    "": (
        range(0x02),  # unreachable nop
        range(0x05, 0x06),  # else
        range(0x0B, 0x0C),  # end
        range(0x0F, 0x10),  # return
        range(0x1A, 0x1C),  # drop select
        range(0x45, 0xC5),  # numeric
        range(0xD1, 0xD2),  # ref.is_null
    ),
    "m": (range(0x28, 0x3F),),  # loads and stores
    "z": (range(0x3F, 0x41),),  # memory.size memory.grow
    "uu": (range(0x11, 0x12), range(0x13, 0x14)),  # call_indirect return_call_indirect
    "4": (range(0x43, 0x44),),  # f32.const
    "8": (range(0x44, 0x45),),  # f64.const
    "h": (range(0xD0, 0xD1),),  # ref.null
}
_BULK: Final[dict[str, tuple[range, ...]]] = {  # after 0xFC
    "": (range(0x08),),  # saturating truncations
    "uz": (range(0x08, 0x09),),  # memory.init
    "zz": (range(0x0A, 0x0B),),  # memory.copy
    "z": (range(0x0B, 0x0C),),  # memory.fill
    "u": (range(0x0D, 0x0E), range(0x10, 0x11)),  # elem.drop table.size
}
_SIMD: Final[dict[str, tuple[range, ...]]] = {  # after 0xFD
    "m": (range(0x0C), range(0x5C, 0x5E)),
    "q": (range(0x0C, 0x0E),),
    "": (range(0x0E, 0x15), range(0x23, 0x54), range(0x5E, 0x100)),
    "b": (range(0x15, 0x23),),
    "mb": (range(0x54, 0x5C),),
}
_DATA_DROP: Final = (0xFC, 0x09)
_REFUSED: Final = {
    (0x26, 0): "table.set",
    (0xFC, 0x0C): "table.init",
    (0xFC, 0x0E): "table.copy",
    (0xFC, 0x0F): "table.grow",
    (0xFC, 0x11): "table.fill",
}

_LEB: Final = rb"[\x80-\xff]*+[\x00-\x7f]"
_PATTERNS: Final = {
    "u": _LEB,
    "z": rb"\x00",
    "m": rb"[\x00-\x3f]" + _LEB,  # bit 6 of the flags would name a second memory
    "b": rb".",
    "4": rb".{4}",
    "8": rb".{8}",
    "q": rb".{16}",
    "h": rb"[\x6f\x70]",
}


def _class(ranges: tuple[range, ...]) -> bytes:
    return b"[" + b"".join(b"\\x%02x-\\x%02x" % (r[0], r[-1]) for r in ranges) + b"]"


def _alternatives() -> Iterator[bytes]:
    for prefix, table in ((b"", _SINGLE), (rb"\xfc", _BULK), (rb"\xfd", _SIMD)):
        for letters, ranges in table.items():
            immediates = b"".join(_PATTERNS[letter] for letter in letters)
            low = tuple(range(r.start, min(r.stop, 0x80)) for r in ranges) if prefix else ranges
            yield prefix + _class(low) + immediates
    yield rb"\xfd[\x80-\xff]\x01"  # SIMD from 0x80 to 0xff, none of which has immediates


_INSTRUCTION: Final = b"|".join(_alternatives())
_RUN: Final = re.compile(rb"(?:" + _INSTRUCTION + rb")*+", re.DOTALL)
_TOKEN: Final = re.compile(_INSTRUCTION, re.DOTALL)
_MAYBE_DATA_DROP: Final = re.compile(rb"\xfc[\x09\x89]")


def _immediates() -> dict[tuple[int, int], str]:
    """(opcode, opcode after a prefix or 0) → immediates, for every instruction that the platform knows."""
    known = {(0x0E, 0): "B", (0x1C, 0): "T", (0x26, 0): "u", _DATA_DROP: "u"}
    known |= {(0xFC, 0x0C): "uu", (0xFC, 0x0E): "uu", (0xFC, 0x0F): "u", (0xFC, 0x11): "u"}
    for letters, ranges in _SINGLE.items():
        known |= {(opcode, 0): letters for r in ranges for opcode in r}
    for prefix, table in ((0xFC, _BULK), (0xFD, _SIMD)):
        for letters, ranges in table.items():
            known |= {(prefix, opcode): letters for r in ranges for opcode in r}
    return known


_IMMEDIATES: Final = _immediates()


class _Stop(NamedTuple):
    """An instruction that ended a run: where that run began and ended, and what stands there."""

    run: int
    at: int
    code: tuple[int, int]


def _stops(wasm: bytes, start: int, end: int) -> Iterator[_Stop]:
    """The instructions of one body that the runs do not take, and at last a stop at `end` with code (-1, 0)."""
    reader = Reader(wasm, start, end)
    _skip_locals(reader)
    while True:
        run = reader.at
        match = _RUN.match(wasm, run, end)
        at = match.end() if match else run
        if at == end:
            yield _Stop(run, end, (-1, 0))
            return
        reader.at = at
        yield _Stop(run, at, _step(reader))


def _skip_locals(reader: Reader) -> None:
    for _ in range(reader.u32()):
        reader.u32()
        reader.skip(1)


def _step(reader: Reader) -> tuple[int, int]:
    """Go past one instruction, whatever its spelling."""
    at = reader.at
    opcode = reader.byte()
    code = (opcode, reader.u32() if opcode in (0xFC, 0xFD) else 0)
    letters = _IMMEDIATES.get(code)
    if letters is None:
        prefixed = opcode in (0xFC, 0xFD)
        raise malformed(
            f"unknown 0x{opcode:x} subopcode: 0x{code[1]:x}" if prefixed else f"illegal opcode: 0x{opcode:x}", at
        )
    for letter in letters:
        _skip_immediate(reader, letter)
    return code


def _skip_immediate(reader: Reader, letter: str) -> None:
    at = reader.at
    match letter:
        case "u" | "h":
            reader.skip_integers(1)
        case "z":
            if reader.byte():
                raise malformed("zero byte expected", at)
        case "m":
            if reader.u32() >= 0x40:
                raise malformed("malformed memop alignment", at)
            reader.skip_integers(1)
        case "B":
            reader.skip_integers(reader.u32() + 1)
        case "T":
            reader.skip_integers(reader.u32())
        case _:
            reader.skip({"b": 1, "4": 4, "8": 8, "q": 16}[letter])


def uses_data_drop(wasm: bytes, bodies: Sequence[tuple[int, int]]) -> bool:
    """True where some body contains `data.drop`. Bodies that cannot be read count as not containing it."""
    for start, end in bodies:
        if _MAYBE_DATA_DROP.search(wasm, start, end):
            try:
                if any(stop.code == _DATA_DROP for stop in _stops(wasm, start, end)):
                    return True
            except InvalidModule:
                continue
    return False


def check_bodies(wasm: bytes, bodies: Sequence[tuple[int, int]]) -> None:
    """Refused instructions, and the limits on one function's instructions and complexity (digest 2.4, 2.6).

    The index in the texts counts defined functions, as the replica does.
    """
    for index, (start, end) in enumerate(bodies):
        for stop in _stops(wasm, start, end):
            if stop.code in _REFUSED:
                raise InvalidModule(
                    f"Wasm module contains a function at index {index} with unsupported instruction "
                    f"{_REFUSED[stop.code]}"
                )
        if (end - start) * _HEAVIEST_BYTE > limits.FUNCTION_COMPLEXITY:
            _check_weight(index, *weigh(wasm, start, end))


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
    """(instructions, complexity) of the body at `start:end`."""
    counts: Counter[tuple[int, int]] = Counter()
    for stop in _stops(wasm, start, end):
        spellings = Counter(_TOKEN.findall(wasm, stop.run, stop.at))
        for spelling, count in spellings.items():
            prefixed = spelling[0] in (0xFC, 0xFD)
            counts[spelling[0], spelling[1] if prefixed else 0] += count
        counts[stop.code] += stop.code[0] >= 0
    return counts.total(), sum(count * _WEIGHTS.get(code, 1) for code, count in counts.items())


def _weights() -> dict[tuple[int, int], int]:
    """What an instruction weighs where that is not 1."""
    groups: tuple[tuple[int, tuple[int | range, ...]], ...] = (
        (50, (range(0x02, 0x05), range(0x0C, 0x0F), range(0x10, 0x14), 0x40)),  # blocks, branches, calls, memory.grow
        (14, (0x25,)),  # table.get
        (8, (0xD2,)),  # ref.func
        (6, (0xD1,)),  # ref.is_null
        (2, (0x23, 0x1B, 0x3F, range(0x36, 0x3F))),  # global.get, select, memory.size, stores
        (2, (range(0x45, 0x67),)),  # comparisons
        (2, (0x69, 0x7B)),  # popcnt
        (2, (range(0x8D, 0x90), 0x91, range(0x9B, 0x9E), 0x9F)),  # ceil floor trunc sqrt
        (2, (0xA7, 0xBB, range(0xBC, 0xC5))),  # wrap, promote, reinterpret, sign extension
        (3, (range(0x28, 0x36), range(0x6D, 0x71), range(0x7F, 0x83))),  # loads, divisions and remainders
        (3, (0x61, 0x98, 0xA6)),  # f64.eq, copysign
        (4, (0x8B, 0x8C, 0x99, 0x9A)),  # float abs neg
        (5, (range(0xA8, 0xBB),)),  # conversions
    )
    weights = {
        (opcode, 0): weight
        for weight, members in groups
        for member in members
        for opcode in ((member,) if isinstance(member, int) else member)
    }
    weights |= {(0xFC, opcode): 3 for opcode in (*range(0x08), 0x0B)}  # saturating truncations, memory.fill
    weights[0xFC, 0x0A] = 4  # memory.copy
    return weights


_WEIGHTS: Final = _weights()
_HEAVIEST_BYTE: Final = 25  # the densest weight: an instruction of 50 has two bytes at least
