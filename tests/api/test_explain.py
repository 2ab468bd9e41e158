"""What is missing or does not fit is said by name, before code runs or beside the platform's text."""

from __future__ import annotations

import pytest

from sandbox import CallRejected, CandidTypeError, Sandbox
from tests.conftest import fixture

EXPECTED = r"the module expects an argument, \(variant \{.*after : nat64.*\}\): give it with arg="


def test_an_installation_says_which_argument_it_expects() -> None:
    with Sandbox() as sandbox:
        canister = sandbox.create_canister()
        with pytest.raises(CandidTypeError, match=EXPECTED):
            canister.install(fixture("places_rs"))
        assert canister.logs() == ()
        with pytest.raises(CallRejected):
            canister.install(fixture("places_rs"), b"DIDL\0\0")
        canister.install(fixture("places_rs"), {"after": 1})
        with pytest.raises(CandidTypeError, match=EXPECTED):
            canister.install(fixture("places_rs"), mode="reinstall")


def test_an_argument_that_may_be_left_out_is_not_asked_for() -> None:
    with Sandbox() as sandbox:
        for name in ("people_stable_rs_v1", "people_v1.enhanced", "service_rs"):
            canister = sandbox.create_canister()
            canister.install(fixture(name))
            canister.upgrade(fixture(name))


def test_an_upgrade_of_motoko_expects_the_argument_again() -> None:
    with Sandbox() as sandbox:
        for name in ("greeter.enhanced", "greeter.classical"):
            canister = sandbox.create_canister()
            with pytest.raises(CandidTypeError, match="the module expects an argument"):
                canister.install(fixture(name))
            canister.install(fixture(name), {"greeting": "Hi", "owner": None})
            with pytest.raises(CandidTypeError, match="the module expects an argument"):
                canister.upgrade(fixture(name))
            canister.upgrade(fixture(name), {"greeting": "Hi", "owner": None})


def test_a_refused_upgrade_names_the_variables_that_do_not_fit() -> None:
    with Sandbox() as sandbox:
        canister = sandbox.create_canister()
        canister.install(fixture("shop_v1.enhanced"))
        with pytest.raises(CallRejected, match="Memory-incompatible program upgrade") as caught:
            canister.upgrade(fixture("shop_v2_retypes.enhanced"))
        [note] = caught.value.__notes__
        assert note == (
            "Stable variables that do not fit: feeBps : Nat -> Text; "
            "people[].email dropped (?Text); records[]#_9_ dropped"
        )
