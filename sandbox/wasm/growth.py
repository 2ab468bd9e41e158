"""A replacement of `memory.grow`, so that a loop of failing growths ends.

A growth that fails takes the engine thousands of times as long as an instruction, but would count as one, so that a
loop of them would end only after hours. Each `memory.grow` therefore becomes a call of one appended function of the
same type, which grows by nothing without asking the engine, and after a failure executes some thousand instructions.
These are the only bytes of function bodies that the rewrite changes.
"""

from __future__ import annotations

from sandbox.codec.leb128 import encode_unsigned
from sandbox.wasm.code import memory_grows
from sandbox.wasm.facts import ModuleFacts
from sandbox.wasm.types import FuncType

_CALL = b"\x10"
# type, eqz, eq and const of the pointer type
_SPELLING = {"i": (b"\x7f", b"\x45", b"\x46", b"\x41"), "l": (b"\x7e", b"\x50", b"\x51", b"\x42")}
_SPENT = b"\x41\xe8\x07"  # i32.const 1000: turns of the loop, five instructions each


def growth_type(facts: ModuleFacts) -> FuncType:
    """Return the type of `memory.grow` and of its replacement."""
    return FuncType(facts.pointer, facts.pointer)


def growing_bodies(facts: ModuleFacts) -> dict[int, list[int]]:
    """Return number of a defined function → offsets of its `memory.grow` instructions, for functions that have any."""
    growing = {}
    for number, (start, end) in enumerate(facts.bodies):
        places = memory_grows(facts.wasm, start, end)
        if places:
            growing[number] = places
    return growing


def with_calls(facts: ModuleFacts, growing: dict[int, list[int]], first: int, function: int) -> list[bytes]:
    """Return the code section's entries, from byte `first` on, with `memory.grow` replaced by calls of `function`."""
    wasm, pieces, at = facts.wasm, [], first
    call = _CALL + encode_unsigned(function)
    for number, places in growing.items():
        start, end = facts.bodies[number]
        before = facts.bodies[number - 1][1] if number else first
        body, position = [], start
        for place in places:
            body += [wasm[position:place], call]
            position = place + 2
        code = b"".join([*body, wasm[position:end]])
        pieces += [wasm[at:before], encode_unsigned(len(code)), code]
        at = end
    return [*pieces, wasm[at : facts.bodies[-1][1]]]


def growth_body(facts: ModuleFacts) -> bytes:
    """Return the code of the appended function."""
    kind, eqz, eq, const = _SPELLING[facts.pointer]
    code = b"".join(
        (
            b"\x02\x01" + kind + b"\x01\x7f",  # locals: the answer, a counter
            b"\x20\0" + eqz + b"\x04\x40\x3f\0\x0f\x0b",  # growing by nothing: the size
            b"\x20\0\x40\0\x22\x01" + const + b"\x7f" + eq,  # grow; is it -1?
            b"\x04\x40" + _SPENT + b"\x21\x02",
            b"\x03\x40\x20\x02\x41\x01\x6b\x22\x02\x0d\0\x0b\x0b",  # count down
            b"\x20\x01\x0b",
        )
    )
    return encode_unsigned(len(code)) + code
