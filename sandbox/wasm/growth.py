"""A replacement of `memory.grow`, so that a loop of growths that fail, or grow by nothing, ends.

Asking the engine takes thousands of times as long as other instructions, but weighs 300. Each `memory.grow` therefore
becomes a call of one appended function of the same type. It asks only for growth by something up to the memory's
maximum, and to less than the host has refused to the same message.

Growth beyond `wasm_memory_limit`, but not beyond the maximum, ends the execution at once (`dfinity/ic`
`rs/embedders/src/wasmtime_embedder/system_api.rs`, `try_grow_wasm_memory`).
"""

from __future__ import annotations

from sandbox.codec.leb128 import encode_signed, encode_unsigned
from sandbox.limits import WASM32_MEMORY, WASM64_MEMORY, WASM_PAGE
from sandbox.wasm.control import Cell, load, store
from sandbox.wasm.facts import ModuleFacts
from sandbox.wasm.types import FuncType

_PAGES = b"\x20\0"  # local.get 0
# type, const -1, eq and extension to i64 of the pointer type
_SPELLING = {"i": (b"\x7f", b"\x41\x7f", b"\x46", b"\xad"), "l": (b"\x7e", b"\x42\x7f", b"\x51", b"")}


def growth_type(facts: ModuleFacts) -> FuncType:
    """Return the type of `memory.grow` and of its replacement."""
    return FuncType(facts.pointer, facts.pointer)


def most_pages(facts: ModuleFacts) -> int:
    """Return the number of pages that the module's memory can have."""
    assert facts.memory is not None
    most = (WASM64_MEMORY if facts.is64 else WASM32_MEMORY) // WASM_PAGE
    return most if facts.memory.maximum is None else min(most, facts.memory.maximum)


def growth_body(facts: ModuleFacts, memory: int) -> bytes:
    """Return the code of the appended function; `memory`: the index of the control memory."""
    word, minus_one, equal, wide = _SPELLING[facts.pointer]
    most = b"\x42" + encode_signed(most_pages(facts))
    wanted = b"\x20\x01"
    fail = b"\x04\x40" + minus_one + b"\x0f\x0b"  # if const -1 return end
    code = b"".join(
        (
            b"\x02\x01\x7e\x01" + word,  # locals 1: the pages wanted in all; 2: the answer
            _PAGES + wide + most + b"\x56",  # i64.gt_u
            _PAGES + wide + b"\x3f\0" + wide + b"\x7c\x22\x01" + most + b"\x56\x72" + fail,  # i64.add, tee, gt_u, or
            wanted + load(Cell.GROWABLE, memory) + b"\x56\x04\x40",
            store(Cell.EXCEEDED, memory, wanted) + b"\0\x0b",  # unreachable end
            _PAGES + wide + b"\x50\x04\x40\x3f\0\x0f\x0b",  # growing by nothing: the size
            wanted + load(Cell.REFUSED, memory) + b"\x5a" + fail,  # i64.ge_u
            _PAGES + b"\x40\0\x22\x02" + minus_one + equal,
            b"\x04\x40" + store(Cell.REFUSED, memory, wanted) + b"\x0b",
            b"\x20\x02\x0b",
        )
    )
    return encode_unsigned(len(code)) + code
