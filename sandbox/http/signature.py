"""Signatures of users: interface specification, "Signatures".

Keys are DER. Ed25519; ECDSA on P-256 and secp256k1 with SHA-256, a signature of 64 bytes; WebAuthn (P-256, Ed25519,
RSA PKCS#1 1.5, with SHA-256) with a COSE key; canister signatures, which a certificate of the root key proves.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from sandbox.certify import cbor
from sandbox.certify.certificate import data_path, verify_certificate
from sandbox.certify.failure import CertificateError
from sandbox.certify.hash_tree import Found, from_plain, lookup
from sandbox.errors import PrincipalError
from sandbox.principal import Principal

COSE_KEY: Final = bytes.fromhex("300c060a2b0601040183b8430101")
CANISTER_SIGNATURE: Final = bytes.fromhex("300c060a2b0601040183b8430102")
"""Algorithm identifiers: the object ids 1.3.6.1.4.1.56387.1.1 and .2, without parameters."""
_CURVES = ("secp256r1", "secp256k1")


class BadSignature(Exception):
    """A public key of no known scheme, or a signature that is not its own; the text says which."""


def verify_signature(public_key: bytes, message: bytes, signature: bytes, root_key: bytes) -> None:
    """Return if the owner of `public_key` signed `message`, domain separator included; else `BadSignature`.

    `root_key` (DER) is the key of certificates, for canister signatures.
    """
    special = _special(public_key)
    try:
        if special is None:
            _verify_plain(_load(public_key), message, signature)
        elif special[0] == COSE_KEY:
            _verify_webauthn(_cose(special[1]), message, signature)
        else:
            _verify_canister(special[1], message, signature, root_key)
    except InvalidSignature:
        raise BadSignature("the signature does not fit key and content") from None
    except (CertificateError, PrincipalError) as error:
        raise BadSignature(str(error)) from error


def signing_canister(public_key: bytes) -> Principal | None:
    """The canister that signs for a key of canister signatures; None for every other key. `BadSignature` for a
    malformed one."""
    special = _special(public_key)
    if special is None or special[0] != CANISTER_SIGNATURE:
        return None
    try:
        return _signer(special[1])[0]
    except PrincipalError as error:
        raise BadSignature(str(error)) from error


def _special(public_key: bytes) -> tuple[bytes, bytes] | None:
    """The algorithm and the key of a DER key of the platform's own kinds; None for all others."""
    for algorithm in (COSE_KEY, CANISTER_SIGNATURE):
        if algorithm in public_key[:20]:
            inner = _tlv(public_key, 0x30)
            if not inner.startswith(algorithm):
                break
            bits = _tlv(inner[len(algorithm) :], 0x03)
            if bits[:1] == b"\0":
                return algorithm, bits[1:]
            break
    return None


def _tlv(data: bytes, tag: int) -> bytes:
    """The content of the only DER value in `data`."""
    size, start = (data[1], 2) if len(data) > 1 else (0, 0)
    if size > 0x80:
        start = 2 + size - 0x80
        size = int.from_bytes(data[2:start], "big")
    if not start or data[0] != tag or start + size != len(data):
        raise BadSignature("the public key is no valid DER")
    return data[start:]


def _load(public_key: bytes) -> Any:
    try:
        return load_der_public_key(public_key)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadSignature(f"the public key is of no supported scheme: {error}") from error


def _verify_plain(key: Any, message: bytes, signature: bytes) -> None:
    if isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, message)
    elif isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        if len(signature) != 64:
            raise BadSignature(f"a signature of ECDSA has 64 bytes, not {len(signature)}")
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
    else:
        raise BadSignature("the public key is of no supported scheme")


def _verify_webauthn(key: Any, message: bytes, signature: bytes) -> None:
    value = cbor.load(signature, "WebAuthn signature")
    match value:
        case {"authenticator_data": bytes(data), "client_data_json": str(client), "signature": bytes(inner)}:
            pass
        case _:
            raise BadSignature("not a WebAuthn signature")
    try:
        challenge = json.loads(client)["challenge"]
        asked = base64.urlsafe_b64decode(challenge + "=" * (-len(challenge) % 4))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BadSignature("the client data of a WebAuthn signature have no challenge") from None
    if asked != message:
        raise BadSignature("the challenge of a WebAuthn signature is not the content")
    signed = data + hashlib.sha256(client.encode()).digest()
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(inner, signed, ec.ECDSA(SHA256()))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(inner, signed, padding.PKCS1v15(), SHA256())
    else:
        key.verify(inner, signed)


def _cose(data: bytes) -> Any:
    """The key of a COSE map (RFC 9053): P-256 (ES256), Ed25519 (EdDSA) or RSA (RS256)."""
    value = cbor.load(data, "COSE key", any_keys=True)
    fields = value if isinstance(value, Mapping) else {}
    try:
        match fields.get(1), fields.get(3):
            case 2, -7 if fields.get(-1) == 1:
                x, y = (int.from_bytes(fields[name], "big") for name in (-2, -3))
                return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
            case 1, -8 if fields.get(-1) == 6:
                return ed25519.Ed25519PublicKey.from_public_bytes(fields[-2])
            case 3, -257:
                n, e = (int.from_bytes(fields[name], "big") for name in (-1, -2))
                return rsa.RSAPublicNumbers(e, n).public_key()
    except (KeyError, TypeError, ValueError) as error:
        raise BadSignature(f"not a COSE key: {error}") from error
    raise BadSignature("the COSE key is of no supported scheme")


def _signer(key: bytes) -> tuple[Principal, bytes]:
    """The canister and the seed in a key of canister signatures."""
    size = key[0] if key else 0
    return Principal(key[1 : 1 + size]), key[1 + size :]


def _verify_canister(key: bytes, message: bytes, signature: bytes, root_key: bytes) -> None:
    """Interface specification, "Canister signatures"."""
    signer, seed = _signer(key)
    value = cbor.load(signature, "canister signature")
    match value:
        case {"certificate": bytes(certificate), "tree": plain}:
            tree = from_plain(plain, len(signature))
        case _:
            raise BadSignature("not a canister signature")
    certified = verify_certificate(certificate, root_key, signer).lookup(data_path(signer))
    if not isinstance(certified, Found) or certified.value != tree.digest:
        raise BadSignature("the certified data of the signing canister are not those of the signature")
    path = (b"sig", hashlib.sha256(seed).digest(), hashlib.sha256(message).digest())
    if not isinstance(lookup(tree, path), Found):
        raise BadSignature("the signing canister did not sign the content")
