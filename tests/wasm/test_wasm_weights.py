"""What every instruction counts, by executing each of them, in modules with a 32-bit and with a 64-bit memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox import Canister, Sandbox
from sandbox.wasm import read_facts
from sandbox.wasm.code import behind_locals, split
from sandbox.wasm.instructions import IMMEDIATES, REFUSED, step
from sandbox.wasm.reader import Reader
from tests.conftest import wat

INTEGER_1 = (
    "clz ctz popcnt add sub mul and or xor shl shr_s shr_u rotl rotr eqz eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u"
)
BY_WEIGHT: dict[int, str] = {
    1: f"""{" ".join(f"i32.{op} i64.{op}" for op in INTEGER_1.split())}
        i32.extend8_s i32.extend16_s i64.extend8_s i64.extend16_s i64.extend32_s i32.wrap_i64 i64.extend_i32_s
        i64.extend_i32_u f32.demote_f64 f64.promote_f32 i32.reinterpret_f32 i64.reinterpret_f64 f32.reinterpret_i32
        f64.reinterpret_i64 f32.abs f32.neg f64.abs f64.neg
        i8x16.swizzle i8x16.splat i16x8.splat i32x4.splat i64x2.splat f32x4.splat f64x2.splat
        i8x16.extract_lane_s i8x16.extract_lane_u i8x16.replace_lane i16x8.extract_lane_s i16x8.extract_lane_u
        i16x8.replace_lane i32x4.extract_lane i32x4.replace_lane i64x2.extract_lane i64x2.replace_lane
        f32x4.extract_lane f32x4.replace_lane f64x2.extract_lane f64x2.replace_lane
        {
        " ".join(
            f"{t}.{op}"
            for t in ("i8x16", "i16x8", "i32x4")
            for op in ("eq", "ne", "lt_s", "gt_s", "le_s", "le_u", "ge_s", "ge_u")
        )
    }
        {
        " ".join(f"{t}.{op}" for t in ("f32x4", "f64x2") for op in ("eq", "ne", "lt", "gt", "le", "ge", "pmin", "pmax"))
    }
        i64x2.eq i64x2.ne i64x2.lt_s i64x2.gt_s i64x2.le_s i64x2.ge_s
        v128.not v128.and v128.andnot v128.or v128.xor v128.bitselect v128.any_true
        f32x4.demote_f64x2_zero f64x2.promote_low_f32x4
        {
        " ".join(
            f"{t}.{op}"
            for t in ("i8x16", "i16x8", "i32x4", "i64x2")
            for op in ("abs", "neg", "all_true", "bitmask", "add", "sub")
        )
    }
        i8x16.narrow_i16x8_s i8x16.narrow_i16x8_u i16x8.narrow_i32x4_s i16x8.narrow_i32x4_u
        {
        " ".join(
            f"{t}.{op}"
            for t in ("i8x16", "i16x8")
            for op in ("add_sat_s", "add_sat_u", "sub_sat_s", "sub_sat_u", "avgr_u")
        )
    }
        {" ".join(f"{t}.{op}" for t in ("i8x16", "i16x8", "i32x4") for op in ("min_s", "min_u", "max_s", "max_u"))}
        i16x8.extadd_pairwise_i8x16_s i32x4.extadd_pairwise_i16x8_s i16x8.q15mulr_sat_s i16x8.mul
        {
        " ".join(
            f"{t}.extend_{half}_{s}_{sign}"
            for t, s in (("i16x8", "i8x16"), ("i32x4", "i16x8"), ("i64x2", "i32x4"))
            for half in ("low", "high")
            for sign in "su"
        )
    }
        i16x8.extmul_low_i8x16_s i16x8.extmul_low_i8x16_u i32x4.dot_i16x8_s
        {" ".join(f"i64x2.extmul_{half}_i32x4_{sign}" for half in ("low", "high") for sign in "su")}
        f32x4.convert_i32x4_s f64x2.convert_low_i32x4_s f64x2.convert_low_i32x4_u""",
    2: f"""f32.add f32.sub f32.mul f32.ceil f32.floor f32.trunc f32.nearest f64.add f64.sub f64.mul f64.ceil f64.floor
        f64.trunc f64.nearest f32.copysign
        i8x16.shr_u i16x8.shl i16x8.shr_s i16x8.shr_u i32x4.shl i32x4.shr_s i32x4.shr_u i64x2.shl i64x2.shr_u
        i8x16.lt_u i8x16.gt_u i16x8.lt_u i16x8.gt_u i32x4.lt_u i32x4.gt_u i16x8.extadd_pairwise_i8x16_u
        i16x8.extmul_high_i8x16_s i16x8.extmul_high_i8x16_u i32x4.mul
        {" ".join(f"i32x4.extmul_{half}_i16x8_{sign}" for half in ("low", "high") for sign in "su")}
        {
        " ".join(
            f"{t}.{op}"
            for t in ("f32x4", "f64x2")
            for op in ("ceil", "floor", "trunc", "nearest", "abs", "neg", "add", "sub", "mul")
        )
    }
        i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f64x2_s_zero""",
    3: f"""f32.div f64.copysign
        {" ".join(f"{t}.{op}" for t in ("f32", "f64") for op in ("eq", "ne", "lt", "gt", "le", "ge"))}
        f32.convert_i32_s f32.convert_i64_s f64.convert_i32_s f64.convert_i64_s
        i8x16.shuffle i8x16.popcnt i8x16.shl i8x16.shr_s i64x2.shr_s i32x4.extadd_pairwise_i16x8_u
        i32x4.trunc_sat_f64x2_u_zero""",
    4: "i64x2.mul f32x4.min f32x4.max f64x2.min i32x4.trunc_sat_f32x4_u f32x4.convert_i32x4_u",
    5: "f64.div f32.sqrt f64x2.max f32x4.sqrt",
    8: "f64.sqrt",
    10: "i32.div_s i32.div_u i32.rem_s i32.rem_u i64.div_s i64.div_u i64.rem_s i64.rem_u f32x4.div",
    12: "f64x2.div",
    14: "f64x2.sqrt",
    16: "f32.convert_i32_u f32.convert_i64_u f64.convert_i32_u f64.convert_i64_u",
    18: "f32.min f32.max f64.min f64.max",
    20: " ".join(
        f"{to}.{op}_{source}_{sign}"
        for to in ("i32", "i64")
        for op in ("trunc", "trunc_sat")
        for source in ("f32", "f64")
        for sign in "su"
    ),
}
ACCESSES = [
    "i32.load",
    "i64.load",
    "f32.load",
    "f64.load",
    "i32.load8_s",
    "i32.load8_u",
    "i32.load16_s",
    "i32.load16_u",
    "i64.load8_s",
    "i64.load8_u",
    "i64.load16_s",
    "i64.load16_u",
    "i64.load32_s",
    "i64.load32_u",
    "i32.store",
    "i64.store",
    "f32.store",
    "f64.store",
    "i32.store8",
    "i32.store16",
    "i64.store8",
    "i64.store16",
    "i64.store32",
    "v128.load",
    "v128.load8x8_s",
    "v128.load8x8_u",
    "v128.load16x4_s",
    "v128.load16x4_u",
    "v128.load32x2_s",
    "v128.load32x2_u",
    "v128.load8_splat",
    "v128.load16_splat",
    "v128.load32_splat",
    "v128.load64_splat",
    "v128.store",
    "v128.load8_lane",
    "v128.load16_lane",
    "v128.load32_lane",
    "v128.load64_lane",
    "v128.store8_lane",
    "v128.store16_lane",
    "v128.store32_lane",
    "v128.store64_lane",
    "v128.load32_zero",
    "v128.load64_zero",
]

_UNARY = [
    "clz",
    "ctz",
    "popcnt",
    "eqz",
    "abs",
    "neg",
    "ceil",
    "floor",
    "trunc",
    "nearest",
    "sqrt",
    "splat",
    "not",
    "any_true",
    "all_true",
    "bitmask",
]
_SHIFTS = ("shl", "shr_s", "shr_u")
_CONST = {
    "i32": "(i32.const 1)",
    "i64": "(i64.const 1)",
    "f32": "(f32.const 1)",
    "f64": "(f64.const 1)",
    "v128": "(v128.const i64x2 1 1)",
}
_SCALAR = {"i8x16": "i32", "i16x8": "i32", "i32x4": "i32", "i64x2": "i64", "f32x4": "f32", "f64x2": "f64"}


def numeric(name: str) -> tuple[str, int]:
    """(code that executes the instruction and drops its result, instructions besides it)."""
    kind, op = name.split(".")
    own = "v128" if "x" in kind else kind
    source = next((t for t in _CONST if op.endswith((f"_{t}", f"_{t}_s", f"_{t}_u"))), None)
    operands, immediate = [own, own], ""
    if source is not None and own != "v128":
        operands = [source]
    elif "splat" in op:
        operands = [_SCALAR[kind]]
    elif "extract_lane" in op:
        operands, immediate = ["v128"], "0"
    elif "replace_lane" in op:
        operands, immediate = ["v128", _SCALAR[kind]], "0"
    elif own == "v128" and op in _SHIFTS:
        operands = ["v128", "i32"]
    elif op == "bitselect":
        operands = ["v128"] * 3
    elif op == "shuffle":
        immediate = " ".join(["0"] * 16)
    elif op in _UNARY or op.startswith(("extend", "extadd", "convert", "trunc_sat", "demote", "promote")):
        operands = [own]
    pushed = " ".join(_CONST[operand] for operand in operands)
    return f"(drop ({name} {immediate} {pushed}))", len(operands) + 1


def access(name: str, word: str) -> tuple[str, int]:
    """The same of a load or store."""
    value = "v128" if name.startswith("v128") else name.split(".")[0]
    address = f"({word}.const 64)"
    if "lane" in name:
        code = f"({name} 0 {address} {_CONST['v128']})"
        return (code, 2) if "store" in name else (f"(drop {code})", 3)
    if "store" in name:
        return f"({name} {address} {_CONST[value]})", 2
    return f"(drop ({name} {address}))", 2


def others(word: str) -> list[tuple[str, int]]:
    """(code, what it counts in all)."""
    at = f"({word}.const 8)"
    return [
        ("", 0),
        ("(nop)", 1),
        ("(drop (i32.const 1))", 2),
        ("(drop (i64.const 1))", 2),
        ("(drop (f32.const 1))", 2),
        ("(drop (f64.const 1))", 2),
        ("(drop (v128.const i64x2 1 1))", 2),
        ("(drop (select (i32.const 1) (i32.const 2) (i32.const 0)))", 3 + 1 + 1),
        ("(drop (select (result i32) (i32.const 1) (i32.const 2) (i32.const 0)))", 3 + 1 + 1),
        ("(local.set 0 (local.tee 0 (local.get 0)))", 3),
        ("(global.set 0 (global.get 0))", 4),
        ("(block)", 0),
        ("(loop)", 0),
        ("(if (i32.const 1) (then))", 1 + 2),
        ("(if (i32.const 0) (then (nop) (nop)))", 1 + 2),
        ("(if (i32.const 1) (then (nop)) (else (nop) (nop)))", 1 + 2 + 1),
        ("(if (i32.const 0) (then (nop)) (else (nop) (nop)))", 1 + 2 + 2),
        ("(block (br 0) (nop))", 2),
        ("(block (br_if 0 (i32.const 1)) (nop))", 1 + 2),
        ("(block (br_if 0 (i32.const 0)) (nop))", 1 + 2 + 1),
        ("(block (br_table 0 0 (i32.const 5)) (nop))", 1 + 2),
        ("(block (block (br_table 0 1 (i32.const 0))) (nop))", 1 + 2 + 1),
        ("(block (br_table 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 (i32.const 5)) (nop))", 1 + 2),
        ("(call $empty)", 5 + 1),
        ("(call $returns)", 5 + 1 + 1),
        ("(call_indirect (i32.const 0))", 1 + 10 + 1),
        ("(call $tail)", 5 + 1 + 3 + 1),
        ("(call $tail_indirect)", 5 + 1 + 1 + 60 + 1),
        ("(drop (table.get 0 (i32.const 0)))", 1 + 5 + 1),
        ("(drop (table.size 0))", 100 + 1),
        ("(drop (ref.null func))", 1 + 1),
        ("(drop (ref.null extern))", 1 + 1),
        ("(drop (ref.is_null (ref.null func)))", 1 + 5 + 1),
        ("(drop (ref.func $empty))", 130 + 1),
        ("(drop (memory.size))", 20 + 1),
        (f"(drop (memory.grow ({word}.const 0)))", 1 + 300 + 1),
        (f"(drop (memory.grow ({word}.const 1)))", 1 + 300 + 1),
        (f"(drop (memory.grow ({word}.const -1)))", 1 + 300 + 1),
        (f"(memory.fill {at} (i32.const 0) ({word}.const 1000))", 3 + 100 + 1000),
        (f"(memory.fill {at} (i32.const 0) ({word}.const 0))", 3 + 100),
        (f"(memory.copy {at} {at} ({word}.const 77))", 3 + 100 + 77),
        (f"(memory.init $bytes {at} (i32.const 0) (i32.const 4))", 3 + 100 + 4),
        ("(data.drop $bytes)", 300),
        ("(elem.drop $items)", 300),
    ]


def cases(word: str) -> Iterator[tuple[str, int]]:
    for weight, names in BY_WEIGHT.items():
        for name in names.split():
            code, besides = numeric(name)
            yield code, weight + besides
    for name in ACCESSES:
        code, besides = access(name, word)
        yield code, (1 if word == "i32" else 2) + besides
    yield from others(word)


def module(word: str, bodies: list[str]) -> bytes:
    functions = (
        f'(func (export "canister_query {n}") (local i32) {body} (call $reply))' for n, body in enumerate(bodies)
    )
    return wat(
        f"""(module (import "ic0" "msg_reply" (func $reply)) (memory {"i64" if word == "i64" else ""} 1 4)
        (global (mut i32) (i32.const 0)) (table 1 1 funcref) (elem (i32.const 0) func $empty)
        (elem $items func $empty) (data $bytes "data") (func $empty) (func $returns return)
        (func $tail (return_call $empty)) (func $tail_indirect (return_call_indirect (i32.const 0)))
        {" ".join(functions)})"""
    )


@pytest.mark.parametrize("word", ["i32", "i64"])
def test_every_instruction_counts_its_weight(word: str) -> None:
    expected = list(cases(word))
    canister: Canister = Sandbox().create_canister()
    canister.install(module(word, [code for code, _ in expected]))
    empty = 1 + 5 + 500  # the function, the call of msg_reply
    counted = [(code, canister.query_raw(str(n)).instructions - empty) for n, (code, _) in enumerate(expected)]
    assert counted == expected


UNUSED = (0x9A, 0xA2, 0xA5, 0xA6, 0xAF, 0xB0, 0xB2, 0xB3, 0xB4, 0xBB, 0xC2, 0xC5, 0xC6, 0xCF, 0xD0, 0xD2, 0xD3, 0xD4)
"""Numbers of SIMD instructions that there are not, as 0xE2 and 0xEE."""


def test_no_instruction_of_the_platform_is_missing_above() -> None:
    facts = read_facts(module("i32", [code for code, _ in cases("i32")]))
    seen = {
        step(Reader(instruction, 0, len(instruction)))
        for start, end in facts.bodies
        for instruction in split(facts.wasm, behind_locals(facts.wasm, start, end).at, end)
    }
    unused = {(0xFD, number) for number in (*UNUSED, 0xE2, 0xEE)}
    assert set(IMMEDIATES) - set(REFUSED) - seen == unused | {(0x00, 0)}  # unreachable
