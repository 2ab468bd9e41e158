"""Made-up sequences: what is kept, what comes again, and what they make together."""

from __future__ import annotations

from sandbox.proofs.explore import Exploration, Sequence, combine, explore, useful_queries
from sandbox.proofs.upgrade.tries import INSTRUCTIONS
from tests.conftest import fixture
from tests.proofs.explore.guests import SWITCHED, TICKETS, TROUBLE, subject


def explored(module: bytes, count: int, seed: int = 0) -> Exploration:
    with subject(module) as (canister, _):
        return explore(canister, count, seed, lambda tried: None)


def texts(found: Exploration) -> list[tuple[str, ...]]:
    return [tuple(call.text for call in sequence.calls) for sequence in found.sequences]


def test_the_same_seed_tries_the_same_calls() -> None:
    first = explored(fixture("people_v1.classical"), 12, 5)
    assert explored(fixture("people_v1.classical"), 12, 5) == first
    assert texts(explored(fixture("people_v1.classical"), 12, 6)) != texts(first)
    assert first.tried == 12
    assert len(first.sequences) > 5


def test_a_value_that_a_call_returns_is_an_argument_of_the_next() -> None:
    found = explored(TICKETS, 30)
    assert found.sequences
    assert all(any("enter(123_456_789 : nat)" in text for text in sequence) for sequence in texts(found))
    assert all(sequence.changes == {"stable"} for sequence in found.sequences)


def test_calls_that_fail_are_not_kept() -> None:
    found = explored(TROUBLE, 8)
    assert {call.method for sequence in found.sequences for call in sequence.calls} == {"go"}
    assert found.calls > sum(len(sequence.calls) for sequence in found.sequences)


def test_calls_are_bounded_and_leave_nothing_behind() -> None:
    with subject(TROUBLE) as (canister, trial):
        before, limits = trial.sandbox.state_hash(), trial.sandbox._runtime.subnet.instruction_limits
        found = explore(canister, 5, 0, lambda tried: None)
        combine(canister, found)
        useful_queries(canister, (), 0)
        assert trial.sandbox.state_hash() == before
        assert trial.sandbox._runtime.subnet.instruction_limits == limits
        assert limits.update > INSTRUCTIONS


def test_sequences_together_make_all_that_each_of_them_made() -> None:
    with subject(SWITCHED) as (canister, _):
        found = explore(canister, 20, 0, lambda tried: None)
        calls = combine(canister, found)
        with canister.undone():
            assert all(canister.perform(call).reply is not None for call in calls)  # type: ignore[union-attr]
            assert canister.changes() == {"stable"}
    assert {call.method for call in calls} >= {"on", "more"}


def test_a_sequence_that_takes_back_what_others_did_is_left_out() -> None:
    with subject(SWITCHED) as (canister, _):
        found = explore(canister, 20, 0, lambda tried: None)
        call = {call.method: call for sequence in found.sequences for call in sequence.calls}
        kept = Sequence((call["on"],), frozenset({"stable"}), 1)
        back = Sequence((call["on"], call["off"]), frozenset({"other"}), 2)
        assert combine(canister, Exploration(2, 3, (back, kept))) == (call["on"],)


def test_queries_with_arguments_are_asked_about_what_there_is() -> None:
    module = fixture("people_v1.classical")
    with subject(module) as (canister, _):
        [fill] = [call for found in explore(canister, 30, 0, lambda tried: None).sequences for call in found.calls[:1]][
            :1
        ]
        asked = useful_queries(canister, (fill,), 0)
        methods = [call.method for call in asked]
        assert {"get", "list"} == set(methods)
        assert all(1 < methods.count(method) <= 4 for method in ("get", "list"))
        with canister.undone():
            canister.perform(fill)
            answers = [(call.method, canister.perform(call)) for call in asked]
    replies = [(method, result.reply) for method, result in answers if result is not None]
    assert len(set(replies)) == len(asked)


def test_the_progress_says_how_many_were_tried() -> None:
    heard: list[int] = []
    with subject(SWITCHED) as (canister, _):
        explore(canister, 6, 0, heard.append)
    assert heard == [1, 2, 3, 4, 5, 6]
