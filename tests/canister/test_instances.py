"""Live canisters: what was not written costs nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox import Canister, Sandbox, SandboxError
from sandbox.memory import Pool, Run
from sandbox.memory.dirty import STRATEGIES
from sandbox.memory.store import Store
from tests.conftest import guest, wat

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
    if not strategy.leaves_none:
        pytest.skip("comparing cannot know that nothing was written")
    find, searches = strategy.dirty, 0

    def counted(self: object, base: int, size: int, store: Store) -> list[Run]:
        nonlocal searches
        searches += 1
        return find(self, base, size, store)  # type: ignore[arg-type]

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


PRINTING = guest("""
  (func (export "canister_update go")
    (i32.store (i32.const 64) (i32.const 7)) (call $debug_print (i32.const 0) (i32.const 4)) (call $msg_reply))
  (func (export "canister_query q") (call $msg_reply))""")


def queried_in_a_profile(sandbox: Sandbox, canister: Canister) -> None:
    with sandbox.profile():
        canister.query("q")


@pytest.mark.parametrize(
    "use",
    [
        lambda _, canister: canister.query("q"),
        lambda _, canister: canister.update("q"),
        lambda _, canister: canister.upgrade(PRINTING),
        lambda sandbox, _: sandbox.close(),
        queried_in_a_profile,
    ],
    ids=["query", "update", "upgrade", "close", "profile"],
)
def test_a_canister_that_executes_a_message_cannot_be_used_by_what_the_message_calls(
    sandbox: Sandbox, use: Callable[[Sandbox, Canister], object]
) -> None:
    """The function of the user's is refused, so that nothing happens to the message that runs."""
    canister, other = sandbox.create_canister(), sandbox.create_canister()
    for each in (canister, other):
        each.install(PRINTING)
    before = canister.raw_state()

    def on_log(*_: object) -> None:
        use(sandbox, canister)

    sandbox.on_log = on_log
    with pytest.raises(SandboxError, match=f"{canister.id} executes a message"):
        canister.update("go")
    assert canister.raw_state() == before
    replies = []

    def ask_another(*_: object) -> None:
        replies.append(other.query("q").reply)

    sandbox.on_log = ask_another
    assert canister.update("go").reply == b""
    assert replies == [b""]
    assert canister.raw_state() != before
