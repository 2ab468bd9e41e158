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


# --- ICRC-2


def account(owner: Principal, subaccount: bytes | None = None) -> dict[str, Any]:
    return {"owner": owner, "subaccount": subaccount}


def approval(spender: Principal, amount: int, **changed: Any) -> dict[str, Any]:
    none = dict.fromkeys(("from_subaccount", "expected_allowance", "expires_at", "fee", "memo", "created_at_time"))
    return {**none, "spender": account(spender), "amount": amount, **changed}


def spending(owner: Principal, to: Principal, amount: int, **changed: Any) -> dict[str, Any]:
    none = dict.fromkeys(("spender_subaccount", "fee", "memo", "created_at_time"))
    return {**none, "from": account(owner), "to": account(to), "amount": amount, **changed}


@pytest.mark.parametrize(("token", "fee", "gift"), [(LEDGER, FEE, GIFT), (ICP, 10_000, 10**12)])
def test_who_is_allowed_spends_up_to_the_allowance(network: Sandbox, token: str, fee: int, gift: int) -> None:
    canister = network.canister(token)
    owner, spender, shop = (network.identity(f"{token} {name}") for name in ("owner", "spender", "shop"))

    def allowed() -> Any:
        return canister.call("icrc2_allowance", {"account": account(owner), "spender": account(spender)})

    assert allowed() == {"allowance": 0, "expires_at": None}
    refused = canister.call("icrc2_transfer_from", spending(owner, shop, 1), sender=spender)
    assert refused == {"Err": {"InsufficientAllowance": {"allowance": 0}}}
    assert "Ok" in canister.call("icrc2_approve", approval(spender, 100 + 2 * fee), sender=owner)
    assert balance(canister, owner) == gift - fee
    assert "Ok" in canister.call("icrc2_transfer_from", spending(owner, shop, 60), sender=spender)
    assert allowed() == {"allowance": 40 + fee, "expires_at": None}
    assert (balance(canister, owner), balance(canister, shop)) == (gift - 60 - 2 * fee, gift + 60)
    refused = canister.call("icrc2_transfer_from", spending(owner, shop, 41), sender=spender)
    assert refused == {"Err": {"InsufficientAllowance": {"allowance": 40 + fee}}}
    assert balance(canister, spender) == gift
    own = canister.call("icrc2_transfer_from", spending(spender, shop, 5), sender=spender)
    assert "Ok" in own
    assert balance(canister, spender) == gift - 5 - fee
    standards = [standard["name"] for standard in canister.call("icrc1_supported_standards")]
    assert standards == ["ICRC-1", "ICRC-2"]


def test_an_approval_has_conditions(network: Sandbox, ledger: Canister) -> None:
    owner, spender = network.identity("careful"), network.identity("helper")

    def approve(**changed: Any) -> Any:
        return ledger.call("icrc2_approve", approval(spender, 10 * FEE, **changed), sender=owner)

    assert approve(fee=1) == {"Err": {"BadFee": {"expected_fee": FEE}}}
    assert approve(expected_allowance=5) == {"Err": {"AllowanceChanged": {"current_allowance": 0}}}
    assert "Expired" in approve(expires_at=network.time - 1)["Err"]
    itself = ledger.call("icrc2_approve", approval(owner, 1), sender=owner)
    assert itself["Err"]["GenericError"]["message"] == "self approval is not allowed"
    assert balance(ledger, owner) == GIFT
    assert "Ok" in approve(expected_allowance=0, expires_at=network.time + 5 * 10**9)
    question = {"account": account(owner), "spender": account(spender)}
    assert ledger.call("icrc2_allowance", question)["allowance"] == 10 * FEE
    network.advance_time(seconds=6)
    assert ledger.call("icrc2_allowance", question) == {"allowance": 0, "expires_at": None}
    late = ledger.call("icrc2_transfer_from", spending(owner, spender, 1), sender=spender)
    assert late == {"Err": {"InsufficientAllowance": {"allowance": 0}}}


# --- blocks, and cycles for ICP


def identifier(owner: Principal, subaccount: bytes = bytes(32)) -> bytes:
    to = hashlib.sha224(b"\x0aaccount-id" + bytes(owner) + subaccount).digest()
    return zlib.crc32(to).to_bytes(4, "big") + to


def subaccount_of(principal: Principal) -> bytes:
    return (bytes([len(bytes(principal))]) + bytes(principal)).ljust(32, b"\0")


def sent(ledger: Canister, sender: Principal, to: bytes, e8s: int, memo: int) -> int:
    given = {
        "memo": memo,
        "amount": {"e8s": e8s},
        "fee": {"e8s": 10_000},
        "from_subaccount": None,
        "to": to,
        "created_at_time": None,
    }
    block = ledger.call("transfer", given, sender=sender)["Ok"]
    assert isinstance(block, int)
    return block


def test_the_icp_ledger_keeps_blocks(network: Sandbox) -> None:
    ledger, leo, mia = network.canister(ICP), network.identity("leo"), network.identity("mia")
    first = sent(ledger, leo, identifier(mia), 7, 99)
    ledger.call("icrc1_transfer", transfer(mia, 8, memo=b"m"), sender=leo)
    ledger.call("icrc2_approve", approval(mia, 50_000), sender=leo)
    ledger.call("icrc2_transfer_from", spending(leo, mia, 9), sender=mia)
    page = ledger.call("query_blocks", {"start": first, "length": 10})
    assert (page["chain_length"], page["first_block_index"], page["archived_blocks"]) == (first + 4, first, [])
    one, two, three, four = (block["transaction"] for block in page["blocks"])
    moved = {"from": identifier(leo), "to": identifier(mia), "fee": {"e8s": 10_000}, "spender": None}
    assert (one["memo"], one["operation"]) == (99, {"Transfer": {**moved, "amount": {"e8s": 7}}})
    assert (two["icrc1_memo"], two["operation"]) == (b"m", {"Transfer": {**moved, "amount": {"e8s": 8}}})
    assert three["operation"]["Approve"]["allowance"] == {"e8s": 50_000}
    assert four["operation"] == {"Transfer": {**moved, "amount": {"e8s": 9}, "spender": identifier(mia)}}
    assert {block["timestamp"]["timestamp_nanos"] for block in page["blocks"]} == {network.time}
    beyond = ledger.call("query_blocks", {"start": first + 9, "length": 10})
    assert (beyond["blocks"], beyond["first_block_index"]) == ([], first + 4)


MINT, CREATE, TOP_UP = 0x544E494D, 0x41455243, 0x50555054
RATE = 40_000
"""Cycles for one e8."""


def test_icp_become_cycles_once(network: Sandbox, ledger: Canister) -> None:
    minting, nora = network.canister(MINTING), network.identity("nora")
    assert minting.call("get_icp_xdr_conversion_rate")["data"]["xdr_permyriad_per_icp"] == RATE
    block = sent(network.canister(ICP), nora, identifier(minting.id, subaccount_of(nora)), 10**8, MINT)
    notice = {"block_index": block, "to_subaccount": None, "deposit_memo": None}
    minted = minting.call("notify_mint_cycles", notice, sender=nora)["Ok"]
    assert (minted["minted"], minted["balance"]) == (10**8 * RATE, GIFT + 10**8 * RATE - FEE)
    assert balance(ledger, nora) == minted["balance"]
    again = minting.call("notify_mint_cycles", notice, sender=nora)
    assert again == {"Err": {"InvalidTransaction": "the ICP are spent already"}}


def test_icp_make_and_fill_canisters(network: Sandbox) -> None:
    icp, minting, owen = network.canister(ICP), network.canister(MINTING), network.identity("owen")
    block = sent(icp, owen, identifier(minting.id, subaccount_of(owen)), 10**8, CREATE)
    order = {"block_index": block, "controller": owen, "settings": None}
    made = network.canister(minting.call("notify_create_canister", order, sender=owen)["Ok"])
    assert (list(made.status().settings.controllers), made.status().cycles) == ([owen], 10**8 * RATE)
    block = sent(icp, owen, identifier(minting.id, subaccount_of(made.id)), 5, TOP_UP)
    filled = minting.call("notify_top_up", {"block_index": block, "canister_id": made.id}, sender=owen)
    assert (filled, made.status().cycles) == ({"Ok": 5 * RATE}, (10**8 + 5) * RATE)


@pytest.mark.parametrize(
    ("to", "memo", "says"),
    [
        ("other", MINT, "the ICP went to another account"),
        ("minting", 5, "the memo of the transfer is another one"),
        ("nobody", MINT, "there is no block 99999"),
    ],
)
def test_other_blocks_make_no_cycles(network: Sandbox, ledger: Canister, to: str, memo: int, says: str) -> None:
    minting, paul = network.canister(MINTING), network.identity("paul")
    account = identifier(minting.id, subaccount_of(paul)) if to == "minting" else identifier(paul)
    block = 99999 if to == "nobody" else sent(network.canister(ICP), paul, account, 5, memo)
    notice = {"block_index": block, "to_subaccount": None, "deposit_memo": None}
    assert minting.call("notify_mint_cycles", notice, sender=paul) == {"Err": {"InvalidTransaction": says}}
    assert balance(ledger, paul) == GIFT
