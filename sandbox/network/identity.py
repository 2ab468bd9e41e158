"""Who sends requests: private keys in PEM files of `icp`, dfx and OpenSSL.

Ed25519 and ECDSA on P-256 and secp256k1, as PKCS#8 (`PRIVATE KEY`, encrypted too) or SEC1 (`EC PRIVATE KEY`). Older dfx
writes Ed25519 keys in version 2 of PKCS#8 (RFC 5958), which has the public key behind the private one; the
`cryptography` library reads version 1 alone.
"""

from __future__ import annotations

import re
import stat
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from sandbox.network.failure import KeyFileError
from sandbox.principal import Principal

_CURVES: Final = ("secp256r1", "secp256k1")
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----\s+(.*?)-----END \1-----", re.S)
_ED25519_V2: Final = re.compile(
    rb"\x30.\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20(.{32})(?:\xa1\x23\x03\x21\x00|\x81\x21\x00).{32}",
    re.S,
)
"""OneAsymmetricKey of RFC 5958, with the public key under tag 1, as RFC 5958 says and as `ring` once wrote it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One who sends requests; without a key, the anonymous user. `public_key`: DER."""

    public_key: bytes | None = None
    sign: Callable[[bytes], bytes] | None = field(default=None, repr=False, compare=False)

    @property
    def principal(self) -> Principal:
        """The principal of the key."""
        return Principal.anonymous() if self.public_key is None else Principal.self_authenticating(self.public_key)


ANONYMOUS: Final = Identity()


def read_identity(path: Path, password: bytes | None = None) -> Identity:
    """Read a private key from a PEM file; `KeyFileError` says why it cannot be used, and never what is in it."""
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"the key file {path} cannot be read: {error.strerror}") from error
    return parse_identity(pem, str(path), password)


def parse_identity(pem: bytes, where: str, password: bytes | None = None) -> Identity:
    """Read a private key in PEM; `where`: its place, for errors."""
    block = _BLOCK.search(pem)
    if block is None:
        raise KeyFileError(f"{where} is not a PEM file with a private key (BEGIN PRIVATE KEY)")
    encrypted = block[1] == b"ENCRYPTED PRIVATE KEY" or b"Proc-Type: 4,ENCRYPTED" in block[2]
    if encrypted and password is None:
        raise KeyFileError(f"{where} is encrypted: its password is needed")
    seed = None if encrypted else _seed_of_version_2(block[2])
    if seed is not None:
        return of_key(ed25519.Ed25519PrivateKey.from_private_bytes(seed), where)
    try:
        key = load_pem_private_key(block[0], password if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        why = "its password is wrong, or it" if encrypted else "it"
        raise KeyFileError(f"{where}: {why} is damaged, or of a kind that is not supported") from None
    return of_key(key, where)


def _seed_of_version_2(text: bytes) -> bytes | None:
    try:
        match = _ED25519_V2.fullmatch(b64decode(b"".join(text.split()), validate=True))
    except Base64Error:
        return None
    return None if match is None else match[1]


def of_key(key: Any, where: str = "the key") -> Identity:
    """Return the identity of a private key of the `cryptography` library."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return Identity(_der(key.public_key()), key.sign)
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return Identity(_der(key.public_key()), lambda message: _ecdsa(key, message))
    curve = f" on {key.curve.name}" if isinstance(key, ec.EllipticCurvePrivateKey) else ""
    kind = type(key).__name__.removesuffix("PrivateKey")
    raise KeyFileError(
        f"{where} holds a key of a kind that the platform does not know ({kind}{curve}): supported are Ed25519, P-256 "
        "and secp256k1"
    )


def _ecdsa(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Return r and s, 32 bytes each, as the interface specification wants them."""
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _der(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def warning_of(path: Path) -> str | None:
    """Return a warning if others may read the file and its key is not encrypted; None if all is well."""
    try:
        mode = path.stat().st_mode
        encrypted = b"ENCRYPTED" in path.read_bytes()
    except OSError:
        return None
    if encrypted or not mode & (stat.S_IRGRP | stat.S_IROTH):
        return None
    return f"others may read the key file {path}, which is not encrypted: chmod 600 {path}"
