"""Queries of a snapshot: its code answers about its bytes at its time, and nothing changes."""

from __future__ import annotations

import pytest

from sandbox import CallRejected, ErrorCode, Sandbox
from sandbox.api import runtime_of
from sandbox.candid import decode, encode
from tests.conftest import everything, fixture, guest, number, rejected

ASKS_ITSELF = """
  (func (export "canister_query now") (call $reply64 (call $time)))
  (func (export "canister_query version") (call $reply64 (call $canister_version)))
  (func (export "canister_query write") (i32.store (i32.const 0) (i32.const 7))
    (call $reply (i32.const 0) (i32.const 4)))
"""


def test_the_snapshot_answers_with_its_own_code_and_bytes() -> None:
    sandbox = Sandbox()
    canister = sandbox.create_canister()
    canister.install(fixture("people_v1.enhanced"))
    canister.call("fill", 3)
    was = canister.query_raw("list", b"DIDL\0\2\x7d\x7d\0\x05").reply
    snapshot = canister.take_snapshot()
    canister.call("fill", 10)
    canister.upgrade(fixture("people_v2_drops.enhanced"))
    canister.stop()
    before, state = everything(sandbox, canister), runtime_of(sandbox).state_of(canister.id)
    result = sandbox.snapshots.query_raw(snapshot.id, "list", b"DIDL\0\2\x7d\x7d\0\x05")
    assert result.reply == was
    assert result.instructions > 0
    assert runtime_of(sandbox).state_of(canister.id) is state
    assert everything(sandbox, canister) == before
    canister.start()
    assert canister.call("size") == 13


def test_the_time_and_the_version_are_those_of_the_snapshot() -> None:
    sandbox = Sandbox()
    canister = sandbox.create_canister()
    canister.install(guest(ASKS_ITSELF))
    snapshot = canister.take_snapshot()
    version = runtime_of(sandbox).state_of(canister.id).version
    sandbox.advance_time(seconds=1000)
    canister.update_settings(compute_allocation=1)
    now = sandbox.time
    assert number(sandbox.snapshots.query_raw(snapshot.id, "now").reply) == snapshot.taken_on == now - 1_000_000_000_000
    assert number(sandbox.snapshots.query_raw(snapshot.id, "version").reply) == version
    assert number(sandbox.snapshots.query_raw(snapshot.id, "write").reply) == 7
    assert sandbox.time == now
    assert number(canister.query_raw("now").reply) == now


def test_a_composite_query_asks_its_canister_as_it_was_and_others_as_they_are() -> None:
    sandbox = Sandbox()
    first, second = sandbox.create_canister(), sandbox.create_canister()
    for canister in (first, second):
        canister.install(fixture("calls.enhanced"))
        canister.call("add", 5)
    snapshot = first.take_snapshot()
    for canister in (first, second):
        canister.call("add", 1)
    arg = encode("(vec principal)", [[first.id, second.id]])
    reply = sandbox.snapshots.query_raw(snapshot.id, "sum_of", arg).reply
    assert reply is not None
    assert decode("(nat)", reply) == [5 + 6]
    assert [canister.call("get_total") for canister in (first, second)] == [6, 6]


def test_a_snapshot_that_another_canister_lives_on_is_asked_too() -> None:
    sandbox = Sandbox(max_snapshots=3)
    first, second = sandbox.create_canister(), sandbox.create_canister()
    first.install(fixture("counter.classical"))
    first.call("inc")
    snapshot = first.take_snapshot()
    first.call("inc")
    second.load_snapshot(snapshot.id)
    second.call("inc")
    assert sandbox.snapshots.query_raw(snapshot.id, "get").reply == b"DIDL\0\1\x7d\1"
    assert (first.call("get"), second.call("get")) == (2, 2)


def test_what_a_query_may_not_is_rejected_as_ever() -> None:
    sandbox = Sandbox()
    canister = sandbox.create_canister()
    canister.install(fixture("counter.classical"))
    snapshot = canister.take_snapshot()
    rejected(
        ErrorCode.CANISTER_METHOD_NOT_FOUND, "no query method 'inc'", sandbox.snapshots.query_raw, snapshot.id, "inc"
    )
    rejected(ErrorCode.CANISTER_SNAPSHOT_NOT_FOUND, "", sandbox.snapshots.query, "00" * 18, "get")
    with pytest.raises(CallRejected):
        sandbox.snapshots.inspect(snapshot.id, sender=sandbox.identity("somebody"))
