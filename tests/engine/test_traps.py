"""Every way in which a guest stops: the right kind, code and text, functions by name, and the process goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from sandbox import CallRejected, Canister, ErrorCode, InstructionLimits, Sandbox
from sandbox.engine import EngineTrap, HostFailure, HostFunction, Instance, Library, TrapKind, runtime
from sandbox.errors import EngineError
from tests.conftest import FEW_INSTRUCTIONS, guest, rejected, wat

Install = Callable[..., Canister]
CODES = {
    ErrorCode.CANISTER_TRAPPED: "Canister trapped: ",
    ErrorCode.CANISTER_CONTRACT_VIOLATION: "Canister violated contract: ",
}


def method(body: str, rest: str = "") -> bytes:
    return guest(f'(func $x (export "canister_update x") {body}) {rest}')


def instance(text: str, functions: dict[str, HostFunction] | None = None) -> Instance:
    engine = runtime()
    return Instance(Library(engine, functions or {}), engine.compile(wat(text)))


@pytest.mark.parametrize(
    ("kind", "code", "text", "body", "rest"),
    [
        (TrapKind.UNREACHABLE, 502, "unreachable", "unreachable", ""),
        (TrapKind.HEAP_OUT_OF_BOUNDS, 502, "heap out of bounds", "(drop (i32.load (i32.const 65533)))", ""),
        (TrapKind.HEAP_OUT_OF_BOUNDS, 502, "heap out of bounds", "(drop (i32.load (i32.const -1)))", ""),
        (
            TrapKind.HEAP_OUT_OF_BOUNDS,
            502,
            "heap out of bounds",
            "(i64.store offset=4294967295 (i32.const -1) (i64.const 1))",
            "",
        ),
        (
            TrapKind.HEAP_OUT_OF_BOUNDS,
            502,
            "heap out of bounds",
            "(memory.fill (i32.const 1) (i32.const 0) (i32.const 65536))",
            "",
        ),
        (
            TrapKind.HEAP_OUT_OF_BOUNDS,
            502,
            "heap out of bounds",
            "(memory.copy (i32.const 0) (i32.const -1) (i32.const 2))",
            "",
        ),
        (
            TrapKind.TABLE_OUT_OF_BOUNDS,
            502,
            "table out of bounds",
            "(call_indirect (i32.const 7))",
            "(table 2 funcref)",
        ),
        (TrapKind.INDIRECT_CALL_TO_NULL, 502, "unknown", "(call_indirect (i32.const 1))", "(table 2 funcref)"),
        (
            TrapKind.BAD_SIGNATURE,
            504,
            "function invocation does not match its signature",
            "(drop (call_indirect (result i32) (i32.const 0)))",
            "(table 2 funcref) (elem (i32.const 0) $x)",
        ),
        (
            TrapKind.INTEGER_DIVISION_BY_ZERO,
            502,
            "integer division by 0",
            "(drop (i64.rem_u (i64.const 1) (i64.const 0)))",
            "",
        ),
        (TrapKind.INTEGER_OVERFLOW, 502, "unknown", "(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))", ""),
        (TrapKind.BAD_CONVERSION_TO_INTEGER, 502, "unknown", "(drop (i32.trunc_f64_s (f64.const nan)))", ""),
        (TrapKind.INTEGER_OVERFLOW, 502, "unknown", "(drop (i32.trunc_f64_s (f64.const 1e300)))", ""),
        (
            TrapKind.STACK_OVERFLOW,
            502,
            "stack overflow",
            "(drop (call $deep (i64.const 0)))",
            "(func $deep (param i64) (result i64) (i64.add (local.get 0) (call $deep (i64.const 1))))",
        ),
    ],
)
def test_every_trap_has_its_kind_code_and_text(
    kind: TrapKind, code: int, text: str, body: str, rest: str, install: Install
) -> None:
    if kind is not TrapKind.HEAP_OUT_OF_BOUNDS:
        bare = instance(f'(module (func $x (export "x") {body}) {rest})')
        with pytest.raises(EngineTrap) as caught:
            bare.call("x")
        assert caught.value.kind is kind
    canister = install(method(f"(i32.store (i32.const 8) (i32.const 1)) {body}", rest))
    error = rejected(ErrorCode(code), CODES[ErrorCode(code)] + text, canister.update, "x")
    assert error.message.startswith(f"Error from Canister {canister.id}: ")
    assert "See documentation: " in error.message or "forum.dfinity.org" in error.message
    assert canister.raw_state().heap[8] == 0
    assert canister.status().version == 1


def test_an_endless_loop_is_out_of_instructions(install: Install) -> None:
    canister = install(method("(loop $l (br $l))"))
    limit = FEW_INSTRUCTIONS.update
    text = f"Canister exceeded the limit of {limit} instructions for single message execution."
    error = rejected(ErrorCode.CANISTER_INSTRUCTION_LIMIT_EXCEEDED, text, canister.update, "x")
    assert error.result is not None
    assert error.result.instructions == limit


def test_a_backtrace_names_functions_innermost_first_and_demangles_rust(install: Install) -> None:
    names = ("$outer", '$"_ZN4core9panicking5panic17h0123456789abcdefE"', "$inner")
    outer, rust, inner = names
    body = f"(func {inner} unreachable) (func {rust} (call {inner})) (func {outer} (call {rust}))"
    canister = install(guest(body + f'(func (export "canister_update x") (call {outer}))'))
    with pytest.raises(CallRejected) as caught:
        canister.update("x", sender=canister.status().settings.controllers[0])
    assert caught.value.result.backtrace[:3] == ("inner", "core::panicking::panic", "outer")
    assert "Canister Backtrace:\ninner\ncore::panicking::panic\nouter" in caught.value.message
    assert b"core::panicking::panic" in canister.logs()[-1].content


def test_only_who_may_read_the_logs_is_told_the_backtrace(install: Install) -> None:
    canister = install(guest('(func $secret unreachable) (func (export "canister_update x") (call $secret))'))
    with pytest.raises(CallRejected) as caught:
        canister.update("x")
    assert "secret" not in caught.value.message
    canister.update_settings(log_visibility="public")
    rejected(ErrorCode.CANISTER_TRAPPED, "secret", canister.update, "x")


@pytest.mark.parametrize(
    "name", ["_ZN9a$ud800$bE", "_ZN99zE", "_ZN6$u41$bE", "_ZN5$u0$aE", "_ZNE", r"\u{202e}", "a" * 50_000]
)
def test_no_function_name_is_too_strange_to_report(name: str, install: Install) -> None:
    text = f'(func $f (@name "{name}") unreachable) (func (export "canister_update x") (call $f))'
    canister = install(guest(text))
    error = rejected(ErrorCode.CANISTER_TRAPPED, "unreachable", canister.update, "x")
    assert len(error.message.encode()) <= 8192
    assert error.message.encode().decode() == error.message
    canister.logs()[-1].content.decode(errors="replace")


def test_recursion_through_host_calls_is_survived() -> None:
    body = """(func $deep (param i32) (result i32)
      (call $debug_print (i32.const 0) (i32.const 0))
      (i32.add (i32.const 1) (call $deep (i32.add (local.get 0) (i32.const 1)))))
      (func (export "canister_update x") (drop (call $deep (i32.const 0))))
      (func (export "canister_update ok") (call $reply64 (i64.const 7)))"""
    canister = Sandbox().create_canister()
    canister.install(guest(body))
    for _ in range(3):
        rejected(ErrorCode.CANISTER_TRAPPED, "stack overflow", canister.update, "x")
        assert canister.update("ok").reply == (7).to_bytes(8, "little")


def test_a_stack_overflow_in_a_thread_is_a_trap_too(install: Install) -> None:
    text = '(func $deep (call $deep)(call $deep)) (func (export "canister_update x") (call $deep))'
    canister = install(guest(text))
    found: list[str] = []

    def run() -> None:
        with pytest.raises(CallRejected) as caught:
            canister.update("x")
        found.append(caught.value.message)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "stack overflow" in found[0]


def test_what_a_host_function_raises_comes_out_with_the_guests_frames() -> None:
    def fail(_: object, value: int) -> int:
        raise KeyError(value)

    text = '(module (import "host" "fail" (func $fail (param i32) (result i64))) (func $inner (drop (call $fail (i32.const -2)))) (func (export "x") (call $inner)))'  # noqa: E501
    made = instance(text, {"fail": HostFunction("i", "l", fail)})
    for _ in range(2):
        with pytest.raises(HostFailure) as caught:
            made.call("x")
        assert isinstance(caught.value.cause, KeyError)
        assert caught.value.cause.args == (0xFFFF_FFFE,)
        assert [frame.name for frame in caught.value.frames][:1] == ["inner"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, AssertionError])
def test_an_error_of_a_listener_passes_through_and_changes_nothing(error: type[BaseException]) -> None:
    angry = False

    def listen(_: object, text: str) -> None:
        if angry:
            raise error(text)

    sandbox = Sandbox(on_log=listen, instruction_limits=InstructionLimits(update=1_000_000))
    canister = sandbox.create_canister()
    canister.install(
        guest(
            """(global $g (mut i32) (i32.const 0))
            (func (export "canister_update x")
              (global.set $g (i32.const 9)) (i32.store (i32.const 8) (i32.const 7)) (drop (memory.grow (i32.const 1)))
              (drop (call $stable64_grow (i64.const 1))) (call $debug_print (i32.const 0) (i32.const 1)))
            (func (export "canister_update get")
              (call $reply64 (i64.extend_i32_u (i32.add (i32.load (i32.const 8)) (global.get $g)))))"""
        )
    )
    before = canister.raw_state()
    angry = True
    with pytest.raises(error):
        canister.update("x")
    angry = False
    assert canister.raw_state() == before
    assert canister.update("get").reply == bytes(8)
    assert canister.raw_state().heap[:65528] == before.heap[:65528]


def test_a_failure_of_the_engine_is_not_called_a_trap_of_the_guest() -> None:
    with pytest.raises(EngineError, match=r"no fault of the canister: .*`there::missing`"):
        instance('(module (import "there" "missing" (func)))')


def test_codes_that_no_guest_can_cause_are_no_kind_of_trap() -> None:
    assert [TrapKind.of(code) for code in (None, -1, 2, 10, 11, 12, 200)] == [None] * 7
    theirs = [kind for kind in TrapKind if kind is not TrapKind.OUT_OF_INSTRUCTIONS]
    assert [TrapKind.of(kind.value) for kind in theirs] == theirs
