"""Live canisters: what was not written costs nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox import Canister, Sandbox, SandboxError
from sandbox.api import runtime_of
from sandbox.canister.instances import CanisterInstance
from sandbox.canister.module import CompiledModule
from sandbox.canister.profiling import Profiler
from sandbox.memory import Pool, Run, View
from sandbox.memory.dirty import Shown
from sandbox.memory.strategies import STRATEGIES
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


def made(monkeypatch: pytest.MonkeyPatch) -> list[CanisterInstance]:
    """All instances that are made from now on."""
    instances: list[CanisterInstance] = []
    original = CanisterInstance.__init__

    def noted(
        self: CanisterInstance, prepared: CompiledModule, heap: View, stable: View, profiler: Profiler | None
    ) -> None:
        instances.append(self)
        original(self, prepared, heap, stable, profiler)

    monkeypatch.setattr(CanisterInstance, "__init__", noted)
    return instances


def test_canisters_that_are_called_in_turn_keep_their_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = Sandbox()
    canisters = [sandbox.create_canister() for _ in range(150)]
    for canister in canisters:
        canister.install(wat(COUNTING))
        canister.update("count")
    instances = made(monkeypatch)
    for expected in (b"\2", b"\3"):
        assert all(canister.update("count").reply == expected for canister in canisters)
    assert not instances


def test_instances_are_kept_as_far_as_their_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = Sandbox()
    canisters = [sandbox.create_canister() for _ in range(3)]
    for canister in canisters:
        canister.install(wat(COUNTING))
    runtime = runtime_of(sandbox)
    one = runtime.instances.open(runtime.state_of(canisters[0].id)).footprint
    runtime.instances.clear()
    monkeypatch.setattr(runtime.instances, "_kept", 2 * one)
    instances = made(monkeypatch)

    def new(*numbers: int) -> int:
        before = len(instances)
        for number in numbers:
            canisters[number].update("count")
        return len(instances) - before

    assert new(0, 1, 0, 1) == 2
    assert new(2) == 1
    assert new(1, 2) == 0, "the least recently used one went"
    assert new(0) == 1
    monkeypatch.setattr(runtime.instances, "_kept", 1)
    assert new(0, 0, 0) <= 1, "the last one always stays"


PRINTING = guest("""
  (func (export "canister_update go")
    (i32.store (i32.const 64) (i32.const 7)) (call $debug_print (i32.const 0) (i32.const 4)) (call $msg_reply))
  (func (export "canister_query q") (call $msg_reply))""")


def queried_in_a_profile(sandbox: Sandbox, canister: Canister) -> None:
    with sandbox.profile():
        canister.query_raw("q")


@pytest.mark.parametrize(
    "use",
    [
        lambda _, canister: canister.query_raw("q"),
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
        replies.append(other.query_raw("q").reply)

    sandbox.on_log = ask_another
    assert canister.update("go").reply == b""
    assert replies == [b""]
    assert canister.raw_state() != before
