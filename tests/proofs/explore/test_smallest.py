"""The smallest sequence: no call and no value in it can be left out or be simpler."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import candid
from sandbox.candid import NAT, TEXT, parse_did
from sandbox.proofs.calls import Call, made_call
from sandbox.proofs.explore import Subject, smallest
from sandbox.proofs.explore.smallest import BUDGET
from tests.conftest import fixture
from tests.proofs.explore.guests import subject

FUNCTIONS = parse_did("service : { put : (nat, text) -> (); go : () -> () }").methods


def put(number: int, text: str = "something", sender: str | None = None) -> Call:
    return made_call("put", (NAT, TEXT), (number, text), sender)


def number_of(call: Call) -> int:
    return int(candid.decode((NAT, TEXT), call.arg)[0]) if call.method == "put" else -1


GO = made_call("go", (), ())
CALLS = st.builds(put, st.integers(0, 90)) | st.just(GO) | st.builds(put, st.just(3), sender=st.just("alice"))


def least(begin: tuple[Call, ...], shows: object) -> list[str] | None:
    with subject(fixture("people_v1.classical")) as (canister, _):
        only = Subject(FUNCTIONS, canister.perform, canister.changes, canister.undone, canister.pool)
        found = smallest(only, [(), begin], shows, 0)  # type: ignore[arg-type]
    return None if found is None else [call.text for call in found]


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.nested_given])
@given(st.lists(CALLS, max_size=4), st.lists(CALLS, max_size=4))
def test_the_calls_and_values_that_matter_remain(before: list[Call], after: list[Call]) -> None:
    def shows(calls: tuple[Call, ...]) -> bool:
        went = [call.method for call in calls]
        return "go" in went and any(number_of(call) >= 4 for call in calls[went.index("go") :])

    begin = (*before, GO, put(77, "a long text", "bob"), *after)
    assert least(begin, shows) == ["go()", 'put(4 : nat, "")']


def test_a_caller_who_matters_remains() -> None:
    begin = (put(5), put(8, "x", "alice"), GO)
    assert least(begin, lambda calls: any(call.sender == "alice" for call in calls)) == ['alice: put(0 : nat, "")']


def test_a_value_that_must_be_the_same_twice_remains() -> None:
    def shows(calls: tuple[Call, ...]) -> bool:
        return max(Counter(map(number_of, calls)).values(), default=0) > 1 and all(number_of(c) > 50 for c in calls)

    assert least((put(77), put(60), put(77)), shows) == ['put(77 : nat, "")', 'put(77 : nat, "")']


def test_nothing_is_returned_where_nothing_shows_it() -> None:
    assert least((GO, put(1)), lambda calls: False) is None


def test_the_number_of_looks_is_bounded() -> None:
    looks = []

    def shows(calls: tuple[Call, ...]) -> bool:
        looks.append(calls)
        return len(calls) > 100

    found = least(tuple(put(number) for number in range(160)), shows)
    assert found is not None
    assert 100 < len(found) <= 160
    assert len(looks) <= BUDGET + 2
