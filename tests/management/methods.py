"""Calls to `aaaaa-aa` as its callers make them: users by ingress, canisters through a relay that can attach cycles."""

from __future__ import annotations

from typing import Any

from sandbox import Canister, Principal, Sandbox
from sandbox.api import runtime_of
from sandbox.candid import decode, encode
from sandbox.management import dispatch
from sandbox.management.table import METHODS, signature
from tests.conftest import wat

MANAGEMENT = Principal.management()
NOBODY = Principal.from_text("lxzze-o7777-77777-aaaaa-cai")
"""The id of no canister."""

RELAY_TEXT = """(module
  (import "ic0" "call_new" (func $new (param i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "ic0" "call_data_append" (func $data (param i32 i32)))
  (import "ic0" "call_cycles_add128" (func $add (param i64 i64)))
  (import "ic0" "call_perform" (func $perform (result i32)))
  (import "ic0" "msg_arg_data_size" (func $size (result i32)))
  (import "ic0" "msg_arg_data_copy" (func $copy (param i32 i32 i32)))
  (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "msg_reject_msg_size" (func $text_size (result i32)))
  (import "ic0" "msg_reject_msg_copy" (func $text_copy (param i32 i32 i32)))
  (import "ic0" "msg_reject" (func $reject (param i32 i32)))
  (import "ic0" "msg_cycles_refunded128" (func $refunded (param i32)))
  (memory 48)
  (table funcref (elem $on_reply $on_reject))
  (func $on_reply (param i32) (local $n i32)
    (call $refunded (i32.const 0)) (local.set $n (call $size))
    (call $copy (i32.const 4096) (i32.const 0) (local.get $n))
    (call $append (i32.const 4096) (local.get $n)) (call $reply))
  (func $on_reject (param i32) (local $n i32)
    (call $refunded (i32.const 0)) (local.set $n (call $text_size))
    (call $text_copy (i32.const 4096) (i32.const 0) (local.get $n))
    (call $reject (i32.const 4096) (local.get $n)))
  (func (export "canister_update go") (local $n i32) (local $name i32)
    (call $copy (i32.const 4096) (i32.const 0) (call $size))
    (local.set $name (i32.load8_u (i32.const 4104)))
    (local.set $n (i32.add (i32.const 9) (local.get $name)))
    (call $new (i32.const 0) (i32.const 0) (i32.const 4105) (local.get $name)
      (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0))
    (call $data (i32.add (i32.const 4096) (local.get $n)) (i32.sub (call $size) (local.get $n)))
    (call $add (i64.const 0) (i64.load (i32.const 4096)))
    (drop (call $perform)))
  (func (export "canister_query refunded") (call $append (i32.const 0) (i32.const 16)) (call $reply)))"""
RELAY = wat(RELAY_TEXT)
"""`go`: 8 bytes of cycles, a byte with the length of the method's name, the name, the argument."""


def encoded(method: str, *args: Any) -> bytes:
    """The argument of a method from Python values; fields of a record that are options may be left out."""
    return encode(signature(method).args, list(args))


def decoded(method: str, reply: bytes | None) -> Any:
    assert reply is not None
    values = decode(signature(method).results, reply)
    return values[0] if values else None


def by_user(sandbox: Sandbox, method: str, *args: Any, sender: str = "default") -> Any:
    """A user's call; the decoded reply, or `CallRejected`."""
    return raw_by_user(sandbox, method, encoded(method, *args), sender)


def raw_by_user(sandbox: Sandbox, method: str, arg: bytes, sender: str = "default") -> Any:
    result = sandbox.update(MANAGEMENT, method, arg, sandbox.identity(sender)).or_raise()
    return decoded(method, result.reply)


def by_canister(relay: Canister, method: str, *args: Any, cycles: int = 0) -> Any:
    """A canister's call; the decoded reply, or the reject that it passes on."""
    return raw_by_canister(relay, method, encoded(method, *args), cycles)


def raw_by_canister(relay: Canister, method: str, arg: bytes, cycles: int = 0) -> Any:
    name = method.encode()
    packed = cycles.to_bytes(8, "little") + bytes([len(name)]) + name + arg
    reply = relay.update("go", packed).reply
    return decoded(method, reply) if method in METHODS else reply


def by_query(sandbox: Sandbox, method: str, *args: Any, sender: Principal | str = "default") -> Any:
    """What a query call of a user is answered."""
    who = sandbox.identity(sender) if isinstance(sender, str) else sender
    return decoded(method, dispatch.query(runtime_of(sandbox).management_context(who), method, encoded(method, *args)))


def relay(sandbox: Sandbox, cycles: int | None = None) -> Canister:
    """A canister that calls `aaaaa-aa` on request."""
    canister = sandbox.create_canister(cycles=cycles)
    canister.install(RELAY)
    return canister


def refunded(canister: Canister) -> int:
    """The cycles that came back with the relay's last call."""
    reply = canister.query_raw("refunded").reply
    assert reply is not None
    return int.from_bytes(reply, "little")


def total_cycles(sandbox: Sandbox) -> int:
    return sum(canister.status().cycles for canister in sandbox.canisters())
