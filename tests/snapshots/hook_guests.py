"""Small guests with upgrade hooks, and what the tests of the hook path ask of canisters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sandbox import CallRejected, Canister, Sandbox
from sandbox.api import runtime_of
from tests.conftest import guest, number

Install = Callable[..., Canister]
GUEST = """
(global $sum (mut i64) (i64.const 0))
(global $loads (mut i64) (i64.const {version}))
(data (i32.const 0) "saved")
(data (i32.const 16) "loaded")
(func $hook (export "canister_pre_upgrade")
  (call $debug_print (i32.const 0) (i32.const 5))
  (global.set $loads (i64.const 77))
  (memory.fill (i32.const 1000) (i32.const 9) (i32.const 5000)) (drop (memory.grow (i32.const 3)))
  (if (i64.eqz (call $stable64_size)) (then (drop (call $stable64_grow (i64.const 1)))))
  (i64.store (i32.const 64) (global.get $sum)) (i64.store (i32.const 72) (call $canister_version))
  (call $stable64_write (i64.const 0) (i64.const 64) (i64.const 16))
  (call $certified_data_set (i32.const 64) (i32.const 8)) (drop (call $global_timer_set (i64.const 5)))
  (call $cycles_burn128 (i64.const 0) (i64.const 9) (i32.const 200))
  {hook})
(func (export "canister_post_upgrade")
  (call $debug_print (i32.const 16) (i32.const 6))
  (call $stable64_read (i64.const 64) (i64.const 0) (i64.const 8))
  (global.set $sum (i64.add (i64.load (i32.const 64)) (i64.const {gain})))
  (global.set $loads (i64.add (global.get $loads) (call $canister_version)))
  {post})
(func (export "canister_update add")
  (call $msg_arg_data_copy (i32.const 64) (i32.const 0) (i32.const 8))
  (global.set $sum (i64.add (global.get $sum) (i64.load (i32.const 64)))) (call $reply64 (global.get $sum)))
(func (export "canister_update stable") (call $reply64 (call $stable64_grow (i64.const 1))))
(func (export "canister_update run_hook") (call $hook) (call $reply64 (i64.const 0)))
(func (export "canister_query sum") (call $reply64 (global.get $sum)))
(func (export "canister_query loads") (call $reply64 (global.get $loads)))"""


def module(hook: str = "", post: str = "", gain: int = 0, version: int = 0) -> bytes:
    return guest(GUEST.format(hook=hook, post=post, gain=gain, version=version))


PLAIN = module()
SPIN, TRAP = "(loop (br 0))", "(call $trap (i32.const 0) (i32.const 5))"


def added(canister: Canister, amount: int) -> int:
    return number(canister.update("add", amount.to_bytes(8, "little")).reply)


def told(canister: Canister, name: str) -> int:
    return number(canister.query_raw(name).reply)


def people(canister: Canister) -> Any:
    return [canister.call(name) for name in ("size", "checksum", "edit_count")] + [canister.call("list", 0, 10_000)]


def untouched(sandbox: Sandbox, canister: Canister, act: Callable[[], object]) -> None:
    """Nothing of the canister but its list of snapshots is changed by `act`, which may be rejected."""
    before, raw = runtime_of(sandbox).state_of(canister.id), canister.raw_state()
    memories = before.heap.generation, before.stable.generation
    try:
        act()
    except CallRejected:
        assert runtime_of(sandbox).state_of(canister.id).snapshots == before.snapshots
        assert runtime_of(sandbox).state_of(canister.id).next_snapshot == before.next_snapshot
    after = runtime_of(sandbox).state_of(canister.id)
    assert replace(after, snapshots=before.snapshots, next_snapshot=before.next_snapshot) == before
    assert (after.heap.generation, after.stable.generation) == memories
    assert canister.raw_state() == raw
