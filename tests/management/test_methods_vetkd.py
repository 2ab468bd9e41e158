"""Keys of vetKD from local test keys: the holder of the transport key decrypts and checks them, by the pairing
equations of ia.cr/2023/616 and by the library `@dfinity/vetkeys`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

from sandbox import Canister, ErrorCode, Sandbox
from sandbox.execution.fees import MAINNET
from sandbox.management.signatures import KEY_NAMES
from tests.conftest import rejected
from tests.http.tools import npm
from tests.management.methods import by_canister, refunded, relay

CIPHERSUITE = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_AUG_"
TRANSPORT = Scalar.from_be_bytes_mod_order(b"transport")
TRANSPORT_KEY = (G1Point() * TRANSPORT).to_compressed_bytes()
REFUSED = ErrorCode.CANISTER_REJECTED_MESSAGE


@pytest.fixture
def caller(sandbox: Sandbox) -> Canister:
    return relay(sandbox)


def key_id(name: str = "key_1") -> dict[str, Any]:
    return {"curve": {"bls12_381_g2": None}, "name": name}


def public(caller: Canister, context: bytes = b"", **fields: Any) -> bytes:
    found = by_canister(caller, "vetkd_public_key", {"context": context, "key_id": key_id(), **fields})["public_key"]
    assert isinstance(found, bytes)
    return found


def derived(caller: Canister, data: bytes = b"input", cycles: int = 0, **fields: Any) -> bytes:
    arg = {"input": data, "context": b"", "transport_public_key": TRANSPORT_KEY, "key_id": key_id(), **fields}
    found = by_canister(caller, "vetkd_derive_key", arg, cycles=cycles)["encrypted_key"]
    assert isinstance(found, bytes)
    return found


def belongs(encrypted: bytes, public_key: bytes, data: bytes) -> bool:
    """Decrypt a key with the transport key; whether it is the signature of `data`, and well encrypted."""
    first = G1Point.from_compressed_bytes(encrypted[:48])
    second = G2Point.from_compressed_bytes(encrypted[48:144])
    signature = G1Point.from_compressed_bytes(encrypted[144:]) - first * TRANSPORT
    message = G1Point.hash_to_curve(public_key + data, CIPHERSUITE)
    signed = GT.pairing_check([signature, -message], [G2Point(), G2Point.from_compressed_bytes(public_key)])
    return signed and GT.pairing_check([first, -G1Point()], [G2Point(), second])


@pytest.mark.parametrize("name", KEY_NAMES)
@pytest.mark.parametrize("context", [b"", b"context", bytes(300)])
def test_the_derived_key_belongs_to_the_public_key(name: str, context: bytes, caller: Canister) -> None:
    found = public(caller, context, key_id=key_id(name))
    assert len(found) == 96
    for data in (b"", b"input", b"i" * 1000):
        encrypted = derived(caller, data, context=context, key_id=key_id(name))
        assert len(encrypted) == 192
        assert belongs(encrypted, found, data)
        assert not belongs(encrypted, found, data + b"!")


def test_every_canister_context_name_and_seed_has_its_own_key(sandbox: Sandbox, caller: Canister) -> None:
    other, elsewhere = relay(sandbox), relay(Sandbox(seed=1))
    keys = [public(caller), public(caller, b"a"), public(caller, b"b"), public(caller, key_id=key_id("test_key_1"))]
    assert len({*keys, public(other), public(elsewhere)}) == 6
    assert public(caller, canister_id=other.id) == public(other)
    assert public(relay(Sandbox(seed=1))) == public(elsewhere)


def test_a_transport_key_that_is_none_is_refused(caller: Canister) -> None:
    for transport in (b"", bytes(48), TRANSPORT_KEY[:-1], (G2Point()).to_compressed_bytes()):
        text = "vetkd_derive_key: transport_public_key is no point of G1 of BLS12-381 in 48 bytes"
        rejected(REFUSED, text, derived, caller, transport_public_key=transport)


def test_unknown_keys_are_refused(caller: Canister) -> None:
    for ask in (public, derived):
        rejected(REFUSED, "vetkd:Bls12_381_G2:nothing", ask, caller, key_id=key_id("nothing"))


def test_deriving_costs_the_fee_and_the_public_key_nothing() -> None:
    caller = relay(Sandbox(costs="mainnet"))
    public(caller)
    derived(caller, cycles=MAINNET.signature + 7)
    assert refunded(caller) == 7
    text = f"vetkd_derive_key request sent with {MAINNET.signature - 1} cycles"
    rejected(REFUSED, text, derived, caller, cycles=MAINNET.signature - 1)


def library(**given: bytes) -> dict[str, str]:
    """What `@dfinity/vetkeys` says."""
    folder = npm(("@dfinity/vetkeys", "0.4.0"))
    command = ["node", str(Path(__file__).with_name("vetkeys_check.mjs")), str(folder)]
    text = json.dumps({name: value.hex() for name, value in given.items()})
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


@pytest.mark.slow
def test_the_library_encrypts_for_an_identity_and_its_key_decrypts(caller: Canister) -> None:
    secret, context, data = TRANSPORT.to_be_bytes(), b"context", b"alice"
    assert library(transport_secret=secret)["transport"] == TRANSPORT_KEY.hex()
    given = {"canister_key": public(caller), "public_key": public(caller, context), "context": context}
    right = derived(caller, data, context=context)
    found = library(transport_secret=secret, input=data, encrypted_key=right, **given)
    assert found["derived"] == given["public_key"].hex()
    assert found["opened"] == "a secret for one identity"
    wrong = derived(caller, b"bob", context=context)
    assert "error" in library(transport_secret=secret, input=data, encrypted_key=wrong, **given)
