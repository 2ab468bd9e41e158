"""Long chains, wide fans and many instances cost what they hold, and no more: no recursion in the host, no leaks."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import Canister, ErrorCode, Sandbox
from sandbox.api import runtime_of
from tests.conftest import guest, number, rejected

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts what /proc shows")
Install = Callable[..., Canister]
HOPS = 10_000
HOP_COST = 2 * 1024
"""Bytes of host memory that an open call may take: its context, its callback, its part of a list."""
FAN = 500
"""Calls of a canister to another that may be open at once."""
RING = HOPS // FAN + 1

# `hop` sends the number in its argument less one to its neighbour, whose id (10 bytes) `init` was given; the answer to
# 0 is 0, and every callback on the way back adds one. `fan` calls its neighbour's `one` as often as its argument says;
# the last answer replies with how many there were and with how many calls were refused.
NEIGHBOURS = """
(global $left (mut i32) (i32.const 0)) (global $came (mut i64) (i64.const 0)) (global $refused (mut i64) (i64.const 0))
(table funcref (elem $back $gathered))
(data (i32.const 100) "hopone")
(func (export "canister_init") (call $msg_arg_data_copy (i32.const 0) (i32.const 0) (i32.const 10)))
(func $call (param $name i32) (param $function i32) (result i32)
  (call $call_new (i32.const 0) (i32.const 10) (local.get $name) (i32.const 3)
    (local.get $function) (i32.const 0) (local.get $function) (i32.const 0))
  (call $call_data_append (i32.const 16) (i32.const 8))
  (call $call_perform))
(func $number (result i64)
  (call $msg_arg_data_copy (i32.const 16) (i32.const 0) (i32.const 8))
  (i64.load (i32.const 16)))
(func (export "canister_update hop") (local $n i64)
  (local.set $n (call $number))
  (if (i64.eqz (local.get $n))
    (then (call $debug_print (i32.const 100) (i32.const 3)) (call $reply64 (i64.const 0)))
    (else
      (i64.store (i32.const 16) (i64.sub (local.get $n) (i64.const 1)))
      (if (call $call (i32.const 100) (i32.const 0)) (then unreachable)))))
(func $back (param i32) (call $reply64 (i64.add (call $number) (i64.const 1))))
(func (export "canister_update one") (call $reply64 (i64.const 1)))
(func (export "canister_update fan") (local $n i64)
  (local.set $n (call $number))
  (loop $again
    (if (call $call (i32.const 103) (i32.const 1))
      (then (global.set $refused (i64.add (global.get $refused) (i64.const 1))))
      (else (global.set $left (i32.add (global.get $left) (i32.const 1)))))
    (br_if $again (i64.ne (local.tee $n (i64.sub (local.get $n) (i64.const 1))) (i64.const 0)))))
(func $gathered (param i32)
  (global.set $came (i64.add (global.get $came) (call $number)))
  (global.set $left (i32.sub (global.get $left) (i32.const 1)))
  (if (i32.eqz (global.get $left))
    (then (i64.store (i32.const 32) (global.get $came)) (i64.store (i32.const 40) (global.get $refused))
      (call $reply (i32.const 32) (i32.const 16)))))
"""


@pytest.fixture
def ring(sandbox: Sandbox) -> list[Canister]:
    """Canisters of which each is the neighbour of the one before."""
    canisters = [sandbox.create_canister() for _ in range(RING)]
    for place, canister in enumerate(canisters):
        canister.install(guest(NEIGHBOURS), arg=bytes(canisters[(place + 1) % RING].id))
    return canisters


@linux
def test_ten_thousand_calls_deep_and_back_in_bounded_memory(ring: list[Canister], sandbox: Sandbox) -> None:
    deepest: list[int] = []
    sandbox.on_log = lambda _canister, _text: deepest.append(_private_memory())
    ring[0].update("hop", RING.to_bytes(8, "little"))
    before, limit = _private_memory(), sys.getrecursionlimit()
    sys.setrecursionlimit(_depth() + 150)
    try:
        answer = ring[0].update("hop", HOPS.to_bytes(8, "little")).reply
    finally:
        sys.setrecursionlimit(limit)
    assert number(answer) == HOPS
    assert deepest[-1] - before < HOPS * HOP_COST
    subnet = runtime_of(sandbox).management_context(ring[0].id).subnet
    assert not any((subnet.queue, subnet.later, subnet.contexts, subnet.callbacks, subnet.slots)), "nothing of it stays"


def _depth() -> int:
    frame, depth = sys._getframe(), 0
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    return depth


def test_five_hundred_calls_from_one_message(ring: list[Canister]) -> None:
    answer = ring[0].update("fan", FAN.to_bytes(8, "little")).reply
    assert answer is not None
    assert (number(answer[:8]), number(answer[8:])) == (FAN, 0)


def test_a_pair_of_canisters_has_five_hundred_open_calls_and_no_more(ring: list[Canister]) -> None:
    answer = ring[0].update("fan", (FAN + 7).to_bytes(8, "little")).reply
    assert answer is not None
    assert (number(answer[:8]), number(answer[8:])) == (FAN, 7)


@pytest.mark.parametrize(("all_canisters", "each", "sent"), [(20, 5, 20), (3, 5, 5), (0, 0, 0)])
def test_calls_of_all_canisters_share_a_bound_beyond_which_each_has_a_few(
    all_canisters: int, each: int, sent: int, ring: list[Canister], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.limits.CALLS_OPEN", all_canisters)
    monkeypatch.setattr("sandbox.limits.CALLS_GUARANTEED", each)
    if not sent:
        rejected(ErrorCode.CANISTER_DID_NOT_REPLY, "", ring[0].update, "fan", (30).to_bytes(8, "little"))
        return
    answer = ring[0].update("fan", (30).to_bytes(8, "little")).reply
    assert answer is not None
    assert (number(answer[:8]), number(answer[8:])) == (sent, 30 - sent)


@linux
def test_a_canister_with_its_instance_takes_less_than_200_kib_of_private_memory(install: Install) -> None:
    module = Path(__file__).parents[2].joinpath("fixtures", "wasm", "counter.enhanced.wasm").read_bytes()
    install(module).update("inc")
    before = _private_memory()
    canisters = [install(module) for _ in range(50)]
    for canister in canisters:
        canister.update("inc")
    assert (_private_memory() - before) / len(canisters) < 200 * 1024


def _private_memory() -> int:
    text = Path("/proc/self/smaps_rollup").read_text()
    return 1024 * sum(map(int, re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+) kB", text, re.MULTILINE)))
