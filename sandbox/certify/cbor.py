"""The seam to cbor2: what comes back is plain data, every refusal is a `CertificateError`."""

from __future__ import annotations

import io
from typing import Any

import cbor2

from sandbox.certify.failure import CertificateError

SELF_DESCRIBED = 55799
MAX_DEPTH = 128  # what the agents' reader (serde_cbor) follows


def dump(value: Any) -> bytes:
    """The CBOR of plain data."""
    return cbor2.dumps(value)


def dump_tagged(value: Any) -> bytes:
    """The CBOR of plain data behind the self-describing tag."""
    return cbor2.dumps(cbor2.CBORTag(SELF_DESCRIBED, value))


def load(data: bytes, what: str) -> Any:
    """Plain data from CBOR; inside a tag cbor2 gives tuples and frozen maps. A self-describing tag is skipped.

    Nothing may follow the value and no map may name a key twice; `what` names the thing in the error.
    """
    try:
        value, size = _decode(data)
    except Exception as error:  # built-in readers of odd tags raise errors of their own
        raise CertificateError(f"not a {what}: {error}") from error
    if size != len(data):
        raise CertificateError(f"not a {what}: {len(data) - size} bytes follow it")
    return value


def _decode(data: bytes) -> tuple[Any, int]:
    stream = io.BytesIO(data)
    decoder = cbor2.CBORDecoder(stream, max_depth=MAX_DEPTH, allow_duplicate_keys=False, strict_hashable_types=True)
    return decoder.decode(), stream.tell()
