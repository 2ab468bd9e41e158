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
    """A delegation of the root subnet: a certificate that reveals the key and the canister ranges of another subnet."""

    subnet_id: Principal
    certificate: bytes


@dataclass(frozen=True, slots=True)
class Certificate:
    """A decoded certificate; it proves nothing before `verify_certificate`."""

    tree: HashTree
    signature: bytes
    delegation: Delegation | None = None

    def lookup(self, path: Path) -> Lookup:
        """Look up a path in the tree of the certificate."""
        return lookup(self.tree, path)

    @property
    def time(self) -> int:
        """`/time` in nanoseconds; a certificate without it is a `CertificateError`."""
        time_leaf = self.lookup(TIME)
        if not isinstance(time_leaf, Found):
            raise CertificateError("the certificate has no valid time")
        try:
            time, end = decode_unsigned(time_leaf.value, 0, len(time_leaf.value), 64)
        except Leb128Error as error:
            raise CertificateError(f"the certificate has no valid time: {error}") from error
        if end != len(time_leaf.value):
            raise CertificateError("the certificate has no valid time: bytes follow it")
        return time


@dataclass(frozen=True, slots=True)
class SignedTree:
    """A state tree and the signature on its root hash; each certificate from it costs only its witness."""

    tree: HashTree
    signature: bytes
    delegation: Delegation | None = None

    def certificate(self, paths: Iterable[Path]) -> bytes:
        """Return the certificate (CBOR) that reveals these paths and `/time`."""
        fields: dict[str, Any] = {"tree": to_plain(witness(self.tree, [*paths, TIME])), "signature": self.signature}
        if self.delegation is not None:
            subnet_id, inner = bytes(self.delegation.subnet_id), self.delegation.certificate
            fields["delegation"] = {"subnet_id": subnet_id, "certificate": inner}
        return cbor.dump_tagged(fields)

    def data_certificate(self, canister_id: Principal) -> bytes:
        """Return the content of `ic0.data_certificate_copy`: a certificate of the certified data and `/time`."""
        return self.certificate([data_path(canister_id)])


def data_path(canister_id: Principal) -> Path:
    """Return the path of a canister's certified data."""
    return (b"canister", bytes(canister_id), b"certified_data")


def sign_tree(tree: HashTree, key: RootKey, delegation: Delegation | None = None) -> SignedTree:
    """Sign the root hash of a state tree."""
    return SignedTree(tree, key.sign(tree.digest), delegation)


def certificate(tree: HashTree, paths: Iterable[Path], key: RootKey) -> bytes:
    """Return one certificate (CBOR) of a state tree; for several of the same tree, use `sign_tree` once."""
    return sign_tree(tree, key).certificate(paths)


def read_certificate(data: bytes) -> Certificate:
    """Decode a certificate from CBOR, tagged or not; `CertificateError` if the bytes are none."""
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
    """Verify a certificate by a root key (DER) and return it: `verify_cert` and `check_delegation`.

    Raises `CertificateError` for a wrong signature, a delegation that has one itself or reveals no key, and, where
    `canister_id` is given, a delegation to a subnet that has no range with this canister. The age of the certificate is
    not checked; see its `time`.
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
    """Look for a canister in both layouts of ranges: the leaves under `/canister_ranges/<subnet>`, and the leaf at
    `/subnet/<subnet>/canister_ranges`."""
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
