"""Keys of the platform: the root key of certificates and the node key of query answers.

Root key: BLS12-381 with signatures in G1 and keys in G2, ciphersuite BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_
(draft-irtf-cfrg-bls-signature-04), DER as in the interface specification, "Certification". Node key: Ed25519,
interface specification, "Query signatures". Both are derived from a seed and are for testing only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

from sandbox.certify.failure import CertificateError
from sandbox.certify.request_id import hash_of_map
from sandbox.principal import Principal

CIPHERSUITE = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"
SIGNATURE_SIZE = 48
STATE_ROOT = b"\x0dic-state-root"
RESPONSE = b"\x0bic-response"

_ROOT_KEY_PREFIX = bytes.fromhex("308182301d060d2b0601040182dc7c0503010201060c2b0601040182dc7c05030201036100")
_ROOT_KEY_SIZE = len(_ROOT_KEY_PREFIX) + 96
_ED25519_PREFIX = bytes.fromhex("302a300506032b6570032100")
_GENERATOR = G2Point()
_INFINITY = G2Point.identity()


@dataclass(frozen=True, slots=True)
class RootKey:
    """The key pair with which a subnet signs its state; `public_key` is DER, 133 bytes."""

    public_key: bytes
    subnet_id: Principal
    _secret: Scalar = field(repr=False, compare=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> RootKey:
        """Derive the key of a seed; it is the same in every version (checked by a stored certificate in the tests)."""
        secret = Scalar.from_be_bytes_mod_order(hashlib.sha512(b"canister-sandbox root key" + seed).digest())
        public_key = _ROOT_KEY_PREFIX + (_GENERATOR * secret).to_compressed_bytes()
        return cls(public_key, Principal.self_authenticating(public_key), secret)

    def sign(self, root_hash: bytes) -> bytes:
        """Return the signature (48 bytes) of a state root."""
        return (_point(STATE_ROOT + root_hash) * self._secret).to_compressed_bytes()


def verify(public_key: bytes, root_hash: bytes, signature: bytes) -> bool:
    """Return whether a root key (DER) signed this state root; `CertificateError` for an invalid public key."""
    if len(public_key) != _ROOT_KEY_SIZE or not public_key.startswith(_ROOT_KEY_PREFIX):
        raise CertificateError("not a BLS12-381 public key in DER")
    try:
        key = G2Point.from_compressed_bytes(public_key[len(_ROOT_KEY_PREFIX) :])
    except ValueError as error:
        raise CertificateError(f"not a BLS12-381 public key in DER: {error}") from error
    if key == _INFINITY:
        raise CertificateError("not a BLS12-381 public key in DER: the point at infinity")
    try:
        point = G1Point.from_compressed_bytes(signature)
    except ValueError:
        return False
    return GT.pairing_check([point, -_point(STATE_ROOT + root_hash)], [_GENERATOR, key])


def _point(message: bytes) -> G1Point:
    return G1Point.hash_to_curve(message, CIPHERSUITE)


@dataclass(frozen=True, slots=True)
class NodeKey:
    """The key pair with which a node signs query answers; `public_key` is DER, 44 bytes."""

    public_key: bytes
    node_id: Principal
    _secret: Ed25519PrivateKey = field(repr=False, compare=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> NodeKey:
        """Derive the key of a seed; it is the same in every version."""
        secret = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"canister-sandbox node key" + seed).digest())
        public_key = _ED25519_PREFIX + secret.public_key().public_bytes_raw()
        return cls(public_key, Principal.self_authenticating(public_key), secret)

    def sign_query_response(
        self, response: Mapping[str, object], request_id: bytes, timestamp: int
    ) -> dict[str, object]:
        """Return one entry of `signatures` for a query answer; `timestamp` in nanoseconds.

        `response` is `{status: "replied", reply: {arg}}` or `{status: "rejected", reject_code, reject_message,
        error_code?}`; its other fields are not signed.
        """
        signature = self._secret.sign(_signed_of_query(response, request_id, timestamp))
        return {"timestamp": timestamp, "signature": signature, "identity": bytes(self.node_id)}


_SIGNED = ("status", "reply", "reject_code", "reject_message", "error_code")


def _signed_of_query(response: Mapping[str, object], request_id: bytes, timestamp: int) -> bytes:
    signed = {name: response[name] for name in _SIGNED if name in response}
    return RESPONSE + hash_of_map({**signed, "timestamp": timestamp, "request_id": request_id})


def verify_query_response(
    response: Mapping[str, object], request_id: bytes, timestamp: int, signature: bytes, public_key: bytes
) -> bool:
    """Return whether the node with this key (DER) signed the answer of a query; `CertificateError` for an invalid
    key."""
    if len(public_key) != len(_ED25519_PREFIX) + 32 or not public_key.startswith(_ED25519_PREFIX):
        raise CertificateError("not an Ed25519 public key in DER")
    key = Ed25519PublicKey.from_public_bytes(public_key[len(_ED25519_PREFIX) :])
    try:
        key.verify(signature, _signed_of_query(response, request_id, timestamp))
    except InvalidSignature:
        return False
    return True
