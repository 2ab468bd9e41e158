"""Claims about the system canisters that tools expect of a network."""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

import pytest

from sandbox import Canister, Principal, Sandbox
from sandbox.http.network import SYSTEM, install_system

GIFT, FEE, TRILLION = 10**18, 10**8, 10**12
LEDGER, MINTING, ICP = "um5iw-rqaaa-aaaaq-qaaba-cai", "rkp4c-7iaaa-aaaaa-aaaca-cai", "ryjl3-tyaaa-aaaaa-aaaba-cai"


@pytest.fixture(scope="module")
def network() -> Sandbox:
    sandbox = Sandbox()
    assert install_system(sandbox) == []
    return sandbox


@pytest.fixture
def ledger(network: Sandbox) -> Canister:
    return network.canister(LEDGER)


def balance(canister: Canister, owner: Principal) -> Any:
    return canister.call("icrc1_balance_of", {"owner": owner, "subaccount": None})


def creation(**changed: Any) -> dict[str, Any]:
    return {"from_subaccount": None, "created_at_time": None, "amount": TRILLION, "creation_args": None, **changed}


def transfer(to: Principal, amount: int, **changed: Any) -> dict[str, Any]:
    account = {"owner": to, "subaccount": None}
    return {"from_subaccount": None, "to": account, "amount": amount, "fee": None, "memo": None, **changed}


def test_they_have_their_ids_on_the_main_network(network: Sandbox) -> None:
    assert {str(system.canister_id) for system in SYSTEM} == {LEDGER, MINTING, ICP}
    assert {canister.id for canister in network.canisters()} >= {system.canister_id for system in SYSTEM}


def test_they_are_installed_once_and_never_over_a_canister_of_the_user() -> None:
    sandbox = Sandbox()
    mine = sandbox.create_canister(canister_id=ICP)
    assert [str(taken.canister_id) for taken in install_system(sandbox)] == [ICP]
    assert mine.status().module_hash is None
    before = sandbox.state_hash()
    assert [str(taken.canister_id) for taken in install_system(sandbox)] == [ICP]
    assert sandbox.state_hash() == before


def test_the_cycles_minting_canister_names_the_only_subnet(network: Sandbox) -> None:
    assert network.canister(MINTING).call("get_default_subnets") == [network.subnet_id]


def test_every_user_has_cycles_and_icp(network: Sandbox, ledger: Canister) -> None:
    for name, times in (("somebody", 1), ("anonymous", 10**6)):
        assert balance(ledger, network.identity(name)) == GIFT * times
        assert balance(network.canister(ICP), network.identity(name)) == 10**12 * times


def test_who_creates_a_canister_controls_it_and_pays(network: Sandbox, ledger: Canister) -> None:
    alice = network.identity("alice")
    made = ledger.call("create_canister", creation(), sender=alice)["Ok"]
    created = network.canister(made["canister_id"])
    assert list(created.status().settings.controllers) == [alice]
    assert created.status().cycles == TRILLION
    assert balance(ledger, alice) == GIFT - TRILLION - FEE


def test_the_settings_of_a_new_canister_are_those_asked_for(network: Sandbox, ledger: Canister) -> None:
    bob, carol = network.identity("bob"), network.identity("carol")
    settings = {
        "controllers": [carol],
        "freezing_threshold": 3_000_000,
        "log_visibility": {"public": None},
        "environment_variables": [{"name": "A", "value": "b"}],
    }
    args = {"settings": settings, "subnet_selection": {"Subnet": {"subnet": network.subnet_id}}}
    made = ledger.call("create_canister", creation(creation_args=args), sender=bob)["Ok"]
    chosen = network.canister(made["canister_id"]).status().settings
    assert list(chosen.controllers) == [carol]
    assert (chosen.freezing_threshold, chosen.log_visibility.public) == (3_000_000, True)
    assert dict(chosen.environment_variables) == {"A": "b"}


def test_a_canister_that_cannot_be_created_costs_the_fee_alone(network: Sandbox, ledger: Canister) -> None:
    dora = network.identity("dora")
    args = {"settings": {"compute_allocation": 1000}, "subnet_selection": None}
    failed = ledger.call("create_canister", creation(creation_args=args), sender=dora)["Err"]["FailedToCreate"]
    assert "'compute_allocation' must be between" in failed["error"]
    assert balance(ledger, dora) == GIFT - FEE


def test_nobody_spends_more_than_they_have(network: Sandbox, ledger: Canister) -> None:
    erin = network.identity("erin")
    poor = {"InsufficientFunds": {"balance": GIFT}}
    assert ledger.call("create_canister", creation(amount=GIFT), sender=erin) == {"Err": poor}
    assert ledger.call("icrc1_transfer", transfer(erin, GIFT), sender=erin) == {"Err": poor}
    withdrawal = {"amount": GIFT, "from_subaccount": None, "to": ledger.id, "created_at_time": None}
    assert ledger.call("withdraw", withdrawal, sender=erin) == {"Err": poor}
    empty = transfer(erin, 1, from_subaccount=b"\1" * 32)
    assert ledger.call("icrc1_transfer", empty, sender=erin) == {"Err": {"InsufficientFunds": {"balance": 0}}}
    assert balance(ledger, erin) == GIFT


@pytest.mark.parametrize(("token", "fee", "gift"), [(LEDGER, FEE, GIFT), (ICP, 10_000, 10**12)])
def test_a_transfer_moves_the_amount_and_costs_the_fee(network: Sandbox, token: str, fee: int, gift: int) -> None:
    canister, frank, grace = network.canister(token), network.identity("frank"), network.identity("grace")
    assert canister.call("icrc1_fee") == fee
    wrong = canister.call("icrc1_transfer", transfer(grace, 5, fee=fee + 1), sender=frank)
    assert wrong == {"Err": {"BadFee": {"expected_fee": fee}}}
    first = canister.call("icrc1_transfer", transfer(grace, 5, fee=fee), sender=frank)["Ok"]
    assert canister.call("icrc1_transfer", transfer(grace, 6), sender=frank)["Ok"] == first + 1
    assert (balance(canister, frank), balance(canister, grace)) == (gift - 11 - 2 * fee, gift + 11)


def test_cycles_are_withdrawn_to_a_canister(network: Sandbox, ledger: Canister) -> None:
    heidi, ivan = network.identity("heidi"), network.identity("ivan")
    target = network.create_canister(cycles=5)
    withdrawal = {"amount": TRILLION, "from_subaccount": None, "to": target.id, "created_at_time": None}
    assert "Ok" in ledger.call("withdraw", withdrawal, sender=heidi)
    assert target.status().cycles == TRILLION + 5
    assert balance(ledger, heidi) == GIFT - TRILLION - FEE
    nowhere = {**withdrawal, "to": Principal.from_index(1 << 40)}
    assert "FailedToWithdraw" in ledger.call("withdraw", nowhere, sender=ivan)["Err"]
    assert balance(ledger, ivan) == GIFT - FEE


def test_icp_is_transferred_to_account_identifiers_too(network: Sandbox) -> None:
    ledger, judy = network.canister(ICP), network.identity("judy")
    to = hashlib.sha224(b"\x0aaccount-id" + bytes(judy) + bytes(32)).digest()
    given = {
        "memo": 0,
        "amount": {"e8s": 7},
        "fee": {"e8s": 10_000},
        "from_subaccount": None,
        "to": zlib.crc32(to).to_bytes(4, "big") + to,
        "created_at_time": None,
    }
    kim = network.identity("kim")
    assert "Ok" in ledger.call("transfer", given, sender=kim)
    assert (balance(ledger, judy), balance(ledger, kim)) == (10**12 + 7, 10**12 - 10_007)
    wrong = ledger.call("transfer", {**given, "fee": {"e8s": 1}}, sender=kim)
    assert wrong == {"Err": {"BadFee": {"expected_fee": {"e8s": 10_000}}}}
    poor = ledger.call("transfer", {**given, "amount": {"e8s": 10**12}}, sender=kim)
    assert poor == {"Err": {"InsufficientFunds": {"balance": {"e8s": 10**12 - 10_007}}}}
