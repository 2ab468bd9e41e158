"""What a guest can make the host keep is bounded."""

from __future__ import annotations

from sandbox import InstructionLimits, Sandbox
from sandbox.limits import CALLS_SIZE, LOG_SIZE, MIB, PRINTED_KEPT
from tests.conftest import wat

PRINTING = """(module
  (import "ic0" "debug_print" (func $print (param i32 i32)))
  (import "ic0" "msg_reply" (func $reply))
  (memory 1)
  (func (export "canister_update print") (local $i i32)
    (loop $more
      (i32.store (i32.const 0) (local.get $i))
      (call $print (i32.const 0) (i32.const 32768))
      (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 2000))))
    (call $reply)))"""

SENDING = """(module
  (import "ic0" "call_new" (func $new (param i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "ic0" "call_data_append" (func $append (param i32 i32)))
  (import "ic0" "call_perform" (func $perform (result i32)))
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "msg_reply_data_append" (func $answer (param i32 i32)))
  (memory 200)
  (func (export "canister_update send") (local $i i32) (local $sent i32)
    (loop $more
      (i32.store (i32.const 0) (local.get $i))
      (call $new (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 0)
        (i32.const -1) (i32.const 0))
      (call $append (i32.const 0) (i32.const 10000000))
      (local.set $sent (i32.add (local.get $sent) (i32.eqz (call $perform))))
      (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 40))))
    (i32.store (i32.const 0) (local.get $sent))
    (call $answer (i32.const 0) (i32.const 4))
    (call $reply)))"""


def test_of_very_much_printed_the_newest_is_kept() -> None:
    canister = Sandbox(instruction_limits=InstructionLimits(update=1_000_000_000)).create_canister()
    canister.install(wat(PRINTING))
    result = canister.update("print")
    assert MIB < sum(map(len, result.logs)) <= PRINTED_KEPT
    assert result.logs[-1].startswith("\ufffd\x07\0\0")  # 1999, its first byte no UTF-8
    assert sum(len(record.content) for record in canister.logs()) <= LOG_SIZE


def test_the_calls_of_one_message_hold_a_bounded_number_of_bytes() -> None:
    canister = Sandbox().create_canister()
    canister.install(wat(SENDING))
    reply = canister.update("send").reply
    assert reply is not None
    assert int.from_bytes(reply, "little") == CALLS_SIZE // 10_000_000
