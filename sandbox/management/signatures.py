"""Signing for canisters, and keys of vetKD: interface specification, "IC method ecdsa_public_key" to
"sign_with_schnorr", "vetkd_public_key", "vetkd_derive_key".

The keys that exist are those of the platform's own test environments, for every curve and algorithm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.limits import DERIVATION_PATH
from sandbox.management import keys, rejects, vetkeys
from sandbox.management.keys import DerivedKey
from sandbox.management.transition import ManagementContext, Transition
from sandbox.principal import Principal

KEY_NAMES = ("dfx_test_key", "key_1", "test_key_1")
_SCHEMES = {
    "secp256k1": "ecdsa:Secp256k1",
    "bip340secp256k1": "schnorr:Bip340Secp256k1",
    "ed25519": "schnorr:Ed25519",
    "bls12_381_g2": "vetkd:Bls12_381_G2",
}


@dataclass(frozen=True, slots=True)
class KeyId:
    """`scheme`: secp256k1, bip340secp256k1, ed25519 or bls12_381_g2."""

    scheme: str
    name: str

    @classmethod
    def of(cls, record: dict[str, Any]) -> KeyId:
        [scheme] = record["curve" if "curve" in record else "algorithm"]
        return cls(scheme, record["name"])


def public_key(context: ManagementContext, method: str, arg: dict[str, Any]) -> Transition:
    """The public key of a canister (the caller if none is named) and its chain code."""
    owner = arg["canister_id"] or context.caller
    key = _derived(context, method, KeyId.of(arg["key_id"]), owner, arg["derivation_path"])
    return Transition(reply={"public_key": key.public, "chain_code": key.chain_code})


def sign_with_ecdsa(context: ManagementContext, arg: dict[str, Any]) -> Transition:
    """The signature of a 32-byte hash with the caller's key."""
    method, digest = "sign_with_ecdsa", arg["message_hash"]
    if len(digest) != 32:
        raise rejects.invalid_payload(f"{method}: message_hash must be 32 bytes long, not {len(digest)}")
    key = _derived(context, method, KeyId.of(arg["key_id"]), context.caller, arg["derivation_path"])
    return _signed(context, method, keys.sign_ecdsa(key, digest))


def sign_with_schnorr(context: ManagementContext, arg: dict[str, Any]) -> Transition:
    """The signature of a message with the caller's key; for Taproot with the tweaked key, as `aux` says."""
    method, key_id, aux = "sign_with_schnorr", KeyId.of(arg["key_id"]), arg["aux"]
    key = _derived(context, method, key_id, context.caller, arg["derivation_path"])
    if key_id.scheme == "ed25519":
        if aux is not None:
            raise rejects.invalid_payload(f"{method}: bip341 aux is for bip340secp256k1 only, not for ed25519")
        return _signed(context, method, keys.sign_ed25519(key, arg["message"]))
    secret = key.secret
    if aux is not None:
        root = aux["bip341"]["merkle_root_hash"]
        if len(root) not in (0, 32):
            raise rejects.invalid_payload(f"{method}: merkle_root_hash must be 0 or 32 bytes long, not {len(root)}")
        secret = keys.tweaked(secret, root)
    return _signed(context, method, keys.sign_bip340(secret, arg["message"]))


def vetkd_public_key(context: ManagementContext, arg: dict[str, Any]) -> Transition:
    """The public key of a canister (the caller if none is named) and a context."""
    key = _vetkd(context, "vetkd_public_key", arg, arg["canister_id"] or context.caller)
    return Transition(reply={"public_key": key.public})


def vetkd_derive_key(context: ManagementContext, arg: dict[str, Any]) -> Transition:
    """The caller's key for a context and an input, encrypted for a transport key."""
    method, transport = "vetkd_derive_key", arg["transport_public_key"]
    key = _vetkd(context, method, arg, context.caller)
    try:
        encrypted = vetkeys.encrypted_key(key, arg["input"], transport)
    except ValueError as error:
        why = f"transport_public_key is no point of G1 of BLS12-381 in {vetkeys.TRANSPORT_KEY_SIZE} bytes"
        raise rejects.invalid_payload(f"{method}: {why}") from error
    return _paid(context, method, {"encrypted_key": encrypted})


def _vetkd(context: ManagementContext, method: str, arg: dict[str, Any], owner: Principal) -> vetkeys.VetKey:
    key_id = _known(method, KeyId.of(arg["key_id"]))
    return vetkeys.vetkd_key(_seed(context, key_id), bytes(owner), arg["context"])


def _signed(context: ManagementContext, method: str, signature: bytes) -> Transition:
    return _paid(context, method, {"signature": signature})


def _paid(context: ManagementContext, method: str, reply: dict[str, bytes]) -> Transition:
    fee = context.fees.signature
    if context.cycles < fee:
        raise rejects.not_paid(method, context.cycles, fee)
    return Transition(reply=reply, accepted=fee)


def _derived(context: ManagementContext, method: str, key_id: KeyId, owner: Principal, path: list[bytes]) -> DerivedKey:
    _known(method, key_id)
    if len(path) > DERIVATION_PATH:
        raise rejects.invalid_payload(
            f"Deserialize error: The number of elements exceeds maximum allowed {DERIVATION_PATH}"
        )
    derive = keys.ed25519_key if key_id.scheme == "ed25519" else keys.ecdsa_key
    return derive(_seed(context, key_id), [bytes(owner), *path])


def _known(method: str, key_id: KeyId) -> KeyId:
    if key_id.name not in KEY_NAMES:
        raise rejects.unknown_key(method, f"{_SCHEMES[key_id.scheme]}:{key_id.name}", _existing())
    return key_id


def _seed(context: ManagementContext, key_id: KeyId) -> str:
    """What a master key of this sandbox is derived from."""
    return f"{key_id.scheme} {key_id.name} {context.subnet.seed}"


def _existing() -> list[str]:
    return [f"{scheme}:{name}" for scheme in _SCHEMES.values() for name in KEY_NAMES]
