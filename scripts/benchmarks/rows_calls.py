"""Rows about calls: update, query, anchor, stable memory, calls between canisters, timers, many canisters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import wasmtime
from bare import BareCounter
from measure import Row, alone, alternate, once

from sandbox import Canister, Principal, Sandbox

FIXTURES = Path(__file__).parents[2] / "fixtures" / "wasm"
COUNTER = FIXTURES / "counter.enhanced.wasm"
EMPTY = b"DIDL\0\0"
GIB = 1 << 30

BIG = """(module
  (import "ic0" "msg_reply" (func $reply))
  (memory 16384)
  (global $next (mut i32) (i32.const 0))
  (func (export "canister_init") (local $i i32)
    (loop $fill
      (i32.store (local.get $i) (i32.const 1))
      (br_if $fill (i32.ne (local.tee $i (i32.add (local.get $i) (i32.const 4096))) (i32.const 0x40000000)))))
  (func (export "canister_update touch") (local $i i32)
    (loop $more
      (i32.store (global.get $next) (i32.add (i32.load (global.get $next)) (i32.const 1)))
      (global.set $next (i32.and (i32.add (global.get $next) (i32.const 0x63000)) (i32.const 0x3ffff000)))
      (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 5))))
    (call $reply)))"""

STABLE_LOOP = """(module
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "stable64_grow" (func $grow (param i64) (result i64)))
  (import "ic0" "stable64_write" (func $write (param i64 i64 i64)))
  (memory 1)
  (func (export "canister_init") (drop (call $grow (i64.const 1))))
  (func (export "canister_update empty") (call $reply))
  (func (export "canister_update write") (local $i i32)
    (loop $more
      (call $write (i64.extend_i32_u (i32.and (local.get $i) (i32.const 0xfff8))) (i64.const 0) (i64.const 8))
      (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 8))) (i32.const 8000000))))
    (call $reply)))"""


def installed(sandbox: Sandbox, module: Path | bytes = COUNTER) -> Canister:
    canister = sandbox.create_canister()
    canister.install(module)
    return canister


def from_text(sandbox: Sandbox, text: str) -> Canister:
    return installed(sandbox, bytes(wasmtime.wat2wasm(text)))


def calls(quick: bool) -> Iterator[Row]:
    """Update and query against a bare call of the same export."""
    bare, counter = BareCounter(COUNTER), installed(Sandbox())
    batch, rounds = (50, 11) if quick else (200, 41)
    ours, reference = alternate(lambda: counter.update("inc"), bare.call("canister_update inc"), batch, rounds)
    yield Row("update, commit included", ours, reference, "bare call", 3, f"{1 / ours:,.0f} updates/s")
    ours, reference = alternate(lambda: counter.query("get"), bare.query("canister_query get"), batch, rounds)
    yield Row("query", ours, reference, "bare call", 2, f"{1 / ours:,.0f} queries/s")
    ours, reference = alternate(lambda: counter.call("inc"), lambda: counter.update("inc"), batch, rounds)
    yield Row("typed call", ours, reference, "raw update")


def anchors(quick: bool) -> Iterator[Row]:
    """An anchor around one update, undo included."""
    batch, rounds = (20, 11) if quick else (50, 31)
    for name, size in (("6 MiB", "6 MiB"), ("1 GiB", "1 GiB")):
        sandbox = Sandbox()
        canister = installed(sandbox) if size == "6 MiB" else from_text(sandbox, BIG)
        method = "inc" if size == "6 MiB" else "touch"
        ours, reference = alternate(
            lambda: anchored(sandbox, canister, method),  # noqa: B023 -- called at once
            lambda: canister.update(method),  # noqa: B023
            batch,
            rounds,
        )
        yield Row(f"anchor around an update, {name} heap", ours, reference, "the update alone", 2)


def anchored(sandbox: Sandbox, canister: Canister, method: str) -> None:
    with sandbox.anchor():
        canister.update(method)


def stable_writes(quick: bool) -> Iterator[Row]:
    """One stable64_write of 8 bytes inside a loop; the aim is 100 ns."""
    canister, writes = from_text(Sandbox(), STABLE_LOOP), 1_000_000
    seconds = alone(lambda: canister.update("write"), 1, 5 if quick else 15) / writes
    yield Row("stable64_write of 8 bytes in a loop", seconds, 100e-9, "the aim, 100 ns", 1)


def between_canisters(quick: bool) -> Iterator[Row]:
    """Calls that canisters make, timers that fire."""
    sandbox, batch, rounds = Sandbox(), 20, 5 if quick else 15
    first, second, third = (installed(sandbox) for _ in range(3))
    plain = alone(lambda: first.update("inc"), batch, rounds)
    forward = _forward(first.id, "inc", EMPTY, first)
    yield Row("a call to itself and back", alone(lambda: first.update("forward", forward), batch, rounds), plain, "inc")
    chain = _forward(second.id, "forward", _forward(third.id, "inc", EMPTY, second), first)
    yield Row("a chain of 3 canisters", alone(lambda: first.update("forward", chain), batch, rounds), plain, "inc")
    yield Row("a timer set and fired", alone(lambda: _timer(sandbox, first), batch, rounds), plain, "inc")


def _forward(callee: Principal, method: str, arg: bytes, canister: Canister) -> bytes:
    from sandbox.candid import encode

    return encode("(principal, text, blob)", [callee, method, arg])


def _timer(sandbox: Sandbox, canister: Canister) -> None:
    canister.call("tick_after", 1)
    sandbox.advance_time(seconds=2)
    sandbox.tick()


def many_canisters(quick: bool) -> Iterator[Row]:
    """1,000 canisters, each answering one update; what an idle one keeps in private memory."""
    count = 100 if quick else 1000
    sandbox, before = Sandbox(), _private_memory()
    canisters = [installed(sandbox) for _ in range(count)]
    created = (_private_memory() - before) // count
    seconds = once(lambda: [canister.update("inc") for canister in canisters]) / count
    kept = (_private_memory() - before) // count
    note = f"private memory each: {created // 1024} KiB after install, {kept // 1024} KiB after an update (aim 200)"
    yield Row(f"{count:,} canisters, an update each", seconds, note=note)


def _private_memory() -> int:
    """Bytes of this process that are nobody else's."""
    text = Path("/proc/self/smaps_rollup").read_text()
    found = re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+) kB", text, re.MULTILINE)
    return sum(map(int, found)) * 1024
