"""Deterministic users: a name is an Ed25519 key, a key is a principal."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sandbox.principal import Principal

Sender = Principal | str | None
"""The caller of a method: a principal or its text; None is the default that the method states."""


@lru_cache(maxsize=1024)
def identity(name: str) -> Principal:
    """The self-authenticating principal of user `name`; `anonymous` is 2vxsx-fae. Anybody can derive these keys."""
    if name == "anonymous":
        return Principal.anonymous()
    public = private_key(name).public_key()
    return Principal.self_authenticating(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def private_key(name: str) -> Ed25519PrivateKey:
    """The key of user `name`: SHA-256 of a fixed text and the name is its seed."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"canister-sandbox identity {name}".encode()).digest())


_ANONYMOUS = Principal.anonymous()


def sender_principal(sender: Sender) -> Principal:
    """Return the caller's principal; None is the anonymous one."""
    return _ANONYMOUS if sender is None else Principal.of(sender)
