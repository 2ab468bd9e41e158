"""What happens by itself: timers, heartbeats, the low-memory hook, deadlines of best-effort calls."""

from __future__ import annotations

from sandbox import CallRejected, Sandbox
from sandbox.api import runtime_of
from sandbox.execution.rounds import step
from tests.conftest import fixture, wat

HOOK = """(module
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "debug_print" (func $print (param i32 i32)))
  (memory 1)
  (data (i32.const 0) "low")
  (func (export "canister_on_low_wasm_memory") (call $print (i32.const 0) (i32.const 3)))
  (func (export "canister_update grow") (drop (memory.grow (i32.const 1))) (call $reply)))"""

BEST_EFFORT = """(module
  (import "ic0" "call_new" (func $new (param i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "ic0" "call_with_best_effort_response" (func $best_effort (param i32)))
  (import "ic0" "call_perform" (func $perform (result i32)))
  (import "ic0" "msg_reject_code" (func $code (result i32)))
  (import "ic0" "msg_reject_msg_size" (func $size (result i32)))
  (import "ic0" "msg_reject_msg_copy" (func $copy (param i32 i32 i32)))
  (import "ic0" "msg_reject" (func $reject (param i32 i32)))
  (import "ic0" "msg_caller_copy" (func $caller (param i32 i32 i32)))
  (import "ic0" "canister_self_copy" (func $self (param i32 i32 i32)))
  (table funcref (elem $answered))
  (memory 1)
  (data (i32.const 100) "nothing")
  (func $answered (param i32)
    (if (i32.ne (call $code) (i32.const 6)) (then unreachable))
    (call $copy (i32.const 200) (i32.const 0) (call $size))
    (call $reject (i32.const 200) (call $size)))
  (func (export "canister_update nothing"))
  (func (export "canister_update ask")
    (call $self (i32.const 0) (i32.const 0) (i32.const 10))
    (call $new (i32.const 0) (i32.const 10) (i32.const 100) (i32.const 7)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
    (call $best_effort (i32.const 10))
    (drop (call $perform))))"""


def test_a_timer_fires_once_when_its_time_has_come() -> None:
    sandbox = Sandbox()
    canister = sandbox.create_canister()
    canister.install(fixture("counter.enhanced"))
    canister.call("tick_after", 10)
    sandbox.advance_time(9)
    sandbox.run_until_idle()
    assert canister.call("get_ticks") == 0
    sandbox.advance_time(2)
    sandbox.run_until_idle()
    sandbox.advance_time(100)
    sandbox.run_until_idle()
    assert canister.call("get_ticks") == 1


def test_the_low_memory_hook_runs_once_each_time_the_condition_comes_true() -> None:
    said: list[str] = []
    sandbox = Sandbox(on_log=lambda _, text: said.append(text))
    canister = sandbox.create_canister()
    canister.install(wat(HOOK))
    page = 65_536
    canister.update_settings(wasm_memory_limit=4 * page, wasm_memory_threshold=2 * page)
    canister.update("grow")
    sandbox.run_until_idle()
    assert said == []
    canister.update("grow")
    sandbox.run_until_idle()
    canister.update("grow")
    sandbox.run_until_idle()
    assert said == ["low"]
    canister.update_settings(wasm_memory_limit=100 * page)
    canister.update_settings(wasm_memory_limit=4 * page)
    sandbox.run_until_idle()
    assert said == ["low", "low"]


def test_a_best_effort_call_is_given_up_at_its_deadline() -> None:
    sandbox = Sandbox()
    canister = sandbox.create_canister()
    canister.install(wat(BEST_EFFORT))
    number = sandbox.submit(canister, "ask")
    assert step(runtime_of(sandbox).environment())
    assert sandbox.ingress_status(number) is None
    sandbox.advance_time(11)
    sandbox.run_until_idle()
    answer = sandbox.ingress_status(number)
    assert answer is not None
    assert isinstance(answer, CallRejected)
    assert answer.message == "Call deadline has expired."
