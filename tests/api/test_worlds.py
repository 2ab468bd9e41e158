"""Sandboxes do not know of each other, and the same inputs give the same everything."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox import Canister, ErrorCode, Sandbox
from sandbox.api import runtime_of
from sandbox.errors import CandidError
from tests.conftest import STRATEGIES, everything, fixture, rejected

FIXTURES = ["counter.enhanced", "counter.classical", "people_v1.enhanced", "people_stable_rs_v1"]


def story(sandbox: Sandbox, name: str) -> tuple[Canister, list[Any]]:
    """A canister with a little history, and all that was answered on the way."""
    canister = sandbox.create_canister()
    answers: list[Any] = [canister.install(fixture(name))]
    if name.startswith("counter"):
        answers += [canister.update("inc") for _ in range(3)]
        rejected(ErrorCode.CANISTER_CALLED_TRAP, "", canister.update, "boom")
        answers += [canister.call("grow", 2000), canister.call("work", 1000), canister.query_raw("get")]
    else:
        answers += [canister.call("fill", 200), canister.query_raw("checksum"), canister.update("checksum")]
    answers.append(canister.take_snapshot("end").checksum)
    answers.append([(r.index, r.timestamp, r.content) for r in canister.logs()])
    return canister, answers


@pytest.mark.parametrize("name", FIXTURES)
def test_the_same_inputs_give_the_same_state_replies_and_instructions(name: str) -> None:
    (one, first), (two, second) = (story(Sandbox(), name) for _ in range(2))
    assert first == second
    assert one.raw_state() == two.raw_state()


@pytest.mark.parametrize("name", FIXTURES)
def test_the_memory_strategy_changes_nothing_that_can_be_seen(name: str) -> None:
    stories = [story(Sandbox(strategy=strategy), name) for strategy in STRATEGIES]
    assert all(answers == stories[0][1] for _, answers in stories)
    assert all(canister.raw_state() == stories[0][0].raw_state() for canister, _ in stories)


@pytest.mark.parametrize("name", FIXTURES)
def test_a_fresh_instance_and_one_with_a_past_cost_the_same(name: str) -> None:
    method = "inc" if name.startswith("counter") else "checksum"
    sandbox = Sandbox()
    canister, _ = story(sandbox, name)
    with sandbox.anchor():
        warm = canister.update(method)
        state = canister.raw_state()
    runtime_of(sandbox).instances.clear()
    cold = canister.update(method)
    assert cold == warm
    assert canister.raw_state() == state


def test_two_sandboxes_take_turns_without_noticing() -> None:
    alone, alone_answers = story(Sandbox(), "counter.enhanced")
    first, second = Sandbox(), Sandbox()
    one, two = first.create_canister(), second.create_canister()
    assert one.id == two.id
    assert one != two
    for canister in (one, two):
        canister.install(fixture("counter.enhanced"))
    for k in range(1, 6):
        assert one.call("inc") == k
        assert two.call("get") == 0
    before = everything(second, two)
    with first.anchor():
        one.stop()
        one.delete()
        first.advance_time(seconds=100)
    assert everything(second, two) == before
    snapshot = one.take_snapshot()
    rejected(ErrorCode.CANISTER_SNAPSHOT_NOT_FOUND, "", two.load_snapshot, snapshot.id)
    third, answers = story(Sandbox(), "counter.enhanced")
    assert answers == alone_answers
    assert third.raw_state() == alone.raw_state()


def test_more_canisters_than_instances_stay_apart() -> None:
    sandbox = Sandbox()
    canisters = [sandbox.create_canister() for _ in range(140)]
    for canister in canisters:
        canister.install(fixture("counter.classical"))
    for k, canister in enumerate(canisters):
        for _ in range(k % 3):
            canister.update("inc")
    assert [canister.call("get") for canister in canisters] == [k % 3 for k in range(140)]


def test_names_are_always_the_same_principals() -> None:
    assert Sandbox().identity("alice") == Sandbox(seed=9).identity("alice")
    assert str(Sandbox().identity("anonymous")) == "2vxsx-fae"


@pytest.mark.parametrize("name", ["people_v1.enhanced", "people_stable_rs_v1"])
def test_values_that_do_not_fit_name_the_field_and_change_nothing(name: str) -> None:
    sandbox = Sandbox()
    canister, _ = story(sandbox, name)
    before = everything(sandbox, canister)
    good = {"name": "a", "email": "b", "age": 1, "tags": []}
    for wrong, named in [({**good, "age": "old"}, "age"), ({**good, "tags": [1]}, "tags")]:
        with pytest.raises(CandidError, match=named):
            canister.call("add", wrong)
    with pytest.raises(CandidError, match="email"):
        canister.call("add", {key: value for key, value in good.items() if key != "email"})
    with pytest.raises(CandidError):
        canister.call("add")
    for method in ("no_such_method", ""):
        with pytest.raises(Exception, match="method"):
            canister.call(method)
    for rubbish in (b"", b"DIDL", b"DIDL\0\1\x71\xff\xff", b"\xff" * 50):
        rejected(ErrorCode.CANISTER_CALLED_TRAP, "", canister.update, "add", rubbish)
    assert everything(sandbox, canister) == before
