"""Certificates: interface specification, "Certification".

A certificate is a witness of the state tree, a signature on its root hash, and for a subnet that is not the root
subnet a delegation. `/time` is always revealed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sandbox.certify import cbor
from sandbox.certify.failure import CertificateError
from sandbox.certify.hash_tree import Found, HashTree, Leaf, Lookup, Missing, Path, from_plain, items, lookup, to_plain
from sandbox.certify.hash_tree import Labeled as _Labeled
from sandbox.certify.hash_tree import subtree as _subtree
from sandbox.certify.key import RootKey, verify
from sandbox.certify.witness import witness
from sandbox.codec.leb128 import Leb128Error, decode_unsigned
from sandbox.errors import PrincipalError
from sandbox.principal import Principal

TIME: Path = (b"time",)


@dataclass(frozen=True, slots=True)
class Delegation:
    """The root subnet's word for the key of another subnet: a certificate that reveals that key and its ranges."""

    subnet_id: Principal
    certificate: bytes


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that was read; it proves nothing before `verify_certificate`."""

    tree: HashTree
    signature: bytes
    delegation: Delegation | None = None

    def lookup(self, path: Path) -> Lookup:
        """What the certificate says about a path."""
        return lookup(self.tree, path)

    @property
    def time(self) -> int:
        """`/time` in nanoseconds; a certificate without it is a `CertificateError`."""
        found = self.lookup(TIME)
        if not isinstance(found, Found):
            raise CertificateError("the certificate has no valid time")
        try:
            time, end = decode_unsigned(found.value, 0, len(found.value), 64)
        except Leb128Error as error:
            raise CertificateError(f"the certificate has no valid time: {error}") from error
        if end != len(found.value):
            raise CertificateError("the certificate has no valid time: bytes follow it")
        return time


@dataclass(frozen=True, slots=True)
class SignedTree:
    """A state tree and the signature on its root hash: from here every further certificate costs only its witness."""

    tree: HashTree
    signature: bytes
    delegation: Delegation | None = None

    def certificate(self, paths: Iterable[Path]) -> bytes:
        """The certificate (CBOR) that answers these paths, and `/time`."""
        fields: dict[str, Any] = {"tree": to_plain(witness(self.tree, [*paths, TIME])), "signature": self.signature}
        if self.delegation is not None:
            subnet_id, inner = bytes(self.delegation.subnet_id), self.delegation.certificate
            fields["delegation"] = {"subnet_id": subnet_id, "certificate": inner}
        return cbor.dump_tagged(fields)

    def data_certificate(self, canister_id: Principal) -> bytes:
        """What `ic0.data_certificate_copy` gives a canister: `/canister/<id>/certified_data` and `/time`."""
        return self.certificate([data_path(canister_id)])


def data_path(canister_id: Principal) -> Path:
    """Where the certified data of a canister is."""
    return (b"canister", bytes(canister_id), b"certified_data")


def sign_tree(tree: HashTree, key: RootKey, delegation: Delegation | None = None) -> SignedTree:
    """The state tree with the key's signature on its root hash."""
    return SignedTree(tree, key.sign(tree.digest), delegation)


def certificate(tree: HashTree, paths: Iterable[Path], key: RootKey) -> bytes:
    """One certificate (CBOR) of a state tree; for more than one of the same tree, keep what `sign_tree` gives."""
    return sign_tree(tree, key).certificate(paths)


def read_certificate(data: bytes) -> Certificate:
    """The certificate in CBOR, tagged or not; bytes that hold none are a `CertificateError`."""
    value = cbor.load(data, "certificate")
    match value:
        case {"tree": tree, "signature": bytes(signature)}:
            return Certificate(from_plain(tree, len(data)), signature, _delegation(value.get("delegation")))
        case _:
            raise CertificateError("not a certificate: no tree or no signature")


def _delegation(value: object) -> Delegation | None:
    match value:
        case None:
            return None
        case {"subnet_id": bytes(subnet_id), "certificate": bytes(inner)}:
            try:
                return Delegation(Principal(subnet_id), inner)
            except PrincipalError as error:
                raise CertificateError(f"not a certificate: {error}") from error
        case _:
            raise CertificateError("not a certificate: the delegation has another shape")


def verify_certificate(data: bytes, root_key: bytes, canister_id: Principal | None = None) -> Certificate:
    """The certificate, proven by a root key (DER): `verify_cert` and `check_delegation`.

    Raises `CertificateError` for a wrong signature, a delegation that has one itself or reveals no key, and, where
    `canister_id` is given, a delegation to a subnet that has no range with this canister. How old the certificate is
    stays for the caller to judge by its `time`.
    """
    read = read_certificate(data)
    if read.delegation is not None:
        root_key = _delegated_key(read.delegation, root_key, canister_id)
    if not verify(root_key, read.tree.digest, read.signature):
        raise CertificateError("the signature of the certificate is wrong")
    return read


def _delegated_key(delegation: Delegation, root_key: bytes, canister_id: Principal | None) -> bytes:
    if read_certificate(delegation.certificate).delegation is not None:
        raise CertificateError("a delegation must not have a delegation itself")
    inner = verify_certificate(delegation.certificate, root_key)
    key = inner.lookup((b"subnet", bytes(delegation.subnet_id), b"public_key"))
    if not isinstance(key, Found):
        raise CertificateError("the delegation does not reveal the key of its subnet")
    if canister_id is not None and not _in_ranges(inner.tree, delegation.subnet_id, canister_id):
        raise CertificateError(f"the delegation is not for canister {canister_id}")
    return key.value


def _in_ranges(tree: HashTree, subnet_id: Principal, canister_id: Principal) -> bool:
    """Both layouts: leaves under `/canister_ranges/<subnet>`, and the one at `/subnet/<subnet>/canister_ranges`."""
    leaves: list[bytes] = []
    shards = _subtree(tree, (b"canister_ranges", bytes(subnet_id)))
    if not isinstance(shards, Missing):
        below = (item.tree for item in items(shards) if isinstance(item, _Labeled))
        leaves += (leaf.value for leaf in below if isinstance(leaf, Leaf))
    flat = lookup(tree, (b"subnet", bytes(subnet_id), b"canister_ranges"))
    if isinstance(flat, Found):
        leaves.append(flat.value)
    wanted = bytes(canister_id)
    return any(first <= wanted <= last for leaf in leaves for first, last in _ranges(leaf))


def _ranges(leaf: bytes) -> list[tuple[bytes, bytes]]:
    value = cbor.load(leaf, "list of canister ranges")
    if not isinstance(value, list | tuple):
        raise CertificateError("not a list of canister ranges")
    ranges = []
    for pair in value:
        match pair:
            case [bytes(first), bytes(last)]:
                ranges.append((first, last))
            case _:
                raise CertificateError("not a list of canister ranges")
    return ranges
