"""Interface specification, "Request ids"."""

from __future__ import annotations

import hashlib

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.certify.failure import CertificateError
from sandbox.certify.request_id import hash_of_map, hash_of_value, request_id
from sandbox.principal import Principal

CALL = {
    "request_type": "call",
    "sender": b"\x04",
    "ingress_expiry": 1685570400000000000,
    "canister_id": bytes.fromhex("00000000000004D2"),
    "method_name": "hello",
    "arg": b"DIDL\x00\xfd*",
}
ID = "1d1091364d6bb8a6c16b203ee75467d59ead468f523eb058880ae8ec80e2b101"


def test_the_example_of_the_specification() -> None:
    assert request_id(CALL).hex() == ID


def test_the_order_of_fields_does_not_matter() -> None:
    assert request_id(dict(reversed(CALL.items()))).hex() == ID


def test_a_field_that_is_none_is_not_there() -> None:
    assert request_id({**CALL, "nonce": None}).hex() == ID
    assert request_id({**CALL, "nonce": b""}).hex() != ID


def test_a_request_read_from_tagged_cbor_has_the_same_id() -> None:
    assert request_id(cbor2.loads(cbor2.dumps(cbor2.CBORTag(55799, CALL)))).hex() == ID


def test_a_principal_hashes_as_its_bytes() -> None:
    assert hash_of_value(Principal.anonymous()) == hash_of_value(b"\x04")


def test_an_array_hashes_the_hashes_of_its_elements() -> None:
    paths = [[b"time"], [b"canister", b"\x01"]]
    inner = [hashlib.sha256(b"".join(hashlib.sha256(label).digest() for label in path)).digest() for path in paths]
    assert hash_of_value(paths) == hashlib.sha256(b"".join(inner)).digest()


def test_a_map_in_a_map_is_hashed_recursively() -> None:
    info = {"signer": b"\x01", "info": b"\x02"}
    assert hash_of_map({"sender_info": info}) == hash_of_map({"sender_info": dict(reversed(info.items()))})
    inner = hashlib.sha256(b"sender_info").digest() + hash_of_map(info)
    assert hash_of_map({"sender_info": info}) == hashlib.sha256(inner).digest()


@pytest.mark.parametrize("value", [1.5, True, None, object(), "\ud800"], ids=repr)
def test_other_values_have_no_hash(value: object) -> None:
    with pytest.raises(CertificateError):
        hash_of_value(value)


def test_keys_are_text() -> None:
    with pytest.raises(CertificateError, match="field name"):
        hash_of_map({b"arg": b""})  # type: ignore[dict-item]


def test_nesting_is_bounded() -> None:
    value: object = b""
    for _ in range(100_000):
        value = [value]
    with pytest.raises(CertificateError, match="deeply"):
        hash_of_value(value)
    while value:
        (value,) = value  # type: ignore[misc]


@given(st.integers(min_value=0, max_value=2**128))
def test_numbers_hash_as_their_shortest_leb128(value: int) -> None:
    rest, out = value, bytearray()
    while rest > 127:
        out.append(rest % 128 + 128)
        rest //= 128
    out.append(rest)
    assert hash_of_value(value) == hashlib.sha256(out).digest()
