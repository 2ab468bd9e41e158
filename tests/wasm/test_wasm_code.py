"""Function bodies: the table of instructions agrees with the engine's, refused instructions and limits are found."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from sandbox.codec.leb128 import encode_unsigned
from sandbox.errors import InvalidModule
from sandbox.wasm import read_facts
from sandbox.wasm.code import behind_locals, check_bodies, uses_data_drop, weigh
from sandbox.wasm.instructions import (
    IMMEDIATES,
    INSTRUCTION,
    MENDED,
    REFUSED,
    instruction_run,
    one_instruction,
    repeated,
    step,
)
from sandbox.wasm.reader import HEADER, Id, Reader
from sandbox.wasm.writer import section, vector
from tests.conftest import fixture

SIMD_HOLES = {0x9A, 0xA2, 0xA5, 0xA6, 0xAF, 0xB0, 0xB2, 0xB3, 0xB4, 0xBB, 0xC2, 0xC5, 0xC6, 0xCF, 0xD0, 0xD2, 0xD3}
SIMD_HOLES |= {0xD4, 0xE2, 0xEE}


def replica_features() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.wasm_memory64 = True
    config.wasm_multi_memory = False
    config.wasm_relaxed_simd = False
    config.wasm_tail_call = True
    config.wasm_threads = False
    config.wasm_function_references = False
    config.wasm_gc = False
    config.wasm_exceptions = False
    return wasmtime.Engine(config)


ENGINE = replica_features()


def module(*bodies: bytes) -> bytes:
    """Functions () -> () over one memory, table, global, passive data segment and passive element segment."""
    framed = [encode_unsigned(len(body) + 1) + b"\0" + body for body in bodies]
    return b"".join(
        (
            HEADER,
            section(Id.TYPE, b"\1\x60\0\0"),
            section(Id.FUNCTION, vector([b"\0" for _ in bodies])),
            section(Id.TABLE, b"\1\x70\0\1"),
            section(Id.MEMORY, b"\1\0\1"),
            section(Id.GLOBAL, b"\1\x7f\1\x41\0\x0b"),
            section(Id.ELEMENT, b"\1\1\0\1\0"),
            section(Id.DATA_COUNT, b"\1"),
            section(Id.CODE, vector(framed)),
            section(Id.DATA, b"\1\1\0"),
        )
    )


def body_ranges(wasm: bytes) -> tuple[tuple[int, int], ...]:
    return read_facts(wasm).bodies


SHORTEST = {
    "u": b"\0",
    "z": b"\0",
    "m": b"\0\0",
    "b": b"\0",
    "4": bytes(4),
    "8": bytes(8),
    "q": bytes(16),
    "h": b"\x70",
    "B": b"\2\0\0\0",
    "T": b"\1\x7f",
}


def every_instruction() -> Iterator[tuple[tuple[int, int], bytes]]:
    for (opcode, sub), letters in IMMEDIATES.items():
        if opcode == 0xFD and sub in SIMD_HOLES:
            continue
        prefix = bytes([opcode]) + (encode_unsigned(sub) if opcode in (0xFC, 0xFD) else b"")
        yield (opcode, sub), prefix + b"".join(SHORTEST[letter] for letter in letters)


def surrounded(opcode: int, instruction: bytes) -> bytes:
    """A body in which any operands will do, so that only the encoding of the instruction decides."""
    if opcode in (0x02, 0x03, 0x04):
        instruction = bytes([opcode, 0x40]) + b"\0\x0b"
    if opcode == 0x05:
        instruction = b"\x04\x40\0" + instruction + b"\0\x0b"
    if opcode == 0x0B:
        instruction = b"\x02\x40\0\x0b"
    return b"\0" + instruction + b"\0\x0b"


def test_every_instruction_of_the_table_is_what_the_engine_reads() -> None:
    refused = []
    for (opcode, sub), instruction in every_instruction():
        instruction_with_local = b"\1\1\x7f" + surrounded(opcode, instruction)
        framed = encode_unsigned(len(instruction_with_local)) + instruction_with_local
        wasm = module(b"\x0b").replace(section(Id.CODE, vector([b"\2\0\x0b"])), section(Id.CODE, vector([framed])))
        try:
            wasmtime.Module.validate(ENGINE, wasm)
        except wasmtime.WasmtimeError as error:
            refused.append((hex(opcode), hex(sub), str(error)))
    # i8x16.shuffle with lanes 0 is fine, and every lane index 0 exists: nothing may be refused
    assert refused == []


def test_no_other_single_byte_instruction_exists() -> None:
    for opcode in range(256):
        if (opcode, 0) in IMMEDIATES or opcode in (0xFC, 0xFD):
            continue
        wasm = module(b"\0" + bytes([opcode]) + bytes(8) + b"\x0b")
        with pytest.raises(wasmtime.WasmtimeError):
            wasmtime.Module.validate(ENGINE, wasm)
        with pytest.raises(InvalidModule, match=f"illegal opcode: 0x{opcode:x}"):
            check_bodies(wasm, body_ranges(wasm))


def test_runs_and_the_exact_reader_agree_on_every_instruction() -> None:
    for key, instruction in every_instruction():
        reader = Reader(instruction, 0, len(instruction))
        assert step(reader) == key
        assert reader.at == len(instruction)
        match = one_instruction().match(instruction)
        assert (match is not None and match.end() == len(instruction)) == (key not in REFUSED), key


LONG_SPELLINGS = [
    *(
        bytes([p, sub | 0x80]) + b"\x80" * pad + b"\0" + bytes(20)
        for p in (0xFC, 0xFD)
        for sub in range(8)
        for pad in (0, 2)
    ),
    *(b"\x0e" + bytes([count]) + b"\x81\0" * (count + 1) for count in range(16)),
    b"\x0e\x83\x80\0" + bytes(4),
    b"\x1c\x81\x80\0\x7f",
    b"\x28\x82\x80\0\x80\x80\0",
    b"\xd0\xf0\xff\x7f",
    b"\xfd\xde\x81\0",
    b"\xfc\x89\x80\0\x80\0",
    b"\x42" + b"\x80" * 9 + b"\0",
]


@pytest.mark.parametrize("possessive", {MENDED, False})
def test_runs_and_the_exact_reader_agree_on_real_modules(possessive: bool) -> None:
    run = re.compile(repeated(INSTRUCTION, possessive=possessive), re.DOTALL)
    for name in ("people_v1.classical", "people_v1.enhanced", "service_rs"):
        facts = read_facts(fixture(name))
        for start, end in facts.bodies:
            reader, ends = behind_locals(facts.wasm, start, end), set[int]()
            at = reader.at
            while reader.at < end:
                step(reader)
                ends.add(reader.at)
            while at < end:
                found = run.match(facts.wasm, at, end)
                assert found is not None
                assert found.end() in {at, *ends}
                if found.end() == at:
                    rest = Reader(facts.wasm, at, end)
                    step(rest)
                    at = rest.at
                else:
                    at = found.end()


@pytest.mark.parametrize("spelling", LONG_SPELLINGS, ids=bytes.hex)
def test_runs_take_integers_longer_than_they_need_to_be(spelling: bytes) -> None:
    reader = Reader(spelling, 0, len(spelling))
    step(reader)
    match = one_instruction().match(spelling)
    assert match is not None
    assert match.end() == reader.at


@given(st.binary(max_size=40))
def test_runs_and_the_exact_reader_agree_on_any_bytes(data: bytes) -> None:
    end = instruction_run().match(data).end()  # type: ignore[union-attr]
    reader = Reader(data, 0, end)
    while reader.at < end:
        token = one_instruction().match(data, reader.at)
        step(reader)
        assert token is not None
        assert token.end() == reader.at


@given(st.binary(max_size=60))
def test_any_body_is_read_or_refused(data: bytes) -> None:
    try:
        check_bodies(data, [(0, len(data))])
        weigh(data, 0, len(data))
    except InvalidModule:
        pass
    uses_data_drop(data, [(0, len(data))])


@pytest.mark.parametrize(
    ("instruction", "name"),
    [
        (b"\x26\0", "table.set"),
        (b"\xfc\x0c\0\0", "table.init"),
        (b"\xfc\x8c\0\0\0", "table.init"),
        (b"\xfc\x0e\0\0", "table.copy"),
        (b"\xfc\x8e\x80\0\0\0", "table.copy"),
        (b"\xfc\x0f\0", "table.grow"),
        (b"\xfc\x11\0", "table.fill"),
    ],
)
def test_table_instructions_are_refused_in_any_spelling(instruction: bytes, name: str) -> None:
    wasm = module(b"\x0b", b"\0" + instruction + b"\0\x0b")
    wasmtime.Module.validate(ENGINE, wasm)
    with pytest.raises(InvalidModule) as caught:
        check_bodies(wasm, body_ranges(wasm))
    assert str(caught.value) == f"Wasm module contains a function at index 1 with unsupported instruction {name}"


def test_refused_opcodes_inside_immediates_are_no_instructions() -> None:
    wasm = module(b"\x41\x26\x1a\x41\xa6\x26\x1a\x44\x26\xfc\x0c\0\0\x26\x26\x26\x1a\x0b")
    wasmtime.Module.validate(ENGINE, wasm)
    check_bodies(wasm, body_ranges(wasm))


def test_data_drop_is_found_in_any_spelling_and_not_in_immediates() -> None:
    for instruction, expected in ((b"\xfc\x09\0", True), (b"\xfc\x89\0\0", True), (b"\x41\xfc\x09\x1a", False)):
        wasm = module(instruction + b"\x0b")
        wasmtime.Module.validate(ENGINE, wasm)
        assert read_facts(wasm).uses_data_drop is expected


def test_weights_follow_the_replica() -> None:
    def weight(wat: str) -> tuple[int, int]:
        wasm = bytes(
            wasmtime.wat2wasm(
                f"""(module (memory 1) (table 1 funcref) (global $g (mut i32) (i32.const 0))
                (func $f (param i32) {wat}) (elem declare func $f))"""
            )
        )
        (found,) = body_ranges(wasm)
        return weigh(wasm, *found)

    assert weight("") == (1, 1)
    assert weight("(block (loop (br 0)) (br_if 0 (local.get 0)))") == (8, 50 + 50 + 50 + 1 + 1 + 50 + 1 + 1)
    assert weight("(call $f (i32.const 1))") == (3, 1 + 50 + 1)
    assert weight("(block (br_table 0 0 0 (local.get 0)))") == (5, 50 + 1 + 50 + 1 + 1)
    assert weight("(drop (f64.eq (f64.const 1) (f64.neg (f64.const 2))))") == (6, 1 + 1 + 4 + 3 + 1 + 1)
    assert weight("(drop (i32.eqz (i32.load (i32.const 0))))") == (5, 1 + 3 + 2 + 1 + 1)
    assert weight("(memory.copy (local.get 0) (local.get 0) (local.get 0))") == (5, 3 + 4 + 1)
    assert weight("(drop (ref.is_null (table.get 0 (local.get 0))))") == (5, 1 + 14 + 6 + 1 + 1)
    assert weight("(drop (ref.func $f))") == (3, 8 + 1 + 1)
    assert weight("(global.set $g (global.get $g))") == (3, 2 + 1 + 1)
    assert weight("(drop (i32.trunc_f32_s (f32.const 1)))") == (4, 1 + 5 + 1 + 1)
    assert weight("(drop (i64x2.add (v128.const i64x2 0 0) (v128.const i64x2 0 0)))") == (5, 5)


def test_a_function_too_complex_is_refused_with_its_index() -> None:
    wasm = module(b"\x0b", b"\x10\0" * 20_001 + b"\x0b")
    with pytest.raises(InvalidModule) as caught:
        check_bodies(wasm, body_ranges(wasm))
    assert str(caught.value) == (
        "Wasm module contains a function at index 1 with complexity 1000051 which exceeds the maximum complexity "
        "allowed 1000000"
    )
    fine = module(b"\x10\0" * 19_999 + b"\x0b")
    check_bodies(fine, body_ranges(fine))


def test_a_function_too_large_is_refused_with_its_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.limits.FUNCTION_SIZE", 40_000)
    wasm = module(b"\1" * 40_000 + b"\x0b")
    with pytest.raises(InvalidModule) as caught:
        check_bodies(wasm, body_ranges(wasm))
    assert str(caught.value) == (
        "Wasm module contains a function at index 0 of size 40001 that exceeds the maximum allowed size of 40000"
    )
    fine = module(b"\1" * 39_999 + b"\x0b")
    check_bodies(fine, body_ranges(fine))


def test_hostile_counts_in_a_body_end_at_once() -> None:
    for body in (b"\x0e\xff\xff\xff\xff\x0f", b"\x1c\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x0f"):
        with pytest.raises(InvalidModule, match="unexpected end"):
            check_bodies(b"\0" + body, [(0 if body[0] < 0x80 else 1, 1 + len(body))])
