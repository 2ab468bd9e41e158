"""Keys: interface specification, "Certification" and "Query signatures"; RFC 9380 for hashing to the curve."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from py_arkworks_bls12381 import G1Point

from sandbox.certify.failure import CertificateError
from sandbox.certify.key import NodeKey, RootKey, verify
from sandbox.certify.request_id import hash_of_map
from sandbox.principal import Principal

KEY = RootKey.from_seed(b"seed")
ROOT = hashlib.sha256(b"state").digest()
PREFIX = bytes.fromhex("308182301d060d2b0601040182dc7c0503010201060c2b0601040182dc7c05030201036100")


def test_a_root_key_is_133_bytes_of_der() -> None:
    assert len(KEY.public_key) == 133
    assert KEY.public_key.startswith(PREFIX)


def test_the_subnet_is_named_after_its_key() -> None:
    assert Principal.self_authenticating(KEY.public_key) == KEY.subnet_id
    assert len(bytes(KEY.subnet_id)) == 29


def test_a_seed_is_a_key() -> None:
    assert RootKey.from_seed(b"seed") == KEY
    assert RootKey.from_seed(b"other") != KEY
    assert hashlib.sha256(KEY.public_key).hexdigest().startswith("3b4773cee2e324d7")


def test_the_secret_is_not_printed() -> None:
    assert "secret" not in repr(KEY)
    assert "secret" not in repr(NodeKey.from_seed(b"seed"))


def test_a_signature_is_48_bytes_and_verifies() -> None:
    signature = KEY.sign(ROOT)
    assert len(signature) == 48
    assert verify(KEY.public_key, ROOT, signature)


def test_another_state_another_key_or_a_changed_signature_do_not_verify() -> None:
    signature = KEY.sign(ROOT)
    assert not verify(KEY.public_key, bytes(32), signature)
    assert not verify(RootKey.from_seed(b"other").public_key, ROOT, signature)
    assert not verify(KEY.public_key, ROOT, KEY.sign(bytes(32)))


@pytest.mark.parametrize("signature", [b"", bytes(48), b"\xff" * 48, b"\xc0" + bytes(47), bytes(49)], ids=len)
def test_bytes_that_are_no_signature_do_not_verify(signature: bytes) -> None:
    assert not verify(KEY.public_key, ROOT, signature)


def test_a_point_outside_the_subgroup_is_no_signature() -> None:
    for x in range(4, 40):
        encoded = bytes([0x80]) + bytes(46) + bytes([x])
        try:
            point = G1Point.from_compressed_bytes_unchecked(encoded)
        except ValueError:
            continue
        if not point.is_in_subgroup():
            assert not verify(KEY.public_key, ROOT, encoded)
            return
    pytest.fail("no point outside the subgroup found")


@pytest.mark.parametrize(
    "key", [b"", PREFIX, PREFIX + bytes(96), PREFIX + b"\xc0" + bytes(95), KEY.public_key + b"\0", b"\0" * 133], ids=len
)
def test_bytes_that_are_no_key_are_refused(key: bytes) -> None:
    with pytest.raises(CertificateError, match="public key"):
        verify(key, ROOT, KEY.sign(ROOT))


def test_the_library_hashes_to_the_curve_as_rfc_9380_says() -> None:
    """Appendix J.9.1, the empty message."""
    point = G1Point.hash_to_curve(b"", b"QUUX-V01-CS02-with-BLS12381G1_XMD:SHA-256_SSWU_RO_")
    x = "052926add2207b76ca4fa57a8734416c8dc95e24501772c814278700eed6d1e4e8cf62d9c09db0fac349612b759e79a1"
    assert point.to_xy_bytes_be()[:48].hex() == x


REPLY = {"status": "replied", "reply": {"arg": b"DIDL\0\0"}}
REJECT = {"status": "rejected", "reject_code": 5, "reject_message": "no", "error_code": "IC0503"}


@pytest.mark.parametrize("response", [REPLY, REJECT], ids=["replied", "rejected"])
def test_a_node_signs_query_answers(response: dict[str, object]) -> None:
    node = NodeKey.from_seed(b"seed")
    assert len(node.public_key) == 44
    assert Principal.self_authenticating(node.public_key) == node.node_id
    entry = node.sign_query_response({**response, "signatures": []}, b"r" * 32, 7)
    assert entry["timestamp"] == 7
    assert entry["identity"] == bytes(node.node_id)
    signature = entry["signature"]
    assert isinstance(signature, bytes)
    signed = b"\x0bic-response" + hash_of_map({**response, "timestamp": 7, "request_id": b"r" * 32})
    key = load_der_public_key(node.public_key)
    assert isinstance(key, Ed25519PublicKey)
    key.verify(signature, signed)
    with pytest.raises(InvalidSignature):
        key.verify(signature, signed + b"\0")
