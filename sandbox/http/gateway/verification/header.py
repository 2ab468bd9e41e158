"""The header `IC-Certificate`: HTTP gateway protocol specification, "The certificate header"."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from sandbox.certify import cbor
from sandbox.certify.failure import CertificateError
from sandbox.certify.hash_tree import HashTree, decode
from sandbox.http.gateway.verification.failure import Unverified

_FIELD = re.compile(r"\s*([^=\s]+)=:?([^:]+):?\s*")


@dataclass(frozen=True, slots=True)
class CertificateHeader:
    """The certificate (CBOR), the tree that it proves, the version, and for version 2 the path in the tree."""

    certificate: bytes
    tree: HashTree
    version: int
    path: tuple[str, ...] | None


def read_header(text: str) -> CertificateHeader:
    """Read the header; of a field that is repeated, the first counts."""
    fields: dict[str, str] = {}
    for part in text.split(","):
        found = _FIELD.fullmatch(part)
        if found is not None:
            fields.setdefault(found[1], found[2])
    if missing := {"certificate", "tree"} - fields.keys():
        raise Unverified(f"its IC-Certificate header has no {min(missing)}")
    version = fields.get("version", "1")
    if version not in ("1", "2"):
        raise Unverified(f"its certification has version {version[:20]}, and only 1 and 2 are known")
    try:
        tree = decode(_bytes(fields["tree"]))
        path = _path(_bytes(fields["expr_path"])) if "expr_path" in fields else None
    except CertificateError as error:
        raise Unverified(f"its IC-Certificate header is malformed: {error}") from error
    return CertificateHeader(_bytes(fields["certificate"]), tree, int(version), path)


def _path(data: bytes) -> tuple[str, ...]:
    value = cbor.load(data, "expr_path")
    if not isinstance(value, list | tuple) or not all(isinstance(segment, str) for segment in value):
        raise CertificateError("expr_path is no array of text")
    return tuple(value)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unverified(f"its IC-Certificate header is not base64: {error}") from error
