"""Claims about private keys in PEM files."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from sandbox.http.signature import verify_signature
from sandbox.network.failure import KeyFileError
from sandbox.network.identity import of_key, parse_identity, read_identity, warning_of

ED25519 = ed25519.Ed25519PrivateKey.generate()
KEYS: dict[str, Any] = {
    "ed25519": ED25519,
    "secp256k1": ec.generate_private_key(ec.SECP256K1()),
    "p256": ec.generate_private_key(ec.SECP256R1()),
}
EC_PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBgUrgQQACg==\n-----END EC PARAMETERS-----\n"
"""What OpenSSL, and with it dfx, puts before a key on secp256k1."""


def pem(key: Any, form: PrivateFormat = PrivateFormat.PKCS8, password: bytes | None = None) -> bytes:
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    written: bytes = key.private_bytes(Encoding.PEM, form, encryption)
    return written


def version_2(key: ed25519.Ed25519PrivateKey, tag: bytes) -> bytes:
    """The key as PKCS#8 version 2, the public key under this tag: what dfx wrote until 2022."""
    private = bytes.fromhex("020101300506032b657004220420") + key.private_bytes_raw()
    content = private + tag + key.public_key().public_bytes_raw()
    der = bytes([0x30, len(content)]) + content
    return b"-----BEGIN PRIVATE KEY-----\n" + base64.encodebytes(der) + b"-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_of_every_kind_signs_what_the_platform_verifies(kind: str) -> None:
    identity = parse_identity(pem(KEYS[kind]), "key.pem")
    assert identity.public_key is not None
    assert identity.sign is not None
    verify_signature(identity.public_key, b"message", identity.sign(b"message"), b"")


@pytest.mark.parametrize("kind", ["secp256k1", "p256"])
def test_a_key_in_sec1_is_the_same_key(kind: str) -> None:
    whole = EC_PARAMETERS + pem(KEYS[kind], PrivateFormat.TraditionalOpenSSL)
    assert b"EC PRIVATE KEY" in whole
    assert parse_identity(whole, "key.pem").principal == of_key(KEYS[kind]).principal


@pytest.mark.parametrize("tag", [b"\xa1\x23\x03\x21\x00", b"\x81\x21\x00"])
def test_version_2_of_pkcs8_is_read(tag: bytes) -> None:
    assert parse_identity(version_2(ED25519, tag), "key.pem").principal == of_key(ED25519).principal


def test_an_encrypted_key_needs_its_password() -> None:
    locked = pem(ED25519, password=b"secret words")
    assert parse_identity(locked, "key.pem", b"secret words").principal == of_key(ED25519).principal
    with pytest.raises(KeyFileError, match="is encrypted: its password is needed"):
        parse_identity(locked, "key.pem")
    with pytest.raises(KeyFileError, match="password is wrong") as wrong:
        parse_identity(locked, "key.pem", b"other words")
    assert "other words" not in str(wrong.value)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not a PEM file"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not a PEM file"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "damaged"),
        (b"-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----\n", "damaged"),
        (pem(rsa.generate_private_key(65537, 2048)), "RSA.*supported are Ed25519, P-256 and secp256k1"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "secp384r1"),
    ],
)
def test_what_is_no_usable_key_is_refused_without_its_content(content: bytes, why: str) -> None:
    with pytest.raises(KeyFileError, match=why) as refused:
        parse_identity(content, "key.pem")
    assert not any(line.decode() in str(refused.value) for line in content.splitlines()[1:-1])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"none\.pem cannot be read"):
        read_identity(tmp_path / "none.pem")


def test_a_key_file_that_others_may_read_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(pem(ED25519))
    path.chmod(0o644)
    assert "chmod 600" in str(warning_of(path))
    path.chmod(0o600)
    assert warning_of(path) is None
    path.write_bytes(pem(ED25519, password=b"secret"))
    path.chmod(0o644)
    assert warning_of(path) is None


def test_an_identity_does_not_show_its_key() -> None:
    assert ED25519.private_bytes_raw().hex() not in repr(of_key(ED25519))
    assert "sign" not in repr(of_key(ED25519))
