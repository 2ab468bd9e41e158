"""Interface specification, "Certification"."""

from __future__ import annotations

from pathlib import Path

import cbor2
import pytest

from sandbox.certify.certificate import (
    Certificate,
    Delegation,
    SignedTree,
    certificate,
    data_path,
    read_certificate,
    sign_tree,
    verify_certificate,
)
from sandbox.certify.failure import CertificateError
from sandbox.certify.forest import build
from sandbox.certify.hash_tree import Found, Missing
from sandbox.certify.key import RootKey
from sandbox.principal import Principal
from tests.certify import sample

GOLDEN = Path(__file__).with_name("golden")
ROOT_KEY = sample.KEY.public_key
SIGNED = sign_tree(sample.STATE.tree(), sample.KEY)
INSIDE = sample.FAR[0]


def test_a_data_certificate_reveals_the_data_and_the_time_and_nothing_else() -> None:
    raw = SIGNED.data_certificate(sample.FIRST)
    assert raw.startswith(b"\xd9\xd9\xf7")
    read = verify_certificate(raw, ROOT_KEY)
    assert read.lookup(data_path(sample.FIRST)) == Found(b"data")
    assert read.time == sample.TIME
    assert read.lookup([b"canister", bytes(sample.FIRST), b"module_hash"]) is Missing.UNKNOWN
    for hidden in (sample.HASH, b"service : {}", b"replied", bytes(sample.ALICE)):
        assert hidden not in raw


def test_a_data_certificate_of_nobody_proves_the_absence() -> None:
    read = verify_certificate(SIGNED.data_certificate(Principal(b"nobody")), ROOT_KEY)
    assert read.lookup(data_path(Principal(b"nobody"))) is Missing.ABSENT


def test_one_signature_serves_every_certificate_of_a_state() -> None:
    paths = [(b"request_status", sample.REPLIED)]
    assert SIGNED.certificate(paths) == certificate(sample.STATE.tree(), paths, sample.KEY)
    read = read_certificate(SIGNED.certificate(paths))
    assert read.lookup([*paths[0], b"reply"]) == Found(b"DIDL\0\0")
    assert read.signature == SIGNED.signature


def test_the_tag_is_not_needed() -> None:
    raw = SIGNED.data_certificate(sample.FIRST)
    assert verify_certificate(raw[3:], ROOT_KEY) == verify_certificate(raw, ROOT_KEY)


def test_a_forged_value_a_wrong_signature_or_another_root_are_refused() -> None:
    raw = SIGNED.data_certificate(sample.FIRST)
    forged = raw.replace(b"\x44data", b"\x44date")
    assert forged != raw
    other = SignedTree(SIGNED.tree, sample.KEY.sign(bytes(32))).data_certificate(sample.FIRST)
    for bad, key in ((forged, ROOT_KEY), (other, ROOT_KEY), (raw, RootKey.from_seed(b"other").public_key)):
        with pytest.raises(CertificateError, match="signature"):
            verify_certificate(bad, key)


@pytest.mark.parametrize(
    "value", [{}, [], {"tree": [0]}, {"signature": b""}, {"tree": [0], "signature": "text"}], ids=str
)
def test_what_is_no_certificate_is_refused(value: object) -> None:
    with pytest.raises(CertificateError, match="not a certificate"):
        read_certificate(cbor2.dumps(value))


@pytest.mark.parametrize("delegation", [{}, 1, {"subnet_id": bytes(30), "certificate": b""}], ids=str)
def test_what_is_no_delegation_is_refused(delegation: object) -> None:
    with pytest.raises(CertificateError, match="not a certificate"):
        read_certificate(cbor2.dumps({"tree": [0], "signature": b"", "delegation": delegation}))


@pytest.mark.parametrize("time", [None, b"", b"\x80", b"\x01\x01", b"\xff" * 12], ids=str)
def test_a_certificate_without_a_time_says_so(time: bytes | None) -> None:
    tree = build({} if time is None else {b"time": time})
    with pytest.raises(CertificateError, match="no valid time"):
        _ = Certificate(tree, b"").time


def child_certificate(delegation: Delegation) -> bytes:
    return sign_tree(sample.STATE.tree(), sample.CHILD, delegation).data_certificate(sample.FIRST)


@pytest.mark.parametrize("ranges", [sample.CHILD_FLAT, sample.CHILD_SHARDS], ids=["flat", "shards"])
def test_a_delegated_certificate_is_good_for_the_canisters_of_the_subnet(ranges: tuple[bytes, ...]) -> None:
    raw = child_certificate(sample.delegation(sample.CHILD_KEY, ranges))
    assert verify_certificate(raw, ROOT_KEY).lookup(data_path(sample.FIRST)) == Found(b"data")
    verify_certificate(raw, ROOT_KEY, INSIDE)
    with pytest.raises(CertificateError, match="not for canister"):
        verify_certificate(raw, ROOT_KEY, sample.FIRST)


def test_a_delegation_without_ranges_is_good_for_no_canister() -> None:
    raw = child_certificate(sample.delegation(sample.CHILD_KEY))
    with pytest.raises(CertificateError, match="not for canister"):
        verify_certificate(raw, ROOT_KEY, INSIDE)


def test_a_delegation_must_reveal_the_key_and_be_signed_by_the_root() -> None:
    with pytest.raises(CertificateError, match="does not reveal the key"):
        verify_certificate(child_certificate(sample.delegation(sample.CHILD_FLAT)), ROOT_KEY)
    raw = child_certificate(sample.delegation(sample.CHILD_KEY))
    with pytest.raises(CertificateError, match="signature"):
        verify_certificate(raw, sample.CHILD.public_key)


def test_a_delegation_of_a_delegation_is_refused() -> None:
    once = sample.delegation(sample.CHILD_KEY, sample.CHILD_FLAT)
    twice = Delegation(sample.CHILD.subnet_id, child_certificate(once))
    with pytest.raises(CertificateError, match="must not have a delegation"):
        verify_certificate(child_certificate(twice), ROOT_KEY)


@pytest.mark.parametrize("leaf", [b"", b"\x01", cbor2.dumps([1]), cbor2.dumps([["text", b""]])], ids=repr)
def test_ranges_that_are_none_are_refused(leaf: bytes) -> None:
    subnet = bytes(sample.CHILD.subnet_id)
    tree = build({b"subnet": {subnet: {b"public_key": sample.CHILD.public_key, b"canister_ranges": leaf}}})
    inner = certificate(tree, [(b"subnet",)], sample.KEY)
    raw = child_certificate(Delegation(sample.CHILD.subnet_id, inner))
    with pytest.raises(CertificateError, match="canister ranges"):
        verify_certificate(raw, ROOT_KEY, INSIDE)


def test_the_kept_certificate_still_comes_out_byte_for_byte() -> None:
    """The shape of trees, the encoding, the keys of a seed and the signature."""
    assert SIGNED.data_certificate(sample.FIRST) == (GOLDEN / "data_certificate.cbor").read_bytes()
