"""The instructions of the platform as one table, and its derivatives: an expression that takes whole runs of them,
an exact reader of single ones, and their weights.

Not in the table: instructions of features that are off (SPECIFICATION 2.6). The expression takes every instruction but
the refused ones, br_tables of more than 15 labels and a few spellings that no compiler writes; integers longer than
needed are legal WebAssembly and are understood. It is possessive throughout: a run costs time in proportion to its
bytes and no memory, whatever the bytes are.

Refused instructions and weights: `wasm_function_complexity` in dfinity/ic `rs/embedders/src/wasm_utils/validation.rs`
(2024). Tail calls, newer than that text, weigh as much as calls.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from typing import Final

from sandbox.wasm.reader import Reader, malformed

# Immediates by letter: u LEB128 integer, z zero byte, m memory argument, b lane, h heap type, 4 8 q constant bytes,
# B the labels of a br_table, T types.
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
    "B": (range(0x0E, 0x0F),),  # br_table
    "T": (range(0x1C, 0x1D),),  # select with types
}
_BULK: Final[dict[str, tuple[range, ...]]] = {  # after 0xFC
    "": (range(0x08),),  # saturating truncations
    "uz": (range(0x08, 0x09),),  # memory.init
    "zz": (range(0x0A, 0x0B),),  # memory.copy
    "z": (range(0x0B, 0x0C),),  # memory.fill
    "u": (range(0x09, 0x0A), range(0x0D, 0x0E), range(0x10, 0x11)),  # data.drop elem.drop table.size
}
_SIMD: Final[dict[str, tuple[range, ...]]] = {  # after 0xFD
    "m": (range(0x0C), range(0x5C, 0x5E)),
    "q": (range(0x0C, 0x0E),),
    "": (range(0x0E, 0x15), range(0x23, 0x54), range(0x5E, 0x100)),
    "b": (range(0x15, 0x23),),
    "mb": (range(0x54, 0x5C),),
}
DATA_DROP: Final = (0xFC, 0x09)
REFUSED: Final = {
    (0x26, 0): "table.set",
    (0xFC, 0x0C): "table.init",
    (0xFC, 0x0E): "table.copy",
    (0xFC, 0x0F): "table.grow",
    (0xFC, 0x11): "table.fill",
}


_LONG: Final = rb"\x80*+\x00"  # padding of an integer behind its last significant byte
_LEB: Final = rb"[\x80-\xff]*+[\x00-\x7f]"
_SHORT_TABLES: Final = b"|".join(
    rb"(?:\x%02x|\x%02x%s)(?:%s){%d}" % (count, count | 0x80, _LONG, _LEB, count + 1) for count in range(16)
)
_LOCALS: Final = b"|".join(rb"\x%02x(?:%s.){%d}" % (count, _LEB, count) for count in range(16))
_PATTERNS: Final = {
    "u": _LEB,
    "z": rb"\x00",
    "m": rb"(?:[\x00-\x3f]|[\x80-\xbf]%s)%s" % (_LONG, _LEB),  # bit 6 of the flags would name a second memory
    "b": rb".",
    "4": rb".{4}",
    "8": rb".{8}",
    "q": rb".{16}",
    "h": rb"(?:[\x6f\x70]|[\xef\xf0]\xff*+\x7f)",
    "B": rb"(?:%s)" % _SHORT_TABLES,
    "T": rb"(?:\x01|\x81%s)[\x6f\x70\x7b-\x7f]" % _LONG,
}


def _class(ranges: tuple[range, ...], top: int = 0) -> bytes:
    return b"[" + b"".join(b"\\x%02x-\\x%02x" % (r[0] | top, r[-1] | top) for r in ranges) + b"]"


def _alternatives() -> Iterator[bytes]:
    for letters, ranges in _SINGLE.items():
        yield _class(ranges) + b"".join(_PATTERNS[letter] for letter in letters)
    for prefix, table in ((rb"\xfc", _BULK), (rb"\xfd", _SIMD)):
        for letters, ranges in table.items():
            low = tuple(range(r.start, min(r.stop, 0x80)) for r in ranges)
            opcode = rb"(?:%s|%s%s)" % (_class(low), _class(low, 0x80), _LONG)
            yield prefix + opcode + b"".join(_PATTERNS[letter] for letter in letters)
    yield rb"\xfd[\x80-\xff](?:\x01|\x81%s)" % _LONG  # SIMD from 0x80 to 0xff, none of which has immediates


INSTRUCTION: Final = b"|".join(_alternatives())
MENDED: Final = sys.version_info >= (3, 11, 5)
"""Before, possessive repetition of groups matched wrongly (github.com/python/cpython/issues/106052)."""


def repeated(group: bytes, least: int = 0, most: int | None = None, possessive: bool = MENDED) -> bytes:
    """Repeat a group; if not `possessive`, at most 2048 times, as each costs memory: callers go on after the match."""
    if possessive:
        return rb"(?:%s){%d,%s}+" % (group, least, b"" if most is None else b"%d" % most)
    return rb"(?:%s){%d,2048}" % (group, least)


@cache
def one_instruction() -> re.Pattern[bytes]:
    """The expression of one instruction. Expressions are compiled when they are first used: it takes 10 ms each."""
    return re.compile(INSTRUCTION, re.DOTALL)


@cache
def instruction_run() -> re.Pattern[bytes]:
    """The expression of a run of instructions."""
    return re.compile(repeated(INSTRUCTION), re.DOTALL)


@cache
def instruction_chunk() -> re.Pattern[bytes]:
    """The expression of a run of bounded length."""
    return re.compile(repeated(INSTRUCTION, 1, 65536), re.DOTALL)


@cache
def whole_body() -> re.Pattern[bytes]:
    """The expression of locals in up to 15 groups and a run."""
    return re.compile(rb"(?:%s)%s" % (_LOCALS, repeated(INSTRUCTION)), re.DOTALL)


def _immediates() -> dict[tuple[int, int], str]:
    """(opcode, opcode after a prefix or 0) → immediates, for every instruction that the platform knows."""
    known = {(0x26, 0): "u", (0xFC, 0x0C): "uu", (0xFC, 0x0E): "uu", (0xFC, 0x0F): "u", (0xFC, 0x11): "u"}
    for letters, ranges in _SINGLE.items():
        known |= {(opcode, 0): letters for r in ranges for opcode in r}
    for prefix, table in ((0xFC, _BULK), (0xFD, _SIMD)):
        for letters, ranges in table.items():
            known |= {(prefix, opcode): letters for r in ranges for opcode in r}
    return known


IMMEDIATES: Final = _immediates()


def step(reader: Reader) -> tuple[int, int]:
    """Skip one instruction in any spelling; return its opcode and the one after a prefix (or 0)."""
    at = reader.at
    opcode = reader.byte()
    prefixed = opcode in (0xFC, 0xFD)
    code = (opcode, reader.u32() if prefixed else 0)
    letters = IMMEDIATES.get(code)
    if letters is None:
        text = f"unknown 0x{opcode:x} subopcode: 0x{code[1]:x}" if prefixed else f"illegal opcode: 0x{opcode:x}"
        raise malformed(text, at)
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


def _weights() -> dict[tuple[int, int], int]:
    """Return the weights of instructions that are not 1."""
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


WEIGHTS: Final = _weights()
"""(opcode, opcode after a prefix or 0) → weight; 1 where it is missing."""
HEAVIEST_BYTE: Final = 25
"""No byte of code weighs more: an instruction of 50 has two bytes at least."""
