"""The events of a profile, injected into a rewritten module: which function runs, on which call path.

A memory of the profile's own holds the tree of call paths of one message, one node for each distinct path. A function
enters its node at its beginning (`$enter`), and its caller leaves it behind the call (`$leave`), so that `return`,
branches out of the body and calls through tables need nothing of their own. A tail call leaves the node of its caller
first: its callee takes the caller's place, as on the stack. At each event, what the counter of instructions lost since
the last event is added to the node that was left or interrupted. The host reads the tree after the message; a trap
leaves it complete, but for the last addition.

Imported functions are entered by a module of our own between the canister's module and those that implement them
(`shim`), so that calls of them through tables count too.

None of these instructions counts, and no local is added: results and counts of a message stay what they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sandbox.codec.leb128 import decode_unsigned, encode_signed, encode_unsigned
from sandbox.wasm.control import Cell, load
from sandbox.wasm.facts import ModuleFacts
from sandbox.wasm.reader import HEADER, Id
from sandbox.wasm.types import FuncType, Kind
from sandbox.wasm.writer import custom_section, extended, name, section, vector

PROFILING: Final = 2
"""Version of the injected code, part of the key of compiled code."""
PROFILE: Final = "profile"
"""Name of the memory."""
ENTER_TYPE: Final = FuncType("i", "")

# The memory: a header, the nodes, and a hash table of their addresses by (parent, function). What earlier messages left
# there is not cleared: an entry counts if its node is one of this message, and stands at this entry. An entry of 0 is
# free, since the header, which is at 0, stands at no entry but the first, which is never used.
CURRENT: Final = 0
"""The node that runs, 32 bits."""
FREE: Final = 4
"""The address behind the last node, 32 bits."""
FOLDED: Final = 8
"""The number of functions on the stack that have no node because the memory is full, 32 bits: the last node counts for
them."""
LAST: Final = 16
"""The counter of instructions at the last event, 64 bits."""
FIRST: Final = 32
"""The root, whose children are the functions that the host calls."""

NODE: Final = "<IIIxxxxqq"
"""Function, parent, entry of the table, instructions of its own, calls."""
NODE_SIZE: Final = 32
_FUNCTION, _PARENT, _ENTRY, _OWN, _CALLS = 0, 4, 8, 16, 24
MOST_NODES: Final = 1 << 20
_TABLE: Final = FIRST + MOST_NODES * NODE_SIZE
_ENTRY_BITS: Final = 21
PAGES: Final = (_TABLE + (4 << _ENTRY_BITS)) // 65536 + 1

_I32_ADD, _I32_MUL, _I32_AND, _I32_OR = b"\x6a", b"\x6c", b"\x71", b"\x72"
_I32_XOR, _I32_SHL, _I32_SHR_U = b"\x73", b"\x74", b"\x76"
_I32_EQ, _I32_NE, _I32_GE_U = b"\x46", b"\x47", b"\x4f"
_I64_ADD, _I64_SUB = b"\x7c", b"\x7d"
_IF, _BLOCK, _LOOP, _END, _RETURN = b"\x04\x40", b"\x02\x40", b"\x03\x40", b"\x0b", b"\x0f"
_CALLS_OPCODES: Final = (0x10, 0x11)  # call call_indirect
_TAIL_CALLS: Final = (0x12, 0x13)  # return_call return_call_indirect
_ZERO: Final = b"\x41\0"
_MIX: Final = 0x9E3779B1 - (1 << 32)
"""An odd number with bits all over (Knuth's multiplicative hashing), as signed."""


def _get(local: int) -> bytes:
    return b"\x20" + bytes([local])


def _set(local: int) -> bytes:
    return b"\x21" + bytes([local])


def _const(value: int) -> bytes:
    return b"\x41" + encode_signed(value)


def _branch(depth: int, conditional: bool = False) -> bytes:
    return (b"\x0d" if conditional else b"\x0c") + bytes([depth])


class Events:
    """The injected code for one module. `enter`, `leave`: indices of the appended functions."""

    def __init__(self, facts: ModuleFacts, enter: int, leave: int) -> None:
        self._functions = len(facts.functions)
        self._enter = b"\x10" + encode_unsigned(enter)
        self._leave = b"\x10" + encode_unsigned(leave)

    def instrumented(self, index: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the pieces of the body of function `index` with its events; the first piece are the locals, each
        other one is an instruction or the sandbox's own code, which calls appended functions alone."""
        rest = iter(pieces)
        yield next(rest)
        yield b"\x41" + encode_signed(index) + self._enter
        for piece in rest:
            opcode = piece[0] if piece else None
            if opcode in _TAIL_CALLS:
                yield self._leave
            yield piece
            if opcode in _CALLS_OPCODES and not (opcode == 0x10 and self._appended(piece)):
                yield self._leave

    def _appended(self, call: bytes) -> bool:
        return decode_unsigned(call, 1, len(call))[0] >= self._functions


class _Tree:
    """Code that reads and writes the profile's memory of index `profile` by an address on the stack."""

    def __init__(self, control: int, profile: int) -> None:
        self._left = load(Cell.LEFT, control)
        self._memory = encode_unsigned(profile)

    def load(self, offset: int, address: bytes = _ZERO) -> bytes:
        return address + b"\x28\x42" + self._memory + encode_unsigned(offset)

    def store(self, offset: int, value: bytes, address: bytes = _ZERO) -> bytes:
        return address + value + b"\x36\x42" + self._memory + encode_unsigned(offset)

    def load64(self, offset: int, address: bytes = _ZERO) -> bytes:
        return address + b"\x29\x43" + self._memory + encode_unsigned(offset)

    def store64(self, offset: int, value: bytes, address: bytes = _ZERO) -> bytes:
        return address + value + b"\x37\x43" + self._memory + encode_unsigned(offset)

    def changed(self, offset: int, by: int, address: bytes = _ZERO) -> bytes:
        return self.store(offset, self.load(offset, address) + b"\x41" + encode_signed(by) + _I32_ADD, address)

    def settle(self, current: int) -> bytes:
        """Set the local `current` to the node that runs, and add to it what was executed since the last event."""
        node = _get(current)
        executed = self.load64(LAST) + self._left + _I64_SUB
        own = self.store64(_OWN, self.load64(_OWN, node) + executed + _I64_ADD, node)
        return self.load(CURRENT) + _set(current) + own + self.store64(LAST, self._left)


def enter_body(control: int, profile: int) -> bytes:
    """Return the code of `$enter`, whose argument is the index of a function: go to its node below the present one,
    made if there is none; if the memory is full, stay there."""
    tree, function, current, found, entry = _Tree(control, profile), _get(0), 1, 2, 3
    node, at = _get(found), _get(entry)
    folded = tree.changed(FOLDED, 1) + _RETURN
    known = (tree.load(_FUNCTION, node) + function + _I32_EQ) + (tree.load(_PARENT, node) + _get(current) + _I32_EQ)
    foreign = (node + tree.load(FREE) + _I32_GE_U) + (tree.load(_ENTRY, node) + at + _I32_NE) + _I32_OR
    search = (
        _BLOCK  # found
        + (_BLOCK + _LOOP)  # absent
        + (tree.load(_TABLE, at) + _set(found))
        + (foreign + _branch(1, True))
        + (known + _I32_AND + _branch(2, True))
        + (at + _const(4) + _I32_ADD + _const((4 << _ENTRY_BITS) - 1) + _I32_AND + _set(entry) + _branch(0))
        + (_END + _END)
        + (tree.load(FREE) + _const(FIRST + MOST_NODES * NODE_SIZE) + _I32_GE_U + _IF + folded + _END)
        + (tree.load(FREE) + _set(found) + tree.changed(FREE, NODE_SIZE))
        + tree.store(_FUNCTION, function, node)
        + tree.store(_PARENT, _get(current), node)
        + tree.store(_ENTRY, at, node)
        + tree.store64(_OWN, b"\x42\0", node)
        + tree.store64(_CALLS, b"\x42\0", node)
        + tree.store(_TABLE, node, at)
        + _END
    )
    hashed = function + _const(_MIX) + _I32_MUL + _get(current) + _I32_XOR + _const(_MIX) + _I32_MUL
    code = (
        b"\x01\x03\x7f"  # three locals of i32
        + (tree.load(FOLDED) + _IF + folded + _END)
        + tree.settle(current)
        + (hashed + _const(32 - _ENTRY_BITS) + _I32_SHR_U + _const(2) + _I32_SHL + _set(entry))
        + search
        + tree.store64(_CALLS, tree.load64(_CALLS, node) + b"\x42\x01" + _I64_ADD, node)
        + tree.store(CURRENT, node)
        + _END
    )
    return encode_unsigned(len(code)) + code


def leave_body(control: int, profile: int) -> bytes:
    """Return the code of `$leave`: go to the parent of the present node."""
    tree, current = _Tree(control, profile), 0
    code = (
        b"\x01\x01\x7f"
        + (tree.load(FOLDED) + _IF + tree.changed(FOLDED, -1) + _RETURN + _END)
        + tree.settle(current)
        + tree.store(CURRENT, tree.load(_PARENT, _get(current)))
        + _END
    )
    return encode_unsigned(len(code)) + code


def shim(facts: ModuleFacts, own_module: str, import_module: str, control: str) -> bytes:
    """Return a module that exports each function that the module imports, enters its node, and calls it.

    It defines and exports the profile's memory, and imports the control memory `control` of `import_module`.
    `own_module`: its own name, for backtraces.
    """
    wasm, old = facts.wasm, {part.id: part for part in facts.sections}
    types = list(facts.types)
    added = [] if ENTER_TYPE in types else [b"\x60\x01\x7f\0"]
    types += [] if ENTER_TYPE in types else [ENTER_TYPE]
    imported = [entry for entry in facts.imports if entry.kind is Kind.FUNCTION]
    indices = [facts.functions[k] for k in range(len(imported))]
    imports = [
        name(entry.module) + name(entry.name) + b"\0" + encode_unsigned(index)
        for entry, index in zip(imported, indices, strict=True)
    ]
    imports.append(name(import_module) + name(control) + b"\x02\x01\x01\x01")
    count = len(imported)
    enter = 2 * count
    bodies = [_forward(k, len(facts.types[index].params), enter) for k, index in enumerate(indices)]
    exports = {entry.name: b"\0" + encode_unsigned(count + k) for k, entry in reversed([*enumerate(imported)])}
    exports[PROFILE] = b"\x02\x01"
    names = [encode_unsigned(count + k) + name(entry.name) for k, entry in enumerate(imported)]
    return b"".join(
        (
            HEADER,
            section(Id.TYPE, *extended(wasm, old.get(Id.TYPE), added)),
            section(Id.IMPORT, vector(imports)),
            section(Id.FUNCTION, vector([encode_unsigned(k) for k in [*indices, types.index(ENTER_TYPE)]])),
            section(Id.MEMORY, vector([b"\x01" + encode_unsigned(PAGES) * 2])),
            section(Id.EXPORT, vector([name(key) + value for key, value in exports.items()])),
            section(Id.CODE, vector([*bodies, enter_body(control=0, profile=1)])),
            custom_section("name", _named(0, name(own_module)) + _named(1, vector(names))),
        )
    )


def _forward(index: int, params: int, enter: int) -> bytes:
    arguments = b"".join(b"\x20" + encode_unsigned(k) for k in range(params))
    code = b"\0\x41" + encode_signed(index) + b"\x10" + encode_unsigned(enter) + arguments
    code += b"\x10" + encode_unsigned(index) + _END
    return encode_unsigned(len(code)) + code


def _named(part: int, content: bytes) -> bytes:
    return bytes([part]) + encode_unsigned(len(content)) + content
