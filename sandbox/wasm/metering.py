"""The counter of instructions, injected into function bodies.

The rules are those of the platform (`dfinity/ic` `rs/embedders/src/wasm_utils/instrumentation.rs`). A body is cut into
blocks, and the whole weight of a block is charged where it begins. The counter runs down from the limit and is checked
where every endless execution passes: at the beginning of a function, at the head of a loop, and where the size operand
of a bulk instruction is charged. There the execution ends if the counter is negative *after* the charge.

Each `memory.grow` becomes a call of an appended function (`sandbox.wasm.growth`) at the same weight. The pass handles
an instruction in a few hundred nanoseconds: runs of instructions are split, weighed and joined without a loop over them
in Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from sandbox.codec.leb128 import encode_signed, encode_unsigned
from sandbox.wasm.code import behind_locals, split
from sandbox.wasm.control import Cell, load, store
from sandbox.wasm.facts import ModuleFacts
from sandbox.wasm.instructions import step
from sandbox.wasm.profiling import Events
from sandbox.wasm.reader import Reader
from sandbox.wasm.weights import instruction_weights

_I64_SUB: Final = b"\x7d"
_CALL: Final = b"\x10"


class _Kind(IntEnum):
    """The effect of an instruction on its block."""

    PLAIN = 0
    ENDS = 1
    ENDS_BEFORE_LOOP = 2
    """Ends the block; a new one begins behind it with every turn of the loop."""
    PAYS_32 = 3
    """Pays its size operand too, of 32 bits."""
    PAYS_64 = 4
    GROWS = 5


_ENDS: Final = (0x00, 0x04, 0x05, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F, 0x12, 0x13)
"""unreachable if else end br br_if br_table return return_call return_call_indirect"""
_ADDED: Final[dict[int, int]] = {_Kind.PAYS_32: 3, _Kind.PAYS_64: 1, _Kind.GROWS: 3}
"""Instructions that the replica's own rewrite adds, for the cost of compiling."""
_CHARGE, _CHECK = 4, 10


def _kinds(is64: bool) -> dict[tuple[int, int], _Kind]:
    kinds = {(opcode, 0): _Kind.ENDS for opcode in _ENDS}
    sized = _Kind.PAYS_64 if is64 else _Kind.PAYS_32
    bulk = {
        (0xFC, 0x08): _Kind.PAYS_32,
        (0xFC, 0x0A): sized,
        (0xFC, 0x0B): sized,
    }  # memory.init memory.copy memory.fill
    return kinds | bulk | {(0x03, 0): _Kind.ENDS_BEFORE_LOOP, (0x40, 0): _Kind.GROWS}


@dataclass(frozen=True, slots=True)
class Appended:
    """Indices of the appended functions that rewritten bodies call."""

    pay_32: int
    pay_64: int
    grow: int


class Metering:
    """The pass over the bodies of one module. `memory`: the index of the control memory; `events`: those of a profile,
    None for a build without."""

    def __init__(self, facts: ModuleFacts, memory: int, appended: Appended, events: Events | None = None) -> None:
        self.size = 0
        """Instructions of all bodies so far as the replica's rewrite would leave them: the measure of compiling."""
        self._facts = facts
        self._memory = memory
        self._events = events
        self._known = _Known(facts.is64)
        self._in_front: dict[int, bytes] = {
            _Kind.PAYS_32: _CALL + encode_unsigned(appended.pay_32),
            _Kind.PAYS_64: _CALL + encode_unsigned(appended.pay_64),
        }
        self._grow = _CALL + encode_unsigned(appended.grow)
        self._charges: dict[tuple[int, bool], bytes] = {}

    def bodies(self) -> Iterator[bytes]:
        """Yield the entries of the code section, with the counter."""
        first, events = self._facts.imported_functions, self._events
        for place, (start, end) in enumerate(self._facts.bodies):
            pieces = self._body(start, end)
            code = b"".join(pieces if events is None else events.instrumented(first + place, pieces))
            yield encode_unsigned(len(code))
            yield code

    def _body(self, start: int, end: int) -> list[bytes]:
        wasm, known = self._facts.wasm, self._known
        first = behind_locals(wasm, start, end).at
        instructions = split(wasm, first, end)
        values = [known[instruction] for instruction in instructions]
        out = [wasm[start:first], b""]
        charge, at, weight, entered = 1, 0, 1, True
        added = len(instructions)
        for place in [place for place, value in enumerate(values) if value >= _MARK]:
            kind, own = divmod(values[place], _MARK)
            weight += sum(values[at:place]) + own
            out += instructions[at:place]
            at = place + 1
            added += _ADDED.get(kind, 0)
            if kind == _Kind.GROWS:
                out.append(self._grow)
                continue
            if kind >= _Kind.PAYS_32:
                out += (self._in_front[kind], instructions[place])
                continue
            out.append(instructions[place])
            if weight or entered:
                out[charge] = self._charge(weight, entered)
                added += _CHECK if entered else _CHARGE
            charge, weight, entered = len(out), 0, kind == _Kind.ENDS_BEFORE_LOOP
            out.append(b"")
        self.size += added
        return out

    def _charge(self, weight: int, checked: bool) -> bytes:
        code = self._charges.get((weight, checked))
        if code is None:
            code = charge(self._memory, b"\x42" + encode_signed(weight)) + (check(self._memory) if checked else b"")
            self._charges[weight, checked] = code
        return code


_MARK: Final = 1 << 10
"""Above every weight: a value of `_Known` is a weight plus this times a kind."""


class _Known(dict[bytes, int]):
    """Cache of the weight and kind of instructions, by their bytes."""

    def __init__(self, is64: bool) -> None:
        self._weights, self._kinds = instruction_weights(is64), _kinds(is64)

    def __missing__(self, instruction: bytes) -> int:
        code = step(Reader(instruction, 0, len(instruction)))
        value = self._weights.get(code, 1) + _MARK * self._kinds.get(code, _Kind.PLAIN)
        self[instruction] = value
        return value


def charge(memory: int, amount: bytes) -> bytes:
    """Return the code that subtracts from the counter the number that the code `amount` pushes."""
    return store(Cell.LEFT, memory, load(Cell.LEFT, memory) + amount + _I64_SUB)


def check(memory: int) -> bytes:
    """Return the code that ends the execution if the counter is negative."""
    negative = load(Cell.LEFT, memory) + b"\x42\0\x53"  # i64.const 0, i64.lt_s
    return negative + b"\x04\x40" + store(Cell.EXHAUSTED, memory, b"\x42\x01") + b"\0\x0b"  # if … unreachable end


def pay_body(memory: int, bits: int) -> bytes:
    """Return the code of an appended function that pays its argument, of 32 or 64 bits, and returns it.

    More than 2^48 counts as 2^48: that is beyond every limit, and no subtraction wraps.
    """
    most = b"\x42" + encode_signed(1 << 48)
    wide = b"\x20\0" + (b"\xad" if bits == 32 else b"")  # local.get 0, i64.extend_i32_u
    amount = wide if bits == 32 else wide + most + wide + most + b"\x54\x1b"  # i64.lt_u, select
    code = b"\0" + charge(memory, amount) + check(memory) + b"\x20\0\x0b"
    return encode_unsigned(len(code)) + code
