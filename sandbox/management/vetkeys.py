"""Local test keys of vetKD in place of the platform's threshold keys: derivation, and encryption for a transport key.

Protocol: ia.cr/2023/616 over BLS12-381, keys in G2, signatures in G1. Derivation of a canister's key and of a key for a
context, the ciphersuite and the encodings: `dfinity/ic` `rs/crypto/internal/crypto_lib/bls12_381/vetkd/src/lib.rs`.
Hashing to scalars: `hash_to_field` of RFC 9380 with `expand_message_xmd` of SHA-256. Anybody can compute the secrets.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from py_arkworks_bls12381 import G1Point, G2Point, Scalar

TRANSPORT_KEY_SIZE = 48
_CIPHERSUITE = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_AUG_"
_CANISTER = b"ic-vetkd-bls12-381-g2-canister-id"
_CONTEXT = b"ic-vetkd-bls12-381-g2-context"
_ENCRYPTION = b"canister-sandbox vetkd encryption"
_SCALAR_BYTES = 48
"""Bytes that are reduced to a scalar: 32 and 16 more against bias (RFC 9380, section 5)."""


@dataclass(frozen=True, slots=True)
class VetKey:
    """A secret scalar and its public point."""

    secret: Scalar
    point: G2Point

    @classmethod
    def of(cls, secret: Scalar) -> VetKey:
        return cls(secret, G2Point() * secret)

    @property
    def public(self) -> bytes:
        """The public key, compressed, 96 bytes."""
        return self.point.to_compressed_bytes()

    def derived(self, data: bytes, separator: bytes) -> VetKey:
        """The key with an offset that depends on its public key and `data`."""
        return VetKey.of(self.secret + _scalar(_framed(self.public) + _framed(data), separator))


def vetkd_key(seed: str, canister_id: bytes, context: bytes) -> VetKey:
    """The key of a canister and a context, from the master key that `seed` stands for. An empty context is none."""
    digest = hashlib.sha512(f"canister-sandbox threshold key {seed}".encode()).digest()
    key = VetKey.of(Scalar.from_be_bytes_mod_order(digest)).derived(canister_id, _CANISTER)
    return key.derived(context, _CONTEXT) if context else key


def encrypted_key(key: VetKey, data: bytes, transport: bytes) -> bytes:
    """The key that belongs to `data`, encrypted for a transport key (48 bytes): 192 bytes.

    Blinded by a scalar that follows from the secret and both arguments. `ValueError` for an invalid transport key.
    """
    transport_point = G1Point.from_compressed_bytes(transport)
    blinding = _scalar(key.secret.to_be_bytes() + transport + data, _ENCRYPTION)
    signature = G1Point.hash_to_curve(key.public + data, _CIPHERSUITE) * key.secret
    parts = G1Point() * blinding, G2Point() * blinding, transport_point * blinding + signature
    return b"".join(part.to_compressed_bytes() for part in parts)


def _framed(data: bytes) -> bytes:
    return len(data).to_bytes(8, "big") + data


def _scalar(message: bytes, separator: bytes) -> Scalar:
    return Scalar.from_be_bytes_mod_order(_expanded(message, separator))


def _expanded(message: bytes, separator: bytes) -> bytes:
    """`expand_message_xmd` of RFC 9380, section 5.3.1, with SHA-256: 48 bytes."""
    suffix = separator + bytes([len(separator)])
    first = hashlib.sha256(bytes(64) + message + _SCALAR_BYTES.to_bytes(2, "big") + b"\0" + suffix).digest()
    block, blocks = bytes(32), b""
    for index in (1, 2):
        mixed = bytes(a ^ b for a, b in zip(first, block, strict=True))
        block = hashlib.sha256(mixed + bytes([index]) + suffix).digest()
        blocks += block
    return blocks[:_SCALAR_BYTES]
