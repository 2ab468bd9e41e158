"""Composite queries: whose state each call of the graph sees, loops, depth, many callees."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox import Canister, ErrorCode, InstructionLimits, Sandbox
from tests.conftest import number, rejected, wat

Install = Callable[..., Canister]

COMPOSITE = """(module
  (import "ic0" "msg_arg_data_size" (func $arg_size (result i32)))
  (import "ic0" "msg_arg_data_copy" (func $arg (param i32 i32 i32)))
  (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "msg_reject" (func $reject (param i32 i32)))
  (import "ic0" "msg_reject_msg_size" (func $reason_size (result i32)))
  (import "ic0" "msg_reject_msg_copy" (func $reason (param i32 i32 i32)))
  (import "ic0" "call_new" (func $new (param i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "ic0" "call_data_append" (func $data (param i32 i32)))
  (import "ic0" "call_perform" (func $perform (result i32)))
  (memory (export "memory") 2) (table funcref (elem $next $rejected $empty))
  (data (i32.const 0) "chain") (data (i32.const 8) "look")
  (global $state (mut i64) (i64.const 0)) (global $seen (mut i64) (i64.const 0))
  (global $at (mut i32) (i32.const 0)) (global $size (mut i32) (i32.const 0))
  (func $change (global.set $state (i64.add (global.get $state) (i64.const 1000))))
  (func $number (param $value i64) (i64.store (i32.const 32) (local.get $value))
    (call $append (i32.const 32) (i32.const 8)) (call $reply))
  (func $take (global.set $size (call $arg_size)) (call $arg (i32.const 65536) (i32.const 0) (global.get $size)))
  ;; calls `look` of the next of the 10-byte ids in the argument; adds up what they answer; at the end: state, sum
  (func $one
    (if (i32.ge_u (global.get $at) (global.get $size))
      (then (i64.store (i32.const 40) (global.get $state)) (call $append (i32.const 40) (i32.const 8))
        (call $number (global.get $seen)))
      (else
        (call $new (i32.add (i32.const 65536) (global.get $at)) (i32.const 10) (i32.const 8) (i32.const 4)
          (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0))
        (global.set $at (i32.add (global.get $at) (i32.const 10)))
        (drop (call $perform)))))
  (func $next (param i32) (call $arg (i32.const 48) (i32.const 0) (i32.const 8))
    (global.set $seen (i64.add (global.get $seen) (i64.load (i32.const 48)))) (call $change) (call $one))
  (func $rejected (param i32) (call $reason (i32.const 100) (i32.const 0) (call $reason_size))
    (call $reject (i32.const 100) (call $reason_size)))
  (func $empty (param i32) (call $reply))
  (func (export "canister_composite_query visit") (call $take) (call $change) (call $one))
  ;; calls itself with the argument without end
  (func (export "canister_composite_query chain") (call $take)
    (call $new (i32.const 65536) (i32.const 10) (i32.const 0) (i32.const 5)
      (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0))
    (call $data (i32.const 65536) (i32.const 10)) (drop (call $perform)))
  (func (export "canister_composite_query empty") (call $take)
    (call $new (i32.const 65536) (i32.const 10) (i32.const 8) (i32.const 4)
      (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 0)) (drop (call $perform)))
  (func (export "canister_query look") (call $change)
    (call $number (global.get $state)))
  (func (export "canister_update change") (call $change) (call $number (global.get $state))))"""


@pytest.fixture
def sandbox() -> Sandbox:
    """Every call of the graph counts for 50 million instructions."""
    return Sandbox(instruction_limits=InstructionLimits(query=20_000_000_000))


def both(reply: bytes | None) -> tuple[int, int]:
    assert reply is not None
    return number(reply[:8]), number(reply[8:])


def test_a_call_to_itself_starts_from_the_committed_state_and_keeps_the_callers_changes(install: Install) -> None:
    canister = install(wat(COMPOSITE))
    me = bytes(canister.id)
    for _ in range(2):
        assert both(canister.query_raw("visit", me * 3).reply) == (4000, 3000)
    canister.update("change")
    assert both(canister.query_raw("visit", me * 2).reply) == (4000, 4000)
    assert number(canister.query_raw("look").reply) == 2000


def test_a_loop_ends_at_the_greatest_depth(install: Install) -> None:
    canister = install(wat(COMPOSITE))
    text = "Composite query calls exceeded the maximum call depth."
    rejected(ErrorCode.QUERY_CALL_GRAPH_TOO_DEEP, text, canister.query_raw, "chain", bytes(canister.id))
    assert number(canister.query_raw("look").reply) == 1000


def test_more_callees_than_live_canisters_are_kept(install: Install, sandbox: Sandbox) -> None:
    caller, *callees = (install(wat(COMPOSITE)) for _ in range(140))
    reply = caller.query_raw("visit", b"".join(bytes(callee.id) for callee in callees)).reply
    assert both(reply) == (140_000, 139_000)
    assert number(caller.query_raw("look").reply) == 1000


def test_an_empty_reply_of_a_callback_is_a_reply(install: Install) -> None:
    canister = install(wat(COMPOSITE))
    assert canister.query_raw("empty", bytes(canister.id)).reply == b""
