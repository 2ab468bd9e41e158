"""The counter in rewritten bodies: where blocks begin, what a trap has executed, where the limit ends an execution."""

from __future__ import annotations

from collections.abc import Callable

import blake3
import pytest

from sandbox import Canister, ErrorCode, InstructionLimits, Sandbox
from sandbox.codec.leb128 import encode_unsigned
from sandbox.wasm import REWRITE, read_facts, rewritten_code
from sandbox.wasm.reader import HEADER, Id
from sandbox.wasm.writer import section, vector
from tests.conftest import fixture, guest, number, rejected, wat

Install = Callable[..., Canister]
TRAPPED, LIMIT = ErrorCode.CANISTER_TRAPPED, ErrorCode.CANISTER_INSTRUCTION_LIMIT_EXCEEDED
SILENT = ErrorCode.CANISTER_DID_NOT_REPLY
PAGE = 1_000


def test_the_version_of_the_rewrite_stands_for_its_bytes() -> None:
    """If this fails, `REWRITE` must change: compiled code is found by it."""
    code = b"".join(rewritten_code(read_facts(fixture(name)))[0] for name in ("counter.enhanced", "counter.classical"))
    assert (REWRITE, blake3.blake3(code).hexdigest()[:16]) == (3, "0aee2cd33c9249d7")


@pytest.mark.parametrize(
    ("body", "executed"),
    [
        ("unreachable (nop) (nop)", 1 + 1),
        ("(nop) (drop (i32.load (i32.const 65536))) (nop) (nop)", 1 + 1 + 3 + 2),  # the whole block
        ("(nop) (block (drop (i32.load (i32.const 65536)))) (nop) (nop)", 1 + 1 + 3),
        ("(if (i32.const 1) (then (nop) unreachable) (else (nop)))", 1 + 3 + 2),
        ("(call $deeper) (nop)", 1 + 5 + 1 + 1 + 1 + 1 + 10 + 1 + 1),
        ("(memory.fill (i32.const 0) (i32.const 0) (i32.const 70000))", 1 + 3 + 100 + 70_000),
        (
            "(local.set 0 (i32.const 1000)) (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))"
            " unreachable",
            1 + 2 + 1000 * 6 + 1,
        ),
        ("(call $for_ever (i32.const 1))", None),
    ],
)
def test_what_a_trap_has_executed_counts(body: str, executed: int | None, install: Install) -> None:
    canister = install(
        guest(
            f"""(func (export "canister_update x") (local i32) {body})
            (func $deeper (drop (i32.div_u (i32.const 1) (i32.const 0))) (nop))
            (func $for_ever (param i32) (call $for_ever (local.get 0)) (nop))"""
        )
    )
    result = rejected(TRAPPED, "", canister.update, "x").result
    if executed is None:
        assert result.instructions > 100_000
        assert result.instructions % (1 + 1 + 5 + 1) == 1 + 1 + 5
    else:
        assert result.instructions == executed


def test_a_trap_beyond_the_limit_is_a_trap_where_nothing_checks() -> None:
    """Behind the last check the counter may be negative; the function's own `unreachable` is then still a trap."""
    for limit, code, text in ((507, TRAPPED, "unreachable"), (506, LIMIT, "limit of 506 instructions")):
        canister = Sandbox(instruction_limits=InstructionLimits(update=limit)).create_canister()
        canister.install(guest('(func (export "canister_update x") (drop (call $time)) (block) (nop) unreachable)'))
        error = rejected(code, text, canister.update, "x")
        assert error.result.instructions == limit


@pytest.mark.parametrize(
    ("body", "needed"),
    [
        ("(nop)", 1 + 1),
        ("(loop (nop) (nop))", 1 + 2),
        ("(call $f)", 1 + 5 + 1),
        ("(memory.fill (i32.const 0) (i32.const 0) (i32.const 5))", 1 + 3 + 100 + 5),
        ("(drop (call $time))", 1 + 5 + 1 + 500),
        ("(drop (call $stable64_grow (i64.const 0)))", 1 + 1 + 5 + 1 + 100),
    ],
)
def test_the_limit_may_be_reached_and_not_passed(body: str, needed: int) -> None:
    for limit, code in ((needed, SILENT), (needed - 1, LIMIT), (0, LIMIT)):
        canister = Sandbox(instruction_limits=InstructionLimits(update=limit)).create_canister()
        canister.install(guest(f'(func $f) (func (export "canister_update x") {body})'))
        assert rejected(code, "", canister.update, "x").result.instructions == limit


@pytest.mark.parametrize(
    "body",
    [
        "(loop $l (br $l))",
        "(loop $l (loop $m (br $l)))",
        "(call $f)",
        "(loop $l (drop (call $time)) (br $l))",
        "(loop $l (call_indirect (i32.const 0)) (br $l))",
        "(return_call $g)",
        "(memory.fill (i32.const 0) (i32.const 0) (i32.const -1))",
    ],
)
def test_what_never_ends_is_ended_without_a_trace(body: str) -> None:
    canister = Sandbox(instruction_limits=InstructionLimits(update=600_000)).create_canister()
    canister.install(
        guest(
            f"""(table 1 funcref) (elem (i32.const 0) $h) (func $h)
            (func $f (drop (i32.const 1)) (call $f2)) (func $f2 (loop $l (br $l))) (func $g (return_call $g))
            (func (export "canister_update x") (i32.store (i32.const 0) (i32.const 1)) {body})"""
        )
    )
    before = canister.raw_state()
    error = rejected(
        LIMIT, "Canister exceeded the limit of 600000 instructions for single message", canister.update, "x"
    )
    assert (error.result.instructions, error.result.backtrace) == (600_000, ())
    assert canister.raw_state() == before


def bare(body: bytes) -> bytes:
    """A module of one update method `x`."""
    code = vector([encode_unsigned(len(body)) + body])
    export = b"\1\x11canister_update x\0\0"
    sections = ((Id.TYPE, vector([b"\x60\0\0"])), (Id.FUNCTION, b"\1\0"), (Id.EXPORT, export), (Id.CODE, code))
    return HEADER + b"".join(section(*part) for part in sections)


HOSTILE = {
    "branches": (b"\0\x02\x40" + b"\x41\0\x0d\0" * 12_000 + b"\x0b\x0b", 1 + 12_000 * 3),
    "conditions": (b"\0" + b"\x41\1\x04\x40\x01\x0b" * 9_000 + b"\x0b", 1 + 9_000 * 4),
    "loops": (b"\0" + b"\x03\x40\x0b" * 9_000 + b"\x0b", 1),
    "nested loops": (b"\0" + b"\x03\x40" * 2_000 + b"\x01\x0b" * 2_000 + b"\x0b", 1 + 2_000),
    "nested blocks": (b"\0" + b"\x02\x40" * 9_000 + b"\x41\0\x0d\5" * 5_000 + b"\x0b" * 9_000 + b"\x0b", 1 + 5_000 * 3),
    "straight": (b"\0" + b"\x01" * 500_000 + b"\x0b", 1 + 500_000),
    "long table": (b"\0\x02\x40\x41\0\x0e\xff\x7f" + bytes(16_384) + b"\x0b\x0b", 1 + 3),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_function_is_installed_and_counted(name: str) -> None:
    """With the engine's fuel the first of these took half a minute to compile."""
    body, executed = HOSTILE[name]
    canister = Sandbox().create_canister()
    canister.install(bare(body))
    assert rejected(SILENT, "", canister.update, "x").result.instructions == executed


# --- changed pages of the heap

WRITES = """(global $n (mut i32) (i32.const 0))
(func (export "canister_update new")
  (i32.store8 (i32.const 5) (i32.const 1)) (i32.store8 (i32.const 9000) (i32.const 1)))
(func (export "canister_update same") (i32.store8 (i32.const 5) (i32.load8_u (i32.const 5))))
(func (export "canister_update back") (i32.store8 (i32.const 0) (i32.const 1)) (i32.store8 (i32.const 0) (i32.const 0)))
(func (export "canister_update far") (drop (memory.grow (i32.const 1))) (i32.store8 (i32.const 70000) (i32.const 1)))
(func (export "canister_update trap") (i32.store8 (i32.const 20000) (i32.const 1)) unreachable)
(func (export "canister_query read") (i32.store8 (i32.const 30000) (i32.const 1)))
(func (export "canister_composite_query read2") (i32.store8 (i32.const 30000) (i32.const 1)))"""


def test_changed_pages_of_the_heap_count_after_the_execution(install: Install) -> None:
    canister = install(guest(WRITES, "(memory 1 2)"))

    def counted(method: str, code: ErrorCode = SILENT, call: str = "update") -> int:
        count: int = rejected(code, "", getattr(canister, call), method).result.instructions
        return count

    store = 3
    for _ in range(2):  # a message without a reply keeps its changes
        assert counted("same") == 1 + 4
        assert counted("back") == 1 + 2 * store
        assert counted("trap", TRAPPED) == 1 + store + 1 + PAGE
        assert counted("read") == counted("read", call="query_raw") == 1 + store
        assert counted("read2", call="query_raw") == 1 + store + PAGE
    assert counted("new") == 1 + 2 * store + 2 * PAGE
    assert counted("new") == 1 + 2 * store
    assert counted("far") == 1 + 302 + store + PAGE


def test_what_is_charged_after_the_execution_cannot_end_it() -> None:
    limit = 1 + 3 + 505
    canister = Sandbox(instruction_limits=InstructionLimits(update=limit)).create_canister()
    canister.install(
        guest('(func (export "canister_update x") (i32.store (i32.const 0) (i32.const 1)) (call $msg_reply))')
    )
    assert canister.update("x").instructions == limit


def test_each_hook_is_compared_with_what_was_there_before_it() -> None:
    """Data segments are not changes; what `start` has written is not written again by `canister_init`."""
    hooks = """(data (i32.const 0) "data") (data (i32.const 50000) "more")
    (func $start (i32.store8 (i32.const 10) (i32.const 1)) (i32.store8 (i32.const 20000) (i32.const 1))) (start $start)
    (func (export "canister_init")
      (i32.store8 (i32.const 10) (i32.const 1)) (i32.store8 (i32.const 30000) (i32.const 1)))"""
    canister = Sandbox().create_canister()
    result = canister.install(guest(hooks))
    assert [hook.instructions for hook in result.hooks] == [1 + 6 + 2 * PAGE, 1 + 6 + PAGE]


def test_pages_count_four_times_as_much_with_a_64_bit_memory() -> None:
    canister = Sandbox().create_canister()
    canister.install(
        wat('(module (memory i64 1) (func (export "canister_update x") (i32.store8 (i64.const 0) (i32.const 1))))')
    )
    assert rejected(SILENT, "", canister.update, "x").result.instructions == 1 + 4 + 4 * PAGE


def test_the_counter_of_a_call_context_has_all_of_its_earlier_executions(sandbox: Sandbox) -> None:
    caller = sandbox.create_canister()
    caller.install(
        guest(
            """(func (export "canister_update x") (i32.store8 (i32.const 9000) (i32.const 1))
              (call $call_new (i32.const 0) (i32.const 0) (i32.const 64) (i32.const 8)
                (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
              (drop (call $call_perform)))
            (table 1 funcref) (elem (i32.const 0) $back) (data (i32.const 64) "raw_rand")
            (func $back (param i32) (i64.store (i32.const 0) (call $performance_counter (i32.const 0)))
              (i64.store (i32.const 8) (call $performance_counter (i32.const 1)))
              (call $reply (i32.const 0) (i32.const 16)))"""
        )
    )
    result = caller.update("x")
    assert result.reply is not None
    here, context = number(result.reply[:8]), number(result.reply[8:])
    first = 1 + 3 + 8 + 5 + 1_500 + 8 + 5 + 5_000 + 1 + PAGE
    assert here == 1 + 2 * (1 + 1 + 5 + 1) + 2 + 5 + 200
    assert context == first + here + 200
