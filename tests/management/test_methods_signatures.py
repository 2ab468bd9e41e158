"""Signatures with local test keys: valid for anybody who checks them, different for everybody who asks for them."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from nacl import bindings as sodium

from sandbox import Canister, ErrorCode, Sandbox
from sandbox.execution.fees import MAINNET
from sandbox.management import keys
from sandbox.management.signatures import KEY_NAMES
from tests.conftest import fixture, rejected
from tests.management.methods import MANAGEMENT, by_canister, encoded, refunded, relay

P = 2**256 - 2**32 - 977
N = keys.SECP256K1_ORDER
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)
Point = tuple[int, int] | None
REFUSED = ErrorCode.CANISTER_REJECTED_MESSAGE


def add(a: Point, b: Point) -> Point:
    """Points of secp256k1, by the book."""
    if a is None or b is None:
        return b if a is None else a
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, P) if a == b else (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(k: int, point: Point) -> Point:
    result: Point = None
    for bit in f"{k:b}":
        result = add(result, result)
        if bit == "1":
            result = add(result, point)
    return result


def lift(x: int) -> Point:
    y = pow(pow(x, 3, P) + 7, (P + 1) // 4, P)
    return x, y if y % 2 == 0 else P - y


def tagged(tag: str, data: bytes) -> int:
    prefix = hashlib.sha256(tag.encode()).digest()
    return int.from_bytes(hashlib.sha256(prefix * 2 + data).digest(), "big")


def bip340_verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    challenge = tagged("BIP0340/challenge", signature[:32] + public + message) % N
    point = add(times(s, G), times(N - challenge, lift(int.from_bytes(public, "big"))))
    return point is not None and point[1] % 2 == 0 and point[0] == r


@pytest.fixture
def caller(sandbox: Sandbox) -> Canister:
    return relay(sandbox)


def key(name: str = "dfx_test_key", scheme: str = "secp256k1") -> dict[str, Any]:
    return {"curve" if scheme == "secp256k1" else "algorithm": {scheme: None}, "name": name}


def public(caller: Canister, scheme: str, path: list[bytes], **fields: Any) -> dict[str, bytes]:
    method = "ecdsa_public_key" if scheme == "secp256k1" else "schnorr_public_key"
    arg = {"derivation_path": path, "key_id": key(scheme=scheme), **fields}
    found = by_canister(caller, method, arg)
    assert isinstance(found, dict)
    return found


# --- signatures verify


@pytest.mark.parametrize("name", KEY_NAMES)
@pytest.mark.parametrize("path", [[], [b""], [b"a", bytes(300)], [bytes(4), b"\x7f\xff\xff\xff"]])
def test_ecdsa(name: str, path: list[bytes], caller: Canister) -> None:
    found = public(caller, "secp256k1", path, key_id=key(name))
    assert (len(found["public_key"]), len(found["chain_code"])) == (33, 32)
    digest = hashlib.sha256(b"message").digest()
    arg = {"message_hash": digest, "derivation_path": path, "key_id": key(name)}
    signature = by_canister(caller, "sign_with_ecdsa", arg)["signature"]
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    assert len(signature) == 64
    assert s <= N // 2
    verifier = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), found["public_key"])
    verifier.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    with pytest.raises(InvalidSignature):
        verifier.verify(encode_dss_signature(r, s), bytes(32), ec.ECDSA(Prehashed(hashes.SHA256())))
    assert by_canister(caller, "sign_with_ecdsa", arg)["signature"] == signature


@pytest.mark.parametrize("message", [b"", b"x", bytes(32), b"m" * 100_000])
def test_ed25519(message: bytes, caller: Canister) -> None:
    found = public(caller, "ed25519", [b"path"])
    arg = {"message": message, "derivation_path": [b"path"], "key_id": key(scheme="ed25519")}
    signature = by_canister(caller, "sign_with_schnorr", arg)["signature"]
    Ed25519PublicKey.from_public_bytes(found["public_key"]).verify(signature, message)
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(found["public_key"]).verify(signature, message + b"!")


@pytest.mark.parametrize("message", [b"", bytes(32), b"m" * 33])
@pytest.mark.parametrize("path", [[], [b"1"], [b"2"], [b"3"]])
def test_bip340(message: bytes, path: list[bytes], caller: Canister) -> None:
    found = public(caller, "bip340secp256k1", path)["public_key"]
    arg = {"message": message, "derivation_path": path, "key_id": key(scheme="bip340secp256k1")}
    signature = by_canister(caller, "sign_with_schnorr", arg)["signature"]
    assert bip340_verifies(found[1:], message, signature)
    assert not bip340_verifies(found[1:], message + b"!", signature)


@pytest.mark.parametrize("root", [b"", b"r" * 32])
def test_bip341(root: bytes, caller: Canister) -> None:
    for path in ([b"1"], [b"2"], [b"3"], [b"4"]):
        internal = public(caller, "bip340secp256k1", path)["public_key"][1:]
        aux = {"bip341": {"merkle_root_hash": root}}
        arg = {"message": b"m" * 32, "derivation_path": path, "key_id": key(scheme="bip340secp256k1"), "aux": aux}
        signature = by_canister(caller, "sign_with_schnorr", arg)["signature"]
        output = add(lift(int.from_bytes(internal, "big")), times(tagged("TapTweak", internal + root), G))
        assert output is not None
        assert bip340_verifies(output[0].to_bytes(32, "big"), b"m" * 32, signature)


def test_the_first_vectors_of_bip340() -> None:
    """BIP340, `test-vectors.csv`, index 0: secret 3, message and auxiliary data zero."""
    expected = (
        "E907831F80848D1069A5371B402410364BDF1C5F8307B0084C55F1CE2DCA821525F66A4A85EA8B71E482A74F382D2CE5EBEEE8FDB2172F47"
        "7DF4900D310536C0"
    )
    assert keys.sign_bip340(3, bytes(32)) == bytes.fromhex(expected)


# --- derivation


def test_keys_are_derived_as_by_bip32(caller: Canister) -> None:
    """The public half of BIP32 alone leads from a canister's key to what it derives."""
    parent = public(caller, "secp256k1", [])
    index = (7).to_bytes(4, "big")
    digest = hmac.digest(parent["chain_code"], parent["public_key"] + index, "sha512")
    numbers = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), parent["public_key"]).public_numbers()
    point = add((numbers.x, numbers.y), times(int.from_bytes(digest[:32], "big"), G))
    assert point is not None
    child = public(caller, "secp256k1", [index])
    assert child["public_key"] == bytes([2 + point[1] % 2]) + point[0].to_bytes(32, "big")
    assert child["chain_code"] == digest[32:]


def test_ed25519_keys_are_derived_as_specified(caller: Canister) -> None:
    parent = public(caller, "ed25519", [])
    middle = hmac.digest(parent["chain_code"], parent["public_key"] + b"index", "sha512")
    first = hmac.digest(middle, b"Ed25519\x01", "sha512")
    second = hmac.digest(middle, first + b"Ed25519\x02", "sha512")
    tweak = int.from_bytes(first, "big") % keys.ED25519_ORDER
    offset = sodium.crypto_scalarmult_ed25519_base_noclamp(tweak.to_bytes(32, "little"))
    child = public(caller, "ed25519", [b"index"])
    assert child["public_key"] == sodium.crypto_core_ed25519_add(parent["public_key"], offset)
    assert child["chain_code"] == second[:32]


@pytest.mark.parametrize("scheme", ["secp256k1", "bip340secp256k1", "ed25519"])
def test_every_canister_path_name_and_seed_has_its_own_key(scheme: str, sandbox: Sandbox, caller: Canister) -> None:
    other, elsewhere = relay(sandbox), relay(Sandbox(seed=1))
    found = [
        public(caller, scheme, []),
        public(caller, scheme, [b""]),
        public(caller, scheme, [b"", b""]),
        public(caller, scheme, [b"a"]),
        public(caller, scheme, [], key_id=key("key_1", scheme)),
        public(caller, scheme, [], key_id=key("test_key_1", scheme)),
        public(other, scheme, []),
        public(elsewhere, scheme, []),
    ]
    assert len({answer["public_key"] for answer in found}) == len(found)
    assert public(other, scheme, [], canister_id=caller.id) == found[0]
    assert public(relay(Sandbox()), scheme, []) == found[0]


# --- refusals


def test_an_unknown_key_is_refused(caller: Canister) -> None:
    text = "Requested unknown or disabled threshold key: ecdsa:Secp256k1:nokey, existing enabled keys: ["
    arg: dict[str, Any] = {"derivation_path": [], "key_id": key("nokey")}
    rejected(REFUSED, text, by_canister, caller, "ecdsa_public_key", arg)
    rejected(REFUSED, text, by_canister, caller, "sign_with_ecdsa", {**arg, "message_hash": bytes(32)})
    schnorr = {"derivation_path": [], "key_id": key("nokey", "ed25519")}
    rejected(REFUSED, "schnorr:Ed25519:nokey", by_canister, caller, "schnorr_public_key", schnorr)
    rejected(REFUSED, "schnorr:Ed25519:nokey", by_canister, caller, "sign_with_schnorr", {**schnorr, "message": b""})


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_hash_has_32_bytes(size: int, caller: Canister) -> None:
    arg = {"message_hash": bytes(size), "derivation_path": [], "key_id": key()}
    rejected(REFUSED, f"must be 32 bytes long, not {size}", by_canister, caller, "sign_with_ecdsa", arg, cycles=5)
    assert refunded(caller) == 5


def test_a_path_has_255_elements_at_most(caller: Canister) -> None:
    public(caller, "ed25519", [b""] * 255)
    text = "exceeds maximum allowed 255"
    for method, scheme in (("ecdsa_public_key", "secp256k1"), ("schnorr_public_key", "ed25519")):
        arg = {"derivation_path": [b""] * 256, "key_id": key(scheme=scheme)}
        rejected(REFUSED, text, by_canister, caller, method, arg)


def test_aux_is_for_bip340_and_has_a_root_of_0_or_32_bytes(caller: Canister) -> None:
    arg = {"message": b"", "derivation_path": [], "aux": {"bip341": {"merkle_root_hash": bytes(31)}}}
    bip340, ed25519 = key(scheme="bip340secp256k1"), key(scheme="ed25519")
    rejected(REFUSED, "not 31", by_canister, caller, "sign_with_schnorr", {**arg, "key_id": bip340})
    rejected(REFUSED, "not for ed25519", by_canister, caller, "sign_with_schnorr", {**arg, "key_id": ed25519})


def test_a_signature_costs_its_fee() -> None:
    caller = relay(Sandbox(costs="mainnet"))
    arg = {"message_hash": bytes(32), "derivation_path": [], "key_id": key()}
    by_canister(caller, "sign_with_ecdsa", arg, cycles=MAINNET.signature + 7)
    assert refunded(caller) == 7
    few = MAINNET.signature - 1
    text = f"sign_with_ecdsa request sent with {few} cycles, but {MAINNET.signature} cycles are required."
    rejected(REFUSED, text, by_canister, caller, "sign_with_ecdsa", arg, cycles=few)
    assert refunded(caller) == few


def test_a_motoko_canister_gets_a_key(sandbox: Sandbox) -> None:
    motoko = sandbox.create_canister()
    motoko.install(fixture("counter.enhanced"))
    arg = encoded("ecdsa_public_key", {"derivation_path": [], "key_id": key()})
    assert len(motoko.call("forward", MANAGEMENT, "ecdsa_public_key", arg)) > 65
