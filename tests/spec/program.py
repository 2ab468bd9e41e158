"""Programs of the universal guest (`fixtures/src/universal`) as expressions.

A program is a `Do`; `Do + Do` is one after the other. What it computes with are numbers of 64 bits (`Number`, or int)
and blobs (`Blob`, or bytes, text, principals, canisters; a `Do` as a blob is its program). `ic0(name, ...)` and
`do(name, ...)` reach every function of the system interface with any arguments; the rest is shorthand.
`tests.spec.guest` has more of it, and the canisters that run programs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox import Canister, Principal
from sandbox.codec.leb128 import encode_unsigned as leb

SOURCE = Path(__file__).resolve().parents[2] / "fixtures" / "src" / "universal"
_FUNCTION = re.compile(r"^(NARROW\()?[FV]\((\w+),(?: (\w),)? \(([\w, ]+)\)", re.MULTILINE)


@dataclass(frozen=True)
class Function:
    """One import of the guest, as `functions.h` has it."""

    place: int
    params: str
    """Letters: `I` pointer-sized, `i` 32 bits, `l` 64 bits."""
    result: str
    narrow: bool
    """Only there with a 32-bit memory."""


def _functions() -> dict[str, Function]:
    found = _FUNCTION.findall((SOURCE / "functions.h").read_text())
    return {
        name: Function(place, "" if params == "void" else params.replace(", ", ""), result, bool(narrow))
        for place, (narrow, name, result, params) in enumerate(found)
    }


FUNCTIONS: Final = _functions()
OPERATIONS: Final = {
    name: bytes([place])
    for place, name in enumerate(re.findall(r"^OP\((\w+)\)", (SOURCE / "operations.h").read_text(), re.MULTILINE))
}


# --- programs


@dataclass(frozen=True)
class Do:
    """Something done: leaves nothing on the stack."""

    code: bytes = b""

    def __add__(self, other: Do) -> Do:
        return Do(self.code + other.code)


@dataclass(frozen=True)
class Number:
    """An expression that leaves a number of 64 bits; arithmetic wraps."""

    code: bytes

    def __add__(self, other: N) -> Number:
        return _number("add", self, other)

    def __sub__(self, other: N) -> Number:
        return _number("sub", self, other)

    def __mul__(self, other: N) -> Number:
        return _number("mul", self, other)

    def __floordiv__(self, other: N) -> Number:
        return _number("div", self, other)

    def equals(self, other: N) -> Number:
        return _number("eq", self, other)

    def less(self, other: N) -> Number:
        return _number("less", self, other)


@dataclass(frozen=True)
class Blob:
    """An expression that leaves an address and a size."""

    code: bytes

    def __add__(self, other: B) -> Blob:
        return Blob(self.code + blob(other).code + OPERATIONS["concat"])

    def equals(self, other: B) -> Number:
        return Number(self.code + blob(other).code + OPERATIONS["equal"])


N = Number | int
B = Blob | Do | bytes | str | Principal | Canister


def _number(operation: str, *operands: N) -> Number:
    return Number(b"".join(number(operand).code for operand in operands) + OPERATIONS[operation])


def _do(operation: str, *operands: N) -> Do:
    return Do(_number(operation, *operands).code)


def number(value: N) -> Number:
    return value if isinstance(value, Number) else Number(OPERATIONS["number"] + leb(value))


def blob(value: B) -> Blob:
    """A blob; literals stand in the program itself."""
    if isinstance(value, Blob):
        return value
    if isinstance(value, Do):
        data = value.code
    elif isinstance(value, Canister):
        data = bytes(value.id)
    else:
        data = value.encode() if isinstance(value, str) else bytes(value)
    return Blob(OPERATIONS["blob"] + leb(len(data)) + data)


def _push(value: N | B) -> bytes:
    return number(value).code if isinstance(value, Number | int) else blob(value).code


def ic0(name: str, *arguments: N | B) -> Number:
    """A call of the system interface; a blob stands for two arguments, address and size. For functions without result
    use `do`."""
    assert FUNCTIONS[name].result, f"{name} has no result"
    return Number(_called(name, arguments))


def do(name: str, *arguments: N | B) -> Do:
    """The same for a function whose result is none or does not matter."""
    return Do(_called(name, arguments) + (OPERATIONS["drop"] if FUNCTIONS[name].result else b""))


def _called(name: str, arguments: Iterable[N | B]) -> bytes:
    function, given = FUNCTIONS[name], list(arguments)
    count = sum(1 if isinstance(a, Number | int) else 2 for a in given)
    assert count == len(function.params), f"{name} takes {len(function.params)} arguments, not {count}"
    return b"".join(map(_push, given)) + OPERATIONS["call"] + leb(function.place)


def copied(name: str, *arguments: N | B) -> Blob:
    """What `name`_size and `name`_copy tell, for example of `msg_caller`."""
    size = ic0(f"{name}_size", *arguments)
    get = do(f"{name}_copy", *arguments, _number("alloc", size), 0, LAST_SIZE)
    return Blob(get.code + LAST.code + LAST_SIZE.code)


LAST, LAST_SIZE = Number(OPERATIONS["last"]), Number(OPERATIONS["last_size"])


def wide(name: str, *arguments: N | B) -> Blob:
    """The 16 bytes that a function with a 128-bit answer writes to the address that is its last argument."""
    return Blob(do(name, *arguments, _number("alloc", 16)).code + LAST.code + number(16).code)


def halves(amount: int) -> tuple[int, int]:
    """A 128-bit amount as the two arguments, high and low."""
    return amount >> 64, amount & (1 << 64) - 1


# --- control


def when(condition: N, then: Do, otherwise: Do = Do()) -> Do:
    """One or the other."""
    onward = OPERATIONS["skip"] + leb(len(otherwise.code)) if otherwise.code else b""
    body = then.code + onward
    return Do(number(condition).code + OPERATIONS["skip_if_zero"] + leb(len(body)) + body + otherwise.code)


def repeat(times: N, body: Do) -> Do:
    return Do(number(times).code + OPERATIONS["repeat"] + leb(len(body.code)) + body.code)


def run(program: B) -> Do:
    """Runs a blob."""
    return Do(blob(program).code + OPERATIONS["run"])


def finished() -> Do:
    """Ends the program here."""
    return Do(OPERATIONS["end"])


def evaluate(value: N | B) -> Do:
    """Computes and forgets."""
    count = 1 if isinstance(value, Number | int) else 2
    return Do(_push(value) + OPERATIONS["drop"] * count)


# --- memory and globals


def pack(value: N) -> Blob:
    """8 bytes, little-endian."""
    return Blob(number(value).code + OPERATIONS["pack"])


def unpack(value: B) -> Number:
    """A number of at most 8 bytes."""
    return Number(blob(value).code + OPERATIONS["unpack"])


def at(address: N, size: N) -> Blob:
    """A blob anywhere, to try addresses."""
    return Blob(number(address).code + number(size).code)


def slot(place: int) -> Blob:
    """What the heap keeps at a place; 0 to 5 are the programs of hooks, 6 to 15 are free."""
    return Blob(number(place).code + OPERATIONS["slot"])


def set_slot(place: int, value: B) -> Do:
    return Do(blob(value).code + number(place).code + OPERATIONS["slot_set"])


def on_heartbeat(program: Do) -> Do:
    return set_slot(0, program)


def on_timer(program: Do) -> Do:
    return set_slot(1, program)


def on_inspect(program: Do) -> Do:
    return set_slot(2, program)


def on_pre_upgrade(program: Do) -> Do:
    return set_slot(3, program)


def on_low_memory(program: Do) -> Do:
    return set_slot(4, program)


def on_transform(program: Do) -> Do:
    return set_slot(5, program)


def get_global() -> Number:
    """A global of WebAssembly."""
    return _number("global")


def set_global(value: N) -> Do:
    return _do("global_set", value)


def load(address: N) -> Number:
    return _number("load", address)


def store(address: N, byte: N) -> Do:
    return _do("store", address, byte)


def memory_size() -> Number:
    return _number("memory_size")


def memory_grow(pages: N) -> Number:
    return _number("memory_grow", pages)


def stable_grow(pages: N) -> Number:
    return ic0("stable64_grow", pages)


def stable_write(offset: N, value: B) -> Do:
    """Writes to stable memory, whose function wants offset, source and size."""
    return do("stable64_write", offset, blob(value))


def stable_read(offset: N, size: N) -> Blob:
    get = do("stable64_read", _number("alloc", size), offset, LAST_SIZE)
    return Blob(get.code + LAST.code + LAST_SIZE.code)


# --- traps


def trap(text: B) -> Do:
    return do("trap", text)


def unreachable() -> Do:
    return _do("unreachable")


def spin(times: N = (1 << 63)) -> Do:
    """Instructions, several for each time."""
    return _do("spin", times)


def recurse() -> Do:
    return _do("recurse")


def jump(index: N) -> Do:
    """Calls the function at a place of the table."""
    return _do("jump", index)
