"""What is read of a module, and that no bytes whatever end in anything but `InvalidModule`."""

from __future__ import annotations

import json
import random
import time
from functools import cache
from pathlib import Path

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.codec.leb128 import encode_unsigned
from sandbox.errors import InvalidModule
from sandbox.wasm import Kind, add_metadata, describe, read_facts, rewrite, strip_custom, validate
from sandbox.wasm.reader import HEADER, Id, Reader, sections
from sandbox.wasm.types import DataSegment, ElementSegment, FuncType, Global, Memory, Table
from sandbox.wasm.writer import custom_section, name, section

REAL = sorted((Path(__file__).parents[2] / "fixtures" / "wasm").glob("*.wasm"))


def compiled(wat: str) -> bytes:
    return bytes(wasmtime.wat2wasm(wat))


@cache
def full() -> bytes:
    """A module with every kind of section."""
    return add_metadata(
        compiled(
            """(module $m
            (import "ic0" "msg_reply" (func $reply))
            (import "ic0" "time" (func $time (result i64)))
            (memory (export "memory") 2 10)
            (table $t 3 7 funcref)
            (global $a (mut i32) (i32.const -1))
            (global $b (export "b") i64 (i64.const 5))
            (global $c f64 (f64.const 1.5))
            (global $r funcref (ref.func $f))
            (global (mut v128) (v128.const i32x4 1 0 0 2))
            (func $f (export "canister_update set") (global.set $a (i32.const 7)))
            (func $g (param i32 f32) (result i64 v128) (i64.const 0) (v128.const i64x2 0 0))
            (func (export "canister_query get") (export "canister_init"))
            (func (export "canister_composite_query a b") (export "helper"))
            (start $f)
            (elem (i32.const 1) func $f $reply)
            (elem $p funcref (ref.func $f) (ref.null func))
            (elem declare func $f)
            (data (i32.const 16) "hello")
            (data $d "passive")
            (func (memory.init $d (i32.const 0) (i32.const 0) (i32.const 1)) (data.drop $d)))"""
        ),
        "candid:service",
        b"service : {}",
    )


def test_facts_of_a_module_with_everything() -> None:
    facts = read_facts(full())
    assert [(i.module, i.name, i.kind) for i in facts.imports] == [
        ("ic0", "msg_reply", Kind.FUNCTION),
        ("ic0", "time", Kind.FUNCTION),
    ]
    assert facts.imports[1].type == FuncType("", "l")
    assert facts.memory == Memory(2, 10, False)
    assert (facts.pointer, facts.is64) == ("i", False)
    assert facts.tables == (Table("r", 3, 7, False),)
    assert facts.globals == (
        Global("i", True, 0xFFFFFFFF),
        Global("l", False, 5),
        Global("d", False, 0x3FF8000000000000),
        Global("r", False, None),
        Global("v", True, 1 | 2 << 96),
    )
    assert facts.start == 2
    assert facts.function_type(3) == FuncType("if", "lv")
    assert (facts.imported_functions, facts.defined_functions, len(facts.bodies)) == (2, 5, 5)
    assert facts.methods == {"set": "update", "get": "query", "a b": "composite_query"}
    assert facts.entry_points == {"canister_init"}
    assert [(e.mode, e.table, e.count) for e in facts.elements] == [
        ("active", 0, 2),
        ("passive", 0, 2),
        ("declarative", 0, 1),
    ]
    assert isinstance(facts.elements[0], ElementSegment)
    assert facts.data_count == 2
    active, passive = facts.data
    assert active.offset is not None
    assert (active.offset.bits, facts.wasm[active.start : active.end]) == (16, b"hello")
    assert passive == DataSegment(0, None, passive.start, passive.end)
    assert facts.wasm[passive.start : passive.end] == b"passive"
    assert facts.uses_data_drop
    assert facts.public_metadata == {"candid:service": b"service : {}"}
    assert facts.private_metadata == {}
    assert facts.custom_sections["icp:public candid:service"] == [b"service : {}"]


def test_function_names_come_from_the_name_section_then_imports_and_exports() -> None:
    facts = read_facts(full())
    assert facts.function_names == {0: "reply", 1: "time", 2: "f", 3: "g"}
    assert [facts.function_name(i) for i in (2, 4, 5, 6)] == [
        "f",
        "canister_query get",
        "canister_composite_query a b",
        None,
    ]
    bare = read_facts(strip_custom(full()))
    assert bare.function_names == {}
    assert bare.function_name(1) == "ic0.time"


def test_a_malformed_name_section_is_no_error() -> None:
    content = b"\0\1x\1\x08\2\0\1a\5\7long"
    facts = read_facts(HEADER + custom_section("name", content))
    assert facts.function_names == {0: "a"}


def test_a_64_bit_module() -> None:
    facts = read_facts(compiled('(module (memory i64 1 2) (table i64 4 funcref) (data (i64.const -1) "x"))'))
    assert facts.memory == Memory(1, 2, True)
    assert (facts.pointer, facts.is64, facts.tables[0].is64) == ("l", True, True)
    assert facts.data[0].offset is not None
    assert facts.data[0].offset.bits == 2**64 - 1


def test_a_description_is_plain_data() -> None:
    described = describe(read_facts(full()))
    assert json.loads(json.dumps(described)) == described
    assert described["methods"] == {"update": ["set"], "query": ["get"], "composite_query": ["a b"]}
    assert described["start"] == "f"


def test_metadata_is_added_replaced_and_stripped() -> None:
    wasm = add_metadata(add_metadata(HEADER, "x", b"1"), "y", b"2", public=False)
    facts = read_facts(wasm)
    assert (facts.public_metadata, facts.private_metadata) == ({"x": b"1"}, {"y": b"2"})
    again = read_facts(add_metadata(wasm, "x", b"3", public=False))
    assert (again.public_metadata, again.private_metadata) == ({}, {"y": b"2", "x": b"3"})
    assert strip_custom(wasm) == HEADER
    assert strip_custom(wasm, lambda n: n.endswith("x")) == add_metadata(HEADER, "y", b"2", public=False)


@given(st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=200)), max_size=5))
def test_sections_come_back_as_they_were_written(written: list[tuple[str, bytes]]) -> None:
    wasm = HEADER + b"".join(custom_section(n, content) for n, content in written)
    facts = read_facts(wasm)
    assert [(c.name, wasm[c.start : c.end]) for c in facts.customs] == written
    assert HEADER + b"".join(wasm[s.at : s.end] for s in facts.sections) == wasm


@pytest.mark.parametrize(
    ("wasm", "text"),
    [
        (b"\0asx\1\0\0\0", "magic header not detected"),
        (b"\0as", "unexpected end-of-file (at offset 0x0)"),
        (b"\0asm\1", "unexpected end-of-file (at offset 0x5)"),
        (b"\0asm\2\0\0\0", "unknown binary version: 0x2 (at offset 0x4)"),
        (HEADER + b"\x0e\0", "malformed section id: 14 (at offset 0xa)"),
        (HEADER + b"\1", "unexpected end-of-file (at offset 0x9)"),
        (HEADER + b"\1\5\0", "unexpected end-of-file (at offset 0xb)"),
        (HEADER + b"\1\x80\x80\x80\x80\x80\0", "integer representation too long"),
        (HEADER + b"\3\1\0\1\1\0", "section out of order"),
        (HEADER + b"\1\1\0\1\1\0", "section out of order"),
        (HEADER + b"\1\2\0\0", "unexpected data at the end of the section"),
        (HEADER + b"\1\1\1", "unexpected end"),
        (HEADER + b"\1\5\xff\xff\xff\xff\x0f", "types count exceeds limit of 1000000"),
        (HEADER + b"\0\2\1\xff", "malformed UTF-8 encoding"),
        (HEADER + b"\0\1\5", "unexpected end"),
        (HEADER + section(Id.TYPE, b"\1\x5f\0"), "invalid leading byte (0x5f) for type"),
        (HEADER + section(Id.FUNCTION, b"\1\0"), "unknown type 0: type index out of bounds"),
        (HEADER + section(Id.TYPE, b"\1\x60\0\0") + section(Id.FUNCTION, b"\1\0"), "code section is absent"),
        (HEADER + section(Id.DATA_COUNT, b"\1"), "data count is non-zero but data section is absent"),
        (HEADER + section(Id.TABLE, b"\1\x7f\0\1"), "malformed reference type"),
        (HEADER + section(Id.MEMORY, b"\1\3\1\1"), "memory limits flags"),
        (HEADER + section(Id.GLOBAL, b"\1\x7f\2\x41\0\x0b"), "malformed mutability"),
        (HEADER + section(Id.GLOBAL, b"\1\x7f\0\x45\x0b"), "constant expression required"),
        (HEADER + section(Id.EXPORT, b"\1" + name("x") + b"\5\0"), "for external kind"),
        (HEADER + section(Id.EXPORT, b"\1" + name("x") + b"\0\0"), "unknown function 0"),
        (HEADER + section(Id.START, b"\0"), "unknown function 0: start function index out of bounds"),
        (HEADER + section(Id.ELEMENT, b"\1\x08"), "invalid flags byte in element segment"),
        (HEADER + section(Id.ELEMENT, b"\1\1\0\xff\xff\xff\x04"), "element segment items count exceeds limit"),
        (HEADER + section(Id.DATA, b"\1\3"), "invalid flags byte in data segment"),
        (HEADER + section(Id.TAG, b"\0"), "exceptions proposal not enabled"),
    ],
)
def test_malformed_modules_are_refused_with_the_offset(wasm: bytes, text: str) -> None:
    with pytest.raises(InvalidModule) as caught:
        read_facts(wasm)
    assert text in str(caught.value)
    assert "(at offset 0x" in str(caught.value)
    config = wasmtime.Config()
    config.wasm_gc = config.wasm_exceptions = config.wasm_threads = False
    engine = wasmtime.Engine(config)
    with pytest.raises(wasmtime.WasmtimeError):
        wasmtime.Module.validate(engine, wasm)


@given(st.integers(0, 40), st.binary(max_size=30))
def test_skipping_integers_stops_exactly_behind_them(count: int, data: bytes) -> None:
    reader = Reader(data, 0, len(data))
    at, wanted = 0, count
    while wanted and at < len(data):
        wanted -= data[at] < 0x80
        at += 1
    if wanted:
        with pytest.raises(InvalidModule):
            reader.skip_integers(count)
    else:
        reader.skip_integers(count)
        assert reader.at == at


def exercise(wasm: bytes) -> None:
    """Everything of this package that looks at bytes; only `InvalidModule` may come out."""
    try:
        facts = read_facts(wasm)
        describe(facts)
        assert isinstance(facts.uses_data_drop, bool)
        rewrite(facts)
        validate(facts, {"msg_reply": ("", ""), "time": ("", "l")})
        strip_custom(wasm)
    except InvalidModule:
        pass


@given(st.data())
@settings(max_examples=300)
def test_any_change_to_a_module_ends_in_invalid_module_at_worst(data: st.DataObject) -> None:
    wasm = bytearray(full())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(8, len(wasm) - 1))
        wasm[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, wasm[at] ^ 1, wasm[at] ^ 0x80, 0x0B, 0x41]))
    exercise(bytes(wasm))


def test_every_truncation_ends_in_invalid_module_at_worst() -> None:
    for size in range(len(full())):
        exercise(full()[:size])


@pytest.mark.parametrize("path", REAL, ids=lambda p: p.name)
def test_damaged_real_modules_end_in_invalid_module_at_worst(path: Path) -> None:
    wasm = path.read_bytes()
    rng = random.Random(path.name)
    boundaries = [s.start for s in sections(wasm)]
    for at in rng.sample(boundaries, 3) + [rng.randrange(len(wasm)) for _ in range(5)]:
        exercise(wasm[:at])
        exercise(wasm[:at] + bytes([wasm[at] ^ 1 << rng.randrange(8)]) + wasm[at + 1 :])


@pytest.mark.parametrize("path", REAL, ids=lambda p: p.name)
def test_real_modules_keep_every_rule_and_are_read_in_time(path: Path) -> None:
    wasm = path.read_bytes()
    started = time.perf_counter()
    facts = read_facts(wasm)
    validate(facts, {i.name: (i.type.params, i.type.results) for i in facts.imports if i.type})
    assert time.perf_counter() - started < 1
    assert facts.methods
    if path.name.startswith(("universal.", "notes_as.")):  # they have no interface, and are no Motoko at either width
        assert (facts.public_metadata, facts.uses_enhanced_persistence) == ({}, False)
        return
    assert facts.public_metadata["candid:service"]
    assert facts.uses_enhanced_persistence == facts.is64


def test_huge_vectors_are_read_in_time() -> None:
    count = 3_000_000
    wasm = HEADER + section(Id.ELEMENT, b"\1\1\0" + encode_unsigned(count) + b"\x80\0" * count)
    started = time.perf_counter()
    assert read_facts(wasm).elements[0].count == count
    assert time.perf_counter() - started < 2
