"""Every rule for modules and the replica's text for breaking it (SPECIFICATION 2.2 to 2.6)."""

from __future__ import annotations

import pytest
import wasmtime

from sandbox import limits
from sandbox.codec.leb128 import encode_unsigned
from sandbox.errors import InvalidModule
from sandbox.wasm import add_metadata, read_facts, validate
from sandbox.wasm.reader import HEADER, Id
from sandbox.wasm.writer import custom_section, name, section

IMPORTS = {
    "msg_reply": ("", ""),
    "msg_arg_data_size": ("", "I"),
    "msg_arg_data_copy": ("III", ""),
    "time": ("", "l"),
    "call_perform": ("", "i"),
    "stable_size": ("", "i"),
    "stable64_size": ("", "l"),
}
ONLY_32_BIT = frozenset({"stable_size"})


def compiled(wat: str) -> bytes:
    return bytes(wasmtime.wat2wasm(wat))


def check(wasm: bytes) -> None:
    validate(read_facts(wasm), IMPORTS, ONLY_32_BIT)


def refusal(source: str | bytes) -> str:
    wasm = compiled(f"(module {source})") if isinstance(source, str) else source
    with pytest.raises(InvalidModule) as caught:
        check(wasm)
    return str(caught.value)


METHODS = "`canister_update <name>`, `canister_query <name>`, or `canister_composite_query <name>`"


@pytest.mark.parametrize(
    "wat",
    [
        "",
        '(import "ic0" "msg_reply" (func)) (memory 1)',
        '(import "ic0" "msg_arg_data_copy" (func (param i32 i32 i32)))',
        '(import "ic0" "msg_arg_data_copy" (func (param i64 i64 i64))) (memory i64 1)',
        '(import "ic0" "stable_size" (func (result i32))) (memory 1)',
        '(import "ic0" "stable64_size" (func (result i64))) (memory i64 1)',
        """(func $f) (export "canister_init" (func $f)) (export "canister_pre_upgrade" (func $f))
        (export "canister_post_upgrade" (func $f)) (export "canister_inspect_message" (func $f))
        (export "canister_heartbeat" (func $f)) (export "canister_global_timer" (func $f))
        (export "canister_on_low_wasm_memory" (func $f)) (export "canister_update " (func $f))
        (export "canister_query a b c" (func $f)) (export "canister_composite_query  x" (func $f))
        (export "_start" (func $f)) (export "canisters" (func $f)) (start $f)""",
        '(global $g (export "canister_global") i32 (i32.const 0))',
        '(memory (export "anything") 1 65536) (data (i32.const 0) "x") (data "passive")',
        '(memory i64 1 98304) (data (i64.const 0) "x")',
        "(global i32 (i32.const 0)) (global i64 (i64.const 0)) (global f32 (f32.const 0)) (global f64 (f64.const 0)) "
        "(global v128 (v128.const i64x2 0 0))",
        "(table 10 funcref) (func (param i32) (drop (table.get 0 (local.get 0))) (drop (table.size 0)))",
        '(import "ic0" "msg_reply" (func $r)) (export "canister_update go" (func $r))',
    ],
)
def test_modules_that_keep_the_rules_pass(wat: str) -> None:
    check(compiled(f"(module {wat})"))


IMPORT_SECTION = "Wasm module has an invalid import section. "
EXPORT_SECTION = "Wasm module has an invalid export section. "
SIGNATURE = "Wasm module has an invalid function signature. "
REFUSED = {
    '(import "ic0" "nope" (func))': IMPORT_SECTION
    + "Module imports function 'nope' from 'ic0' that is not exported by the runtime.",
    '(import "wasi_snapshot_preview1" "fd_close" (func (param i32) (result i32)))': IMPORT_SECTION
    + "Module imports function 'fd_close' from 'wasi_snapshot_preview1' that is not exported by the runtime.",
    '(import "env" "msg_reply" (func))': IMPORT_SECTION
    + 'Module imports function "msg_reply" from "env", expected to be imported from one of ["ic0"] instead.',
    '(import "ic0" "stable_size" (func (result i32))) (memory i64 1)': IMPORT_SECTION
    + "Module imports function 'stable_size' from 'ic0' that is not exported by the runtime.",
    '(import "ic0" "g" (global i32))': IMPORT_SECTION + "Importing globals is not allowed.",
    '(import "ic0" "t" (tag))': IMPORT_SECTION + "Importing tags is not allowed.",
    '(import "ic0" "memory" (memory 1))': IMPORT_SECTION + "Only memory imported from env.memory is allowed.",
    '(import "env" "memory" (memory 1))': IMPORT_SECTION + "Importing memories is not allowed.",
    '(import "ic0" "table" (table 1 funcref))': IMPORT_SECTION + "Only tables imported from env.table are allowed.",
    '(import "env" "table" (table 1 funcref))': IMPORT_SECTION + "Importing tables is not allowed.",
    '(import "ic0" "msg_reply" (func (param i64)))': SIGNATURE + "Expected input params [] for 'msg_reply', got [I64].",
    '(import "ic0" "time" (func (result i32)))': SIGNATURE + "Expected return type [I64] for 'time', got [I32].",
    '(import "ic0" "time" (func (result funcref)))': SIGNATURE
    + "Expected return type [I64] for 'time', got [Ref(funcref)].",
    '(import "ic0" "msg_arg_data_copy" (func (param i32 i32 i32))) (memory i64 1)': SIGNATURE
    + "Expected input params [I64, I64, I64] for 'msg_arg_data_copy', got [I32, I32, I32].",
    '(func (export "canister_update go") (result i64) (i64.const 1))': SIGNATURE
    + "Expected return type [] for 'canister_update go', got [I64].",
    '(func (export "canister_init") (param f32 f64 v128))': SIGNATURE
    + "Expected input params [] for 'canister_init', got [F32, F64, V128].",
    '(import "ic0" "time" (func $t (result i64))) (export "canister_query t" (func $t))': SIGNATURE
    + "Expected return type [] for 'canister_query t', got [I64].",
    '(func (export "canister_foo"))': EXPORT_SECTION
    + "Exporting reserved function 'canister_foo' with \"canister_\" prefix",
    '(func (export "canister_update"))': EXPORT_SECTION
    + "Exporting reserved function 'canister_update' with \"canister_\" prefix",
    '(func (export "canister_start"))': EXPORT_SECTION + "Exporting reserved symbol canister_start not allowed.",
    '(memory (export "stable_memory") 1)': EXPORT_SECTION + "Exporting reserved symbol stable_memory not allowed.",
    '(global (export "canister counter_instructions") i32 (i32.const 0))': EXPORT_SECTION
    + "Exporting reserved symbol canister counter_instructions not allowed.",
    '(global (export "canister_sandbox table") i32 (i32.const 0))': EXPORT_SECTION
    + "Exporting reserved symbol canister_sandbox table not allowed.",
    '(func (export "canister_update foo")) (func (export "canister_query foo"))': EXPORT_SECTION
    + "Duplicate function 'foo' exported multiple times with different call types: update, query, or composite_query.",
    '(global $g i32 (i32.const 0)) (memory 1) (data (global.get $g) "x")': (
        "Wasm module has an invalid data section. Invalid offset expression in data segment for 32bit memory: "
        "GlobalGet { global_index: 0 }"
    ),
    '(memory i64 1) (data (i32.const 7) "x")': (
        "Wasm module has an invalid data section. Invalid offset expression in data segment for 64bit memory: "
        "I32Const { value: 7 }"
    ),
    "(global funcref (ref.null func))": "Wasm module has an invalid global section. "
    "Unsupported global type: Ref(funcref)",
    "(memory i64 1 98305)": (
        "Wasm module declares a 64-bit memory of 98305 pages which exceeds the maximum allowed size of 98304 pages"
    ),
    "(memory i64 98305)": (
        "Wasm module declares a 64-bit memory of 98305 pages which exceeds the maximum allowed size of 98304 pages"
    ),
    "(table 1 funcref) (table 1 funcref)": "Wasm module defined 2 tables which exceeds the maximum number allowed 1",
    "(table 1000001 funcref)": (
        "Wasm module defined a table of 1000001 elements which exceeds the maximum number allowed 1000000"
    ),
    "(func) (func (param i32) (table.set 0 (local.get 0) (ref.null func))) (table 1 funcref)": (
        "Wasm module contains a function at index 1 with unsupported instruction table.set"
    ),
    "(table 1 funcref) (func (drop (table.grow 0 (ref.null func) (i32.const 1))))": (
        "Wasm module contains a function at index 0 with unsupported instruction table.grow"
    ),
    "(table 1 funcref) (func (table.fill 0 (i32.const 0) (ref.null func) (i32.const 1)))": (
        "Wasm module contains a function at index 0 with unsupported instruction table.fill"
    ),
    "(table 1 funcref) (func (table.copy (i32.const 0) (i32.const 0) (i32.const 1)))": (
        "Wasm module contains a function at index 0 with unsupported instruction table.copy"
    ),
    "(table 1 funcref) (elem func) (func (table.init 0 (i32.const 0) (i32.const 0) (i32.const 1)))": (
        "Wasm module contains a function at index 0 with unsupported instruction table.init"
    ),
}


@pytest.mark.parametrize(("wat", "text"), REFUSED.items(), ids=range(len(REFUSED)))
def test_a_broken_rule_is_refused_with_the_replicas_text(wat: str, text: str) -> None:
    assert refusal(wat) == text


def test_two_memories_are_refused_with_the_offset_that_the_engine_reports() -> None:
    wat = '(func $update) (memory 1) (memory 1) (export "canister_update update" (func $update))'
    assert refusal(wat) == (
        "Wasmtime failed to validate wasm module wasmtime::Module::validate() failed with multiple memories "
        "(at offset 0x14)"
    )


def test_too_many_functions() -> None:
    wat = "(func)" * (limits.DEFINED_FUNCTIONS + 1)
    assert refusal(wat) == "Wasm module defined 50001 functions, which exceeds the maximum number allowed 50000"


def test_too_many_globals() -> None:
    wat = "(global i32 (i32.const 0))" * (limits.GLOBALS + 1)
    assert refusal(wat) == "Wasm module defined 1001 globals which exceeds the maximum number allowed 1000"


def test_too_many_methods() -> None:
    exports = [f'(export "canister_{kind} {n}" (func $f))' for n, kind in enumerate(["update", "query"] * 501)]
    check(compiled(f"(module (func $f) {''.join(exports[:1000])})"))
    assert refusal(f"(func $f) {''.join(exports[:1001])}") == (
        f"{EXPORT_SECTION}The number of exported functions called {METHODS} exceeds 1000"
    )


def test_method_names_too_long_together() -> None:
    def wat(size: int) -> str:
        names = (f"update {'a' * 9_999}ä", f"query {'b' * size}")
        return "(func $f)" + "".join(f'(export "canister_{name}" (func $f))' for name in names)

    check(compiled(f"(module {wat(9_999)})"))
    assert refusal(wat(10_000)) == (
        f"{EXPORT_SECTION}The sum of `<name>` lengths in exported functions called {METHODS} exceeds 20000"
    )


def test_a_code_section_too_large() -> None:
    size = limits.CODE_SECTION_SIZE + 1
    body = b"\0" + b"\1" * (size - 7) + b"\x0b"
    code = b"\1" + encode_unsigned(len(body)) + body
    wasm = HEADER + section(Id.TYPE, b"\1\x60\0\0") + section(Id.FUNCTION, b"\1\0") + section(Id.CODE, code)
    assert refusal(wasm) == (
        f"Wasm module code section size of {len(code)} exceeds the maximum allowed size of 12582912"
    )


def test_a_function_name_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.limits.FUNCTION_NAME_SIZE", 200)
    names = b"\1" + name("x" * 201)[:0] + b"\7" + name("x" * 201)
    wasm = HEADER + custom_section("name", b"\1" + encode_unsigned(len(names)) + names)
    assert refusal(wasm) == (
        f"Wasm module contains a function at index 7 with name '{'x' * 100}...' of size 201 bytes that exceeds the "
        "maximum allowed size of 200 bytes"
    )


CUSTOM = "Wasm module has an invalid custom section. "


@pytest.mark.parametrize(
    ("sections", "text"),
    [
        (["icp:public"], CUSTOM + "'icp:' section names must have a space after the public/private scope"),
        (["icp:private"], CUSTOM + "'icp:' section names must have a space after the public/private scope"),
        (
            ["icp:protected x"],
            CUSTOM + "Invalid custom section: Custom section 'icp:protected x' has no public/private scope defined.",
        ),
        (["icp:public a", "icp:public a"], CUSTOM + "Invalid custom section: name a already exists"),
        (["icp:public a", "icp:private a"], CUSTOM + "Invalid custom section: name a already exists"),
        (
            [f"icp:public {n}" for n in range(17)],
            "Wasm module defined 17 custom sections which exceeds the maximum number allowed 16",
        ),
    ],
)
def test_custom_section_rules(sections: list[str], text: str) -> None:
    assert refusal(HEADER + b"".join(custom_section(n, b"") for n in sections)) == text


def test_custom_sections_that_pass() -> None:
    names = ["icp:public ", "icp:private  x", "icp:public static void main", "icp", "eth:x", "name", "eth:x", " icp:x"]
    check(HEADER + b"".join(custom_section(n, b"") for n in names))
    check(HEADER + b"".join(custom_section(f"icp:private {n}", b"") for n in range(16)))


def test_the_total_size_of_custom_sections() -> None:
    fits = add_metadata(HEADER, "ab", bytes(limits.CUSTOM_SECTIONS_SIZE - 2)) + custom_section("other", bytes(9999))
    check(fits)
    assert refusal(add_metadata(fits, "c", b"")) == (
        f"{CUSTOM}Invalid custom sections: total size of the custom sections exceeds the maximum allowed: "
        "size 1048577 bytes, allowed 1048576 bytes"
    )
