"""Modules built to attack the host: each gets a trap or a clear error, nothing changes, the process lives."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator

import pytest

from sandbox import Canister, ErrorCode, InstructionLimits, Sandbox
from tests.conftest import FEW_INSTRUCTIONS, everything, fixture, guest, number, rejected, wat, with_section

Install = Callable[..., Canister]
INVALID, TRAPPED = ErrorCode.CANISTER_INVALID_WASM, ErrorCode.CANISTER_TRAPPED
VIOLATION, LIMIT = ErrorCode.CANISTER_CONTRACT_VIOLATION, ErrorCode.CANISTER_INSTRUCTION_LIMIT_EXCEEDED
GOOD = guest('(func (export "canister_update ok") (call $reply64 (i64.const 7)))')


def leb(n: int) -> bytes:
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + leb(n >> 7)


def section(number: int, content: bytes) -> bytes:
    return bytes([number]) + leb(len(content)) + content


def raw(*sections: tuple[int, bytes]) -> bytes:
    return b"\0asm\1\0\0\0" + b"".join(section(n, content) for n, content in sections)


def with_body(code: bytes, memory: bool = True) -> bytes:
    """A module with one function `canister_update x`, given as bytes."""
    body = b"\0" + code + b"\x0b"
    name = b"canister_update x"
    return raw(
        (1, b"\1\x60\0\0"),
        (3, b"\1\0"),
        *([(5, b"\1\0\1")] if memory else []),
        (7, b"\1" + leb(len(name)) + name + b"\0\0"),
        (10, b"\1" + leb(len(body)) + body),
    )


COUNTER = fixture("counter.classical")
BAD: dict[str, bytes] = {
    "nothing": b"",
    "not wasm": b"\x7fELF" + bytes(100),
    "text": b"(module)",
    "half a header": b"\0asm\1\0",
    "another version": b"\0asm\2\0\0\0",
    "a component": b"\0asm\x0d\0\1\0",
    "truncated early": COUNTER[:100],
    "truncated in code": COUNTER[: len(COUNTER) // 2],
    "truncated by one": COUNTER[:-1],
    "gzip truncated": gzip.compress(COUNTER)[:-9],
    "gzip of nothing": gzip.compress(b""),
    "gzip of gzip": gzip.compress(gzip.compress(COUNTER)),
    "gzip bomb": gzip.compress(bytes(200 << 20), 9),
    "gzip bomb that lies": gzip.compress(b"\0asm" + bytes(200 << 20), 9)[:-4] + (1000).to_bytes(4, "little"),
    "gzip with a tail": gzip.compress(COUNTER) + b"tail",
    "two memories": raw((5, b"\2\0\1\0\1")),
    "memory beyond 4 GiB": raw((5, b"\1\0" + leb(65537))),
    "memory of 7 GiB": wat("(module (memory i64 114688))"),
    "memory of 16 EiB": raw((5, b"\1\4" + b"\xff" * 5 + b"\x7f")),
    "a table of 10 million": wat("(module (table 10000000 funcref))"),
    "a table of 4 billion": wat("(module (table 4294967295 funcref))"),
    "two tables": wat("(module (table 1 funcref) (table 1 funcref))"),
    "sizes that lie": raw((1, b"\xff\xff\xff\xff\x0f\x60")),
    "a section beyond the end": b"\0asm\1\0\0\0\1\xff\xff\xff\xff\x0f",
    "sections out of order": raw((3, b"\1\0"), (1, b"\1\x60\0\0")),
    "the same section twice": raw((1, b"\1\x60\0\0"), (1, b"\1\x60\0\0")),
    "import of the sandbox's memory": wat('(module (import "sandbox" "heap" (memory 1)))'),
    "import of the sandbox's scratch": wat('(module (import "sandbox" "scratch" (memory 1)))'),
    "import of the sandbox's functions": wat('(module (import "sandbox" "fail" (func (param i32))))'),
    "import of an internal as ic0": wat('(module (import "ic0" "fail" (func (param i32))))'),
    "import of a global": wat('(module (import "ic0" "time" (global i64)))'),
    "import of wasi": wat('(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32))))'),
    "import of another type": wat('(module (import "ic0" "time" (func (result i32))))'),
    "32-bit only in 64 bits": wat('(module (import "ic0" "stable_size" (func (result i32))) (memory i64 1))'),
    "reserved export": wat('(module (func (export "canister_sandbox save_globals")))'),
    "reserved export of a memory": wat('(module (memory (export "canister_sandbox start") 1))'),
    "reserved export of a global": wat('(module (global (export "canister_sandbox table") i32 (i32.const 1)))'),
    "unknown entry point": wat('(module (func (export "canister_backdoor")))'),
    "entry point of another type": wat('(module (func (export "canister_update x") (param i32)))'),
    "a method twice": wat('(module (func (export "canister_update x")) (func (export "canister_query x")))'),
    "memory 1 in a body": with_body(b"\x3f\1\x1a"),
    "memory 1 in a memory argument": with_body(b"\x41\0\x28\x42\1\0\x1a"),
    "memory 0 where there is none": with_body(b"\x3f\0\x1a", memory=False),
    "a call of an appended function": with_body(b"\x10\1"),
    "a call beyond all": with_body(b"\x10\xff\xff\xff\xff\x0f"),
    "20,000 nested blocks": with_body(b"\2\x40" * 20_000 + b"\x0b" * 20_000),
    "a million nested blocks": with_body(b"\2\x40" * 1_000_001 + b"\x0b" * 1_000_001),
    "unbalanced blocks": with_body(b"\2\x40" * 100),
    "unknown instruction": with_body(b"\xff"),
    "table.grow": wat("(module (table 1 funcref) (func (drop (table.grow 0 (ref.null func) (i32.const 1)))))"),
    "table.set": wat("(module (table 1 funcref) (func (table.set 0 (i32.const 0) (ref.null func))))"),
    "1,001 globals": wat("(module " + "(global i32 (i32.const 0))" * 1001 + ")"),
    "50,001 functions": wat("(module " + "(func)" * 50_001 + ")"),
    "a global of references": wat("(module (global (mut externref) (ref.null extern)))"),
    "metadata of 2 MiB": raw((0, leb(12) + b"icp:public a" + bytes(2 << 20))),
    "metadata without a scope": with_section(GOOD, "icp:secret a"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_module_is_refused_with_a_reason_and_changes_nothing(
    name: str, install: Install, sandbox: Sandbox
) -> None:
    canister = install(GOOD)
    before = everything(sandbox, canister)
    for mode in ("reinstall", "upgrade"):
        error = rejected(INVALID, "Canister's Wasm module is not valid: ", canister.install, BAD[name], mode=mode)
        assert len(error.message) <= 8192
        assert len(error.message.split("is not valid: ")[1]) > 10
    assert everything(sandbox, canister) == before
    assert canister.logs() == ()
    assert number(canister.update("ok").reply) == 7


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('(data (i32.const 65536) "x")', "heap out of bounds"),
        ('(data (i32.const -1) "x")', "heap out of bounds"),
        ('(data (i32.const 65537) "")', "heap out of bounds"),
        ('(data (i32.const 0) "fine") (data (i32.const 65535) "xy")', "heap out of bounds"),
        ("(table 1 funcref) (func $f) (elem (i32.const 1) $f)", "table out of bounds"),
        ("(table 1 funcref) (func $f) (elem (i32.const -1) $f)", "table out of bounds"),
    ],
)
def test_segments_that_do_not_fit_are_traps(body: str, text: str, install: Install, sandbox: Sandbox) -> None:
    canister = install(GOOD)
    before = everything(sandbox, canister)
    for mode in ("reinstall", "upgrade"):
        rejected(TRAPPED, f"Canister trapped: {text}", canister.install, guest(body), mode=mode)
    assert everything(sandbox, canister) == before


def test_segments_up_to_the_last_byte_fit(install: Install) -> None:
    canister = install(guest('(data (i32.const 65535) "x") (data (i32.const 65536) "")'))
    assert canister.raw_state().heap[-1:] == b"x"


@pytest.mark.parametrize("hook", ["start", "canister_init", "canister_post_upgrade", "canister_pre_upgrade"])
def test_a_hook_that_never_ends_is_ended(hook: str, install: Install, sandbox: Sandbox) -> None:
    loop = "(loop $l (i32.store (i32.const 0) (i32.const 1)) (br $l))"
    module = guest(f"(start $s) (func $s {loop})" if hook == "start" else f'(func (export "{hook}") {loop})')
    canister = install(module if hook == "canister_pre_upgrade" else GOOD)
    before = everything(sandbox, canister)
    mode = "reinstall" if hook == "canister_init" else "upgrade"
    rejected(
        LIMIT, f"exceeded the limit of {FEW_INSTRUCTIONS.install} instructions", canister.install, module, mode=mode
    )
    assert everything(sandbox, canister) == before


ENDLESS = {
    "nothing": "(br $l)",
    "storing": "(i32.store (i32.const 8) (i32.const 1)) (br $l)",
    "calls": "(call $ok) (br $l)",
    "filling": "(memory.fill (i32.const 0) (i32.const 1) (i32.const 60000)) (br $l)",
    "copying": "(memory.copy (i32.const 0) (i32.const 1) (i32.const 60000)) (br $l)",
    "initialising": "(memory.init $data (i32.const 0) (i32.const 0) (i32.const 60000)) (br $l)",
    "stable writes": "(call $stable64_write (i64.const 0) (i64.const 0) (i64.const 60000)) (br $l)",
    "stable reads": "(call $stable64_read (i64.const 0) (i64.const 0) (i64.const 60000)) (br $l)",
    "growing": "(drop (memory.grow (i32.const 1))) (br $l)",
    "growing too much": "(drop (memory.grow (i32.const -1))) (br $l)",
    "growing stable memory": "(drop (call $stable64_grow (i64.const 1))) (br $l)",
    "asking": "(drop (call $time)) (br $l)",
    "printing": "(call $debug_print (i32.const 0) (i32.const 32)) (br $l)",
    "copying the argument": "(call $msg_arg_data_copy (i32.const 0) (i32.const 0) (i32.const 6)) (br $l)",
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_whatever_a_loop_does_it_ends_and_changes_nothing(kind: str) -> None:
    sandbox = Sandbox(instruction_limits=InstructionLimits(update=300_000))
    canister = sandbox.create_canister()
    data = f'(data $data "{"x" * 60_000}")'
    loop = f"(drop (call $stable64_grow (i64.const 1))) (loop $l {ENDLESS[kind]})"
    body = f'{data} (func $ok) (func (export "canister_update x") {loop})'
    canister.install(guest(body))
    before = everything(sandbox, canister)
    began = time.perf_counter()
    rejected(LIMIT, "exceeded the limit of 300000 instructions", canister.update, "x")
    assert time.perf_counter() - began < 20
    assert everything(sandbox, canister) == before


@pytest.mark.parametrize(
    ("memory", "body", "size"),
    [
        ("65536", "(i32.store (i32.const 0xfffffffc) (i32.const 1))", 65536 << 16),
        ("i64 98304", "(i64.store (i64.const 0x17ffffff8) (i64.const 1))", 98304 << 16),
        ("1", "(drop (memory.grow (i32.const 65535))) (i32.store (i32.const 0xfffffffc) (i32.const 1))", 65536 << 16),
        (
            "i64 1",
            "(drop (memory.grow (i64.const 98303))) (i64.store (i64.const 0x17ffffff8) (i64.const 1))",
            98304 << 16,
        ),
    ],
)
def test_the_largest_memories_cost_what_is_written(memory: str, body: str, size: int, sandbox: Sandbox) -> None:
    canister = sandbox.create_canister(settings={"wasm_memory_limit": 0})
    canister.install(wat(f'(module (memory {memory}) (func (export "canister_update x") {body}))'))
    rejected(ErrorCode.CANISTER_DID_NOT_REPLY, "", canister.update, "x")
    assert canister.status().heap_size == size
    snapshot = canister.take_snapshot()
    assert len(snapshot.checksum) == 64
    rejected(ErrorCode.CANISTER_DID_NOT_REPLY, "", canister.update, "x")
    canister.load_snapshot(snapshot.id)


@pytest.mark.parametrize("memory", ["1 2", "i64 1 2"])
def test_a_declared_maximum_holds(memory: str, install: Install) -> None:
    kind = "i64" if "i64" in memory else "i32"
    body = f"(if (i64.ne (i64.const -1) ({'i64.extend_i32_s' if kind == 'i32' else 'i64.add (i64.const 0)'} (memory.grow ({kind}.const 2)))) (then unreachable)) (drop (memory.grow ({kind}.const 1)))"  # noqa: E501
    canister = install(wat(f'(module (memory {memory}) (func (export "canister_update x") {body}))'))
    rejected(ErrorCode.CANISTER_DID_NOT_REPLY, "", canister.update, "x")
    assert canister.status().heap_size == 2 * 65536


@pytest.mark.parametrize("wide", [False, True])
def test_no_address_reaches_beyond_the_memory(wide: bool, install: Install) -> None:
    letter, edge = ("i64", 1 << 63) if wide else ("i32", 1 << 31)
    addresses = [65536, 65529, edge, 2 * edge - 1, edge - 1, 2 * edge - 8, 65536 + (1 << 20), 4 * (1 << 28)]
    offsets = [0, 1, 65535, (1 << 32) - 1]
    methods = "".join(
        f'(func (export "canister_update {a} {o}") (i64.store offset={o} ({letter}.const {a}) (i64.const -1)))'
        for a in addresses
        for o in offsets
    )
    memory = "(memory i64 1)" if wide else "(memory 1)"
    canister = install(wat(f"(module {memory} {methods})"))
    before = canister.raw_state()
    for a in addresses:
        for o in offsets:
            rejected(TRAPPED, "heap out of bounds", canister.update, f"{a} {o}")
    assert canister.raw_state() == before


def system_calls() -> Iterator[tuple[str, str]]:
    """(name, call) with addresses and sizes that no guest has."""
    for size in (-1, 1 << 30, 0x7FFFFFFF):
        for place in (-1, 0, 65535, 0x7FFFFFFF):
            pair = f"(i32.const {place}) (i32.const {size})"
            yield f"msg_reply_data_append {place} {size}", f"(call $msg_reply_data_append {pair})"
            yield f"msg_reject {place} {size}", f"(call $msg_reject {pair})"
            yield f"certified_data_set {place} {size}", f"(call $certified_data_set {pair})"
            for name in ("msg_arg_data_copy", "msg_caller_copy", "canister_self_copy"):
                yield f"{name} {place} {size}", f"(call ${name} (i32.const {place}) (i32.const 0) (i32.const {size}))"
                yield f"{name} {place} 1 {size}", f"(call ${name} (i32.const 0) (i32.const {place}) (i32.const {size}))"


def test_no_system_call_reaches_beyond_the_memory() -> None:
    """Each byte of a reply counts 50: of so many bytes it is the instructions that are too many."""
    calls = dict(system_calls())
    sandbox = Sandbox()
    canister = sandbox.create_canister()
    canister.install(guest("".join(f'(func (export "canister_update {n}") {c})' for n, c in calls.items())))
    before = everything(sandbox, canister)
    for name in calls:
        if name.startswith(("msg_reply_data_append", "msg_reject")):
            rejected(LIMIT, "exceeded the limit of 40000000000 instructions", canister.update, name)
        else:
            rejected(VIOLATION, "Canister violated contract: ", canister.update, name)
    assert everything(sandbox, canister) == before


@pytest.mark.parametrize(
    ("call", "code", "text"),
    [
        ("(call $debug_print (i32.const 0) (i32.const 0))", VIOLATION, "WebAssembly module must define memory"),
        ("(call $trap (i32.const 0) (i32.const 0))", VIOLATION, "WebAssembly module must define memory"),
        ("(drop (call $stable64_grow (i64.const 1))) (call $stable64_write (i64.const 0) (i64.const 0) (i64.const 1))",
         TRAPPED, "heap out of bounds"),
    ],
)  # fmt: skip
def test_a_module_without_memory_can_do_no_harm(call: str, code: ErrorCode, text: str, install: Install) -> None:
    canister = install(guest(f'(func (export "canister_update x") {call})', ""))
    rejected(code, text, canister.update, "x")
    assert canister.raw_state().heap == b""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 9,
        b"\1\xff\xff\xff\xff\x0f",
        b"\1\7\1\0\4\xff\xfe\xfd\xfc",
        b"\1\5\1\xff\xff\xff\x7f",
        bytes(1000),
    ],
)
def test_rubbish_in_the_name_section_is_ignored(content: bytes, install: Install) -> None:
    module = guest('(func (export "canister_update x") unreachable)')
    canister = install(with_section(module, "name", content))
    rejected(TRAPPED, "unreachable", canister.update, "x")


def test_the_same_import_many_times_is_harmless(install: Install) -> None:
    imports = '(import "ic0" "time" (func (result i64)))' * 20_000
    canister = install(wat(f'(module {imports} (memory 1) (func (export "canister_update x") (drop (call 19999))))'))
    rejected(ErrorCode.CANISTER_DID_NOT_REPLY, "", canister.update, "x")


def test_a_table_of_a_million_elements_works(install: Install) -> None:
    body = '(table 1000000 funcref) (type $f (func)) (func $g) (elem (i32.const 999999) $g) (func (export "canister_update x") (call_indirect (type $f) (i32.const 999999))) (func (export "canister_update y") (call_indirect (type $f) (i32.const 999998)))'  # noqa: E501
    canister = install(guest(body))
    rejected(ErrorCode.CANISTER_DID_NOT_REPLY, "", canister.update, "x")
    rejected(TRAPPED, "", canister.update, "y")


def test_a_method_name_is_anything_at_all(install: Install) -> None:
    names = ["", " ", "a b", "é", "\U0001f600", "x" * 10_000, "__proto__", "../../etc/passwd", "$(reboot)"]
    canister = install(
        guest(
            "".join(
                f'(func (export "canister_update {n}") (call $reply64 (i64.const {k})))' for k, n in enumerate(names)
            )
        )
    )
    assert [number(canister.update(name).reply) for name in names] == list(range(len(names)))
    rejected(ErrorCode.CANISTER_METHOD_NOT_FOUND, "Canister has no update method '", canister.update, "y" * 100_000)
