"""Users of the HTTP interface: keys of every scheme, and the envelopes that they sign."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sandbox.certify.request_id import request_id
from sandbox.principal import Principal

Sign = Callable[[bytes], bytes]
_COSE = bytes.fromhex("300c060a2b0601040183b8430101")
CANISTER = bytes.fromhex("300c060a2b0601040183b8430102")


@dataclass(frozen=True)
class User:
    """One who sends requests; without a key, the anonymous user. `chain`: delegations to `sign`, as in the envelope."""

    public_key: bytes | None = None
    sign: Sign | None = None
    chain: tuple[dict[str, Any], ...] = ()

    @property
    def principal(self) -> Principal:
        return Principal.anonymous() if self.public_key is None else Principal.self_authenticating(self.public_key)

    def envelope(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """The signed envelope of this content."""
        if self.public_key is None or self.sign is None:
            return {"content": content}
        signed = {
            "content": content,
            "sender_pubkey": self.public_key,
            "sender_sig": self.sign(b"\x0aic-request" + request_id(content)),
        }
        return {**signed, "sender_delegation": list(self.chain)} if self.chain else signed

    def delegating_to(self, other: User, **terms: Any) -> User:
        """This user, whose requests `other` signs on these terms."""
        assert self.sign is not None
        delegation = {"pubkey": other.public_key, **terms}
        signature = self.sign(b"\x1aic-request-auth-delegation" + request_id(delegation))
        link = {"delegation": delegation, "signature": signature}
        return User(self.public_key, other.sign, (*self.chain, link))


def body(envelope: Mapping[str, Any]) -> bytes:
    """The bytes of an envelope, as agents send them."""
    return cbor2.dumps(cbor2.CBORTag(55799, envelope))


def ed25519_user() -> User:
    key = ed25519.Ed25519PrivateKey.generate()
    return User(der(key.public_key()), key.sign)


def ecdsa_user(curve: ec.EllipticCurve) -> User:
    key = ec.generate_private_key(curve)

    def sign(message: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(message, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return User(der(key.public_key()), sign)


def p256_user() -> User:
    return ecdsa_user(ec.SECP256R1())


def secp256k1_user() -> User:
    return ecdsa_user(ec.SECP256K1())


def webauthn_p256_user() -> User:
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_numbers()
    cose = {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
    return _webauthn_user(cose, lambda signed: key.sign(signed, ec.ECDSA(SHA256())))


def webauthn_rsa_user() -> User:
    key = rsa.generate_private_key(65537, 2048)
    numbers = key.public_key().public_numbers()
    cose = {1: 3, 3: -257, -1: numbers.n.to_bytes(256, "big"), -2: numbers.e.to_bytes(3, "big")}
    return _webauthn_user(cose, lambda signed: key.sign(signed, padding.PKCS1v15(), SHA256()))


def webauthn_ed25519_user() -> User:
    key = ed25519.Ed25519PrivateKey.generate()
    return _webauthn_user({1: 1, 3: -8, -1: 6, -2: key.public_key().public_bytes_raw()}, key.sign)


def _webauthn_user(cose: Mapping[int, Any], sign_inner: Sign) -> User:
    def sign(message: bytes) -> bytes:
        challenge = base64.urlsafe_b64encode(message).decode().rstrip("=")
        client = json.dumps({"type": "webauthn.get", "challenge": challenge, "origin": "https://example.org"})
        data = bytes(37)
        inner = sign_inner(data + hashlib.sha256(client.encode()).digest())
        fields = {"authenticator_data": data, "client_data_json": client, "signature": inner}
        return cbor2.dumps(cbor2.CBORTag(55799, fields))

    return User(wrapped(_COSE, cbor2.dumps(cose)), sign)


def wrapped(algorithm: bytes, key: bytes) -> bytes:
    """A DER key of one of the platform's own kinds."""
    return _tlv(0x30, algorithm + _tlv(0x03, b"\0" + key))


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 + len(length)]) + length + content


def der(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


ANONYMOUS = User()
"""The user without a key."""
