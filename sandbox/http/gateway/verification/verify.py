"""The verification of one response: HTTP gateway protocol specification, "Response verification"."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote

from sandbox.certify.certificate import Certificate, data_path, verify_certificate
from sandbox.certify.failure import CertificateError
from sandbox.certify.hash_tree import Found, HashTree, Leaf, Missing, lookup, subtree
from sandbox.certify.request_id import hash_of_value
from sandbox.http.gateway.messages import VERSION, Response
from sandbox.http.gateway.verification.expression import Expression, RequestRule, ResponseRule, read_expression
from sandbox.http.gateway.verification.expression_path import check_path
from sandbox.http.gateway.verification.failure import Unverified
from sandbox.http.gateway.verification.header import CertificateHeader, read_header
from sandbox.http.gateway.web import Headers, WebRequest, first
from sandbox.principal import Principal

_CERTIFICATE, _EXPRESSION = "ic-certificate", "ic-certificateexpression"
_AGE: Final = 300_000_000_000
"""Nanoseconds that the time of a certificate may be off."""
_LARGEST_BODY: Final = 100 << 20
"""Bytes that a compressed body is unpacked to at most."""
_NOT_CERTIFIED_IN_1 = "cache-control"


@dataclass(frozen=True, slots=True)
class Trusted:
    """What a response is verified against: the root key in DER, the time in nanoseconds since 1970, the canister, and
    a function for the versions that it says it supports (empty: it says nothing)."""

    root_key: bytes
    now: int
    canister_id: Principal
    versions: Callable[[], frozenset[str]] = frozenset


def verify_response(request: WebRequest, response: Response, trusted: Trusted) -> Response:
    """Return the response with the headers that may be passed on; `Unverified` if it is not proven."""
    text = first(response.headers, _CERTIFICATE)
    if text is None:
        raise Unverified("it has no IC-Certificate header")
    header = read_header(text)
    _check_certificate(header, trusted)
    if header.version == VERSION:
        return _verify_2(request, response, header)
    if str(VERSION) in trusted.versions():
        raise Unverified("it is certified by version 1, and the canister says that it supports version 2")
    return _verify_1(request, response, header.tree)


def _check_certificate(header: CertificateHeader, trusted: Trusted) -> None:
    try:
        proven: Certificate = verify_certificate(header.certificate, trusted.root_key, trusted.canister_id)
        time = proven.time
    except CertificateError as error:
        raise Unverified(str(error)) from error
    if abs(time - trusted.now) > _AGE:
        raise Unverified("its certificate is of another time")
    certified = proven.lookup(data_path(trusted.canister_id))
    if not isinstance(certified, Found) or certified.value != header.tree.digest:
        raise Unverified("its tree is not what the canister has certified")


# --- version 1


def _verify_1(request: WebRequest, response: Response, tree: HashTree) -> Response:
    """Legacy response verification. Only the body is certified: redirects are refused, and caching is left out."""
    found = lookup(tree, (b"http_assets", _path(request).encode(errors="surrogateescape")))
    if not isinstance(found, Found):
        found = lookup(tree, (b"http_assets", b"/index.html"))
    if not isinstance(found, Found) or found.value not in _body_hashes(response):
        raise Unverified("its body is not what the canister has certified")
    if 300 <= response.status < 400:
        raise Unverified("it is a redirect, which version 1 of certification cannot prove")
    kept = tuple((name, value) for name, value in response.headers if name.lower() != _NOT_CERTIFIED_IN_1)
    return replace(response, headers=kept)


def _body_hashes(response: Response) -> Iterable[bytes]:
    yield _hash(response.body)
    encoding = first(response.headers, "content-encoding")
    try:
        if encoding == "gzip":
            yield _hash(_unpacked(zlib.decompressobj(zlib.MAX_WBITS | 16), response.body))
        elif encoding == "deflate":
            yield _hash(_unpacked(zlib.decompressobj(-zlib.MAX_WBITS), response.body))
    except zlib.error as error:
        raise Unverified(f"its body is not of the encoding {encoding}") from error


def _unpacked(unpacking: zlib._Decompress, data: bytes) -> bytes:
    plain = unpacking.decompress(data, _LARGEST_BODY)
    if unpacking.unconsumed_tail:
        raise Unverified(f"its body has more than {_LARGEST_BODY:,} bytes when unpacked")
    return plain


# --- version 2


def _verify_2(request: WebRequest, response: Response, header: CertificateHeader) -> Response:
    text = first(response.headers, _EXPRESSION)
    if header.path is None or text is None:
        raise Unverified("it has no IC-CertificateExpression header, or no expr_path")
    check_path(header.path, _path(request), header.tree)
    expression = read_expression(text)
    labels = [segment.encode(errors="surrogateescape") for segment in header.path]
    below = subtree(header.tree, [*labels, _hash(text.encode())])
    if isinstance(below, Missing):
        raise Unverified("its certificate expression is not the one that the canister has certified")
    if expression is None:
        return response
    certified = _certified(response, expression.response)
    proof = (_request_hash(request, expression), _response_hash(response, certified))
    if subtree(below, proof) != Leaf(b""):
        raise Unverified("neither this answer nor a request like this is what the canister has certified")
    proofs = tuple((name, value) for name, value in response.headers if name.lower() == _CERTIFICATE)
    return replace(response, headers=(*certified, *proofs))


def _request_hash(request: WebRequest, expression: Expression) -> bytes:
    """The label of the request in the tree: empty if nothing of it is certified."""
    rule = expression.request
    if rule is None:
        return b""
    fields: list[tuple[str, str | int]] = [(n.lower(), v) for n, v in request.headers if n.lower() in rule.headers]
    fields.append((":ic-cert-method", request.method))
    if query := _query(request, rule):
        fields.append((":ic-cert-query", query))
    return _hash(_hash_of_fields(fields) + _hash(request.body))


def _query(request: WebRequest, rule: RequestRule) -> str:
    parameters = request.query.split("&") if request.query else []
    names = {name.lower() for name in rule.parameters}
    return "&".join(parameter for parameter in parameters if parameter.partition("=")[0].lower() in names)


def _response_hash(response: Response, certified: Headers) -> bytes:
    fields: list[tuple[str, str | int]] = [*certified, (":ic-cert-status", response.status)]
    return _hash(_hash_of_fields(fields) + _hash(response.body))


def _certified(response: Response, rule: ResponseRule) -> Headers:
    headers = ((name.lower(), value) for name, value in response.headers)
    return tuple(
        (name, value)
        for name, value in headers
        if name == _EXPRESSION or (name != _CERTIFICATE and rule.certifies(name))
    )


def _hash_of_fields(fields: Iterable[tuple[str, str | int]]) -> bytes:
    """The representation-independent hash of a map in which a name may be repeated."""
    return _hash(b"".join(sorted(hash_of_value(name) + hash_of_value(value) for name, value in fields)))


# --- both


def _path(request: WebRequest) -> str:
    return unquote(request.path, errors="surrogateescape")


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
