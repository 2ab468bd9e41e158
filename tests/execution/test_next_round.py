"""What is answered in the next round: random bytes, which nobody may know when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sandbox import CallResult, Canister, Sandbox
from tests.conftest import wat

ASKER = """(module
  (import "ic0" "msg_arg_data_copy" (func $arg (param i32 i32 i32)))
  (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "call_new" (func $new (param i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "ic0" "call_data_append" (func $data (param i32 i32)))
  (import "ic0" "call_perform" (func $perform (result i32)))
  (memory (export "memory") 1) (table funcref (elem $answered $ignored))
  (data (i32.const 0) "raw_rand") (data (i32.const 16) "DIDL\\00\\00")
  (global $times (mut i32) (i32.const 0))
  (func $ask (call $new (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 8)
      (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0))
    (call $data (i32.const 16) (i32.const 6)) (drop (call $perform)))
  (func $answered (param i32)
    (global.set $times (i32.add (global.get $times) (i32.const 1)))
    (if (i32.lt_u (global.get $times) (i32.const 3)) (then (call $ask)) (else
      (call $arg (i32.const 64) (i32.const 0) (i32.const 40)) (call $append (i32.const 64) (i32.const 40))
      (call $reply))))
  (func $ignored (param i32))
  (func (export "canister_update go") (call $ask)))"""


def test_every_raw_rand_takes_a_round(install: Callable[..., Canister], sandbox: Sandbox) -> None:
    number = sandbox.submit(install(wat(ASKER)), "go")
    for _ in range(3):
        sandbox.tick()
        assert sandbox.ingress_status(number) is None
    sandbox.tick()
    assert isinstance(sandbox.ingress_status(number), CallResult)


def test_an_update_waits_for_the_rounds_that_it_needs(install: Callable[..., Canister]) -> None:
    reply = install(wat(ASKER)).update("go").reply
    assert reply is not None
    assert len(set(reply[-32:])) > 1


def test_run_until_idle_goes_on_until_they_are_answered(install: Callable[..., Canister], sandbox: Sandbox) -> None:
    number = sandbox.submit(install(wat(ASKER)), "go")
    assert sandbox.run_until_idle() == 4
    assert isinstance(sandbox.ingress_status(number), CallResult)


def test_an_anchor_brings_back_what_waits(install: Callable[..., Canister], sandbox: Sandbox) -> None:
    number = sandbox.submit(install(wat(ASKER)), "go")
    sandbox.tick()
    with sandbox.anchor():
        sandbox.run_until_idle()
    assert sandbox.ingress_status(number) is None
    sandbox.run_until_idle()
    assert isinstance(sandbox.ingress_status(number), CallResult)


def test_what_waits_is_kept_on_disk(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path) as sandbox:
        canister = sandbox.create_canister()
        canister.install(wat(ASKER))
        number = sandbox.submit(canister, "go")
        sandbox.tick()
    with Sandbox.open(tmp_path) as sandbox:
        sandbox.run_until_idle()
        assert isinstance(sandbox.ingress_status(number), CallResult)
