"""The same inputs give the same states, whatever finds the pages that were written: on canisters that call each other,
wait, fire timers, make others, and trap."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox import CallRejected, Canister, Sandbox
from sandbox.errors import Unsupported
from tests.conftest import STRATEGIES, fixture
from tests.real.submit import submit

SECOND = 10**9


def installed(sandbox: Sandbox, module: str) -> Canister:
    canister = sandbox.create_canister()
    canister.install(fixture(module))
    return canister


def attempt(action: Callable[..., object], *values: object) -> None:
    with pytest.raises(CallRejected):
        action(*values)


def talk(sandbox: Sandbox, module: str) -> None:
    one, other = installed(sandbox, module), installed(sandbox, module)
    waiting = [submit(sandbox, one, "ask_within", other.id, rounds, 10) for rounds in (1, 4, 9)]
    sandbox.tick(rounds=2)
    one.call("ask_in_a_loop", other.id, 20)
    attempt(one.call, "trap_after_await", other.id)
    one.call("attempt", other.id, {"trap": None} if module.endswith("_rs") else {"trap": "ouch"})
    one.call("pay", other.id, 1000, 300)
    sandbox.advance_time(seconds=11)
    sandbox.run_until_idle()
    assert all(answer() is not None for answer in waiting)


def wait(sandbox: Sandbox, module: str) -> None:
    canister = installed(sandbox, module)
    if module.endswith("_rs"):
        canister.call("start_serial", SECOND, 2)
        canister.call("start_interval", 2 * SECOND)
    else:
        canister.call("recurring", "r", SECOND)
        canister.call("trapping", "t", SECOND)
        canister.call("awaiting", "w", SECOND)
    for _ in range(20):
        sandbox.advance_time(seconds=1)
        sandbox.tick()


def make(sandbox: Sandbox, module: str) -> None:
    factory = installed(sandbox, module)
    children = [factory.call("create", f"child {i}", 10**12) for i in range(3)]
    factory.call("inc_all")
    factory.call("upgrade", children[0], "x")
    factory.call("try_upgrade", children[1], "refuse")
    factory.call("delete", children[2])
    factory.call("inc_all")


def keep(sandbox: Sandbox, module: str) -> None:
    canister = installed(sandbox, module)
    if module.endswith("_rs"):
        canister.call("fill", 200)
        canister.call("remove", 3)
    else:
        canister.call("fill")
    canister.upgrade(fixture(module))


STORIES = [
    (talk, "calls.enhanced"),
    (talk, "calls.classical"),
    (talk, "service_rs"),
    (wait, "timers.enhanced"),
    (wait, "timers.classical"),
    (wait, "service_rs"),
    (make, "factory.enhanced"),
    (make, "factory.classical"),
    (keep, "vars_v1.enhanced"),
    (keep, "vars_v1.classical"),
    (keep, "regions.classical"),
    (keep, "structures_rs"),
]


@pytest.mark.parametrize(("story", "module"), STORIES, ids=[f"{story.__name__}-{module}" for story, module in STORIES])
def test_the_same_story_ends_in_the_same_state(story: Callable[[Sandbox, str], None], module: str) -> None:
    ends: dict[str, str] = {}
    for strategy in (*STRATEGIES, STRATEGIES[0]):
        try:
            sandbox = Sandbox(seed=7, strategy=strategy)
        except Unsupported:
            continue
        story(sandbox, module)
        ends[f"{len(ends)} {strategy}"] = sandbox.state_hash()
    assert len(ends) > 1
    assert len(set(ends.values())) == 1, ends
