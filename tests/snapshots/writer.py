"""A guest that writes, grows and traps as it is told, with a heap, stable memory, globals, and hooks that keep all."""

from __future__ import annotations

import struct
from functools import cache

from blake3 import blake3

from sandbox import Canister, RawState
from sandbox.memory import Readable
from sandbox.pagestore.hash_tree import EMPTY, page_keys
from tests.conftest import guest

WASM = 65536

_BODY = """
(global $calls (export "calls") (mut i64) (i64.const 0))
(global $hidden (mut i32) (i32.const 7))
(data (i32.const 64) "version %d")
(func $args (call $msg_arg_data_copy (i32.const 0) (i32.const 0) (call $msg_arg_data_size)))
(func $done (param $failed i32)
  (global.set $calls (i64.add (global.get $calls) (i64.const 1)))
  (global.set $hidden (i32.mul (i32.add (global.get $hidden) (i32.load (i32.const 4))) (i32.const 31)))
  (if (local.get $failed) (then unreachable))
  (call $msg_reply))
(func (export "canister_init") (call $certified_data_set (i32.const 64) (i32.const 9)))
;; offset, length, byte; 1 to trap after it
(func (export "canister_update poke") (local $failed i32) (call $args)
  (local.set $failed (i32.load (i32.const 12)))
  (memory.fill (i32.load (i32.const 0)) (i32.load (i32.const 8)) (i32.load (i32.const 4)))
  (call $done (local.get $failed)))
(func (export "canister_update stable_poke") (call $args)
  (memory.fill (i32.const 128) (i32.load (i32.const 8)) (i32.load (i32.const 4))) ;; stays inside two pages
  (call $stable64_write (i64.extend_i32_u (i32.load (i32.const 0))) (i64.const 128)
    (i64.extend_i32_u (i32.load (i32.const 4))))
  (call $done (i32.load (i32.const 12))))
;; pages; 1 to trap after it
(func (export "canister_update grow") (call $args)
  (drop (memory.grow (i32.load (i32.const 0)))) (call $done (i32.load (i32.const 4))))
(func (export "canister_update stable_grow") (call $args)
  (drop (call $stable64_grow (i64.extend_i32_u (i32.load (i32.const 0))))) (call $done (i32.load (i32.const 4))))
(func (export "canister_query calls") (call $reply64 (global.get $calls)))
;; what the hooks keep: the number of calls, in the first bytes of stable memory
(func (export "canister_pre_upgrade")
  (if (i64.eqz (call $stable64_size)) (then (drop (call $stable64_grow (i64.const 1)))))
  (i64.store (i32.const 0) (global.get $calls))
  (call $stable64_write (i64.const 0) (i64.const 0) (i64.const 8)))
(func (export "canister_post_upgrade")
  (call $stable64_read (i64.const 0) (i64.const 0) (i64.const 8))
  (global.set $calls (i64.load (i32.const 0))))
"""


@cache
def writer(version: int = 1) -> bytes:
    """The guest; versions differ in a data segment."""
    return guest(_BODY % version, '(memory (export "memory") 2)')


def tell(canister: Canister, method: str, *numbers: int) -> None:
    """Call a method with 32-bit numbers."""
    canister.update(method, struct.pack(f"<{max(4, len(numbers))}I", *numbers, *[0] * (4 - len(numbers))))


def facts(raw: RawState) -> tuple[str, ...]:
    """Module, globals, heap and stable memory, in short."""
    parts = (raw.module or b"none", raw.globals, raw.heap, raw.stable)
    return tuple(f"{len(part)} {blake3(part).hexdigest()[:20]}" for part in parts)


def root(content: Readable) -> bytes:
    """The root of the hash tree over the bytes as they are, from scratch."""
    pages = content.read(0, content.size)
    return EMPTY.updated(content.size, *page_keys([(0, pages)])).root


def calls_of(raw: RawState) -> int:
    """How many calls the guest has counted."""
    return int.from_bytes(raw.globals[:8], "little")
