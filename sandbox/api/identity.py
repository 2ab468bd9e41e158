"""Deterministic users: a name is an Ed25519 key, a key is a principal. A principal as text is that principal."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sandbox.errors import PrincipalError
from sandbox.principal import Principal

Sender = Principal | str | None
"""The caller of a method: a principal, its text, or the name of a user; None is the default that the method states."""

_LIKE_PRINCIPAL = re.compile(r"(?:[a-z2-7]{5}-){3,}[a-z2-7]{1,5}", re.IGNORECASE)


@lru_cache(maxsize=1024)
def identity(name: str) -> Principal:
    """The principal of user `name`: self-authenticating, by a key that anybody can derive; `anonymous` is 2vxsx-fae.

    The text of a principal is that principal. `PrincipalError` for an empty name, and for the text of a principal with
    a mistake in it, so that no other user acts instead.
    """
    try:
        return Principal.from_text(name)
    except PrincipalError as error:
        if _LIKE_PRINCIPAL.fullmatch(name.strip()):
            raise PrincipalError(f"{error}; the name of a user cannot look like a principal") from None
    if not name.strip():
        raise PrincipalError("the name of a user cannot be empty")
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
    return _ANONYMOUS if sender is None else principal_of(sender)


def principal_of(who: Principal | str) -> Principal:
    """Return the principal that is given as such, by its text, or by the name of a user."""
    return identity(who) if isinstance(who, str) else Principal.of(who)
