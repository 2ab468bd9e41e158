"""CBOR through cbor2: decoded values are plain data, and every error is a `CertificateError`."""

from __future__ import annotations

import io
from typing import Any

import cbor2

from sandbox.certify.failure import CertificateError

SELF_DESCRIBED = 55799
MAX_DEPTH = 128  # the limit of the agents' reader (serde_cbor)


def dump(value: Any) -> bytes:
    """Encode plain data as CBOR."""
    return cbor2.dumps(value)


def dump_tagged(value: Any) -> bytes:
    """Encode plain data as CBOR with the self-describing tag."""
    return cbor2.dumps(cbor2.CBORTag(SELF_DESCRIBED, value))


def load(data: bytes, what: str, *, any_keys: bool = False) -> Any:
    """Decode CBOR to plain data; inside a tag, cbor2 returns tuples and frozen maps. A self-describing tag is skipped.

    Nothing may follow the value and no map may name a key twice; `what` names the thing in the error. The keys of maps
    are text or bytes unless `any_keys`.
    """
    try:
        value, size = _decode(data, not any_keys)
    except Exception as error:  # cbor2's readers of rare tags raise other errors
        raise CertificateError(f"not a {what}: {error}") from error
    if size != len(data):
        raise CertificateError(f"not a {what}: {len(data) - size} bytes follow it")
    return value


def _decode(data: bytes, strict: bool) -> tuple[Any, int]:
    stream = io.BytesIO(data)
    decoder = cbor2.CBORDecoder(stream, max_depth=MAX_DEPTH, allow_duplicate_keys=False, strict_hashable_types=strict)
    return decoder.decode(), stream.tell()
