"""Representation-independent hash and request ids: interface specification, "Request ids"."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from sandbox.certify.failure import CertificateError
from sandbox.codec import leb128
from sandbox.principal import Principal

REQUEST: Final = b"\x0aic-request"
"""What stands before the request id in the message that a user signs."""
_MAX_DEPTH = 32


def request_id(content: Mapping[str, object]) -> bytes:
    """Return the id (32 bytes) of a request: the hash of its `content`."""
    return hash_of_map(content)


def hash_of_map(fields: Mapping[str, object]) -> bytes:
    """Return SHA-256 over the sorted pairs of key hash and value hash; fields that are None are left out."""
    return _hash_of_map(fields, _MAX_DEPTH)


def hash_of_value(value: object) -> bytes:
    """Return the hash of bytes, text, a natural number, a principal, or a sequence or map of these.

    A negative number is hashed as signed LEB128; anything else, or nesting beyond 32 levels, is a `CertificateError`.
    """
    return _hash_of_value(value, _MAX_DEPTH)


def _hash_of_map(fields: Mapping[str, object], depth: int) -> bytes:
    pairs = []
    for key, value in fields.items():
        if not isinstance(key, str):
            raise CertificateError(f"a field name must be text, not {type(key).__name__}")
        if value is not None:
            pairs.append(_sha256(_utf8(key)) + _hash_of_value(value, depth))
    return _sha256(b"".join(sorted(pairs)))


def _hash_of_value(value: object, depth: int) -> bytes:
    if depth == 0:
        raise CertificateError("a value is nested too deeply")
    match value:
        case bytes() | bytearray() | memoryview() | Principal():
            return _sha256(bytes(value))
        case str():
            return _sha256(_utf8(value))
        case bool():
            pass
        case int():
            return _sha256(leb128.encode_unsigned(value) if value >= 0 else leb128.encode_signed(value))
        case list() | tuple():
            return _sha256(b"".join(_hash_of_value(element, depth - 1) for element in value))
        case Mapping():
            return _hash_of_map(value, depth - 1)
    raise CertificateError(f"a value of type {type(value).__name__} has no hash")


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise CertificateError("text that is not Unicode has no hash") from error


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
