"""A rewritten module is valid and behaves as the submitted one, with its state outside."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import limits
from sandbox.codec.leb128 import decode_unsigned, encode_unsigned
from sandbox.wasm import (
    GLOBALS,
    LOAD_GLOBALS,
    SAVE_GLOBALS,
    SIZES,
    SLOT,
    START,
    TABLE,
    Cell,
    GlobalSlot,
    ModuleFacts,
    Rewritten,
    SnapshotGlobal,
    read_facts,
    rewrite,
    rewritten_code,
)
from sandbox.wasm.reader import HEADER, RANK, Id, sections
from sandbox.wasm.types import Memory
from sandbox.wasm.writer import custom_section, section

REAL = sorted((Path(__file__).parents[2] / "fixtures" / "wasm").glob("*.wasm"))
SMALLEST = [p for p in REAL if p.name.startswith(("counter", "people_heap_rs_v1"))]


def new_engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.wasm_memory64 = True
    config.wasm_multi_memory = True
    return wasmtime.Engine(config)


ENGINE = new_engine()


def compiled(wat: str) -> bytes:
    return bytes(wasmtime.wat2wasm(wat))


class View:
    """An instance of a rewritten module over memories of its own, as the engine floor makes one."""

    def __init__(self, wasm: bytes) -> None:
        facts = read_facts(wasm)
        self.rewritten = rewrite(facts)
        self.module = wasmtime.Module(ENGINE, rewritten_code(facts)[0])
        self.store = wasmtime.Store(ENGINE)
        self.heap = self._heap(self.rewritten.heap) if self.rewritten.heap else None
        self.control = wasmtime.Memory(self.store, wasmtime.MemoryType(wasmtime.Limits(1, 1)))
        self.control.write(self.store, struct.pack("<q", 1 << 60), Cell.LEFT)
        self.control.write(self.store, b"\xff" * 16, Cell.REFUSED)  # and GROWABLE
        self.reinstantiate()
        for data in self.rewritten.data:
            assert self.heap is not None
            self.heap.write(self.store, wasm[data.start : data.end], data.offset)

    def _heap(self, memory: Memory) -> wasmtime.Memory:
        limits = wasmtime.Limits(memory.minimum, memory.maximum)
        return wasmtime.Memory(self.store, wasmtime.MemoryType(limits, is_64=memory.is64))

    def reinstantiate(self) -> None:
        self.exports = wasmtime.Instance(self.store, self.module, [self._link(i) for i in self.module.imports]).exports(
            self.store
        )

    def _link(self, entry: Any) -> Any:
        if entry.module == "sandbox":
            return {"heap": self.heap, "control": self.control}[entry.name]
        return stub(self.store, entry.type)

    def call(self, name: str, *args: Any) -> Any:
        function = self.exports[name]
        assert isinstance(function, wasmtime.Func)
        return function(self.store, *args)

    def saved(self) -> list[bytes]:
        """The value of every mutable global, through the control memory."""
        self.call(SAVE_GLOBALS)
        return [
            bytes(self.control.read(self.store, GLOBALS + slot.offset, GLOBALS + slot.offset + SIZES[slot.type]))
            for slot in self.rewritten.globals
        ]


def stub(store: wasmtime.Store, type_: Any) -> wasmtime.Func:
    return wasmtime.Func(store, type_, (lambda *_: 0) if type_.results else (lambda *_: None))


MIXED = """(module
    (memory (export "memory") 2 10)
    (global $a (mut i32) (i32.const -1))
    (global $b (export "b") (mut i64) (i64.const 5))
    (global $k (export "k") f32 (f32.const 1.5))
    (global $c (mut f64) (f64.const 2.5))
    (global $v (mut v128) (v128.const i64x2 1 2))
    (global $f (mut f32) (f32.const nan:0x200001))
    (table 4 funcref) (elem (i32.const 1) func $start)
    (func $start (global.set $a (i32.add (global.get $a) (i32.const 8))) (i32.store8 (i32.const 100) (i32.const 33)))
    (func (export "canister_update bump")
        (global.set $a (i32.add (global.get $a) (i32.const 1)))
        (global.set $b (i64.mul (global.get $b) (i64.const -3)))
        (global.set $c (f64.mul (global.get $c) (f64.const 2)))
        (global.set $v (i64x2.add (global.get $v) (global.get $v))))
    (func (export "canister_update init_from_active") (memory.init $d (i32.const 0) (i32.const 0) (i32.const 1)))
    (func (export "canister_update init_from_passive") (memory.init $p (i32.const 8) (i32.const 0) (i32.const 7)))
    (start $start)
    (data $d (i32.const 16) "hello")
    (data $p "passive")
    (data (i32.const 18) "y!"))"""


def test_the_record_of_a_rewrite() -> None:
    wasm = compiled(MIXED)
    result = rewrite(read_facts(wasm))
    assert result.heap == Memory(2, 10, False)
    assert result.globals == (
        GlobalSlot(0, "i", 0, None),
        GlobalSlot(1, "l", SLOT, "b"),
        GlobalSlot(3, "d", 2 * SLOT, None),
        GlobalSlot(4, "v", 3 * SLOT, None),
        GlobalSlot(5, "f", 4 * SLOT, None),
    )
    assert result.snapshot_globals == (
        SnapshotGlobal(1, "l", True, SLOT, "b", None),
        SnapshotGlobal(2, "f", False, None, "k", 0x3FC00000),
        SnapshotGlobal(0, "i", True, 0, None, None),
        SnapshotGlobal(3, "d", True, 2 * SLOT, None, None),
        SnapshotGlobal(4, "v", True, 3 * SLOT, None, None),
        SnapshotGlobal(5, "f", True, 4 * SLOT, None, None),
    )
    assert [(d.offset, wasm[d.start : d.end]) for d in result.data] == [(16, b"hello"), (18, b"y!")]
    assert (result.start, result.table) == (START, TABLE)


def test_data_offsets_are_unsigned() -> None:
    (narrow,) = rewrite(read_facts(compiled('(module (memory 1) (data (i32.const -65536) "x"))'))).data
    (wide,) = rewrite(read_facts(compiled('(module (memory i64 1) (data (i64.const -1) "x"))'))).data
    assert (narrow.offset, wide.offset) == (0xFFFF0000, 2**64 - 1)


def test_snapshot_globals_stand_in_export_order() -> None:
    wat = """(module (global $x (mut i32) (i32.const 0)) (global $y (mut i32) (i32.const 0)) (global i32 (i32.const 9))
        (global $z i64 (i64.const 7)) (export "z" (global $z)) (export "y" (global $y)) (export "y2" (global $y)))"""
    result = rewrite(read_facts(compiled(wat)))
    assert [(g.index, g.export) for g in result.snapshot_globals] == [(3, "z"), (1, "y"), (1, "y2"), (0, None)]
    assert [(g.index, g.export) for g in result.globals] == [(0, None), (1, "y")]


def test_start_runs_only_when_called_and_data_is_ours_to_apply() -> None:
    view = View(compiled(MIXED))
    assert view.heap is not None
    assert bytes(view.heap.read(view.store, 16, 21)) == b"hey!o"
    assert view.heap.read(view.store, 100, 101) == b"\0"
    view.call(START)
    assert view.heap.read(view.store, 100, 101) == b"!"
    assert view.saved()[0] == struct.pack("<i", 7)


def test_globals_are_saved_and_loaded_as_raw_bits() -> None:
    view = View(compiled(MIXED))
    before = view.saved()
    assert before == [
        struct.pack("<i", -1),
        struct.pack("<q", 5),
        struct.pack("<d", 2.5),
        struct.pack("<qq", 1, 2),
        bytes.fromhex("0100a07f"),
    ]
    view.call("canister_update bump")
    bumped = view.saved()
    assert bumped[:4] == [
        struct.pack("<i", 0),
        struct.pack("<q", -15),
        struct.pack("<d", 5.0),
        struct.pack("<qq", 2, 4),
    ]
    view.reinstantiate()
    view.call(LOAD_GLOBALS)
    assert view.saved() == bumped
    for slot, raw in zip(view.rewritten.globals, before, strict=True):
        view.control.write(view.store, raw, GLOBALS + slot.offset)
    view.call(LOAD_GLOBALS)
    assert view.saved() == before


def test_segments_keep_their_indices_and_active_ones_count_as_dropped() -> None:
    view = View(compiled(MIXED))
    assert view.heap is not None
    view.call("canister_update init_from_passive")
    assert bytes(view.heap.read(view.store, 8, 15)) == b"passive"
    with pytest.raises(wasmtime.Trap, match="out of bounds memory access"):
        view.call("canister_update init_from_active")


def test_the_heap_outlives_the_instance() -> None:
    wat = """(module (memory 1) (func (export "canister_update go")
        (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))))"""
    view = View(compiled(wat))
    for _ in range(3):
        view.call("canister_update go")
        view.reinstantiate()
    assert view.heap is not None
    assert view.heap.read(view.store, 0, 4) == b"\3\0\0\0"


@pytest.mark.parametrize(
    "wat",
    [
        "(module)",
        '(module (import "ic0" "time" (func (result i64))))',
        '(module (import "ic0" "a" (func)) (func (export "x") (call 0)) (table (export "t") 1 funcref))',
        "(module (memory 1))",
        '(module (memory i64 1 5) (global (mut i64) (i64.const 1)) (data (i64.const 3) "abc"))',
        "(module (global (mut v128) (v128.const i64x2 1 2)))",
        '(module (table i64 1 funcref) (func $f (param i64)) (elem (i64.const 0) func $f) (data "p"))',
        "(module (type (func (param i32))) (func $s) (start $s))",
        '(module (memory 1) (data "a") (data "b") (func (data.drop 1)))',
    ],
)
def test_any_shape_of_module_stays_valid(wat: str) -> None:
    wasm = compiled(wat)
    view = View(wasm)
    values = view.saved()
    view.call(LOAD_GLOBALS)
    assert view.saved() == values
    exports = [e.name for e in view.module.exports]
    assert exports[: len(read_facts(wasm).exports)] == [e.name for e in read_facts(wasm).exports]


def test_exports_of_memory_and_table_stay() -> None:
    wat = '(module (memory (export "m") 1) (table (export "t") 1 funcref) (table (export "u") 1 funcref))'
    view = View(compiled(wat))
    assert view.rewritten.table == "t"
    assert [e.name for e in view.module.exports] == ["m", "t", "u", SAVE_GLOBALS, LOAD_GLOBALS]


def test_as_many_globals_as_a_module_may_have() -> None:
    count = limits.GLOBALS
    wat = "(module " + "".join(f"(global (mut i32) (i32.const {n}))" for n in range(count)) + ")"
    view = View(compiled(wat))
    assert view.saved() == [struct.pack("<I", n) for n in range(count)]
    assert view.rewritten.globals[-1].offset == (count - 1) * SLOT


def test_custom_sections_keep_their_places() -> None:
    wasm = (
        HEADER
        + custom_section("first", b"1")
        + section(Id.TYPE, b"\1\x60\1\x7f\0")
        + custom_section("second", b"2")
        + section(Id.MEMORY, b"\1\0\1")
        + custom_section("name", b"\0\2\1x")
    )
    result, _ = rewritten_code(read_facts(wasm))
    wasmtime.Module.validate(ENGINE, result)
    ids = [s.id for s in sections(result)]
    assert ids == [Id.CUSTOM, Id.TYPE, Id.CUSTOM, Id.IMPORT, Id.FUNCTION, Id.EXPORT, Id.CODE, Id.CUSTOM]


@st.composite
def modules(draw: st.DrawFn) -> str:
    """Modules with any combination of the sections that the rewrite touches."""
    parts = draw(
        st.lists(
            st.sampled_from(
                [
                    "(global (mut i32) (i32.const 7))",
                    "(global i64 (i64.const 7))",
                    "(global (mut f64) (f64.const 7))",
                    "(func (param i32))",
                    "(func)",
                    "(type (func (result i32)))",
                    '(data "p")',
                    "(elem func)",
                ]
            ),
            max_size=8,
        )
    )
    if draw(st.booleans()):
        parts.insert(0, '(import "ic0" "time" (func (result i64)))')
    if draw(st.booleans()):
        parts.append('(memory 1) (data (i32.const 1) "a") (data (i32.const 2) "b")')
    if draw(st.booleans()):
        parts.append("(func $start) (start $start)")
    if draw(st.booleans()):
        parts.append("(table 1 funcref)")
    return "(module " + " ".join(parts) + ")"


@given(modules())
@settings(max_examples=60, deadline=None)
def test_rewriting_keeps_what_it_does_not_mean_to_change(wat: str) -> None:
    wasm = compiled(wat)
    facts = read_facts(wasm)
    result, _ = rewritten_code(facts)
    wasmtime.Module.validate(ENGINE, result)
    after = read_facts(result)
    assert [RANK[s.id] for s in after.sections if s.id is not Id.CUSTOM] == sorted(
        RANK[s.id] for s in after.sections if s.id is not Id.CUSTOM
    )
    assert after.types[: len(facts.types)] == facts.types
    assert after.functions[: len(facts.functions)] == facts.functions
    assert uncounted(after)[: len(facts.bodies)] == bodies(facts)
    assert after.globals == facts.globals
    assert after.exports[: len(facts.exports)] == facts.exports
    assert (after.start, after.data_count, len(after.data)) == (None, facts.data_count, len(facts.data))
    assert after.custom_sections == facts.custom_sections
    assert [replace(m, imported=False) for m in after.memories[:-1]] == list(facts.memories)
    assert all(segment.offset is None for segment in after.data)


def bodies(facts: ModuleFacts) -> list[bytes]:
    return [facts.wasm[start:end] for start, end in facts.bodies]


_CHARGE = rb"\x41\x00\x41\x00\x29\x43[\x00\x01]\x00\x42[\x80-\xff]*[\x00-\x7f]\x7d\x37\x43[\x00\x01]\x00"
_CHECK = rb"\x41\x00\x29\x43[\x00\x01]\x00\x42\x00\x53\x04\x40\x41\x00\x42\x01\x37\x43[\x00\x01]\x08\x00\x0b"


def uncounted(facts: ModuleFacts) -> list[bytes]:
    """The bodies of a rewritten module without what counts their blocks."""
    return [re.sub(b"%s(?:%s)?" % (_CHARGE, _CHECK), b"", body, flags=re.DOTALL) for body in bodies(facts)]


@pytest.mark.parametrize("path", REAL, ids=lambda p: p.name)
def test_rewritten_real_modules_are_valid_and_differ_by_the_counter_alone(path: Path) -> None:
    wasm = path.read_bytes()
    facts = read_facts(wasm)
    result = rewrite(facts)
    code, size = rewritten_code(facts)
    wasmtime.Module.validate(ENGINE, code)
    assert read_facts(code).function_names == facts.function_names
    after, before = uncounted(read_facts(code)), bodies(facts)
    assert len(after) == len(before) + 5
    special = re.compile(rb"\x40\0|\xfc[\x08-\x0b]")  # memory.grow is called, bulk instructions pay by a call
    same = [new == old for new, old in zip(after, before, strict=False) if not special.search(old)]
    assert all(same)
    assert len(same) > len(before) // 2
    assert len(code) / 8 < size < len(code)
    assert sum(d.end - d.start for d in result.data) + sum(
        s.end - s.start for s in facts.data if s.offset is None
    ) == sum(s.end - s.start for s in facts.data)


@pytest.mark.parametrize("path", SMALLEST, ids=lambda p: p.name)
def test_real_modules_behave_as_submitted(path: Path) -> None:
    """Start and `canister_init` with imports that do nothing: both forms end the same way, with the same heap."""
    wasm = path.read_bytes()
    view = View(wasm)
    exported = with_exported_memory(wasm)
    module, store = wasmtime.Module(ENGINE, exported), wasmtime.Store(ENGINE)
    view_end = outcome(lambda: [view.call(name) for name in (START, "canister_init") if name in view.exports])
    memories: list[Any] = []

    def submitted() -> None:
        instance = wasmtime.Instance(store, module, [stub(store, i.type) for i in module.imports])
        exports = instance.exports(store)
        memories.append(exports["canister_test memory"])
        if "canister_init" in exports:
            exports["canister_init"](store)  # type: ignore[operator]

    assert outcome(submitted) == view_end
    assert view.heap is not None
    assert memories
    assert bytes(memories[0].read(store)) == bytes(view.heap.read(view.store))


def outcome(run: Any) -> str:
    try:
        run()
    except wasmtime.Trap as trap:
        return str(trap.trap_code)
    return "returned"


def with_exported_memory(wasm: bytes) -> bytes:
    parts = [HEADER]
    for s in sections(wasm):
        if s.id is Id.EXPORT:
            count, first = decode_unsigned(wasm, s.start, s.end)
            export = b"\x14canister_test memory\2\0"
            parts.append(section(Id.EXPORT, encode_unsigned(count + 1), wasm[first : s.end], export))
        else:
            parts.append(wasm[s.at : s.end])
    return b"".join(parts)


def test_the_record_is_frozen() -> None:
    result = rewrite(read_facts(HEADER))
    assert isinstance(result, Rewritten)
    with pytest.raises(AttributeError):
        result.start = "x"  # type: ignore[misc]
