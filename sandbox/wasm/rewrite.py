"""The rewrite of a module into a disposable view of a canister's state.

1. The memory becomes the import `sandbox.heap`, so that the heap outlives the instance.
2. The memory `sandbox.control` is imported behind it (`sandbox.wasm.control`).
3. Function bodies count what they execute (`sandbox.wasm.metering`).
4. Two appended functions copy all mutable globals to and from the control memory.
5. The start function becomes an export: it runs once per install or upgrade, never at instantiation.
6. Active data segments become empty passive ones: the same indices, and the same bytes for `memory.init` as an active
   segment has after instantiation (none). The caller writes their bytes at install.
7. Table 0 is exported, so that callbacks can be reached.

No import of a function is added and functions are appended at the end: function indices stay, and with them the name
section. The module must have been validated by the engine *as submitted*: the rewrite adds a memory and functions,
which invalid bodies could use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.codec.leb128 import encode_unsigned
from sandbox.wasm.compiling import beside_bodies
from sandbox.wasm.control import GLOBALS, SLOT
from sandbox.wasm.facts import ModuleFacts
from sandbox.wasm.growth import growth_body, growth_type
from sandbox.wasm.metering import Appended, Metering, pay_body
from sandbox.wasm.profiling import ENTER_TYPE, PAGES, PROFILE, Events, enter_body, leave_body
from sandbox.wasm.reader import HEADER, RANK, Id
from sandbox.wasm.types import NULLARY, NUMERIC, DataSegment, FuncType, Kind, Memory
from sandbox.wasm.writer import Piece, extended, framed, name, vector

REWRITE = 3
"""Version of the rewrite, part of the key of compiled code; increment it when the same module gets other bytes."""

IMPORT_MODULE = "sandbox"
HEAP = "heap"
CONTROL = "control"
RESERVED_PREFIX = "canister_sandbox "
SAVE_GLOBALS = RESERVED_PREFIX + "save_globals"
LOAD_GLOBALS = RESERVED_PREFIX + "load_globals"
START = RESERVED_PREFIX + "start"
TABLE = RESERVED_PREFIX + "table"

SIZES = {"i": 4, "l": 8, "f": 4, "d": 8, "v": 16}
"""Bytes of a value of each type."""


@dataclass(frozen=True, slots=True)
class GlobalSlot:
    """A mutable global and the offset to which `save_globals` writes it; `export`: one of its export names or None."""

    index: int
    type: str
    offset: int
    export: str | None


@dataclass(frozen=True, slots=True)
class SnapshotGlobal:
    """One global of a snapshot. `offset`: its slot if mutable. Immutable ones are exported: read them by that name."""

    index: int
    type: str
    mutable: bool
    offset: int | None
    export: str | None
    value: int | None
    """The value of an immutable global as unsigned bits, where the module states it as a constant."""


@dataclass(frozen=True, slots=True)
class ActiveData:
    """Bytes `start:end` of the submitted (decoded) module that belong at `offset` of the heap, in order."""

    offset: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The imports, globals and exports of a rewritten module."""

    heap: Memory | None
    """The type of the import `sandbox.heap`; None: the module has no memory and does not import one."""
    globals: tuple[GlobalSlot, ...]
    """All mutable globals in index order."""
    snapshot_globals: tuple[SnapshotGlobal, ...]
    """Mutable or exported globals: exports in export order, then unexported mutable ones by index (SPECIFICATION
    6.2)."""
    data: tuple[ActiveData, ...]
    start: str | None
    """The export that holds the start function, or None."""
    table: str | None
    """An export that holds table 0, or None where the module has no table."""


def rewrite(facts: ModuleFacts) -> Rewritten:
    """Describe the rewrite of a module that `validate` and the engine accepted."""
    slots = _slots(facts)
    table = _table_export(facts)
    return Rewritten(
        heap=facts.memory,
        globals=slots,
        snapshot_globals=tuple(_snapshot_globals(facts, slots)),
        data=tuple(_active(facts)),
        start=None if facts.start is None else START,
        table=table if table is not None else TABLE if facts.tables else None,
    )


def rewritten_code(facts: ModuleFacts, profiled: bool = False) -> tuple[bytes, int]:
    """Return the rewritten module, and the number of instructions that measures what it costs to compile.

    `profiled`: with the events of a profile (`sandbox.wasm.profiling`), and the import `sandbox.profile` for them.
    """
    replaced, size = _replacements(facts, _slots(facts), profiled)
    return _assemble(facts, replaced), size + beside_bodies(facts)


def _slots(facts: ModuleFacts) -> tuple[GlobalSlot, ...]:
    exported = {e.index: e.name for e in reversed(facts.exports) if e.kind is Kind.GLOBAL}
    mutable = [(index, g.type) for index, g in enumerate(facts.globals) if g.mutable and g.type in NUMERIC]
    return tuple(
        GlobalSlot(index, type_, place * SLOT, exported.get(index)) for place, (index, type_) in enumerate(mutable)
    )


def _snapshot_globals(facts: ModuleFacts, slots: tuple[GlobalSlot, ...]) -> Iterator[SnapshotGlobal]:
    offsets = {slot.index: slot.offset for slot in slots}
    exported = set()
    for export in facts.exports:
        if export.kind is Kind.GLOBAL:
            exported.add(export.index)
            entry = facts.globals[export.index]
            value = None if entry.mutable else entry.value
            yield SnapshotGlobal(export.index, entry.type, entry.mutable, offsets.get(export.index), export.name, value)
    for slot in slots:
        if slot.index not in exported:
            yield SnapshotGlobal(slot.index, slot.type, True, slot.offset, None, None)


def _active(facts: ModuleFacts) -> Iterator[ActiveData]:
    for segment in facts.data:
        if segment.offset is not None:
            yield ActiveData(segment.offset.bits or 0, segment.start, segment.end)


def _table_export(facts: ModuleFacts) -> str | None:
    names = (e.name for e in facts.exports if e.kind is Kind.TABLE and e.index == 0)
    return next(names, None)


def _replacements(
    facts: ModuleFacts, slots: tuple[GlobalSlot, ...], profiled: bool
) -> tuple[dict[Id, tuple[Piece, ...] | None], int]:
    """Return new contents by section id, and the size of the code. None removes a section, every other one stays."""
    wasm, old = facts.wasm, {s.id: s for s in facts.sections}
    types, first = _Types(facts), len(facts.functions)
    control = 0 if facts.memory is None else 1
    functions = [types.index(kind) for kind in (NULLARY, NULLARY, FuncType("i", "i"), FuncType("l", "l"))]
    code = [_save(slots, control), _load(slots, control), pay_body(control, 32), pay_body(control, 64)]
    if facts.memory is not None:
        functions.append(types.index(growth_type(facts)))
        code.append(growth_body(facts, control))
    events: Events | None = None
    if profiled:
        enter = first + len(code)
        functions += [types.index(ENTER_TYPE), types.index(NULLARY)]
        code += [enter_body(control, control + 1), leave_body(control, control + 1)]
        events = Events(facts, enter=enter, leave=enter + 1)
    metering = Metering(facts, control, Appended(pay_32=first + 2, pay_64=first + 3, grow=first + 4), events)
    bodies = list(metering.bodies())
    new: dict[Id, tuple[Piece, ...] | None] = {
        Id.IMPORT: extended(wasm, old.get(Id.IMPORT), _memory_imports(facts, profiled)),
        Id.FUNCTION: extended(wasm, old.get(Id.FUNCTION), [encode_unsigned(index) for index in functions]),
        Id.MEMORY: None,
        Id.EXPORT: extended(wasm, old.get(Id.EXPORT), _exports(facts)),
        Id.START: None,
        Id.CODE: (encode_unsigned(len(facts.bodies) + len(code)), *bodies, *code),
    }
    if types.new:
        new[Id.TYPE] = extended(wasm, old.get(Id.TYPE), types.new)
    if any(segment.offset is not None for segment in facts.data):
        new[Id.DATA] = (vector([_passive(wasm, segment) for segment in facts.data]),)
    return new, metering.size


class _Types:
    """Indices of function types; those that the module lacks are appended to its own."""

    def __init__(self, facts: ModuleFacts) -> None:
        self._known = list(facts.types)
        self.new: list[bytes] = []

    def index(self, kind: FuncType) -> int:
        if kind not in self._known:
            self._known.append(kind)
            parts = (
                bytes([len(letters), *(_VALUE_TYPES[letter] for letter in letters)])
                for letters in (kind.params, kind.results)
            )
            self.new.append(b"\x60" + b"".join(parts))
        return self._known.index(kind)


def _memory_imports(facts: ModuleFacts, profiled: bool) -> list[bytes]:
    memories = {} if facts.memory is None else {HEAP: facts.memory}
    memories[CONTROL] = Memory(1, 1, False)
    if profiled:
        memories[PROFILE] = Memory(PAGES, PAGES, False)
    return [_import(*memory) for memory in memories.items()]


def _import(import_name: str, memory: Memory) -> bytes:
    flags = (memory.maximum is not None) | memory.is64 << 2
    maximum = b"" if memory.maximum is None else encode_unsigned(memory.maximum)
    limits = bytes([flags]) + encode_unsigned(memory.minimum) + maximum
    return name(IMPORT_MODULE) + name(import_name) + b"\x02" + limits


def _exports(facts: ModuleFacts) -> list[bytes]:
    functions = len(facts.functions)
    added = [
        name(SAVE_GLOBALS) + b"\0" + encode_unsigned(functions),
        name(LOAD_GLOBALS) + b"\0" + encode_unsigned(functions + 1),
    ]
    if facts.start is not None:
        added.append(name(START) + b"\0" + encode_unsigned(facts.start))
    if facts.tables and _table_export(facts) is None:
        added.append(name(TABLE) + b"\1\0")
    return added


def _passive(wasm: bytes, segment: DataSegment) -> bytes:
    if segment.offset is not None:
        return b"\1\0"
    return b"\1" + encode_unsigned(segment.end - segment.start) + wasm[segment.start : segment.end]


_LOADS = {"i": b"\x28", "l": b"\x29", "f": b"\x2a", "d": b"\x2b", "v": b"\xfd\x00"}
_STORES = {"i": b"\x36", "l": b"\x37", "f": b"\x38", "d": b"\x39", "v": b"\xfd\x0b"}
_ALIGNED = {"i": 2, "l": 3, "f": 2, "d": 3, "v": 4}
_VALUE_TYPES = {"i": 0x7F, "l": 0x7E}
_ZERO = b"\x41\0"  # i32.const 0


def _memory_argument(slot: GlobalSlot, memory: int) -> bytes:
    return bytes([_ALIGNED[slot.type] | 0x40]) + encode_unsigned(memory) + encode_unsigned(GLOBALS + slot.offset)


def _save(slots: tuple[GlobalSlot, ...], memory: int) -> bytes:
    return _body(
        _ZERO + b"\x23" + encode_unsigned(slot.index) + _STORES[slot.type] + _memory_argument(slot, memory)
        for slot in slots
    )


def _load(slots: tuple[GlobalSlot, ...], memory: int) -> bytes:
    return _body(
        _ZERO + _LOADS[slot.type] + _memory_argument(slot, memory) + b"\x24" + encode_unsigned(slot.index)
        for slot in slots
    )


def _body(instructions: Iterator[bytes]) -> bytes:
    code = b"\0" + b"".join(instructions) + b"\x0b"
    return encode_unsigned(len(code)) + code


def _assemble(facts: ModuleFacts, new: dict[Id, tuple[Piece, ...] | None]) -> bytes:
    """Return the sections of the module with those of `new` in place of the old ones, or where the order puts them."""
    have = {s.id for s in facts.sections}
    missing = sorted((i for i, content in new.items() if content is not None and i not in have), key=RANK.__getitem__)
    last = max((place for place, s in enumerate(facts.sections) if s.id is not Id.CUSTOM), default=-1)
    parts: list[Piece] = [HEADER]
    wasm = memoryview(facts.wasm)

    def insert(before: int) -> None:
        while missing and RANK[missing[0]] < before:
            id_ = missing.pop(0)
            parts.extend(framed(id_, *(new[id_] or ())))

    for place, old in enumerate(facts.sections):
        if old.id is not Id.CUSTOM:
            insert(RANK[old.id])
        elif place > last:
            insert(len(RANK))
        if old.id not in new:
            parts.append(wasm[old.at : old.end])
        elif (content := new[old.id]) is not None:
            parts.extend(framed(old.id, *content))
    insert(len(RANK))
    return b"".join(parts)
