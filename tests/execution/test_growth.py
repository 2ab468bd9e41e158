"""What a round costs when there are more canisters: those without a task are not looked at."""

from __future__ import annotations

from sandbox import Canister, Sandbox
from sandbox.api import runtime_of
from tests.conftest import guest, number, operations, wat

QUIET = guest('(func (export "canister_update put") (i32.store (i32.const 0) (i32.const 7)) (call $msg_reply))')
WAKING = wat("""(module
  (import "ic0" "msg_reply" (func $msg_reply))
  (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
  (import "ic0" "time" (func $time (result i64)))
  (import "ic0" "global_timer_set" (func $timer (param i64) (result i64)))
  (memory 1)
  (func $count (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1))))
  (func (export "canister_update set")
    (drop (call $timer (i64.add (call $time) (i64.const 1000000000)))) (call $msg_reply))
  (func (export "canister_query count") (call $append (i32.const 0) (i32.const 4)) (call $msg_reply))
  (func (export "canister_global_timer") (call $count))
  )""")
BEATING = wat("""(module
  (import "ic0" "msg_reply" (func $msg_reply))
  (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
  (memory 1)
  (func (export "canister_query count") (call $append (i32.const 0) (i32.const 4)) (call $msg_reply))
  (func (export "canister_heartbeat") (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))))""")


def installed(sandbox: Sandbox, module: bytes) -> Canister:
    canister = sandbox.create_canister()
    canister.install(module)
    return canister


def count(canister: Canister) -> int:
    return number(canister.query_raw("count").reply)


def test_a_round_does_not_look_at_canisters_without_a_task() -> None:
    def round_with(canisters: int) -> int:
        sandbox = Sandbox()
        for _ in range(canisters):
            installed(sandbox, QUIET)
        sandbox.tick()
        return operations(sandbox.tick)

    round_with(1)
    assert round_with(30) == round_with(3)


def test_a_timer_that_an_anchor_undoes_fires_again() -> None:
    sandbox = Sandbox()
    canister = installed(sandbox, WAKING)
    canister.update("set")
    with sandbox.anchor():
        sandbox.advance_time(2)
        sandbox.tick()
        assert count(canister) == 1
        sandbox.tick()
        assert canister.id not in runtime_of(sandbox).subnet.canisters.waking
    sandbox.advance_time(2)
    sandbox.tick()
    assert count(canister) == 1


def test_heartbeats_begin_with_an_upgrade_and_with_a_start_and_end_with_another_module() -> None:
    sandbox = Sandbox()
    canister = installed(sandbox, QUIET)
    sandbox.tick()
    canister.install(BEATING, mode="upgrade")
    canister.stop()
    sandbox.tick()
    canister.start()
    sandbox.tick(3)
    assert count(canister) == 3
    with sandbox.anchor():
        canister.install(QUIET, mode="upgrade")
        sandbox.tick(3)
        assert canister.id not in runtime_of(sandbox).subnet.canisters.waking
    sandbox.tick()
    assert count(canister) == 4


def test_a_deleted_canister_that_an_anchor_brings_back_still_beats() -> None:
    sandbox = Sandbox()
    canister, other = installed(sandbox, BEATING), installed(sandbox, BEATING)
    with sandbox.anchor():
        canister.stop()
        canister.delete()
        sandbox.tick()
    sandbox.tick()
    assert (count(canister), count(other)) == (1, 1)
