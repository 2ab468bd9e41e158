"""Live canisters: what was not written costs nothing."""

from __future__ import annotations

import pytest

from sandbox import Sandbox
from sandbox.memory import Pool, Run
from sandbox.memory.dirty import Shown
from sandbox.memory.strategies import STRATEGIES
from tests.conftest import wat

COUNTING = """(module
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
  (memory 1)
  (func (export "canister_update count")
    (i32.store8 (i32.const 8) (i32.add (i32.load8_u (i32.const 8)) (i32.const 1)))
    (call $append (i32.const 8) (i32.const 1))
    (call $reply)))"""


def test_the_first_update_after_a_load_searches_no_more_than_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    strategy = STRATEGIES[Pool().strategy]
    find, searches = strategy.dirty, 0

    def counted(self: object, view: Shown) -> list[Run]:
        nonlocal searches
        searches += 1
        return find(self, view)  # type: ignore[arg-type]

    monkeypatch.setattr(strategy, "dirty", counted)
    canister = Sandbox().create_canister()
    canister.install(wat(COUNTING))
    taken = canister.take_snapshot()
    canister.update("count")
    searches = 0
    assert canister.update("count").reply == b"\2"
    usual = searches
    canister.load_snapshot(taken.id)
    searches = 0
    assert canister.update("count").reply == b"\1"
    assert searches == usual > 0
