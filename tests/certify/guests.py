"""A canister with certified data, in WebAssembly text."""

from __future__ import annotations

from tests.conftest import guest

_BODY = """
(func $take (result i32)
  (call $msg_arg_data_copy (i32.const 0) (i32.const 0) (call $msg_arg_data_size)) (call $msg_arg_data_size))
(func $set (call $certified_data_set (i32.const 0) (call $take)))
(func $append_present
  (i32.store (i32.const 60000) (call $data_certificate_present))
  (call $msg_reply_data_append (i32.const 60000) (i32.const 1)))
(func $present (call $append_present) (call $msg_reply))
(func $size (drop (call $data_certificate_size)) (call $msg_reply))
(func $copy (call $data_certificate_copy (i32.const 0) (i32.const 0) (i32.const 0)) (call $msg_reply))
;; update set(data), and what must not set it
(func (export "canister_update set") (call $set) (call $msg_reply))
(func (export "canister_update set_and_trap") (call $set) unreachable)
;; query certificate() and an update that tries the same
(func $certificate (local $size i32)
  (local.set $size (call $data_certificate_size))
  (call $data_certificate_copy (i32.const 1024) (i32.const 0) (local.get $size))
  (call $reply (i32.const 1024) (local.get $size)))
(func (export "canister_query certificate") (call $certificate))
(func (export "canister_composite_query composite_certificate") (call $certificate))
(func (export "canister_update present_in_update") (call $present))
(func (export "canister_query present") (call $present))
(func (export "canister_query size") (call $size))
(func (export "canister_query copy") (call $copy))
(func (export "canister_update size_in_update") (call $size))
(func (export "canister_query twice")
  (if (i32.ne (call $data_certificate_size) (call $data_certificate_size)) (then unreachable))
  (call $msg_reply))
;; calls the query in the argument after the callee's id of 10 bytes; answers whether a certificate is present in the
;; entry point and in the callback, then what the callee said
(func $ask (local $size i32)
  (local.set $size (call $take))
  (global.set $in_entry (call $data_certificate_present))
  (call $call_new (i32.const 0) (i32.const 10) (i32.const 10) (i32.sub (local.get $size) (i32.const 10))
    (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0))
  (drop (call $call_perform)))
(func (export "canister_composite_query ask") (call $ask))
(func (export "canister_update ask_in_update") (call $ask))
(global $in_entry (mut i32) (i32.const 0))
(func $answered (param i32)
  (i32.store (i32.const 60000) (global.get $in_entry))
  (call $msg_reply_data_append (i32.const 60000) (i32.const 1))
  (call $append_present)
  (call $msg_reply_data_append (i32.const 0) (call $take)) (call $msg_reply))
(func $rejected (param i32)
  (call $msg_reject_msg_copy (i32.const 0) (i32.const 0) (call $msg_reject_msg_size))
  (call $msg_reject (i32.const 0) (call $msg_reject_msg_size)))
(table funcref (elem $answered $rejected))
;; what the canister knows of its subnet
(func $about (param $size i32) (call $reply (i32.const 0) (local.get $size)))
(func (export "canister_update root_key")
  (call $root_key_copy (i32.const 0) (i32.const 0) (call $root_key_size)) (call $about (call $root_key_size)))
(func (export "canister_query subnet")
  (call $subnet_self_copy (i32.const 0) (i32.const 0) (call $subnet_self_size)) (call $about (call $subnet_self_size)))
"""

CERTIFIED = guest(_BODY)


def certified_with(hook: str) -> bytes:
    """The same with an entry point that sets the certified data to `hook`."""
    body = f"(call $certified_data_set (i32.const 1) (i32.const {len(hook)}))"
    return guest(f'{_BODY}(data (i32.const 1) "{hook}") (func (export "canister_{hook}") {body})')
