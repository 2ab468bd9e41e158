"""The canisters that are measured: the Motoko counter and small guests in WebAssembly text."""

from __future__ import annotations

from pathlib import Path

import wasmtime

from sandbox import Canister, Sandbox

COUNTER = Path(__file__).parents[2] / "fixtures" / "wasm" / "counter.enhanced.wasm"
MIB = 1 << 20
GIB = 1 << 30
PAGE = 4096

# Every page of the heap holds something. `touch` writes 5 pages, others every time; `change` and `change_together`
# write as many pages as the argument's little-endian number says, all over the heap or one after the other.
_HEAP = """(module
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "msg_arg_data_copy" (func $argument (param i32 i32 i32)))
  (memory {pages})
  (global $next (mut i32) (i32.const 0))
  (func (export "canister_init") (local $i i32)
    (loop $fill
      (i32.store (local.get $i) (i32.const 1))
      (br_if $fill (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4096))) (i32.const {size})))))
  (func $write (param $count i32) (param $step i32) (local $i i32)
    (loop $more
      (i32.store (global.get $next) (i32.add (i32.load (global.get $next)) (i32.const 1)))
      (global.set $next (i32.rem_u (i32.add (global.get $next) (local.get $step)) (i32.const {size})))
      (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $count)))))
  (func $count (result i32)
    (call $argument (i32.const 8) (i32.const 0) (i32.const 4))
    (i32.load (i32.const 8)))
  (func (export "canister_update touch") (call $write (i32.const 5) (i32.const {step})) (call $reply))
  (func (export "canister_update change") (call $write (call $count) (i32.const {step})) (call $reply))
  (func (export "canister_update change_together") (call $write (call $count) (i32.const 4096)) (call $reply)))"""

# `write`: a million writes of 8 bytes inside one page of stable memory. `spread`: 1,000 writes, each to a new page.
_STABLE = """(module
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "stable64_grow" (func $grow (param i64) (result i64)))
  (import "ic0" "stable64_write" (func $write (param i64 i64 i64)))
  (memory 1)
  (func (export "canister_init") (drop (call $grow (i64.const 64))))
  (func (export "canister_update nothing") (call $reply))
  (func (export "canister_update write") (local $i i32)
    (loop $more
      (call $write (i64.extend_i32_u (i32.and (local.get $i) (i32.const 0xfff8))) (i64.const 0) (i64.const 8))
      (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 8))) (i32.const 8000000))))
    (call $reply))
  (func (export "canister_update spread") (local $i i32)
    (loop $more
      (call $write (i64.extend_i32_u (local.get $i)) (i64.const 0) (i64.const 8))
      (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4096))) (i32.const 4096000))))
    (call $reply)))"""
_SMALL = """(module (import "ic0" "msg_reply" (func $reply)) (memory 1)
  (func (export "canister_update nothing") (call $reply)))"""
# `calls`: a recursion of 22,000 calls of one function.
_CALLS = """(module
  (import "ic0" "msg_reply" (func $reply))
  (func $fib (param $n i32) (result i32)
    (if (i32.lt_u (local.get $n) (i32.const 2)) (then (return (i32.const 1))))
    (i32.add (call $fib (i32.sub (local.get $n) (i32.const 1))) (call $fib (i32.sub (local.get $n) (i32.const 2)))))
  (func (export "canister_update calls") (drop (call $fib (i32.const 20))) (call $reply)))"""
WRITES = 1_000_000
SPREAD = 1_000


def counter(sandbox: Sandbox) -> Canister:
    """The Motoko counter, wasm64."""
    return _installed(sandbox, COUNTER.read_bytes())


def build(number: int) -> bytes:
    """The Motoko counter with a custom section: a module of its own for every number."""
    name = f"build {number}".encode()
    return COUNTER.read_bytes() + bytes([0, len(name) + 1, len(name)]) + name


def small(sandbox: Sandbox) -> Canister:
    """A guest with one page of heap that does nothing."""
    return _installed(sandbox, _binary(_SMALL))


def heap(sandbox: Sandbox, size: int) -> Canister:
    """A guest whose heap has `size` bytes and is used everywhere."""
    step = (size // PAGE * 387 // 1000 | 1) * PAGE  # an odd number of pages: all are visited in turn, far apart
    return _installed(sandbox, _binary(_HEAP.format(pages=size >> 16, size=size, step=step)))


def stable(sandbox: Sandbox) -> Canister:
    """A guest that writes to its stable memory."""
    return _installed(sandbox, _binary(_STABLE))


def calls(sandbox: Sandbox) -> Canister:
    """A canister that calls functions."""
    return _installed(sandbox, _binary(_CALLS))


def large_module(functions: int) -> bytes:
    """A canister with so many functions, each of about 500 bytes, that all compute something; one in ten is called."""
    texts = [_function(n) for n in range(functions)]
    calls = "".join(f"(drop (call $f{n} (i64.const {n})))" for n in range(0, functions, 10))
    return _binary(
        f'(module (import "ic0" "msg_reply" (func $reply)) (memory 1) {"".join(texts)} (func (export "canister_init") '
        f'{calls}) (func (export "canister_update nothing") (call $reply)))'
    )


def _function(number: int) -> str:
    """Arithmetic, memory and a loop."""
    mix = "".join(
        f"(local.set $x (i64.xor (i64.mul (local.get $x) (i64.const {k * 2654435761 + number})) "
        f"(i64.shr_u (local.get $x) (i64.const {k + 7}))))"
        for k in range(17)
    )
    return (
        f"(func $f{number} (param $x i64) (result i64) (local $i i32) (loop $again {mix}"
        "(i64.store (i32.wrap_i64 (i64.and (local.get $x) (i64.const 0xfff8))) (local.get $x))"
        "(local.set $x (i64.add (local.get $x) (i64.load (i32.const 64))))"
        "(br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 2))))"
        "(local.get $x))"
    )


def _installed(sandbox: Sandbox, module: bytes) -> Canister:
    canister = sandbox.create_canister()
    canister.install(module)
    return canister


def _binary(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(text))
