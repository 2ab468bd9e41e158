"""Local test keys in place of the platform's threshold keys: derivation and signing. Anybody can compute them.

Derivation: interface specification, "IC method ecdsa_public_key" (the generalisation of BIP32 of ia.cr/2021/1330,
appendix D) and "Ed25519 hierarchical key derivation"; the canister's id is the first element of every path and the
chain code of a master key is 32 zero bytes, as in `dfinity/ic` `packages/ic-secp256k1`, `packages/ic-ed25519`.
Signing: ECDSA with RFC 6979 nonces and the smaller of the two `s`; BIP340 and BIP341; RFC 8032. All deterministic.

Group operations are those of `cryptography` (secp256k1) and of libsodium by PyNaCl (Ed25519), scalars are integers.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from nacl import bindings as sodium

SECP256K1_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
ED25519_ORDER = (1 << 252) + 27742317777372353535851937790883648493


@dataclass(frozen=True, slots=True)
class DerivedKey:
    """A private scalar, its public key as the platform encodes it, and the chain code for the next derivation."""

    secret: int
    public: bytes
    chain_code: bytes


def ecdsa_key(seed: str, path: Iterable[bytes]) -> DerivedKey:
    """A secp256k1 key: the master key that `seed` stands for, derived along `path`."""
    secret, chain_code = _master(seed, SECP256K1_ORDER), bytes(32)
    for index in path:
        offset, chain_code = _bip32(index, _compressed(secret), chain_code)
        secret = (secret + offset) % SECP256K1_ORDER
    return DerivedKey(secret, _compressed(secret), chain_code)


def _bip32(index: bytes, data: bytes, chain_code: bytes) -> tuple[int, bytes]:
    while True:
        digest = hmac.digest(chain_code, data + index, "sha512")
        offset, following = int.from_bytes(digest[:32], "big"), digest[32:]
        if offset < SECP256K1_ORDER:
            return offset, following
        data = b"\x01" + following  # once in 2^127: SLIP-0010's way on


def ed25519_key(seed: str, path: Iterable[bytes]) -> DerivedKey:
    """An Ed25519 key, likewise."""
    secret, chain_code = _master(seed, ED25519_ORDER), bytes(32)
    for index in path:
        material = _edwards(secret) + index
        derived = HKDF(hashes.SHA512(), 96, salt=chain_code, info=b"Ed25519").derive(material)
        secret = (secret + int.from_bytes(derived[:64], "big")) % ED25519_ORDER
        chain_code = derived[64:]
    return DerivedKey(secret, _edwards(secret), chain_code)


def _master(seed: str, order: int) -> int:
    wide = hashlib.sha512(f"canister-sandbox threshold key {seed}".encode()).digest()
    return int.from_bytes(wide, "big") % (order - 1) + 1


def _private(secret: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(secret, ec.SECP256K1())


def _compressed(secret: int) -> bytes:
    """SEC1, 33 bytes."""
    x, even = _point(secret)
    return (b"\x02" if even else b"\x03") + x


def _point(secret: int) -> tuple[bytes, bool]:
    """The coordinate x of the public point, and whether its y is even."""
    numbers = _private(secret).public_key().public_numbers()
    return numbers.x.to_bytes(32, "big"), numbers.y % 2 == 0


def _edwards(secret: int) -> bytes:
    return sodium.crypto_scalarmult_ed25519_base_noclamp(secret.to_bytes(32, "little"))


def sign_ecdsa(key: DerivedKey, digest: bytes) -> bytes:
    """r and s, 32 bytes each, of a 32-byte hash."""
    algorithm = ec.ECDSA(Prehashed(hashes.SHA256()), deterministic_signing=True)
    r, s = decode_dss_signature(_private(key.secret).sign(digest, algorithm))
    return r.to_bytes(32, "big") + min(s, SECP256K1_ORDER - s).to_bytes(32, "big")


def sign_bip340(secret: int, message: bytes) -> bytes:
    """BIP340's default signing with auxiliary data of 32 zero bytes; a message of any length."""
    x, even = _point(secret)
    secret = secret if even else SECP256K1_ORDER - secret
    masked = bytes(a ^ b for a, b in zip(secret.to_bytes(32, "big"), _tagged("BIP0340/aux", bytes(32)), strict=True))
    nonce = int.from_bytes(_tagged("BIP0340/nonce", masked + x + message), "big") % SECP256K1_ORDER
    r, even = _point(nonce)
    nonce = nonce if even else SECP256K1_ORDER - nonce
    challenge = int.from_bytes(_tagged("BIP0340/challenge", r + x + message), "big")
    return r + ((nonce + challenge * secret) % SECP256K1_ORDER).to_bytes(32, "big")


def tweaked(secret: int, merkle_root: bytes) -> int:
    """The secret of BIP341's output key (`taproot_tweak_seckey`)."""
    x, even = _point(secret)
    tweak = int.from_bytes(_tagged("TapTweak", x + merkle_root), "big")
    return ((secret if even else SECP256K1_ORDER - secret) + tweak) % SECP256K1_ORDER


def _tagged(tag: str, data: bytes) -> bytes:
    prefix = hashlib.sha256(tag.encode()).digest()
    return hashlib.sha256(prefix + prefix + data).digest()


def sign_ed25519(key: DerivedKey, message: bytes) -> bytes:
    """RFC 8032, with a nonce from the secret scalar and the message in place of a hash prefix."""
    prefix = hashlib.sha512(b"canister-sandbox nonce" + key.secret.to_bytes(32, "big")).digest()
    nonce = _scalar(prefix + message)
    r = _edwards(nonce)
    challenge = _scalar(r + key.public + message)
    return r + ((nonce + challenge * key.secret) % ED25519_ORDER).to_bytes(32, "little")


def _scalar(data: bytes) -> int:
    return int.from_bytes(hashlib.sha512(data).digest(), "little") % ED25519_ORDER
