"""Instructions and memory: what each kind of message may use, and what is said when it wants more."""

from __future__ import annotations

from typing import Unpack

import pytest

from sandbox import Canister, ErrorCode, InstructionLimits, Sandbox
from sandbox.api.creation import SettingsValues
from tests.conftest import everything, guest, number, rejected

LIMIT = ErrorCode.CANISTER_INSTRUCTION_LIMIT_EXCEEDED
MEMORY_LIMIT = ErrorCode.CANISTER_WASM_MEMORY_LIMIT_EXCEEDED
LIMITS = InstructionLimits(update=1_000_000, query=2_000_000, install=3_000_000, inspect=500_000)
SPIN = "(i32.store (i32.const 8) (i32.const 1)) (loop $l (br $l))"


def made(body: str, memory: str = "(memory 1)", **settings: Unpack[SettingsValues]) -> tuple[Sandbox, Canister]:
    sandbox = Sandbox(instruction_limits=LIMITS)
    canister = sandbox.create_canister(settings=settings)
    canister.install(guest(body, memory))
    return sandbox, canister


def test_every_kind_of_message_has_its_own_limit() -> None:
    sandbox, canister = made(
        f"""(func (export "canister_update u") {SPIN}) (func (export "canister_query q") {SPIN})
        (func (export "canister_composite_query c") {SPIN}) (func (export "canister_pre_upgrade") {SPIN})"""
    )
    before = everything(sandbox, canister)
    text = "Canister exceeded the limit of {} instructions for single message execution."
    for call, method, limit in [
        (canister.update, "u", 1_000_000),
        (canister.update, "q", 2_000_000),
        (canister.query_raw, "q", 2_000_000),
        (canister.query_raw, "c", 2_000_000),
    ]:
        error = rejected(LIMIT, text.format(limit), call, method)
        assert error.result.instructions == limit
    other = guest("")
    rejected(LIMIT, text.format(3_000_000), canister.install, other, mode="upgrade")
    assert everything(sandbox, canister) == before
    _, canister = made(f'(func (export "canister_inspect_message") {SPIN}) (func (export "canister_update u"))')
    rejected(LIMIT, text.format(500_000), canister.update, "u")


def test_a_message_that_needs_exactly_its_limit_succeeds() -> None:
    body = '(func (export "canister_update x") (drop (i32.const 1)) (drop (call $time)) (nop))'
    needed = 1 + 2 + 5 + 500 + 1 + 1
    for limit, enough in ((needed, True), (needed - 1, False), (0, False)):
        sandbox = Sandbox(instruction_limits=InstructionLimits(update=limit))
        canister = sandbox.create_canister()
        canister.install(guest(body))
        code = ErrorCode.CANISTER_DID_NOT_REPLY if enough else LIMIT
        assert rejected(code, "", canister.update, "x").result.instructions == limit


def test_what_is_beyond_the_limit_without_a_check_is_allowed_and_not_reported() -> None:
    """The limit is checked in front of functions, loops and system calls, not behind the last."""
    body = '(func (export "canister_update x") (call $msg_reply) (block) (nop) (nop))'
    canister = Sandbox(instruction_limits=InstructionLimits(update=506)).create_canister()
    canister.install(guest(body))
    assert canister.update("x").instructions == 506


@pytest.mark.parametrize("calls", [1, 10, 1000])
def test_system_calls_count_as_instructions_and_the_counter_sees_them(calls: int) -> None:
    body = f"""(func (export "canister_update x") (local $n i32) (local $before i64)
      (local.set $n (i32.const {calls})) (local.set $before (call $performance_counter (i32.const 0)))
      (loop $l (drop (call $time)) (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (call $reply64 (i64.sub (call $performance_counter (i32.const 0)) (local.get $before))))"""
    _, canister = made(body)
    each = 5 + 500 + 1 + 3 + 1 + 2  # time and drop; local.get, const and sub; tee; br_if
    assert number(canister.update("x").reply) == calls * each + (1 + 5 + 1 + 1 + 5) + 200


@pytest.mark.parametrize("limit", [100_000, 1_000_000, 1_000_499, 1_000_500])
def test_a_loop_of_system_calls_ends_at_the_limit(limit: int) -> None:
    sandbox = Sandbox(instruction_limits=InstructionLimits(update=limit))
    canister = sandbox.create_canister()
    canister.install(guest('(func (export "canister_update x") (loop $l (drop (call $time)) (br $l)))'))
    error = rejected(LIMIT, f"the limit of {limit} instructions", canister.update, "x")
    assert error.result.instructions == limit


GROW = """(func $grow (i32.store (i32.const 8) (i32.const 1)) (drop (memory.grow (i32.const 1))))
(func (export "canister_update u") (call $grow) (call $reply64 (i64.extend_i32_u (memory.size))))
(func (export "canister_query q") (call $grow) (call $reply64 (i64.extend_i32_u (memory.size))))"""


def test_growing_beyond_the_wasm_memory_limit_fails_an_update() -> None:
    sandbox, canister = made(GROW, wasm_memory_limit=2 * 65536)
    assert number(canister.update("u").reply) == 2
    before = everything(sandbox, canister)
    text = (
        "Canister exceeded its current Wasm memory limit of 131072 bytes. The peak Wasm memory usage was 196608 bytes."
    )
    for _ in range(2):
        rejected(MEMORY_LIMIT, text, canister.update, "u")
        assert everything(sandbox, canister) == before
    canister.update_settings(wasm_memory_limit=3 * 65536)
    assert number(canister.update("u").reply) == 3


def test_growing_beyond_the_wasm_memory_limit_ends_the_message_at_the_call() -> None:
    """What stands behind the call is not executed, whatever it would do; what stood before it is logged and counts."""
    body = """
      (func (export "canister_update u")
        (call $debug_print (i32.const 0) (i32.const 6))
        (drop (memory.grow (i32.const 1)))
        (call $debug_print (i32.const 8) (i32.const 5))
        (loop $l (br $l)))
      (data (i32.const 0) "before")
      (data (i32.const 8) "after")"""
    _, canister = made(body, wasm_memory_limit=65536)
    error = rejected(MEMORY_LIMIT, "was 131072 bytes", canister.update, "u")
    assert error.result.logs == ("before",)
    assert error.result.instructions == 1 + 2 * (1 + 1 + 5) + (1 + 300 + 1) + (100 + 6 * 52)
    assert error.result.backtrace == ()


def test_growth_that_the_memory_itself_refuses_does_not_end_a_message() -> None:
    body = """
      (func (export "canister_update u") (drop (memory.grow (i32.const 3)))
        (call $reply64 (i64.extend_i32_s (memory.grow (i32.const 70000)))))"""
    canister = Sandbox().create_canister(settings={"wasm_memory_limit": 65536})
    canister.install(guest(body, "(memory 1 3)"))
    assert number(canister.update("u").reply) == (1 << 64) - 1


def test_a_heap_that_is_beyond_the_limit_already_lets_no_update_begin() -> None:
    body = (
        GROW
        + """
      (func (export "canister_global_timer") (call $grow))
      (func (export "canister_update set") (drop (call $global_timer_set (i64.const 1))) (call $msg_reply))"""
    )
    sandbox, canister = made(body, wasm_memory_limit=65536)
    canister.update("set")
    sandbox.tick()
    assert canister.status().heap_size == 2 * 65536
    before = everything(sandbox, canister)
    text = "limit of 65536 bytes. The peak Wasm memory usage was 131072 bytes."
    assert rejected(MEMORY_LIMIT, text, canister.update, "set").result.instructions == 0
    assert everything(sandbox, canister) == before
    assert number(canister.update("q").reply) == number(canister.query_raw("q").reply) == 3
    canister.update_settings(wasm_memory_limit=0)
    canister.update("set")


@pytest.mark.parametrize("mode", ["reinstall", "upgrade"])
def test_no_module_is_installed_whose_heap_begins_beyond_the_limit(mode: str) -> None:
    sandbox, canister = made(GROW, wasm_memory_limit=65536)
    before = everything(sandbox, canister)
    hook = '(func (export "canister_init")) (func (export "canister_post_upgrade"))'
    error = rejected(MEMORY_LIMIT, "was 196608", canister.install, guest(hook, "(memory 3)"), mode=mode)
    assert [measure.instructions for measure in error.result.hooks] == [1]
    assert everything(sandbox, canister) == before


def test_the_wasm_memory_limit_does_not_bind_queries() -> None:
    _, canister = made(GROW, wasm_memory_limit=65536)
    assert number(canister.query_raw("q").reply) == 2
    assert number(canister.update("q").reply) == 2
    assert canister.status().heap_size == 65536


@pytest.mark.parametrize("hook", ["canister_init", "canister_post_upgrade", "canister_pre_upgrade"])
def test_the_wasm_memory_limit_binds_init_and_post_upgrade_only(hook: str) -> None:
    sandbox, canister = made(f'(func (export "{hook}"))', wasm_memory_limit=65536)
    module = guest(f'(func (export "{hook}") (drop (memory.grow (i32.const 1))))')
    mode = "reinstall" if hook == "canister_init" else "upgrade"
    if hook == "canister_pre_upgrade":
        canister.install(module, mode=mode)
        canister.install(module, mode=mode)
        return
    before = everything(sandbox, canister)
    rejected(MEMORY_LIMIT, "limit of 65536 bytes", canister.install, module, mode=mode)
    assert everything(sandbox, canister) == before


def test_a_refused_growth_is_seen_by_the_guest_where_the_limit_is_wasms_own() -> None:
    _, canister = made(GROW, "(memory 1 1)")
    assert number(canister.update("u").reply) == 1
